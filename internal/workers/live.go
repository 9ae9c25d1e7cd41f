package workers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

// maxStreams bounds what one worker may announce.
const maxStreams = 64

// live is one running process of a job: its sockets and their goroutines.
type live struct {
	job     *Job
	w       *process
	control *control
	media   *mediaSocket
	ready   chan struct{} // closed when GStreamer is up
	over    chan struct{} // closed when the control socket has ended
	silent  chan struct{} // closed when the media socket has ended
	wg      sync.WaitGroup
	once    sync.Once    // of ready
	unheard atomic.Int32 // rounds since the question for life that has no answer

	mu      sync.Mutex
	cause   error // why we killed it, or what it died of by its own word
	streams map[uint16]*inbound
	names   map[string]uint16 // of the streams that it announced
}

// open begins to talk with w. On failure w is ended.
func (j *Job) open(w *process) (*live, error) {
	l := &live{
		job: j, w: w, ready: make(chan struct{}), over: make(chan struct{}), silent: make(chan struct{}),
		streams: map[uint16]*inbound{}, names: map[string]uint16{},
	}
	var err error
	if l.media, err = newMediaSocket(w.Media); err != nil {
		w.end()
		return nil, err
	}
	l.control = newControl(w.Control, j.log, l.event, l.fail)
	l.wg.Add(3)
	go func() {
		defer l.wg.Done()
		defer l.guard("worker.write")
		l.control.write()
	}()
	go func() {
		defer l.wg.Done()
		defer close(l.over)
		defer l.guard("worker.control")
		if err := l.control.read(); err != nil {
			l.fail(err)
		}
	}()
	go func() {
		defer l.wg.Done()
		defer close(l.silent)
		defer l.guard("worker.media")
		if err := l.media.read(l.take); !errors.Is(err, io.EOF) {
			j.log.Debug("media socket ended", "err", err)
		}
	}()
	return l, nil
}

// guard turns a panic into the end of this process only.
func (l *live) guard(where string) {
	if r := recover(); r != nil {
		l.job.log.Error("panic caught", "where", where, "err", fmt.Sprint(r), "stack", string(debug.Stack()))
		l.fail(fmt.Errorf("panic in %s: %v", where, r))
	}
}

// fail kills the process; the first cause counts.
func (l *live) fail(err error) {
	l.mu.Lock()
	if l.cause == nil {
		l.cause = err
	}
	l.mu.Unlock()
	l.w.Kill()
}

// stop kills what still runs and waits for it. Idempotent.
func (l *live) stop() {
	l.w.end()
	l.media.close()
	l.control.close()
	l.wg.Wait()
	l.media.wg.Wait() // nothing is sent any more: the socket is closed
}

// finish lets the process close in order, within a bound.
func (l *live) finish() {
	timeout := time.NewTimer(l.job.pool.close)
	defer timeout.Stop()
	if l.control.ask(wire.MethodClose, nil, -1, true, nil) == nil {
		select {
		case <-l.w.exited:
		case <-timeout.C:
			l.job.log.Warn("media worker did not close in time and is killed", "after", l.job.pool.close)
			l.w.Kill()
			<-l.w.exited
		}
		// What it sent last is still in the socket.
		timeout.Reset(time.Second)
		select {
		case <-l.silent:
		case <-timeout.C:
		}
	}
	l.stop()
}

// event takes an event of the worker, on the control reader's goroutine.
func (l *live) event(m *wire.Message) {
	j := l.job
	switch m.Event {
	case wire.EventReady:
		if d, ok := decode[wire.ReadyData](l, m); ok {
			j.pool.platform.Store(&d)
			l.once.Do(func() { close(l.ready) })
		}
	case wire.EventKeyFrame:
		if d, ok := decode[wire.NameData](l, m); ok {
			if in := j.input(d.Name); in != nil {
				in.wish()
			}
		}
	case wire.EventFlow:
		if d, ok := decode[wire.FlowData](l, m); ok {
			j.flow(d)
		}
	case wire.EventStream:
		if d, ok := decode[wire.StreamParams](l, m); ok {
			l.announced(d)
		}
	case wire.EventEnd:
		if d, ok := decode[wire.NameData](l, m); ok {
			l.drain()
			j.call(func(h *Handler) {
				if h.End != nil {
					h.End(d.Name)
				}
			})
		}
	case wire.EventError:
		d, ok := decode[wire.ErrorData](l, m)
		switch {
		case !ok:
		case d.Fatal:
			l.fail(refusal("the job", &wire.Error{Code: d.Code, Text: d.Text}))
		default:
			j.fault(d)
		}
	case wire.EventJob:
		if d, ok := decode[wire.JobData](l, m); ok {
			j.call(func(h *Handler) {
				if h.Event != nil {
					h.Event(d.Name, d.Data)
				}
			})
		}
	default:
		j.log.Debug("unknown event of media worker", "event", m.Event)
	}
}

