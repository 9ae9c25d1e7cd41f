package elementtest

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// Case is one type to try.
type Case struct {
	// Type is the bare name.
	Type string
	// Params gives constructor parameters beside mediaPipeline, anew for each object.
	Params func() map[string]any
	// Required are the names of required parameters beside mediaPipeline.
	Required []string
	// Ancestors are the bare names expected, nearest first.
	Ancestors []string
	// Hub is the type of a hub for types that are made in one (parameter hub)
	// and not in a MediaPipeline; each World has one.
	Hub string
	// HubParam is the name of that parameter, when it is not hub.
	HubParam string
}

// params are those of the constructor, in w.
func (c Case) params(w *World) map[string]any {
	p := map[string]any{}
	if c.Params != nil {
		p = c.Params()
	}
	if c.Hub != "" {
		if w.hub == nil {
			w.hub = w.Create(c.Hub, nil)
		}
		p[c.parent()] = w.hub
	}
	return p
}

// parent is the parameter that names the object above.
func (c Case) parent() string {
	if c.HubParam != "" {
		return c.HubParam
	}
	if c.Hub != "" {
		return "hub"
	}
	return "mediaPipeline"
}

// Run is the contract suite: every type passes it.
func Run(t *testing.T, types []elements.Type, cases ...Case) {
	for _, c := range cases {
		t.Run(c.Type, func(t *testing.T) {
			t.Run("hierarchy", func(t *testing.T) { hierarchy(t, types, c) })
			t.Run("release a hundred", func(t *testing.T) { releaseHundred(t, types, c) })
			t.Run("wrong parameters", func(t *testing.T) { wrongParameters(t, types, c) })
			t.Run("unknown names", func(t *testing.T) { unknownNames(t, types, c) })
			t.Run("getters", func(t *testing.T) { getters(t, types, c) })
			t.Run("release during calls", func(t *testing.T) { releaseDuringCalls(t, types, c) })
			t.Run("links spliced", func(t *testing.T) { links(t, types, c, true) })
			t.Run("links unspliced", func(t *testing.T) { links(t, types, c, false) })
			t.Run("release connected", func(t *testing.T) { releaseConnected(t, types, c) })
		})
	}
}

func hierarchy(t *testing.T, types []elements.Type, c Case) {
	class, ok := New(t, types...).Registry.Lookup("kurento." + c.Type)
	if !ok {
		t.Fatalf("kurento.%s is not registered", c.Type)
	}
	var want []string
	for _, a := range c.Ancestors {
		want = append(want, "kurento."+a)
	}
	if got := class.Hierarchy(); !slices.Equal(got, want) {
		t.Errorf("hierarchy %v, want %v", got, want)
	}
}

// releaseHundred: goroutines and open files return to what they were.
func releaseHundred(t *testing.T, types []elements.Type, c Case) {
	w := New(t, types...)
	w.Release(w.Create(c.Type, c.params(w))) // what is made once per process
	graph, children := len(w.Pipeline.Graph().Elements()), len(w.Pipeline.Children())
	goroutines, files := settled()
	var all []elements.Object
	for range 100 {
		all = append(all, w.Create(c.Type, c.params(w)))
	}
	for _, o := range slices.Backward(all) {
		w.Release(o)
		w.Release(o) // idempotent
	}
	Eventually(t, "goroutines and files return", func() bool {
		return runtime.NumGoroutine() <= goroutines && Files() <= files
	})
	if n := len(w.Pipeline.Graph().Elements()); n != graph {
		t.Errorf("%d elements left in the graph", n-graph)
	}
	if n := len(w.Pipeline.Children()); n != children {
		t.Errorf("%d children left", n-children)
	}
	if w.hub != nil {
		if n := len(w.hub.(elements.Node).Media().Children()); n != 0 {
			t.Errorf("%d children of the hub left", n)
		}
	}
}

