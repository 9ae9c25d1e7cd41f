package pipeline

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
)

// MaxChain is how many converters the planner puts in a row
// (depacketise, decode, encode, packetise).
const MaxChain = 4

// Converter turns one Format into another. Cost is in arbitrary units (about
// microseconds of CPU per packet) and false when the pair is impossible.
type Converter interface {
	Cost(from, to Format) (int, bool)
	// Open starts a conversion whose results are pushed to out. It must not
	// wait for anything: what fails later is told with out.Fail. ctx ends with
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

// Maker is a ConverterInput that tells more exactly than the plan what it makes:
// a decoder's Raw format with its Origin.
type Maker interface{ Made() Format }

// Hinter is a Converter that knows why it cannot do what it is for.
type Hinter interface {
	// Hint says what is missing on this node, "" when nothing is.
	Hint() string
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

func (p *Planner) hint() string {
	if p != nil {
		for _, c := range p.converters {
			if h, ok := c.(Hinter); ok && h.Hint() != "" {
				return h.Hint()
			}
		}
	}
	return "no converter in this build"
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
	accepts = decided(f, accepts)
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

// decided puts codecs in place of "any codec" when the source has none that
// could travel.
func decided(f Format, accepts []Format) []Format {
	if f.Framing != Raw && f.Codec != Other && !f.Reordered {
		return accepts
	}
	codecs := []codec.Name{codec.VP8, codec.H264}
	if f.Kind == Audio {
		codecs = []codec.Name{codec.Opus}
	}
	var out []Format
	for _, a := range accepts {
		if a.Codec != "" || a.Framing == Raw {
			out = append(out, a)
			continue
		}
		for _, name := range codecs {
			a.Codec = name
			out = append(out, a)
		}
	}
	return out
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

// same tells whether a conversion opened for g goes on with f.
func (f *Format) same(g *Format) bool {
	return f.Kind == g.Kind && f.Codec == g.Codec && f.Framing == g.Framing && f.ClockRate == g.ClockRate &&
		f.Channels == g.Channels && f.Fmtp == g.Fmtp && f.Caps == g.Caps && f.Reordered == g.Reordered &&
		f.Origin == g.Origin && string(f.Config) == string(g.Config)
}

// node is one running conversion in the tree below an Output.
type node struct {
	at   *Output // that feeds it
	conv Converter
	plan Format // what it was asked to make
	made Format // what it makes
	in   ConverterInput
	out  *Output
}

func (n *node) close() {
	n.in.Close()
	n.out.Close()
}

// fits tells whether a receiver takes f as it is; a receiver that names no
// format takes anything.
func fits(f *Format, accepts []Format) bool {
	return len(accepts) == 0 || slices.ContainsFunc(accepts, func(a Format) bool { return f.Fits(&a) })
}

// route lets l hang on the tree where its receiver's format comes out, opening
// conversions as needed. It does nothing before a format is known, for spliced
// links, and for receivers that cannot say yet what they take. The caller holds
// o.mu; l hangs nowhere.
func (o *Output) route(l *Link) error {
	f := o.Format()
	if f == nil || l.spliced.Load() || l.gone.Load() || l.at.Load() != nil || l.failed == f {
		return nil
	}
	accepts := l.to.Accepts()
	if len(accepts) > 0 && accepts[0].Framing == Undecided {
		return nil
	}
	accepts = o.narrow(f, accepts)
	at := o
	if !fits(f, accepts) {
		steps := o.planner.plan(*f, accepts)
		if steps == nil {
			l.failed = f
			return fmt.Errorf("convert %s %s: %s: %w", f.Kind, f.Codec, o.planner.hint(), kerr.UnsupportedMediaType)
		}
		var err error
		if at, err = o.grow(*f, steps); err != nil {
			l.failed = f
			return err
		}
	}
	at.ends = append(at.ends, l)
	l.at.Store(at)
	at.refan()
	return nil
}

// narrow keeps of what a receiver takes the codec that is forced, if it is there.
func (o *Output) narrow(f *Format, accepts []Format) []Format {
	if o.forced == nil {
		return accepts
	}
	if len(accepts) == 0 {
		return []Format{{Kind: f.Kind, Codec: o.forced.Codec, Framing: f.Framing}}
	}
	var kept []Format
	for _, a := range accepts {
		if a.Codec == "" {
			a.Codec = o.forced.Codec
		}
		if a.Codec == o.forced.Codec {
			kept = append(kept, a)
		}
	}
	if kept == nil {
		return accepts
	}
	return kept
}

// grow walks the steps down the tree, opening those that do not run yet, and
// gives the Output of the last. The caller holds the tree's lock.
func (o *Output) grow(from Format, steps []step) (*Output, error) {
	at := o
	var fresh []*node
	for _, s := range steps {
		i := slices.IndexFunc(at.nodes, func(n *node) bool { return n.conv == s.conv && n.plan.same(&s.to) })
		if i >= 0 {
			at, from = at.nodes[i].out, at.nodes[i].made
			continue
		}
		n, err := at.open(s, from, o.planner.ctx)
		if err != nil {
			for _, x := range slices.Backward(fresh) {
				x.at.drop(x)
				// Nothing hangs on it and its Input has seen no packet: closing
				// does not come back to the lock that is held here.
				x.close()
			}
			return nil, fmt.Errorf("convert %s to %s: %w", from.Codec, s.to.Codec, err)
		}
		fresh = append(fresh, n)
		at, from = n.out, n.made
	}
	return at, nil
}

func (o *Output) open(s step, from Format, ctx context.Context) (*node, error) {
	n := &node{at: o, conv: s.conv, plan: s.to, made: s.to}
	n.out = NewOutput(o.kind, o.label, upward{o}, nil)
	n.out.parent = o
	n.out.measure.Store(o.measure.Load())
	var err error
	if n.in, err = s.conv.Open(ctx, from, s.to, n.out); err != nil {
		return nil, err
	}
	if m, ok := n.in.(Maker); ok {
		n.made = m.Made()
	}
	if n.out.fan.Load() == nil {
		n.out.fan.Store(&fan{format: &n.made})
	}
	o.nodes = append(o.nodes, n)
	o.refan()
	return n, nil
}

func (o *Output) drop(n *node) {
	o.nodes = slices.DeleteFunc(slices.Clone(o.nodes), func(x *node) bool { return x == n })
	o.refan()
}

// leave takes l from where it hangs and gives back the conversions that nothing
// needs any more, cut off the tree, to be closed without the lock. The caller
// holds o.mu.
func (o *Output) leave(l *Link) []*node { return o.unhang(l).prune() }

// unhang takes l from where it hangs, which is returned; nil for nowhere.
func (o *Output) unhang(l *Link) *Output {
	at := l.at.Swap(nil)
	if at != nil {
		at.ends = slices.DeleteFunc(slices.Clone(at.ends), func(x *Link) bool { return x == l })
		at.refan()
	}
	return at
}

// prune cuts off the conversions up from at that feed nothing. at may be nil.
func (at *Output) prune() []*node {
	var idle []*node
	for at != nil && at.parent != nil && len(at.ends) == 0 && len(at.nodes) == 0 {
		up := at.parent
		i := slices.IndexFunc(up.nodes, func(n *node) bool { return n.out == at })
		if i < 0 {
			break
		}
		idle = append(idle, up.nodes[i])
		up.drop(up.nodes[i])
		at = up
	}
	slices.Reverse(idle) // the first conversion ends first, so that none gets more
	return idle
}

// Fail tells the element that the conversion which pushes here has failed. The
// element hears it once, whatever the number of receivers, as an error of no
// link in particular. Call it without a lock.
func (o *Output) Fail(err error) { o.root().report(nil, err) }

// Conversion is one running conversion, for pictures of the graph.
type Conversion struct {
	From, To Format
	Links    int // receivers fed from it
	Next     []Conversion
}

// Conversions lists what runs below the Output.
func (o *Output) Conversions() []Conversion {
	root := o.root()
	root.mu.Lock()
	defer root.mu.Unlock()
	return o.conversions(o.Format())
}

func (o *Output) conversions(from *Format) []Conversion {
	var out []Conversion
	for _, n := range o.nodes {
		c := Conversion{To: n.made, Links: len(n.out.ends), Next: n.out.conversions(&n.made)}
		if from != nil {
			c.From = *from
		}
		out = append(out, c)
	}
	return out
}

// Transcoding tells whether any receiver gets media that was encoded for it.
func (o *Output) Transcoding() bool {
	var raw func([]Conversion) bool
	raw = func(list []Conversion) bool {
		return slices.ContainsFunc(list, func(c Conversion) bool { return c.From.Framing == Raw || raw(c.Next) })
	}
	return raw(o.Conversions())
}

// upward makes an Output hear the wishes of a conversion's receivers.
type upward struct{ o *Output }

func (u upward) Feedback(f Feedback) { u.o.Feedback(f) }

// encoder is the Converter from Raw to Unit: the format's Origin does it.
type encoder struct{}

// NewEncoder makes the Converter that lets a Raw format's Origin encode.
func NewEncoder() Converter { return encoder{} }

// encodeCosts: a receiver that takes both AAC and Opus is a file for players at
// large, which raw sound reaches as AAC.
var encodeCosts = map[codec.Name]int{
	codec.H264: 3000, codec.VP8: 3500, codec.VP9: 6000, codec.AV1: 9000, codec.H265: 9000,
	codec.PCMU: 5, codec.PCMA: 5, codec.Opus: 50, codec.AAC: 40,
}

func (encoder) Cost(from, to Format) (int, bool) {
	if from.Framing != Raw || to.Framing != Unit || from.Kind != to.Kind || from.Origin == nil || !from.Origin.Encodes(to) {
		return 0, false
	}
	if k, ok := encodeCosts[to.Codec]; ok {
		return k, true
	}
	return 10000, true
}

func (encoder) Expand(from Format) []Format {
	if from.Framing != Raw {
		return nil
	}
	var out []Format
	for name := range encodeCosts {
		if name.IsVideo() == (from.Kind == Video) {
			out = append(out, UnitOf(from.Kind, name))
		}
	}
	return out
}

// UnitOf is the Unit format of a codec with the clock rate and channels that
// codecs have over RTP.
func UnitOf(kind Kind, name codec.Name) Format {
	f := Format{Kind: kind, Codec: name, Framing: Unit, ClockRate: 90000}
	if kind == Audio {
		f.ClockRate, f.Channels = 48000, 2
		if name == codec.PCMU || name == codec.PCMA {
			f.ClockRate, f.Channels = 8000, 1
		}
	}
	return f
}

func (encoder) Open(ctx context.Context, from, to Format, out *Output) (ConverterInput, error) {
	if from.Origin == nil {
		return nil, fmt.Errorf("encode %s: raw media without an origin: %w", to.Codec, kerr.UnsupportedMediaType)
	}
	whole := UnitOf(to.Kind, to.Codec)
	if to.ClockRate == 0 {
		to.ClockRate = whole.ClockRate
	}
	if to.Channels == 0 {
		to.Channels = whole.Channels
	}
	to.Origin, to.Caps, to.Config = nil, "", nil
	c, err := from.Origin.Encode(ctx, to, out)
	if err != nil {
		return nil, err
	}
	return encoding{from, to, c}, nil
}

// encoding is a running encoder; what it is pushed are ticks without media.
type encoding struct {
	from, to Format
	io.Closer
}

func (e encoding) Accepts() []Format { return []Format{e.from} }
func (e encoding) Push(*Packet)      {}
func (e encoding) Made() Format      { return e.to }
