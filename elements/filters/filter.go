package filters

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

// The job's names in the worker.
const (
	jobKind = "filter"
	inName  = "in"
	outName = "out"
)

// errorElement is the Error event's type for what a worker does wrong
// (kurento-elements §4).
const errorElement = "UNEXPECTED_ELEMENT_ERROR"

const (
	// baseCores is what decoding costs, 640x480 at 30 fps.
	baseCores = 0.1
	// graphTimeout bounds how long a worker may draw its graph.
	graphTimeout = 5 * time.Second
)

// jobParams are what a filter's worker is started with.
type jobParams struct {
	Effect     string    `json:"effect"` // element, images, faces, codes
	Kind       string    `json:"kind"`   // audio, video
	Element    string    `json:"element,omitempty"`
	Properties []Setting `json:"properties,omitempty"`
}

// filter is the base of the family: one kind of media goes through a worker, the
// others pass untouched.
type filter struct {
	elements.MediaElement
	deps  Deps
	kind  pipeline.Kind
	spec  workers.Spec
	input atomic.Pointer[workers.Input]
	out   *pipeline.Output // the worker's raw media; nil for a filter that only looks

	mu     sync.Mutex // leaf; held while a job is started and told
	job    *workers.Job
	keys   []string // of settings before there is a job, in the order of their first Set
	calls  map[string]call
	closed bool
}

// call is a setting that waits for the worker.
type call struct {
	method string
	params any
}

// init binds the filter and gives it its ports. event hears the worker's own
// events, on a goroutine of the job; it may be nil.
func (f *filter) init(env elements.Env, d Deps, kind pipeline.Kind, p jobParams, cores float64, event func(string, json.RawMessage)) {
	f.Init(env)
	f.deps, f.kind, f.calls = d, kind, map[string]call{}
	p.Kind = "video"
	if kind == pipeline.Audio {
		p.Kind = "audio"
	}
	f.spec = workers.Spec{
		Kind: jobKind, Params: p, Epoch: env.Pipeline.Epoch(), Cores: baseCores + cores, Restart: true, Element: env.ID,
		Handler: workers.Handler{Event: event, Error: f.failed, Crashed: f.crashed},
	}
}

// addPorts gives the filter its input and output, and a joint for each other
// kind of media.
func (f *filter) addPorts() {
	f.out = f.Graph().NewOutput(f.kind, elements.DefaultDescription, nil)
	f.AddInput(f.kind, &inlet{f})
	f.AddOutput(f.out)
	f.addJoints()
}

func (f *filter) addJoints() {
	for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video, pipeline.Data} {
		if kind != f.kind {
			j := elements.NewJoint(f.Graph(), kind)
			f.AddInput(kind, j)
			f.AddOutput(j.Output())
		}
	}
}

// start begins the job, once. Its failure is told by the event Error.
func (f *filter) start() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.job != nil || f.closed {
		return
	}
	job, err := f.deps.Pool.Start(context.Background(), f.spec)
	if err != nil {
		code, _ := kerr.Of(err)
		f.Log().Warn("filter has no worker", "err", err)
		f.EmitError(errorElement, int(code), fmt.Sprintf("Filter does not work: %v", err))
		return
	}
	f.job = job
	for _, key := range f.keys {
		c := f.calls[key]
		job.Set(key, c.method, c.params)
	}
	f.keys, f.calls = nil, nil // the job keeps them; pictures are large
	f.input.Store(job.Input(inName, workers.UnitFormats(f.kind)))
	if f.out != nil {
		job.Bind(outName, f.out)
	}
}

// set tells the worker something that holds, per key, until it is told anew:
// now, or when there is one, and again after a crash.
func (f *filter) set(key, method string, params any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.job != nil {
		f.job.Set(key, method, params)
		return
	}
	if !slices.Contains(f.keys, key) {
		f.keys = append(f.keys, key)
	}
	f.calls[key] = call{method, params}
}

func (f *filter) failed(e wire.ErrorData) {
	f.Log().Warn("filter's worker failed", "type", e.Type, "err", e.Text)
	typ, code := e.Type, e.Code
	if typ == "" {
		typ = errorElement
	}
	f.EmitError(typ, code, e.Text)
}

func (f *filter) crashed(err error, restarting bool) {
	text := fmt.Sprintf("The media worker of filter %s ended: %v", f.ID(), err)
	if restarting {
		text += "; another one takes over"
	}
	f.Log().Error("filter's worker ended", "err", err, "restarting", restarting)
	f.EmitError(errorElement, int(kerr.UnexpectedError), text)
}

// WorkerDot draws the worker's GStreamer graph in DOT; "" while there is none.
func (f *filter) WorkerDot(ctx context.Context) (string, error) {
	f.mu.Lock()
	job := f.job
	f.mu.Unlock()
	if job == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, graphTimeout)
	defer cancel()
	return job.Dot(ctx)
}

// Close ends the job and waits for its process.
func (f *filter) Close() error {
	f.mu.Lock()
	f.closed = true
	job := f.job
	f.mu.Unlock()
	if job != nil {
		if err := job.Close(); err != nil {
			f.Log().Warn("filter's worker did not end orderly", "err", err)
		}
	}
	return f.CloseBase()
}

// inlet is the input of the kind that is filtered. The job starts when the first
// source connects, so that a filter nobody uses has no process.
type inlet struct{ f *filter }

// Accepts implements pipeline.Input.
func (i *inlet) Accepts() []pipeline.Format { return workers.UnitFormats(i.f.kind) }

// Push implements pipeline.Input.
func (i *inlet) Push(p *pipeline.Packet) {
	if in := i.f.input.Load(); in != nil {
		in.Push(p)
	}
}

// Attached implements pipeline.Attachable.
func (i *inlet) Attached(l *pipeline.Link) {
	i.f.start()
	if in := i.f.input.Load(); in != nil {
		in.Attached(l)
	}
}

// Detached implements pipeline.Attachable.
func (i *inlet) Detached(l *pipeline.Link) {
	if in := i.f.input.Load(); in != nil {
		in.Detached(l)
	}
}

// End implements pipeline.Ender.
func (i *inlet) End() {
	if i.f.out != nil {
		i.f.out.End()
	}
}

// Counters implements elements.Counter.
func (i *inlet) Counters() (packets, bytes uint64) {
	if in := i.f.input.Load(); in != nil {
		return in.Counters()
	}
	return 0, 0
}