// settled counts goroutines and open files when what was started before has come
// to rest.
func settled() (goroutines, files int) {
	end := time.Now().Add(Deadline)
	for n := 0; n < 20 && time.Now().Before(end); n++ {
		if g, f := runtime.NumGoroutine(), Files(); g != goroutines || f != files {
			goroutines, files, n = g, f, 0
		}
		time.Sleep(5 * time.Millisecond)
	}
	return goroutines, files
}

func wrongParameters(t *testing.T, types []elements.Type, c Case) {
	w := New(t, types...)
	for _, name := range append([]string{c.parent()}, c.Required...) {
		p := c.params(w)
		p[name] = map[string]any{"not": "a scalar"}
		_, err := w.TryCreate(c.Type, p)
		Code(t, err, kerr.MarshallError, "'"+name+"' parameter should be a")
	}
	p := c.params(w)
	p[c.parent()] = "nope"
	_, err := w.TryCreate(c.Type, p)
	Code(t, err, kerr.MediaObjectNotFound, "Object 'nope' not found")
	o := w.Create(c.Type, c.params(w))
	_, err = w.Invoke(o, "addTag", map[string]any{"key": "k"})
	Code(t, err, kerr.MarshallError, "'value' parameter should be a string")
	_, err = w.Invoke(o, "connect", nil)
	Code(t, err, kerr.MarshallError, "'operationParams' is required")
	_, err = w.Invoke(o, "connect", map[string]any{"sink": o, "mediaType": "SMELL"})
	Code(t, err, kerr.MarshallError, "Invalid value for 'MediaType'")
}

func unknownNames(t *testing.T, types []elements.Type, c Case) {
	w := New(t, types...)
	o := w.Create(c.Type, c.params(w))
	_, err := w.Invoke(o, "noSuchOperation", map[string]any{"a": 1, "b": 2})
	Code(t, err, kerr.MalformedTransaction, "Method 'noSuchOperation' with 2 parameters not found")
	class := o.(elements.Node).Media().Class()
	if class.HasEvent("NoSuchEvent") {
		t.Error("an event nobody described can be subscribed to")
	}
	for _, event := range []string{"Error", "ElementConnected", "ElementDisconnected", "MediaFlowInStateChanged", "MediaFlowOutStateChanged", "MediaTranscodingStateChanged"} {
		if !class.HasEvent(event) {
			t.Errorf("event %s is missing", event)
		}
	}
}

// getters: each answers at once on a fresh object, with a value or a code.
func getters(t *testing.T, types []elements.Type, c Case) {
	w := New(t, types...)
	o := w.Create(c.Type, c.params(w))
	for _, op := range o.(elements.Node).Media().Class().Operations() {
		if !strings.HasPrefix(op, "get") {
			continue
		}
		if _, err := w.Invoke(o, op, nil); err != nil {
			if _, known := kerr.Of(err); !known {
				t.Errorf("%s: %v carries no code", op, err)
			}
		}
	}
}

// releaseDuringCalls: Close while other goroutines call must neither hang nor panic.
func releaseDuringCalls(t *testing.T, types []elements.Type, c Case) {
	w := New(t, types...)
	for range 10 {
		o, other := w.Element(c.Type, c.params(w)), w.Element(c.Type, c.params(w))
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				for range 25 {
					w.Invoke(o, "getStats", nil)
					w.Invoke(o, "getSinkConnections", nil)
					w.Invoke(o, "getGstreamerDot", nil)
					if i%2 == 0 {
						w.Invoke(o, "connect", map[string]any{"sink": other})
						w.Invoke(other, "connect", map[string]any{"sink": o})
					} else {
						w.Invoke(o, "disconnect", map[string]any{"sink": other})
					}
				}
			})
		}
		w.Release(o)
		Within(t, "calls on a released object", wg.Wait)
		w.Release(other)
	}
}

