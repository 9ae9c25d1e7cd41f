package workers

import (
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

const (
	// wishRetry is how long we wait before asking again for a keyframe.
	wishRetry = time.Second
	// What is held while a process starts or an announcement is on its way.
	maxWaitFrames = 100
	maxWaitBytes  = 2 << 20
	maxWait       = 2 * time.Second
)

// Input is where one row of coded frames goes into a job. It implements
// pipeline.Input, pipeline.Attachable and elements.Counter. Push never waits:
// what a worker cannot take is dropped to the next keyframe, which is asked for.
// While a process starts, the frames since the last keyframe are held.
type Input struct {
	job     *Job
	name    string
	accepts []pipeline.Format
	up      func(pipeline.Feedback) // in place of the link's, when set
	packets atomic.Uint64
	bytes   atomic.Uint64
	link    atomic.Pointer[pipeline.Link]

	mu      sync.Mutex
	live    *live
	format  *pipeline.Format // of the latest packet
	stream  uint16           // 0 is none
	open    bool             // the worker knows the stream
	refused bool             // the worker does not take the format
	removed bool
	frame   uint32
	waitKey bool
	gap     bool
	asked   time.Time
	held    []*pipeline.Packet
	size    int // of held, in bytes
}

// Input makes an input of the job. The worker learns of it with the first
// packet. An input of the same name is replaced.
func (j *Job) Input(name string, accepts []pipeline.Format) *Input {
	return j.addInput(name, accepts, nil)
}

func (j *Job) addInput(name string, accepts []pipeline.Format, up func(pipeline.Feedback)) *Input {
	in := &Input{job: j, name: name, accepts: accepts, up: up}
	j.mu.Lock()
	defer j.mu.Unlock()
	if old := j.inputs[name]; old != nil {
		old.remove()
	}
	if j.dead == nil {
		j.inputs[name] = in
		in.live = j.live
	}
	return in
}

// RemoveInput ends an input; unknown names are ignored.
func (j *Job) RemoveInput(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	in := j.inputs[name]
	if in == nil {
		return
	}
	delete(j.inputs, name)
	in.remove()
	if j.live != nil {
		_ = j.live.control.ask(wire.MethodNoInput, wire.NameParams{Name: name}, -1, false, nil)
	}
}

func (j *Job) input(name string) *Input {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.inputs[name]
}

// Accepts implements pipeline.Input.
func (in *Input) Accepts() []pipeline.Format { return in.accepts }

// Counters implements elements.Counter.
func (in *Input) Counters() (packets, bytes uint64) { return in.packets.Load(), in.bytes.Load() }

// Attached implements pipeline.Attachable.
func (in *Input) Attached(l *pipeline.Link) { in.link.Store(l) }

// Detached implements pipeline.Attachable.
func (in *Input) Detached(l *pipeline.Link) { in.link.CompareAndSwap(l, nil) }

// wish asks upstream for a keyframe.
func (in *Input) wish() {
	f := pipeline.Feedback{Wish: pipeline.WishKeyFrame}
	if in.up != nil {
		in.up(f)
	} else if l := in.link.Load(); l != nil {
		l.Feedback(f)
	}
}

// Push implements pipeline.Input.
func (in *Input) Push(p *pipeline.Packet) {
	if p.Format == nil || p.Format.Framing != pipeline.Unit || len(p.Payload) == 0 {
		return
	}
	in.packets.Add(1)
	in.bytes.Add(uint64(len(p.Payload)))
	if in.push(p) {
		in.wish()
	}
}

// push tells whether a keyframe is to be asked for, without the lock.
func (in *Input) push(p *pipeline.Packet) (wish bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.removed {
		return false
	}
	if p.Format != in.format {
		old := in.format
		in.format = p.Format
		if old == nil || in.refused || !sameStream(old, p.Format) {
			in.announce()
		}
	}
	if in.refused || len(p.Payload) > wire.MaxFrame {
		return in.drop(p, false)
	}
	if in.waitKey && !p.Key && p.Format.Kind == pipeline.Video {
		return in.drop(p, true)
	}
	in.waitKey = false
	if !in.open {
		return in.hold(p)
	}
	return in.write(p)
}

// drop counts p as lost and says whether it is time to ask for a keyframe. The
// caller holds in.mu.
func (in *Input) drop(p *pipeline.Packet, ask bool) bool {
	in.job.pool.metrics.dropped.WithLabelValues(toWorker).Inc()
	in.gap = true
	if p.Format.Kind != pipeline.Video {
		return false
	}
	in.waitKey = true
	if !ask || time.Since(in.asked) < wishRetry {
		return false
	}
	in.asked = time.Now()
	return true
}

// hold keeps p until the worker knows the stream: of video what came since the
// last keyframe, of audio the latest. The caller holds in.mu.
func (in *Input) hold(p *pipeline.Packet) bool {
	video := p.Format.Kind == pipeline.Video
	if video && p.Key {
		in.unhold()
	}
	full := len(in.held) == maxWaitFrames || in.size+len(p.Payload) > maxWaitBytes ||
		len(in.held) > 0 && p.PTS-in.held[0].PTS > maxWait
	switch {
	case full && video:
		in.unhold()
		return in.drop(p, true)
	case full:
		in.size -= len(in.held[0].Payload)
		in.held[0] = nil
		in.held = in.held[1:]
	}
	in.held = append(in.held, p)
	in.size += len(p.Payload)
	return false
}

func (in *Input) unhold() { in.held, in.size = nil, 0 }

// write sends p now. The caller holds in.mu.
func (in *Input) write(p *pipeline.Packet) (wish bool) {
	h := wire.Header{Stream: in.stream, Frame: in.frame, PTS: in.job.wirePTS(p)}
	in.frame++
	if p.Key {
		h.Flags |= wire.Key
	}
	if p.Gap || in.gap {
		h.Flags |= wire.Gap
	}
	switch err := in.live.media.send(h, p.Payload); {
	case err == nil:
		in.gap = false
		return false
	case errors.Is(err, errFull):
		return in.drop(p, true)
	default: // the process is dying: hold what comes for the next one
		in.drop(p, false)
		return false
	}
}

// announce tells the worker of the stream, under a new id. Until it has
// answered, frames are held: the sockets keep no order between them. The caller
// holds in.mu.
func (in *Input) announce() {
	in.open, in.refused = false, false
	in.unhold()
	if in.stream != 0 {
		in.job.ids.free(in.stream)
		in.stream = 0
	}
	if in.live == nil || in.format == nil {
		return
	}
	id := in.job.ids.take()
	in.stream, in.frame = id, 0
	_ = in.live.control.ask(wire.MethodInput, wire.StreamParams{Stream: id, Name: in.name, Media: mediaOf(in.format)}, -1, false,
		func(_ json.RawMessage, err error) { in.answered(id, err) })
}

// answered hears what the worker says to an announcement.
func (in *Input) answered(id uint16, err error) {
	if errors.Is(err, errWorkerGone) {
		return
	}
	in.mu.Lock()
	if in.stream != id || in.removed {
		in.mu.Unlock()
		return
	}
	wish := false
	if err != nil {
		in.refused = true
		in.unhold()
	} else {
		in.open = true
		video := in.format.Kind == pipeline.Video
		if wish = video && len(in.held) == 0; wish {
			in.waitKey, in.asked = true, time.Now()
		}
		held := in.held
		in.unhold()
		for _, p := range held {
			if in.waitKey && video && !p.Key {
				in.drop(p, false)
			} else if in.waitKey = false; in.write(p) {
				wish = true
			}
		}
	}
	in.mu.Unlock()
	if wish {
		in.wish()
	}
	if err != nil {
		e := errorData(in.name, err)
		e.Type = "STREAM_ERROR_FORMAT"
		in.job.fault(e)
	}
}

// attach lets the input feed l. The caller holds job.mu.
func (in *Input) attach(l *live) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.live = l
	held, size := in.held, in.size
	in.announce()
	in.held, in.size = held, size // they are of the present format
}

// detach: the process is gone. The caller holds job.mu.
func (in *Input) detach(l *live) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.live != l {
		return
	}
	in.live, in.open, in.refused = nil, false, false
	in.waitKey = in.format != nil && in.format.Kind == pipeline.Video
	if in.stream != 0 {
		in.job.ids.free(in.stream)
		in.stream = 0
	}
}

// remove ends the input. The caller holds job.mu.
func (in *Input) remove() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.removed = true
	in.unhold()
	if in.stream != 0 {
		in.job.ids.free(in.stream)
		in.stream = 0
	}
}
