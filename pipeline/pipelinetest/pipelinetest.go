// Package pipelinetest has what tests of the graph need: sources that push on
// demand and count wishes, sinks that remember, converters that can fail. It
// starts no goroutines.
package pipelinetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// VP8RTP and OpusRTP are ordinary WebRTC formats.
var (
	VP8RTP  = &pipeline.Format{Kind: pipeline.Video, Codec: codec.VP8, Framing: pipeline.RTP, ClockRate: 90000}
	OpusRTP = &pipeline.Format{Kind: pipeline.Audio, Codec: codec.Opus, Framing: pipeline.RTP, ClockRate: 48000, Channels: 2}
)

// Producer counts the wishes it hears.
type Producer struct {
	mu     sync.Mutex
	wishes []pipeline.Feedback
	// Heard gets each wish when not nil; it must have room.
	Heard chan pipeline.Feedback
}

// Feedback remembers f.
func (p *Producer) Feedback(f pipeline.Feedback) {
	p.mu.Lock()
	p.wishes = append(p.wishes, f)
	p.mu.Unlock()
	if p.Heard != nil {
		p.Heard <- f
	}
}

// Count is how often a wish was heard.
func (p *Producer) Count(w pipeline.Wish) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, f := range p.wishes {
		if f.Wish == w {
			n++
		}
	}
	return n
}

// Last is the latest wish of a kind, the zero Feedback when there was none.
func (p *Producer) Last(w pipeline.Wish) pipeline.Feedback {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.wishes) - 1; i >= 0; i-- {
		if p.wishes[i].Wish == w {
			return p.wishes[i]
		}
	}
	return pipeline.Feedback{}
}

// Splicer is a Producer that forwards to Sinks below the packet level: its
// Forward reaches them without the Output.
type Splicer struct {
	Producer
	mu   sync.Mutex
	sink []pipeline.Input
}

// Splice takes over links to *Sink and declines others.
func (s *Splicer) Splice(in pipeline.Input) bool {
	if _, ok := in.(*Sink); !ok {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sink = append(s.sink, in)
	return true
}

// Unsplice gives a link back.
func (s *Splicer) Unsplice(in pipeline.Input) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, x := range s.sink {
		if x == in {
			s.sink = append(s.sink[:i:i], s.sink[i+1:]...)
			return
		}
	}
}

// Forward is the inner fan-out.
func (s *Splicer) Forward(p *pipeline.Packet) {
	s.mu.Lock()
	sinks := append([]pipeline.Input(nil), s.sink...)
	s.mu.Unlock()
	for _, in := range sinks {
		in.Push(p)
	}
}

// Sink remembers what it receives.
type Sink struct {
	Formats []pipeline.Format

	mu      sync.Mutex
	packets []*pipeline.Packet
	link    *pipeline.Link
	changed chan struct{}
}

// NewSink makes a sink that accepts the given formats, anything when none.
func NewSink(accepts ...pipeline.Format) *Sink {
	return &Sink{Formats: accepts, changed: make(chan struct{}, 1)}
}

// Accepts implements pipeline.Input.
func (s *Sink) Accepts() []pipeline.Format { return s.Formats }

// Push remembers p.
func (s *Sink) Push(p *pipeline.Packet) {
	s.mu.Lock()
	s.packets = append(s.packets, p)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Attached remembers the link, for Link.
func (s *Sink) Attached(l *pipeline.Link) { s.mu.Lock(); defer s.mu.Unlock(); s.link = l }

// Detached forgets it.
func (s *Sink) Detached(l *pipeline.Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == l {
		s.link = nil
	}
}

// Link is the link that feeds the sink, nil when there is none.
func (s *Sink) Link() *pipeline.Link { s.mu.Lock(); defer s.mu.Unlock(); return s.link }

// Packets are all packets so far.
func (s *Sink) Packets() []*pipeline.Packet {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*pipeline.Packet(nil), s.packets...)
}

// Wait returns when n packets have arrived, or an error when ctx is done.
func (s *Sink) Wait(ctx context.Context, n int) error {
	for {
		if got := len(s.Packets()); got >= n {
			return nil
		} else if ctx.Err() != nil {
			return fmt.Errorf("wait for %d packets: got %d: %w", n, got, ctx.Err())
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
		}
	}
}

// Packet makes the n-th packet of a track: sequence number n, one frame each
// 33 ms (video) or 20 ms (audio), every thirtieth video packet a keyframe.
func Packet(f *pipeline.Format, n int) *pipeline.Packet {
	p := &pipeline.Packet{Format: f, Payload: []byte{byte(n)}, Arrival: time.Now()}
	step := 20 * time.Millisecond
	if f.Kind == pipeline.Video {
		step = 33 * time.Millisecond
		p.Key = n%30 == 0
	}
	p.PTS = time.Duration(n) * step
	p.Header.SequenceNumber = uint16(n)
	p.Header.Timestamp = uint32(int64(p.PTS) * int64(f.ClockRate) / int64(time.Second))
	p.Header.Marker = true
	return p
}

// Converter turns From into To one packet for one, or lies: Fail makes Open
// fail, Mute swallows every packet.
type Converter struct {
	From, To codec.Name
	Price    int
	Fail     bool
	Mute     bool

	mu     sync.Mutex
	opened int
	closed int
}

// Cost implements pipeline.Converter.
func (c *Converter) Cost(from, to pipeline.Format) (int, bool) {
	return c.Price, from.Codec == c.From && to.Codec == c.To && from.Kind == to.Kind
}

// Expand implements pipeline.Expander.
func (c *Converter) Expand(from pipeline.Format) []pipeline.Format {
	if from.Codec != c.From {
		return nil
	}
	from.Codec = c.To
	return []pipeline.Format{from}
}

// Open implements pipeline.Converter.
func (c *Converter) Open(_ context.Context, _, to pipeline.Format, out *pipeline.Output) (pipeline.ConverterInput, error) {
	if c.Fail {
		return nil, fmt.Errorf("open test converter: %w", kerr.NotEnoughResources)
	}
	c.mu.Lock()
	c.opened++
	c.mu.Unlock()
	return &conversion{conv: c, to: &to, out: out}, nil
}

// Counts are how many conversions were opened and closed.
func (c *Converter) Counts() (opened, closed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened, c.closed
}

type conversion struct {
	conv *Converter
	to   *pipeline.Format
	out  *pipeline.Output
}

func (c *conversion) Accepts() []pipeline.Format { return nil }

func (c *conversion) Push(p *pipeline.Packet) {
	if c.conv.Mute {
		return
	}
	q := *p
	q.Format = c.to
	c.out.Push(&q)
}

func (c *conversion) Close() error {
	c.conv.mu.Lock()
	defer c.conv.mu.Unlock()
	c.conv.closed++
	return nil
}
