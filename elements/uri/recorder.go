package uri

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
)

const (
	// stopTimeout is how long stopAndWait waits for the file, and how long what
	// is queued may take to be written at the end.
	stopTimeout = 10 * time.Second
)

// The Error event's types (kurento-elements §4).
const (
	errorOpen    = "RESOURCE_ERROR_OPEN"
	errorWrite   = "RESOURCE_ERROR_WRITE"
	errorNoSpace = "RESOURCE_ERROR_NO_SPACE_LEFT"
	errorStream  = "STREAM_ERROR_FAILED"
)

type recorderParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	URI           string                  `json:"uri"`
	MediaProfile  MediaProfile            `json:"mediaProfile" default:"WEBM"`
	// StopOnEndOfStream stops the recording when every source that ends by itself
	// (PlayerEndpoint) has ended.
	StopOnEndOfStream bool `json:"stopOnEndOfStream" default:"false"`
}

// Recorder is a RecorderEndpoint: it records once, from record() to stop().
type Recorder struct {
	elements.MediaElement
	deps      Deps
	uri       string
	container recorder.Container
	inputs    []*input
	ctx       context.Context // ends when what is queued is given up
	cancel    context.CancelFunc
	sending   context.Context // ends when the upload is given up
	giveUp    context.CancelFunc
	wake      chan struct{} // tells run of a new section or the end
	done      chan struct{} // closed when the file is final, or never was

	mu       sync.Mutex
	state    elements.UriEndpointState
	sections [][]*pipeline.Queue // not written yet, a queue per input: one from each record() to pause() or stop()
	opened   bool                // the file is open, and Recording was told
	begun    bool                // record() was called
	finished bool                // for good: record() is refused
	failed   bool                // the Error event was raised for the file as a whole
}

func newRecorder(d Deps) func(context.Context, elements.Env, recorderParams) (*Recorder, error) {
	return func(_ context.Context, env elements.Env, p recorderParams) (*Recorder, error) {
		c, kinds, ok := p.MediaProfile.split()
		if !ok {
			return nil, kerr.New(kerr.MediaObjectIllegalParam, "Media profile %s is not supported by this server", p.MediaProfile)
		}
		r := &Recorder{
			deps: d, uri: complete(p.URI, d.DefaultPath), container: c, state: "STOP",
			wake: make(chan struct{}, 1), done: make(chan struct{}),
		}
		r.ctx, r.cancel = context.WithCancel(context.Background())
		r.Init(env)
		r.sending, r.giveUp = context.WithCancel(context.Background())
		for _, k := range kinds {
			in := newInput(k, c)
			if p.StopOnEndOfStream {
				in.onEnd = r.sourceEnded
			}
			r.inputs = append(r.inputs, in)
			r.AddInput(k, in)
		}
		return r, nil
	}
}

// URI implements elements.URIEndpoint.
func (r *Recorder) URI() string { return r.uri }

// State implements elements.URIEndpoint.
func (r *Recorder) State() elements.UriEndpointState {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// Record starts, or goes on after a pause. It does not wait for the disk: a
// target that cannot be opened raises the event Error. After stop it is refused,
// which is logged and no error.
func (r *Recorder) Record(context.Context, elements.None) (elements.None, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.finished:
		r.Log().Warn("record refused: recorder was stopped", "uri", fetch.Redact(r.uri))
	case r.state == "START":
	default:
		r.state = "START"
		var section []*pipeline.Queue
		for _, in := range r.inputs {
			section = append(section, in.open())
		}
		r.sections = append(r.sections, section)
		if r.opened {
			r.announce()
		}
		if !r.begun {
			r.begun = true
			go r.run()
		}
		r.signal()
	}
	return elements.None{}, nil
}

