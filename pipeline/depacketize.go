package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
)

const (
	depacketizeCost = 5
	// keyFrameRetry is how long a depacketizer waits before it asks again.
	keyFrameRetry = time.Second
	// maxUnitBytes bounds what a sender can make us hold for one frame.
	maxUnitBytes = 8 << 20
	// opusLookahead is how much later than its packet's first sample a sound comes
	// out of an Opus decoder: libopus at its default, as every browser sends it
	// (312 samples, RFC 7845 §4.2). RTP timestamps name the sample (RFC 7587 §4.1).
	opusLookahead = 312 * time.Second / 48000
	// layerSilence is how long the chosen simulcast layer may be silent before
	// another takes its place.
	layerSilence = 2 * time.Second
)

// depacketizer is the Converter from RTP payloads to access units.
type depacketizer struct{}

// NewDepacketizer makes the Converter RTP → Unit for VP8, VP9, H264, AV1, opus,
// PCMU and PCMA; pass it to New. Each conversion has a reorder buffer (at most
// ReorderDelay or ReorderPackets), cuts frames by timestamp and marker, keeps
// the PTS of a frame's first packet (of Opus, when its sound is heard: the
// encoder's lookahead before it) and sets Key and Gap. After a loss in video
// it asks for a keyframe and gives nothing out until one comes; audio goes on
// with Gap set. H264 units are Annex B and carry SPS and PPS before each IDR.
// Of several simulcast layers it follows one.
func NewDepacketizer() Converter { return depacketizer{} }

func (depacketizer) Cost(from, to Format) (int, bool) {
	ok := from.Framing == RTP && to.Framing == Unit && from.Kind == to.Kind && from.Codec == to.Codec && assemblers[from.Codec] != nil
	return depacketizeCost, ok
}

func (depacketizer) Expand(from Format) []Format {
	if from.Framing != RTP {
		return nil
	}
	from.Framing = Unit
	return []Format{from}
}

func (depacketizer) Open(_ context.Context, from, to Format, out *Output) (ConverterInput, error) {
	assemble := assemblers[from.Codec]
	if assemble == nil || from.Framing != RTP || to.Framing != Unit {
		return nil, fmt.Errorf("depacketize %s: %w", from.Codec, kerr.UnsupportedMediaType)
	}
	to.Codec, to.Kind, to.ClockRate, to.Channels, to.Fmtp = from.Codec, from.Kind, from.ClockRate, from.Channels, from.Fmtp
	d := &depacketization{from: from, out: out, format: &to, video: from.Kind == Video}
	d.waitKey = d.video
	d.assemble = assemble(from)
	d.give, d.patience = d.take, ReorderDelay
	return d, nil
}

// depacketization is one running conversion. mu serialises pushes; it is held
// while units are pushed on, so receivers take leaf locks only, as Input asks.
type depacketization struct {
	from     Format
	out      *Output
	video    bool
	assemble func(payloads [][]byte) ([]byte, error)
	give     func(*Packet, bool) // d.take, bound once

	mu       sync.Mutex
	closed   bool
	order    reorder
	patience time.Duration // how long a hole may stay when nothing comes after it
	timer    *time.Timer   // of a hole; nil before the first
	awaited  uint16        // what it waits for
	armed    bool
	format   *Format
	first    *Packet // of the frame being gathered
	payloads [][]byte
	size     int
	damaged  bool // the frame being gathered misses its beginning
	gap      bool // for the next unit
	hole     bool // before the padding just seen
	waitKey  bool
	whole    bool // the frame before ended with its marker
	counter  uint16
	bits     int
	wish     bool
	asked    time.Time
	layer    Layer
	layerAt  time.Time
	layered  bool
}

// Accepts tells the one format this conversion was opened for.
func (d *depacketization) Accepts() []Format { return []Format{d.from} }

// Push takes an RTP packet in any order.
func (d *depacketization) Push(p *Packet) {
	if d.push(p) {
		d.out.Feedback(Feedback{Wish: WishKeyFrame})
	}
}

// push tells whether a keyframe is to be asked for, which happens without the lock.
func (d *depacketization) push(p *Packet) (wish bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || !d.follows(p) {
		return false
	}
	d.order.push(p, d.give)
	d.arm()
	wish = d.waitKey && (d.wish || p.Arrival.Sub(d.asked) >= keyFrameRetry)
	if wish {
		d.wish, d.asked = false, p.Arrival
	}
	return wish
}

// arm sets the timer for what is missing. Holes are given up by the arrival of
// what follows; at the end of a stream nothing does.
func (d *depacketization) arm() {
	if d.order.held == 0 {
		if d.armed {
			d.armed = false
			d.timer.Stop()
		}
		return
	}
	if d.armed && d.awaited == d.order.next {
		return
	}
	d.armed, d.awaited = true, d.order.next
	if d.timer == nil {
		d.timer = time.AfterFunc(d.patience, d.expire)
	} else {
		d.timer.Reset(d.patience)
	}
}