// decode reads an event's data; nonsense is logged and passed over.
func decode[T any](l *live, m *wire.Message) (d T, ok bool) {
	if err := json.Unmarshal(m.Data, &d); err != nil {
		l.job.log.Warn("event of media worker not understood", "event", m.Event, "err", err)
		return d, false
	}
	return d, true
}

// drain waits until what the worker sent on the media socket is taken: an end
// must not overtake the last frames.
func (l *live) drain() {
	const step, quiet = 2 * time.Millisecond, 3
	for n, until := 0, time.Now().Add(500*time.Millisecond); n < quiet && time.Now().Before(until); n++ {
		if l.media.waiting() {
			n = 0
		}
		select {
		case <-l.silent:
			return
		case <-time.After(step):
		}
	}
}

// set sends a Set. The caller holds job.mu.
func (l *live) set(c wire.CallParams) {
	_ = l.control.ask(wire.MethodCall, c, -1, false, func(_ json.RawMessage, err error) {
		if err != nil && !errors.Is(err, errWorkerGone) {
			l.job.fault(errorData("", err))
		}
	})
}

// output asks for the units of e. The caller holds job.mu.
func (l *live) output(e *encoding) {
	in := newInbound(l.job, e.to.Kind, e.deliver, e.askKey)
	in.parts.lost = e.asked // of another process: what it had not sent is lost
	e.asked = true
	l.register(e.stream, in)
	m := mediaOf(&e.to)
	_ = l.control.ask(wire.MethodOutput, wire.OutputParams{Stream: e.stream, Port: e.key.port, Media: m, Bitrate: e.rate.target()}, -1, false,
		func(_ json.RawMessage, err error) {
			if err != nil && !errors.Is(err, errWorkerGone) {
				e.fail(err)
			}
		})
}

func (l *live) register(id uint16, in *inbound) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams[id] = in
}

func (l *live) unregister(id uint16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.streams, id)
}

// take takes one message of the media socket, on its reader's goroutine.
func (l *live) take(h wire.Header, payload []byte) {
	l.mu.Lock()
	in := l.streams[h.Stream]
	if in == nil && h.Stream >= wire.FirstOwnStream && len(l.streams) < maxStreams {
		// It has overtaken its announcement.
		in = newInbound(l.job, 0, nil, nil)
		l.streams[h.Stream] = in
	}
	l.mu.Unlock()
	if in != nil {
		in.take(h, payload)
	}
}

// announced tells the Handler of a row of frames that the worker sends by itself.
func (l *live) announced(d wire.StreamParams) {
	f, ok := formatOf(d.Media)
	if !ok || d.Stream < wire.FirstOwnStream {
		l.job.log.Warn("stream of media worker refused", "name", d.Name, "kind", d.Kind, "id", d.Stream)
		return
	}
	l.mu.Lock()
	if old, ok := l.names[d.Name]; ok && old != d.Stream {
		delete(l.streams, old)
	}
	in := l.streams[d.Stream]
	if old, ok := l.names[d.Name]; in == nil || ok && old == d.Stream {
		if len(l.streams) >= maxStreams {
			l.mu.Unlock()
			l.fail(kerr.New(kerr.UnexpectedError, "The media worker announces too many streams"))
			return
		}
		in = newInbound(l.job, 0, nil, nil)
		l.streams[d.Stream] = in
	}
	l.names[d.Name] = d.Stream
	l.mu.Unlock()
	in.format(&f)
	l.job.call(func(h *Handler) {
		if h.Stream != nil {
			h.Stream(&Stream{Name: d.Name, Format: f, in: in})
		} else {
			in.deliverTo(func(*pipeline.Packet) {})
		}
	})
}