// Pause cuts the time until the next record() out of the file.
func (r *Recorder) Pause(context.Context, elements.None) (elements.None, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != "START" {
		r.Log().Debug("pause refused: not recording", "uri", fetch.Redact(r.uri))
		return elements.None{}, nil
	}
	r.state = "PAUSE"
	r.shut()
	if r.opened {
		r.announce()
	}
	return elements.None{}, nil
}

// Stop finishes the file in the background; the event Stopped tells its end.
func (r *Recorder) Stop(context.Context, elements.None) (elements.None, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop()
	return elements.None{}, nil
}

// StopAndWait finishes the file and answers when it is final; an error after ten seconds.
func (r *Recorder) StopAndWait(ctx context.Context, _ elements.None) (elements.None, error) {
	r.mu.Lock()
	r.stop()
	begun := r.begun
	r.mu.Unlock()
	if !begun {
		return elements.None{}, nil
	}
	timeout := time.NewTimer(stopTimeout)
	defer timeout.Stop()
	select {
	case <-r.done:
		return elements.None{}, nil
	case <-timeout.C:
		return elements.None{}, kerr.New(kerr.UnexpectedError, "Recording %s is not finished after %v; it goes on in the background", fetch.Redact(r.uri), stopTimeout)
	case <-ctx.Done():
		return elements.None{}, fmt.Errorf("stop and wait: %w: %w", ctx.Err(), kerr.UnexpectedError)
	}
}

// Close finishes the file, if there is one, and waits for it.
func (r *Recorder) Close() error {
	r.mu.Lock()
	r.stop()
	r.finished = true
	begun := r.begun
	r.mu.Unlock()
	if begun {
		late := time.AfterFunc(stopTimeout, r.giveUp)
		<-r.done
		late.Stop()
	}
	r.cancel()
	r.giveUp()
	return r.CloseBase()
}

// shut ends the section that is being received.
func (r *Recorder) shut() {
	for _, in := range r.inputs {
		in.shut()
	}
}

// signal wakes run.
func (r *Recorder) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// stop lets the writers drain and end. The caller holds r.mu.
func (r *Recorder) stop() {
	if !r.begun || r.finished {
		return
	}
	r.finished, r.state = true, "STOP"
	r.shut()
	r.signal()
	time.AfterFunc(stopTimeout, r.cancel)
}

// announce raises the events of the present state. The caller holds r.mu: Emit
// never blocks, and so events come in the order of the states.
func (r *Recorder) announce() {
	r.Emit("UriEndpointStateChanged", elements.UriStateFields{State: r.state})
	r.Emit(map[elements.UriEndpointState]string{"START": "Recording", "PAUSE": "Paused", "STOP": "Stopped"}[r.state], nil)
}

// run owns the file.
func (r *Recorder) run() {
	defer close(r.done)
	defer r.guard()
	at, err := r.place()
	if err != nil {
		r.fail(errorOpen, err)
		return
	}
	defer func() {
		if err := at.close(); err != nil {
			r.Log().Warn("folder of an upload stays", "err", err)
		}
	}()
	file, err := r.create(at)
	if err != nil {
		r.fail(errorOpen, err)
		return
	}
	defer file.Close() // again, for a panic on the way there
	r.mu.Lock()
	r.opened = true
	now := r.state
	r.state = "START"
	r.announce()
	if r.state = now; now == "PAUSE" {
		r.announce()
	}
	r.mu.Unlock()

	for n := 0; ; n++ {
		section, ok := r.nextSection()
		if !ok {
			break
		}
		if n > 0 {
			file.Resume()
		}
		var writing sync.WaitGroup
		for i, in := range r.inputs {
			writing.Go(func() { r.write(file, in, section[i]) })
		}
		writing.Wait() // until pause or stop, and all that came before is written
		file.Pause()
	}
	m, err := file.Close()
	switch {
	case errors.Is(err, recorder.ErrEmpty):
		r.Log().Warn("recording has no media: nothing fitting was connected or flowing", "uri", fetch.Redact(r.uri))
	case err != nil:
		r.fail(errorWrite, err)
	default:
		if at.url != "" {
			r.send(at)
		}
		r.Log().Info("recording finished", "uri", fetch.Redact(r.uri), "durationMs", m.DurationMs, "size", m.Size, "gaps", len(m.Gaps))
	}
	r.mu.Lock()
	r.announce()
	r.mu.Unlock()
}