// expire gives up a hole that stayed, on the timer's goroutine.
func (d *depacketization) expire() {
	defer func() {
		if r := recover(); r != nil {
			d.out.Fail(fmt.Errorf("panic in depacketizer: %v", r))
		}
	}()
	if d.giveUp() {
		d.out.Feedback(Feedback{Wish: WishKeyFrame})
	}
}

// giveUp tells whether a keyframe is to be asked for.
func (d *depacketization) giveUp() (wish bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || !d.armed || d.awaited != d.order.next || d.order.held == 0 {
		return false
	}
	d.armed = false
	d.order.skip(d.give)
	d.arm()
	wish, d.wish = d.waitKey && d.wish, false
	return wish
}

// Close gives out what the reorder buffer holds and ends the conversion.
func (d *depacketization) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	if d.timer != nil {
		d.timer.Stop()
	}
	d.order.flush(d.give)
	d.finish()
	d.closed = true
	return nil
}

// follows tells whether p is of the simulcast layer we give out.
func (d *depacketization) follows(p *Packet) bool {
	if p.Layer.RID == "" {
		return true
	}
	if !d.layered || p.Layer.RID != d.layer.RID && p.Arrival.Sub(d.layerAt) >= layerSilence {
		if d.layered {
			d.order.flush(d.give)
			d.order.restart()
			d.lose()
		}
		d.layered, d.layer = true, p.Layer
	}
	if p.Layer.RID != d.layer.RID {
		return false
	}
	d.layerAt = p.Arrival
	return true
}

// take gets packets in order.
func (d *depacketization) take(p *Packet, gap bool) {
	gap = gap || d.hole
	d.hole = false
	if len(p.Payload) == 0 {
		// Padding to probe bandwidth (RFC 3550 §5.1): no media. A hole before it
		// counts for the packet after it.
		d.hole = gap
		return
	}
	if !d.video {
		d.gap = d.gap || gap
		d.start(p)
		d.finish()
		return
	}
	if gap && !d.unharmed(p) {
		d.lose()
	}
	if d.first != nil && d.first.Header.Timestamp != p.Header.Timestamp {
		d.finish()
	}
	if d.first == nil {
		d.start(p)
		d.damaged = !codec.FrameStartRTP(d.from.Codec, p.Payload)
	} else if d.size += len(p.Payload); d.size <= maxUnitBytes {
		d.payloads = append(d.payloads, p.Payload)
	} else {
		d.damaged = true
	}
	if p.Header.Marker {
		d.finish()
		d.whole = true
	}
}

func (d *depacketization) start(p *Packet) {
	d.first, d.damaged, d.whole = p, false, false
	d.payloads = append(d.payloads[:0], p.Payload)
	d.size = len(p.Payload)
	if id, bits, ok := codec.PictureID(d.from.Codec, p.Payload); ok {
		d.counter, d.bits = id, bits
	} else {
		d.bits = 0
	}
}

// unharmed tells that a hole before p held no media, which the picture ids of
// VP8 and VP9 can prove: the frame before was complete, and p begins the next.
func (d *depacketization) unharmed(p *Packet) bool {
	if !d.whole || d.first != nil || d.bits == 0 || !codec.FrameStartRTP(d.from.Codec, p.Payload) {
		return false
	}
	id, bits, ok := codec.PictureID(d.from.Codec, p.Payload)
	return ok && bits == d.bits && id == (d.counter+1)&(1<<bits-1)
}

// lose drops the frame being gathered and waits for a keyframe.
func (d *depacketization) lose() {
	d.first = nil
	d.gap = true
	if !d.waitKey {
		d.waitKey, d.wish = true, true
	}
}

// finish gives the gathered frame out if a decoder can use it.
func (d *depacketization) finish() {
	p := d.first
	d.first = nil
	if p == nil {
		return
	}
	if d.damaged {
		d.lose()
		return
	}
	unit, err := d.assemble(d.payloads)
	if err != nil || len(unit) == 0 {
		if d.video {
			d.lose()
		} else {
			d.gap = true
		}
		return
	}
	key := codec.KeyFrameUnit(d.from.Codec, unit)
	if d.waitKey && !key {
		d.gap = true
		return
	}
	if key && d.video {
		d.waitKey, d.wish = false, false
		if w, h, ok := codec.SizeOfUnit(d.from.Codec, unit); ok && (w != d.format.Width || h != d.format.Height) {
			f := *d.format
			f.Width, f.Height = w, h
			d.format = &f
		}
	}
	gap, pts := d.gap, p.PTS
	d.gap = false
	if d.from.Codec == codec.Opus {
		pts -= opusLookahead
	}
	d.out.Push(&Packet{Format: d.format, Payload: unit, PTS: pts, Arrival: p.Arrival, Layer: p.Layer, Key: key, Gap: gap, Fix: p.Fix})
}
