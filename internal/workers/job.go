package workers

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

// callTimeout bounds a Call whose context has no earlier end.
const callTimeout = 15 * time.Second

// Spec says what a job is.
type Spec struct {
	Kind    string    // of the worker's table of jobs
	Params  any       // of that kind, as JSON
	Epoch   time.Time // pipeline.Epoch(); zero takes it from the first packet's arrival and PTS
	Cores   float64   // first estimate of the processor time it takes, in cores; measured later
	Restart bool      // after a crash start another, with the same inputs, outputs and Set calls
	Element string    // id, for logs
	Handler Handler
}

// Handler hears of a job. Each function may be nil. They are called one at a
// time, in order, and never after Close has returned; they must not block, nor
// wait for the job (Call, Close).
type Handler struct {
	Event  func(name string, data json.RawMessage) // of this kind of job
	Stream func(s *Stream)                         // the job sends coded frames by itself
	End    func(name string)                       // such a stream, or the job (""), has ended by itself
	Error  func(e wire.ErrorData)                  // something failed, and the job goes on
	// Crashed: the process died (for any reason but Close) or could not start.
	// restarting tells whether another takes its place.
	Crashed func(err error, restarting bool)
}

// Job is one job and the process that does it, or the next process after a
// crash. Safe for concurrent use.
type Job struct {
	pool   *Pool
	spec   Spec
	params json.RawMessage
	log    *slog.Logger
	epoch  atomic.Int64 // Spec.Epoch in CLOCK_MONOTONIC ns; 0 unknown
	ids    ids
	meter  meter // guarded by pool.mu
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{} // closed when run has ended
	ticked chan struct{} // closed when tick has ended
	flowed chan struct{} // wakes tick

	calling sync.Mutex // held during a call of the Handler

	mu        sync.Mutex
	live      *live // the running process, nil between two
	dead      error // why there will be no other
	changed   chan struct{}
	inputs    map[string]*Input
	ports     map[string]*port
	encodings map[encodingKey]*encoding
	settings  []setting // in order of their first Set
}

// setting is the latest Set of a key.
type setting struct {
	key    string
	params wire.CallParams
}

func newJob(p *Pool, s Spec) (*Job, error) {
	j := &Job{
		pool: p, spec: s, log: p.log.With("job", s.Kind, "element", s.Element),
		done: make(chan struct{}), ticked: make(chan struct{}), flowed: make(chan struct{}, 1), changed: make(chan struct{}),
		inputs: map[string]*Input{}, ports: map[string]*port{}, encodings: map[encodingKey]*encoding{},
	}
	if s.Params != nil {
		var err error
		if j.params, err = json.Marshal(s.Params); err != nil {
			return nil, fmt.Errorf("write parameters of job %s: %w: %w", s.Kind, err, kerr.MarshallError)
		}
	}
	if !s.Epoch.IsZero() {
		j.anchor(s.Epoch)
	}
	if s.Cores <= 0 {
		s.Cores = defaultCores
	}
	j.meter = meter{estimate: s.Cores, told: s.Cores, cores: -1}
	j.spec.Cores = s.Cores
	j.ctx, j.cancel = context.WithCancel(context.Background())
	return j, nil
}

// anchor notes where the instant of PTS zero lies on the wire's clock.
func (j *Job) anchor(epoch time.Time) {
	j.epoch.CompareAndSwap(0, monotonic()-int64(time.Since(epoch)))
}

// wirePTS is a PTS on the wire's clock, pts the other way.
func (j *Job) wirePTS(p *pipeline.Packet) int64 {
	if j.epoch.Load() == 0 {
		at := p.Arrival
		if at.IsZero() {
			at = time.Now()
		}
		j.anchor(at.Add(-p.PTS))
	}
	return j.epoch.Load() + int64(p.PTS)
}

func (j *Job) pts(wire int64) time.Duration { return time.Duration(wire - j.epoch.Load()) }

// call runs f as one call of the Handler, unless the job is closed.
func (j *Job) call(f func(h *Handler)) {
	j.calling.Lock()
	defer j.calling.Unlock()
	if j.ctx.Err() == nil {
		f(&j.spec.Handler)
	}
}

// fault tells the Handler of a failure after which the job goes on.
func (j *Job) fault(e wire.ErrorData) {
	j.log.Warn("media worker reports", "type", e.Type, "code", e.Code, "text", e.Text)
	j.call(func(h *Handler) {
		if h.Error != nil {
			h.Error(e)
		}
	})
}

// Call sends a request of this kind of job and waits for its answer, which is
// decoded into result (nil drops it). Without a deadline in ctx it gives up after
// 15 s. While the process starts, at first or again, it waits for that.
func (j *Job) Call(ctx context.Context, method string, params, result any) error {
	return j.SendFile(ctx, method, params, nil, result)
}

