package workers

import (
	"bytes"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

// What is held of a row of frames before anybody takes them.
const (
	maxHeldFrames = 256
	maxHeldBytes  = 8 << 20
)

// Stream is a row of coded frames that a job sends by itself (a player's file).
type Stream struct {
	Name   string
	Format pipeline.Format
	in     *inbound
}

// Deliver sets who gets the units, on a goroutine of the job; f must not block.
// What came before is held, within bounds, and handed over first.
func (s *Stream) Deliver(f func(*pipeline.Packet)) { s.in.deliverTo(f) }

// inbound puts one row of frames together and hands them on.
type inbound struct {
	job  *Job
	wish func() // asks for a keyframe; nil when nobody can

	// Of the media reader's goroutine alone.
	parts   assembly
	waitKey bool
	asked   time.Time

	mu      sync.Mutex // held while a unit is handed on
	as      *pipeline.Format
	kind    pipeline.Kind
	deliver func(*pipeline.Packet)
	held    []*pipeline.Packet
	bytes   int
}

// newInbound: kind 0 is told later by format.
func newInbound(j *Job, kind pipeline.Kind, deliver func(*pipeline.Packet), wish func()) *inbound {
	return &inbound{job: j, kind: kind, deliver: deliver, wish: wish}
}

func (in *inbound) format(f *pipeline.Format) {
	in.mu.Lock()
	defer in.mu.Unlock()
	as := *f
	in.as, in.kind = &as, f.Kind
	for _, p := range in.held {
		p.Format = in.as
		p.Key = p.Key || in.kind == pipeline.Audio
	}
	in.flush()
}

func (in *inbound) deliverTo(f func(*pipeline.Packet)) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.deliver = f
	in.flush()
}

// flush hands on what was held. The caller holds in.mu.
func (in *inbound) flush() {
	if in.deliver == nil || in.kind == 0 {
		return
	}
	held := in.held
	in.held, in.bytes = nil, 0
	for _, p := range held {
		in.deliver(p)
	}
}

// take takes a message of this row.
func (in *inbound) take(h wire.Header, payload []byte) {
	unit, whole := in.parts.add(h, payload)
	if !whole {
		return
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	p := &pipeline.Packet{
		Format: in.as, Payload: unit, PTS: in.job.pts(in.parts.pts), Arrival: time.Now(),
		Key: in.parts.flags&wire.Key != 0 || in.kind == pipeline.Audio,
		Gap: in.parts.flags&wire.Gap != 0 || in.parts.lost,
	}
	in.parts.lost = false
	if in.kind != pipeline.Audio && !in.decodable(p) {
		in.job.pool.metrics.dropped.WithLabelValues(fromWorker).Inc()
		return
	}
	if in.deliver != nil && in.kind != 0 {
		in.deliver(p)
		return
	}
	if len(in.held) == maxHeldFrames || in.bytes+len(unit) > maxHeldBytes {
		in.parts.lost = true
		in.job.pool.metrics.dropped.WithLabelValues(fromWorker).Inc()
		return
	}
	in.held = append(in.held, p)
	in.bytes += len(unit)
}

// decodable drops pictures after a loss, up to the next keyframe, and asks for
// one where that can be had.
func (in *inbound) decodable(p *pipeline.Packet) bool {
	if p.Key {
		p.Gap = p.Gap || in.waitKey
		in.waitKey = false
		return true
	}
	if p.Gap && !in.waitKey {
		in.waitKey, in.asked = true, time.Time{}
	}
	if in.waitKey && in.wish != nil && time.Since(in.asked) >= wishRetry {
		in.asked = time.Now()
		in.wish()
	}
	return !in.waitKey
}

// assembly joins the fragments of frames.
type assembly struct {
	frame    uint32
	fragment uint8
	begun    bool // some frame has been seen
	open     bool // more of this one is to come
	buf      []byte

	// Of the frame that add gave last; lost is for its user to clear.
	flags uint8
	pts   int64
	lost  bool
}

// add gives a frame when h was its last fragment. The result is new memory.
func (a *assembly) add(h wire.Header, payload []byte) (unit []byte, whole bool) {
	if h.Fragment == 0 {
		if a.open || a.begun && h.Frame != a.frame+1 {
			a.lost = true
		}
		a.begun, a.open, a.frame, a.fragment = true, true, h.Frame, 0
		a.flags, a.pts = h.Flags, h.PTS
		if h.Flags&wire.More == 0 {
			a.open = false
			return bytes.Clone(payload), len(payload) > 0
		}
		a.buf = append(make([]byte, 0, 2*len(payload)), payload...)
		return nil, false
	}
	if !a.open || h.Frame != a.frame || h.Fragment != a.fragment+1 || len(a.buf)+len(payload) > wire.MaxFrame {
		a.lost, a.open, a.buf = true, false, nil
		a.begun, a.frame = true, h.Frame
		return nil, false
	}
	a.fragment = h.Fragment
	a.buf = append(a.buf, payload...)
	if h.Flags&wire.More != 0 {
		return nil, false
	}
	a.open = false
	unit, a.buf = a.buf, nil
	return unit, true
}
