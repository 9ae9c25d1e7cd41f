// Package elementtest is the contract every element type passes, and what tests
// of elements need: a World with one MediaPipeline and no protocol, elements
// that produce and remember packets, and helpers that count goroutines and
// files. It starts no goroutines of its own.
package elementtest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// Deadline bounds every wait of this package.
const Deadline = 30 * time.Second

// World is a registry, one pipeline and the objects made in it.
type World struct {
	T        testing.TB
	Registry *elements.Registry
	Pipeline *elements.MediaPipeline

	hub elements.Object // of Case.Hub

	mu      sync.Mutex
	next    int
	objects map[string]elements.Object
	events  []Event
	changed chan struct{} // closed and replaced at each event
}

// Event is one event as kms would send it.
type Event struct {
	Object string
	Name   string
	Data   map[string]any
}

// New makes a world of the base types, the test elements (Source, Sink) and
// those given. The pipeline closes with the test.
func New(t testing.TB, types ...elements.Type) *World {
	return NewWith(t, nil, types...)
}

// NewWith is New with converters for the pipeline.
func NewWith(t testing.TB, converters []pipeline.Converter, types ...elements.Type) *World {
	t.Helper()
	reg, err := elements.NewRegistry(append(append(elements.Types(), testTypes()...), types...)...)
	if err != nil {
		t.Fatalf("registry: %v", err)
	}
	w := &World{T: t, Registry: reg, objects: map[string]elements.Object{}, changed: make(chan struct{})}
	graph := pipeline.New("pipe_kurento.MediaPipeline", converters...)
	w.Pipeline = w.mustCreate("MediaPipeline", graph.ID(), graph, nil).(*elements.MediaPipeline)
	t.Cleanup(func() {
		if err := w.Pipeline.Close(); err != nil {
			t.Errorf("close pipeline: %v", err)
		}
	})
	return w
}

// Resolve implements elements.Resolver.
func (w *World) Resolve(id string) (elements.Object, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o, ok := w.objects[id]; ok {
		return o, nil
	}
	return nil, kerr.New(kerr.MediaObjectNotFound, "Object '%s' not found", id)
}

// Params turns values into what a decoder of the wire would give: objects
// become ids, numbers json.Number.
func Params(v map[string]any) map[string]any {
	for k, x := range v {
		if o, ok := x.(elements.Object); ok {
			v[k] = o.ID()
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	d := json.NewDecoder(strings.NewReader(string(raw)))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		panic(err)
	}
	return out
}

// TryCreate makes an object as kms does; mediaPipeline is filled in when the
// type needs it and params lack it.
func (w *World) TryCreate(typ string, params map[string]any) (elements.Object, error) {
	if params == nil {
		params = map[string]any{}
	}
	if _, ok := params["mediaPipeline"]; !ok && params["hub"] == nil {
		params["mediaPipeline"] = w.Pipeline.ID()
	}
	w.mu.Lock()
	w.next++
	id := fmt.Sprintf("%s/%d_kurento.%s", w.Pipeline.ID(), w.next, typ)
	w.mu.Unlock()
	return w.create(typ, id, w.Pipeline.Graph(), params)
}

// Create is TryCreate that must succeed.
func (w *World) Create(typ string, params map[string]any) elements.Object {
	w.T.Helper()
	o, err := w.TryCreate(typ, params)
	if err != nil {
		w.T.Fatalf("create %s: %v", typ, err)
	}
	return o
}

// Element is Create for elements.
func (w *World) Element(typ string, params map[string]any) elements.Element {
	w.T.Helper()
	return w.Create(typ, params).(elements.Element)
}

func (w *World) mustCreate(typ, id string, graph *pipeline.Pipeline, params map[string]any) elements.Object {
	w.T.Helper()
	o, err := w.create(typ, id, graph, params)
	if err != nil {
		w.T.Fatalf("create %s: %v", typ, err)
	}
	return o
}

func (w *World) create(typ, id string, graph *pipeline.Pipeline, params map[string]any) (elements.Object, error) {
	class, ok := w.Registry.Lookup(typ)
	if !ok {
		return nil, fmt.Errorf("type %s is not registered", typ)
	}
	var raw any
	if params != nil {
		raw = Params(params)
	}
	args, err := class.Decode(raw, w.Resolve)
	if err != nil {
		return nil, err
	}
	var self elements.Object
	var mu sync.Mutex
	env := elements.Env{ID: id, Pipeline: graph, Parent: args.Parent, Emit: func(name string, fields any) {
		mu.Lock()
		defer mu.Unlock()
		if self != nil {
			w.record(Event{id, name, class.EventData(self, name, fields, time.Now())})
		}
	}}
	obj, err := class.Create(context.Background(), env, args)
	if err != nil {
		return nil, err
	}
	mu.Lock()
	self = obj
	mu.Unlock()
	w.mu.Lock()
	w.objects[id] = obj
	w.mu.Unlock()
	return obj, nil
}

// Release closes an object and forgets it.
func (w *World) Release(o elements.Object) {
	w.T.Helper()
	w.mu.Lock()
	delete(w.objects, o.ID())
	w.mu.Unlock()
	if err := o.Close(); err != nil {
		w.T.Errorf("close %s: %v", o.ID(), err)
	}
	if n, ok := o.(elements.Node); ok {
		if parent, ok := n.Media().Parent().(elements.Node); ok {
			parent.Media().RemoveChild(o)
		}
	}
}

// Invoke runs an operation as kms does.
func (w *World) Invoke(o elements.Object, op string, params map[string]any) (any, error) {
	var raw any
	if params != nil {
		raw = Params(params)
	}
	return o.(elements.Node).Media().Class().Invoke(context.Background(), o, op, raw, w.Resolve)
}

// Call is Invoke that must succeed.
func (w *World) Call(o elements.Object, op string, params map[string]any) any {
	w.T.Helper()
	v, err := w.Invoke(o, op, params)
	if err != nil {
		w.T.Fatalf("%s on %s: %v", op, o.ID(), err)
	}
	return v
}

func (w *World) record(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
	close(w.changed)
	w.changed = make(chan struct{})
}

// Events are all events so far of an object with a name; "" matches any.
func (w *World) Events(object elements.Object, name string) []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.matching(object, name)
}

func (w *World) matching(object elements.Object, name string) []Event {
	var out []Event
	for _, e := range w.events {
		if (object == nil || e.Object == object.ID()) && (name == "" || e.Name == name) {
			out = append(out, e)
		}
	}
	return out
}

// WaitEvents waits until an object has raised n events with a name.
func (w *World) WaitEvents(object elements.Object, name string, n int) []Event {
	w.T.Helper()
	timer := time.NewTimer(Deadline)
	defer timer.Stop()
	for {
		w.mu.Lock()
		got, changed := w.matching(object, name), w.changed
		w.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-changed:
		case <-timer.C:
			w.T.Fatalf("%d of %d events %s of %s within %v: %v", len(got), n, name, object.ID(), Deadline, got)
		}
	}
}