// SendFile is Call with a descriptor, which the worker gets its own of; f stays
// the caller's. After a restart it is not repeated.
func (j *Job) SendFile(ctx context.Context, method string, params any, f *os.File, result any) error {
	raw, err := callParams(method, params)
	if err != nil {
		return err
	}
	return j.request(ctx, wire.MethodCall, raw, f, result)
}

func callParams(method string, params any) (wire.CallParams, error) {
	c := wire.CallParams{Method: method}
	if params != nil {
		raw, err := json.Marshal(params)
		if err != nil {
			return c, fmt.Errorf("write parameters of %s: %w: %w", method, err, kerr.MarshallError)
		}
		c.Params = raw
	}
	return c, nil
}

// Set is a Call that nobody waits for and that is repeated, the latest per key,
// in each process after a restart. Errors are logged and come by Handler.Error.
func (j *Job) Set(key, method string, params any) {
	c, err := callParams(method, params)
	if err != nil {
		go j.fault(errorData("", err)) // the caller may hold what the Handler takes
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	found := false
	for i := range j.settings {
		if j.settings[i].key == key {
			j.settings[i].params, found = c, true
		}
	}
	if !found {
		j.settings = append(j.settings, setting{key, c})
	}
	if j.live != nil {
		j.live.set(c)
	}
}

// Unset forgets the Set of a key: it is not repeated any more.
func (j *Job) Unset(key string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.settings {
		if j.settings[i].key == key {
			j.settings = append(j.settings[:i], j.settings[i+1:]...)
			return
		}
	}
}

// Dot is the process's GStreamer graph in DOT.
func (j *Job) Dot(ctx context.Context) (string, error) {
	var text string
	err := j.request(ctx, wire.MethodDot, nil, nil, &text)
	return text, err
}

// Latency is how far the raw media of each port is behind its PTS.
func (j *Job) Latency(ctx context.Context) (map[string]time.Duration, error) {
	var r wire.LatencyResult
	if err := j.request(ctx, wire.MethodLatency, nil, nil, &r); err != nil {
		return nil, err
	}
	out := make(map[string]time.Duration, len(r))
	for port, ns := range r {
		out[port] = time.Duration(ns)
	}
	return out, nil
}

// PID is the number of the process, 0 while there is none.
func (j *Job) PID() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.live == nil {
		return 0
	}
	return j.live.w.PID
}

// running waits for a process that has started the job.
func (j *Job) running(ctx context.Context) (*live, error) {
	for {
		j.mu.Lock()
		l, dead, changed := j.live, j.dead, j.changed
		j.mu.Unlock()
		switch {
		case dead != nil:
			return nil, dead
		case l != nil:
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, kerr.New(kerr.UnexpectedError, "The media worker for %s is not ready: %v", j.spec.Kind, ctx.Err())
		}
	}
}

func (j *Job) request(ctx context.Context, method string, params any, f *os.File, result any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	l, err := j.running(ctx)
	if err != nil {
		return err
	}
	fd := -1
	if f != nil {
		if fd, err = duplicate(f); err != nil {
			return fmt.Errorf("send file: %w: %w", err, kerr.UnexpectedError)
		}
	}
	type answer struct {
		raw json.RawMessage
		err error
	}
	got := make(chan answer, 1)
	err = l.control.ask(method, params, fd, true, func(raw json.RawMessage, err error) { got <- answer{raw, err} })
	if err != nil {
		return coded(err)
	}
	select {
	case a := <-got:
		if a.err != nil {
			return coded(a.err)
		}
		if result == nil || len(a.raw) == 0 {
			return nil
		}
		if err := json.Unmarshal(a.raw, result); err != nil {
			return fmt.Errorf("read answer of %s: %w: %w", method, err, kerr.UnexpectedError)
		}
		return nil
	case <-ctx.Done():
		return kerr.New(kerr.UnexpectedError, "The media worker for %s does not answer: %v", j.spec.Kind, ctx.Err())
	}
}

// coded makes sure that err carries a code.
func coded(err error) error {
	if _, ok := kerr.Of(err); !ok {
		return fmt.Errorf("%w: %w", err, kerr.UnexpectedError)
	}
	return err
}

// errorData is err as a worker would tell it.
func errorData(input string, err error) wire.ErrorData {
	code, _ := kerr.Of(err)
	return wire.ErrorData{Type: "UNEXPECTED_ERROR", Code: int(code), Text: err.Error(), Input: input}
}

// Close ends the job: the process closes in order, within 5 s, or is killed.
// It waits for that. Idempotent.
func (j *Job) Close() error {
	j.cancel()
	<-j.done
	<-j.ticked
	// A call of the Handler may be under way elsewhere.
	j.calling.Lock()
	defer j.calling.Unlock()
	return nil
}