// links: the element as a sink of a source, and as a source of a sink, whatever
// ports it has; a second source replaces the first.
func links(t *testing.T, types []elements.Type, c Case, splice bool) {
	w := New(t, types...)
	e := w.Element(c.Type, c.params(w))
	first := w.Element("TestSource", map[string]any{"splice": splice}).(*Source)
	second := w.Element("TestSource", map[string]any{"splice": splice}).(*Source)
	sink := w.Element("TestSink", nil).(*Sink)
	w.Call(first, "connect", map[string]any{"sink": e})
	w.Call(e, "connect", map[string]any{"sink": sink})
	if got := w.WaitEvents(first, "ElementConnected", 3); len(got) != 3 {
		t.Errorf("%d ElementConnected events, want 3: %v", len(got), got)
	}
	for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
		Within(t, "push into "+c.Type, func() { first.Send(kind, 100) })
	}
	w.Call(second, "connect", map[string]any{"sink": e, "mediaType": "VIDEO"})
	if got := w.Events(first, "ElementDisconnected"); len(got) != 1 || got[0].Data["mediaType"] != "VIDEO" {
		t.Errorf("events of the replaced source: %v", got)
	}
	Within(t, "push into "+c.Type, func() { second.Send(pipeline.Video, 100) })
	sources := w.Call(e, "getSourceConnections", nil).([]any)
	if len(sources) != 3 {
		t.Errorf("%d source connections, want 3: %v", len(sources), sources)
	}
	w.Call(first, "disconnect", map[string]any{"sink": e})
	w.Call(second, "disconnect", map[string]any{"sink": e})
	if sources := w.Call(e, "getSourceConnections", nil).([]any); len(sources) != 0 {
		t.Errorf("source connections after disconnect: %v", sources)
	}
	for _, s := range []*Source{first, second} {
		for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
			if out, _ := s.Output(kind, ""); out.Links() != 0 {
				t.Errorf("%s of %s has %d links after disconnect", kind, s.ID(), out.Links())
			}
		}
	}
}

// releaseConnected: neighbours are told and nothing stays linked.
func releaseConnected(t *testing.T, types []elements.Type, c Case) {
	w := New(t, types...)
	e := w.Element(c.Type, c.params(w))
	source := w.Element("TestSource", nil).(*Source)
	sink := w.Element("TestSink", nil).(*Sink)
	w.Call(source, "connect", map[string]any{"sink": e})
	w.Call(e, "connect", map[string]any{"sink": sink})
	source.Send(pipeline.Video, 10)
	w.Release(e)
	if got := w.Events(source, "ElementDisconnected"); len(got) != 3 {
		t.Errorf("%d ElementDisconnected events of the source, want 3", len(got))
	}
	if got := w.Call(sink, "getSourceConnections", nil).([]any); len(got) != 0 {
		t.Errorf("the sink is still fed by %v", got)
	}
	_, err := w.Invoke(source, "connect", map[string]any{"sink": e})
	Code(t, err, kerr.MediaObjectNotFound, "not found")
	if err := source.Connect(e, pipeline.Video, "default", "default"); err == nil {
		t.Error("a closed element took a source")
	}
}

// Code asserts an error's code and a part of its text.
func Code(t testing.TB, err error, want kerr.Code, text string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %d %q", int(want), text)
		return
	}
	if got, _ := kerr.Of(err); got != want || !strings.Contains(err.Error(), text) {
		t.Errorf("error %d %q, want %d %q", int(got), err, int(want), text)
	}
	if errors.Is(err, kerr.UnexpectedError) && want != kerr.UnexpectedError {
		t.Errorf("error carries no code: %v", err)
	}
}

// Within fails the test when f does not return in time.
func Within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(Deadline):
		t.Fatalf("%s did not end within %v", what, Deadline)
	}
}

// Eventually polls a condition until Deadline.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(Deadline); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, Deadline)
		}
	}
}

// Files is the number of open file descriptors of the process; 0 where unknown.
func Files() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list)
}
