//go:build gst

package mediaworker

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

const (
	// tick is how often ports are looked at.
	tick = 200 * time.Millisecond
	// closeTime is how long a job may take to end; then the process goes anyway.
	closeTime = 5 * time.Second
	// maxPosted bounds what streaming threads may leave for the owner.
	maxPosted = 4096
)

// worker is one process's job and its surroundings.
type worker struct {
	log  *slog.Logger
	ctl  *control
	med  *media
	pipe *gst.Pipeline // from start on

	// Of the owner.
	job     job
	inputs  map[string]*input
	ports   map[string]*port
	outputs map[uint16]*output
	serial  int
	nextOwn uint16
	ticks   []func()
	// listened are called when an encoding begins or ends.
	listened []func()

	mu     sync.Mutex
	posted []func()
	wake   chan struct{}

	end     context.CancelFunc
	ctx     context.Context
	code    int
	endOnce sync.Once
	threads sync.WaitGroup
}

// Run does the one job of this process with the two sockets it inherited (wire)
// and gives the process's exit code when it has ended. It closes both files.
func Run(mediaFile, controlFile *os.File, log *slog.Logger) int {
	ctl, err := newControl(controlFile)
	if err != nil {
		log.Error("no control socket", "error", err)
		return 64
	}
	med, err := newMedia(mediaFile)
	if err != nil {
		log.Error("no media socket", "error", err)
		return 64
	}
	w := newWorker(med, ctl, log)
	gst.Init()
	gst.OnPanic(w.panicked)
	w.send(wire.Message{Event: wire.EventReady, Data: encode(Ready())})
	w.own()
	return w.code
}

func newWorker(med *media, ctl *control, log *slog.Logger) *worker {
	w := &worker{log: log, ctl: ctl, med: med, inputs: map[string]*input{}, ports: map[string]*port{}, outputs: map[uint16]*output{},
		nextOwn: wire.FirstOwnStream, wake: make(chan struct{}, 1)}
	w.ctx, w.end = context.WithCancel(context.Background())
	return w
}

// own is the owner's loop.
func (w *worker) own() {
	defer w.shut()
	requests := make(chan request, 16)
	w.start("control reader", func() { w.ctl.read(w.ctx, requests, w.stop) })
	w.start("control writer", func() { w.ctl.write(w.ctx) })
	w.start("media reader", func() { w.med.read(w.panicked) })
	messages := make(chan gst.Message, 64)
	begun := false
	every := time.NewTicker(tick)
	defer every.Stop()
	for w.ctx.Err() == nil {
		if w.pipe != nil && !begun {
			begun = true
			pipe := w.pipe
			w.start("bus", func() { w.listen(pipe, messages) })
		}
		w.guarded(func() {
			select {
			case <-w.ctx.Done():
			case r := <-requests:
				w.serve(r)
			case m := <-messages:
				w.hear(m)
			case <-w.wake:
				w.runPosted()
			case <-every.C:
				for _, f := range w.ticks {
					f()
				}
				for _, p := range w.ports {
					p.look()
				}
			}
		})
	}
}

// listen waits on the bus.
func (w *worker) listen(pipe *gst.Pipeline, messages chan<- gst.Message) {
	for w.ctx.Err() == nil {
		m, ok := pipe.Pop(300 * time.Millisecond)
		if !ok || m.Type == "state-changed" {
			continue
		}
		select {
		case messages <- m:
		case <-w.ctx.Done():
		}
	}
}

// start runs a goroutine of the worker; a panic in it ends the process.
func (w *worker) start(name string, f func()) {
	w.threads.Go(func() {
		defer func() {
			if v := recover(); v != nil {
				w.panicked(fmt.Errorf("panic in the %s: %v\n%s", name, v, debug.Stack()))
			}
		}()
		f()
	})
}

func (w *worker) guarded(f func()) {
	defer func() {
		if v := recover(); v != nil {
			w.panicked(fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
		}
	}()
	f()
}

func (w *worker) panicked(err error) {
	w.log.Error("panic", "error", err)
	w.fatal("INTERNAL_ERROR", kerr.UnexpectedError, "The media worker failed. "+firstLine(err.Error()))
}

// post runs f on the owner, later. Any thread may call it; it does not wait.
func (w *worker) post(f func()) {
	w.mu.Lock()
	full := len(w.posted) >= maxPosted
	if !full {
		w.posted = append(w.posted, f)
	}
	w.mu.Unlock()
	if full {
		w.fatal("INTERNAL_ERROR", kerr.UnexpectedError, "The media worker hangs")
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) runPosted() {
	w.mu.Lock()
	list := w.posted
	w.posted = nil
	w.mu.Unlock()
	for _, f := range list {
		f()
	}
}

// every calls f on the owner about every 200 ms.
func (w *worker) every(f func()) { w.ticks = append(w.ticks, f) }

// heard tells the job that an encoding began or ended. Owner.
func (w *worker) heard() {
	for _, f := range w.listened {
		f()
	}
}

// stop ends the worker with an exit code; the first call counts.
func (w *worker) stop(code int) {
	w.endOnce.Do(func() {
		w.code = code
		w.end()
	})
}

// shut ends everything, in at most closeTime.
func (w *worker) shut() {
	late := time.AfterFunc(closeTime, func() {
		w.log.Error("the job does not end")
		os.Exit(3)
	})
	defer late.Stop()
	w.guarded(func() {
		if w.job != nil {
			w.job.close()
		}
		for _, in := range w.inputs {
			w.med.remove(in.stream)
		}
		if w.pipe != nil {
			_ = w.pipe.SetState(gst.Null)
		}
		for _, p := range w.ports {
			p.tap.Close()
		}
	})
	w.ctl.finish()
	w.med.close()
	w.threads.Wait()
	w.med.free()
	w.guarded(w.forget)
}

// forget cuts the circles of references through GStreamer's callbacks, which the
// garbage collector does not see.
func (w *worker) forget() {
	if w.pipe != nil {
		for _, in := range w.inputs {
			w.pipe.Remove(in.bin)
		}
		for _, o := range w.outputs {
			if o.bin != nil {
				w.pipe.Remove(o.bin)
			}
		}
	}
	w.pipe, w.job, w.inputs, w.ports, w.outputs, w.ticks, w.listened, w.posted = nil, nil, nil, nil, nil, nil, nil, nil
}

// event tells the server what only this kind of job knows.
func (w *worker) event(name string, data any) {
	w.tell(wire.EventJob, wire.JobData{Name: name, Data: encode(data)})
}

// tell sends an event. Any thread may call it.
func (w *worker) tell(event string, data any) { w.send(wire.Message{Event: event, Data: encode(data)}) }

func (w *worker) send(m wire.Message) {
	if !w.ctl.send(m) {
		w.log.Error("the server does not read")
		w.stop(2)
	}
}

// fail tells of a failure that the job survives.
func (w *worker) fail(e wire.ErrorData) {
	w.log.Warn("error", "type", e.Type, "text", e.Text, "input", e.Input)
	w.tell(wire.EventError, e)
}

// fatal tells of a failure that ends the job, and ends it.
func (w *worker) fatal(kind string, code kerr.Code, text string) {
	w.log.Error("fatal", "type", kind, "text", text)
	w.tell(wire.EventError, wire.ErrorData{Type: kind, Code: int(code), Text: text, Fatal: true})
	w.stop(2)
}

func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}