// nextSection waits for a section to write; false when there is none to come.
func (r *Recorder) nextSection() ([]*pipeline.Queue, bool) {
	for {
		r.mu.Lock()
		if len(r.sections) > 0 {
			s := r.sections[0]
			r.sections = r.sections[1:]
			r.mu.Unlock()
			return s, true
		}
		finished := r.finished
		r.mu.Unlock()
		if finished {
			return nil, false
		}
		<-r.wake
	}
}

// send uploads the final file.
func (r *Recorder) send(at place) {
	err := at.upload(r.sending, r.deps.Fetch, r.container)
	switch {
	case err == nil:
	case errors.Is(err, errUpload):
		r.fail(errorWrite, err)
	default:
		r.fail(errorOpen, err)
	}
}

// sourceEnded stops when no input has a source that goes on.
func (r *Recorder) sourceEnded() {
	for _, in := range r.inputs {
		if in.goesOn() {
			return
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stop()
}

// create begins the file.
func (r *Recorder) create(at place) (*recorder.File, error) {
	var expect []pipeline.Kind
	for _, in := range r.inputs {
		if in.source() != nil {
			expect = append(expect, in.kind)
		}
	}
	if expect == nil { // connected later: all the profile names
		for _, in := range r.inputs {
			expect = append(expect, in.kind)
		}
	}
	return recorder.Create(at.root, at.name, recorder.Options{
		Container: r.container, Expect: expect, Epoch: r.Graph().Epoch(),
		ProcessID: r.deps.ProcessID, NodeID: r.deps.NodeID, Log: r.Log(),
	})
}

// write takes one kind from its queue to the file until the queue is closed.
func (r *Recorder) write(file *recorder.File, in *input, queue *pipeline.Queue) {
	defer r.guard()
	var asked, key time.Time
	told := false
	for {
		p, ok := queue.Pop(r.ctx)
		if !ok {
			return
		}
		if in.kind == pipeline.Video {
			now := time.Now()
			if _, whole := recorder.Describe(p); p.Key && whole {
				in.needKey.Store(false)
				key = now
			}
			if (in.needKey.Load() || now.Sub(key) >= keyFrameEvery) && now.Sub(asked) >= keyFrameRetry {
				asked = now
				in.askKeyFrame()
			}
		}
		err := file.Write(p)
		switch {
		case err == nil || errors.Is(err, recorder.ErrClosed):
		case errors.Is(err, recorder.ErrFormat), errors.Is(err, recorder.ErrCodecChanged):
			if !told {
				told = true
				r.EmitError(errorStream, int(kerr.UnsupportedMediaType), fmt.Sprintf("%s of %s is not recorded any more: %v", in.kind, fetch.Redact(r.uri), err))
			}
		default:
			r.fail(errorWrite, err)
		}
	}
}

// fail raises the event Error, once, and stops.
func (r *Recorder) fail(typ string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.failed {
		r.failed = true
		code := kerr.UnexpectedError
		if typ == errorOpen {
			code = kerr.URIPathFileNotFound
		}
		if errors.Is(err, syscall.ENOSPC) {
			typ = errorNoSpace
		}
		r.Log().Warn("recorder failed", "uri", fetch.Redact(r.uri), "err", err)
		r.EmitError(typ, int(code), err.Error())
	}
	r.stop()
}

// guard turns a panic into the recorder's failure.
func (r *Recorder) guard() {
	if p := recover(); p != nil {
		r.Log().Error("panic in recorder", "err", p, "stack", string(debug.Stack()))
		r.fail(errorWrite, fmt.Errorf("panic: %v", p))
	}
}
