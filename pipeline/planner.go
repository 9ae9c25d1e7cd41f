package pipeline

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"github.com/govidu/govidu/internal/kerr"
)

// MaxChain is how many converters the planner puts in a row
// (depacketise, transcode, packetise).
const MaxChain = 3

// Converter turns one Format into another. Cost is in arbitrary units (about
// microseconds of CPU per packet) and false when the pair is impossible.
type Converter interface {
	Cost(from, to Format) (int, bool)
	// Open starts a conversion whose results are pushed to out. ctx ends with
	// the pipeline.
	Open(ctx context.Context, from, to Format, out *Output) (ConverterInput, error)
}

// Expander is a Converter that can tell which formats it makes of one; the
// planner needs it to find chains of more than one step.
type Expander interface {
	Expand(from Format) []Format
}

// ConverterInput is the receiving side of a running conversion. Close waits for
// its goroutines; what is buffered is dropped.
type ConverterInput interface {
	Input
	io.Closer
}

// Planner finds chains of converters between formats.
type Planner struct {
	ctx        context.Context
	converters []Converter
}

// NewPlanner makes a planner; conversions live until ctx ends or their links do.
func NewPlanner(ctx context.Context, converters ...Converter) *Planner {
	return &Planner{ctx: ctx, converters: converters}
}

type step struct {
	conv Converter
	to   Format
	cost int
}

// plan is the cheapest chain from f to any of accepts, nil when there is none.
func (p *Planner) plan(f Format, accepts []Format) []step {
	if p == nil {
		return nil
	}
	var best []step
	bestCost := 0
	var walk func(from Format, path []step, cost int)
	walk = func(from Format, path []step, cost int) {
		if best != nil && cost >= bestCost || len(path) == MaxChain {
			return
		}
		for _, c := range p.converters {
			for _, to := range accepts {
				to = complete(from, to)
				if k, ok := c.Cost(from, to); ok && (best == nil || cost+k < bestCost) {
					best, bestCost = append(slices.Clone(path), step{c, to, k}), cost+k
				}
			}
			if e, ok := c.(Expander); ok {
				for _, mid := range e.Expand(from) {
					if k, ok := c.Cost(from, mid); ok {
						walk(mid, append(slices.Clone(path), step{c, mid, k}), cost+k)
					}
				}
			}
		}
	}
	walk(f, nil, 0)
	return best
}

// complete fills the wildcards of an accepted format from the source's.
func complete(from, to Format) Format {
	if to.Codec == "" {
		to.Codec = from.Codec
	}
	if to.Framing == 0 {
		to.Framing = from.Framing
	}
	if to.Codec == from.Codec {
		if to.ClockRate == 0 {
			to.ClockRate = from.ClockRate
		}
		if to.Channels == 0 {
			to.Channels = from.Channels
		}
		if to.Fmtp == "" {
			to.Fmtp = from.Fmtp
		}
		if to.Width == 0 {
			to.Width, to.Height = from.Width, from.Height
		}
	}
	return to
}

// chain is a running row of converters hanging on one Output and shared by the
// links that want its last format. Fields but head are guarded by Output.mu.
type chain struct {
	from    *Format
	to      Format
	head    ConverterInput
	inputs  []ConverterInput
	outs    []*Output
	lead    atomic.Pointer[Link] // the link whose turn it is to feed head
	members []*Link              // in order of joining
	inner   []*Link              // the same receivers' links on the last Output
}

// joinChain makes l a member of a chain from f to one of accepts, opening it
// when none is running. The caller holds o.mu.
func (o *Output) joinChain(l *Link, f *Format, accepts []Format) (*chain, error) {
	for _, c := range o.chains {
		if c.from == f && fitsAny(&c.to, accepts) {
			return c, c.add(l)
		}
	}
	steps := o.planner.plan(*f, accepts)
	if steps == nil {
		return nil, fmt.Errorf("convert %s %s: no converter in this build: %w", f.Kind, f.Codec, kerr.UnsupportedMediaType)
	}
	c := &chain{from: f, to: steps[len(steps)-1].to}
	// Built from the last step to the first, because each needs the Output it
	// pushes to. A step's wishes go up to the step before, the first's to o.
	from := func(i int) Format {
		if i == 0 {
			return *f
		}
		return steps[i-1].to
	}
	for range steps {
		c.outs = append(c.outs, nil)
		c.inputs = append(c.inputs, nil)
	}
	for i := range steps {
		var up Producer = upward{o}
		if i > 0 {
			up = upward{c.outs[i-1]}
		}
		c.outs[i] = NewOutput(o.kind, o.label, up, nil)
		c.outs[i].inner = true
	}
	for i, s := range steps {
		in, err := s.conv.Open(o.planner.ctx, from(i), s.to, c.outs[i])
		if err != nil {
			c.close()
			return nil, fmt.Errorf("convert %s to %s: %w", f.Codec, s.to.Codec, err)
		}
		c.inputs[i] = in
		if i > 0 {
			if _, err := c.outs[i-1].Connect(in); err != nil {
				c.close()
				return nil, err
			}
		}
	}
	c.head = c.inputs[0]
	if err := c.add(l); err != nil {
		c.close()
		return nil, err
	}
	o.chains = append(o.chains, c)
	return c, nil
}

func (c *chain) add(l *Link) error {
	in, err := c.outs[len(c.outs)-1].Connect(relay{l.to})
	if err != nil {
		return err
	}
	if len(c.members) == 0 {
		c.lead.Store(l)
	}
	c.members = append(c.members, l)
	c.inner = append(c.inner, in)
	return nil
}

// leaveChain drops l from c and returns the chains that have nobody left, to be
// closed without the lock. The caller holds o.mu.
func (o *Output) leaveChain(c *chain, l *Link) []*chain {
	i := slices.Index(c.members, l)
	if i < 0 {
		return nil
	}
	c.outs[len(c.outs)-1].Disconnect(c.inner[i])
	c.members = slices.Delete(c.members, i, i+1)
	c.inner = slices.Delete(c.inner, i, i+1)
	if len(c.members) > 0 {
		c.lead.Store(c.members[0])
		return nil
	}
	o.chains = slices.DeleteFunc(o.chains, func(x *chain) bool { return x == c })
	return []*chain{c}
}

func (c *chain) close() {
	for _, in := range c.inputs {
		if in != nil {
			in.Close()
		}
	}
	for _, out := range c.outs {
		if out != nil {
			out.Close()
		}
	}
}

// upward makes an Output hear the wishes of a converter's receivers.
type upward struct{ o *Output }

func (u upward) Feedback(f Feedback) { u.o.Feedback(f) }

// relay hides a receiver's Attachable, since its link is the outer one.
type relay struct{ Input }
