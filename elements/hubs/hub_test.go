package hubs_test

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/hubs"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/workerstest"
)

// flows makes fake workers whose picture and first audio ports flow at once.
func flows(ports ...string) workerstest.Script {
	s := workerstest.Script{Flows: map[string]string{}, FlowAtStart: true}
	for _, p := range ports {
		s.Flows[p], _, _ = strings.Cut(p, "/")
	}
	return s
}

// types are the family with fake workers.
func types(t testing.TB, s workerstest.Script) ([]elements.Type, *workerstest.Farm) {
	farm := workerstest.New(t, s)
	return hubs.Types(hubs.Deps{Pool: farm.Pool}), farm
}

var hubNames = []string{"Director", "Composite", "AlphaBlending", "Mixer", "Dispatcher", "DispatcherOneToMany"}

func TestHubPortContract(t *testing.T) {
	for _, hub := range hubNames {
		t.Run(hub, func(t *testing.T) {
			family, _ := types(t, flows("video", "audio/1", "audio/2"))
			elementtest.Run(t, family, elementtest.Case{Type: "HubPort", Hub: hub, Ancestors: []string{"MediaElement", "MediaObject"}})
		})
	}
}

// TestHubContract: what elements.Element types owe, for hubs, which have no media ports.
func TestHubContract(t *testing.T) {
	for _, name := range hubNames {
		t.Run(name, func(t *testing.T) {
			family, _ := types(t, flows("video"))
			w := elementtest.New(t, family...)
			class, ok := w.Registry.Lookup("kurento." + name)
			if !ok {
				t.Fatal("not registered")
			}
			if want := []string{"kurento.Hub", "kurento.MediaObject"}; !slices.Equal(class.Hierarchy(), want) {
				t.Errorf("hierarchy %v, want %v", class.Hierarchy(), want)
			}
			_, err := w.TryCreate(name, map[string]any{"mediaPipeline": map[string]any{"not": "a scalar"}})
			elementtest.Code(t, err, kerr.MarshallError, "'mediaPipeline' parameter should be a")
			_, err = w.TryCreate(name, map[string]any{"mediaPipeline": "nope"})
			elementtest.Code(t, err, kerr.MediaObjectNotFound, "Object 'nope' not found")

			hub := w.Create(name, nil)
			_, err = w.Invoke(hub, "noSuchOperation", map[string]any{"a": 1})
			elementtest.Code(t, err, kerr.MalformedTransaction, "Method 'noSuchOperation' with 1 parameters not found")
			if !class.HasEvent("Error") || class.HasEvent("NoSuchEvent") {
				t.Errorf("events: %v", class.EventNames())
			}
			port := w.Create("HubPort", map[string]any{"hub": hub})
			if got := w.Call(port, "getParent", nil); got != hub.ID() {
				t.Errorf("parent of the port is %v", got)
			}
			if got := w.Call(hub, "getChildren", nil).([]any); len(got) != 1 || got[0] != port.ID() {
				t.Errorf("children of the hub are %v", got)
			}
			if got := w.Call(port, "getMediaPipeline", nil); got != w.Pipeline.ID() {
				t.Errorf("pipeline of the port is %v", got)
			}
			for _, op := range class.Operations() {
				if strings.HasPrefix(op, "get") {
					if _, err := w.Invoke(hub, op, nil); err != nil {
						if _, known := kerr.Of(err); !known {
							t.Errorf("%s: %v carries no code", op, err)
						}
					}
				}
			}
			if dot := w.Call(hub, "getGstreamerDot", nil).(string); !strings.HasPrefix(dot, "digraph ") {
				t.Errorf("graph of the hub is %q", dot)
			}
			t.Setenv("GST_DEBUG_DUMP_DOT_DIR", t.TempDir())
			w.Call(hub, "dumpGstreamerDot", map[string]any{"details": "SHOW_ALL"})

			source := w.Element("TestSource", nil)
			w.Call(source, "connect", map[string]any{"sink": port})
			w.Release(hub)
			if got := w.WaitEvents(source, "ElementDisconnected", 3); len(got) != 3 {
				t.Errorf("%d ElementDisconnected events when the hub went, want 3", len(got))
			}
			w.Release(port) // closed already
			_, err = w.Invoke(source, "connect", map[string]any{"sink": port})
			elementtest.Code(t, err, kerr.MediaObjectNotFound, "not found")
			_, err = w.TryCreate("HubPort", map[string]any{"hub": hub})
			elementtest.Code(t, err, kerr.MediaObjectNotFound, "not found")
		})
	}
}

// TestHubReleaseHundred: with ports, connected; nothing is left.
func TestHubReleaseHundred(t *testing.T) {
	for _, name := range hubNames {
		t.Run(name, func(t *testing.T) {
			family, farm := types(t, flows("video", "audio/1", "audio/2"))
			w := elementtest.New(t, family...)
			source, sink := w.Element("TestSource", nil), w.Element("TestSink", nil)
			once := func() {
				hub := w.Create(name, nil)
				a := w.Create("HubPort", map[string]any{"hub": hub})
				b := w.Create("HubPort", map[string]any{"hub": hub})
				w.Call(source, "connect", map[string]any{"sink": a})
				w.Call(b, "connect", map[string]any{"sink": sink})
				w.Release(a)
				w.Release(hub)
				w.Release(b)
			}
			once()
			graph := len(w.Pipeline.Graph().Elements())
			goroutines, files := runtime.NumGoroutine(), elementtest.Files()
			for range 100 {
				once()
			}
			elementtest.Eventually(t, "goroutines and files return", func() bool {
				// A warm worker more or less is none of ours.
				return runtime.NumGoroutine() <= goroutines+10 && elementtest.Files() <= files+8
			})
			if n := len(w.Pipeline.Graph().Elements()); n != graph {
				t.Errorf("%d elements left in the graph", n-graph)
			}
			for _, x := range farm.Workers() {
				if !x.Dead() {
					t.Error("a worker outlives its hub")
				}
			}
		})
	}
}

// TestHubReleaseDuringCalls: neither hangs nor panics.
func TestHubReleaseDuringCalls(t *testing.T) {
	for _, name := range hubNames {
		t.Run(name, func(t *testing.T) {
			family, _ := types(t, flows("video", "audio/1", "audio/2"))
			w := elementtest.New(t, family...)
			for range 10 {
				hub := w.Create(name, nil)
				a := w.Create("HubPort", map[string]any{"hub": hub})
				b := w.Create("HubPort", map[string]any{"hub": hub})
				source := w.Element("TestSource", nil)
				var wg sync.WaitGroup
				for i := range 4 {
					wg.Go(func() {
						for range 10 {
							w.Invoke(hub, "connect", map[string]any{"source": a, "sink": b, "media": "AUDIO"})
							w.Invoke(hub, "disconnect", map[string]any{"source": a, "sink": b, "media": "AUDIO"})
							w.Invoke(hub, "setSource", map[string]any{"source": a})
							w.Invoke(hub, "removeSource", nil)
							w.Invoke(hub, "setMaster", map[string]any{"source": a, "zOrder": i})
							w.Invoke(source, "connect", map[string]any{"sink": a})
							w.Invoke(a, "connect", map[string]any{"sink": b})
							w.Invoke(a, "getStats", nil)
							w.TryCreate("HubPort", map[string]any{"hub": hub})
						}
					})
				}
				if err := hub.Close(); err != nil {
					t.Error(err)
				}
				elementtest.Within(t, "calls on a released hub", wg.Wait)
				w.Release(source)
			}
		})
	}
}

// TestWithoutWorker: what forwards can be made, what mixes says why not.
func TestWithoutWorker(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	pool := workers.NewPool(workers.Config{Binary: "/nowhere/mediaworker"})
	t.Cleanup(func() { pool.Close() })
	for name, d := range map[string]hubs.Deps{"no pool": {}, "no binary": {Pool: pool}} {
		t.Run(name, func(t *testing.T) {
			w := elementtest.New(t, hubs.Types(d)...)
			for _, typ := range []string{"Composite", "AlphaBlending", "Director"} {
				_, err := w.TryCreate(typ, nil)
				elementtest.Code(t, err, kerr.MediaObjectNotAvailable, "orker")
			}
			for _, typ := range []string{"Dispatcher", "DispatcherOneToMany"} {
				w.Create("HubPort", map[string]any{"hub": w.Create(typ, nil)})
			}
			mixer := w.Create("Mixer", nil)
			var ports []elements.Object
			for range 3 {
				ports = append(ports, w.Create("HubPort", map[string]any{"hub": mixer}))
			}
			w.Call(mixer, "connect", map[string]any{"media": "AUDIO", "source": ports[0], "sink": ports[2]})
			_, err := w.Invoke(mixer, "connect", map[string]any{"media": "AUDIO", "source": ports[1], "sink": ports[2]})
			elementtest.Code(t, err, kerr.MediaObjectNotAvailable, "orker")
		})
	}
}

// TestBudget: a machine that is full refuses another composite.
func TestBudget(t *testing.T) {
	farm := workerstest.New(t, workerstest.Script{}, func(c *workers.Config) { c.Cores = 0.5 })
	w := elementtest.New(t, hubs.Types(hubs.Deps{Pool: farm.Pool})...)
	w.Create("Composite", nil)
	_, err := w.TryCreate("Composite", nil)
	elementtest.Code(t, err, kerr.NotEnoughResources, "Not enough processor time")
}

func TestHubPortNeedsHub(t *testing.T) {
	family, _ := types(t, workerstest.Script{})
	w := elementtest.New(t, family...)
	if _, err := w.TryCreate("HubPort", map[string]any{"hub": w.Pipeline}); err == nil {
		t.Error("a port of a pipeline")
	}
	// A hub is no element that could be connected to.
	hub := w.Create("Dispatcher", nil)
	source := w.Element("TestSource", nil)
	if _, err := w.Invoke(source, "connect", map[string]any{"sink": hub}); err == nil {
		t.Error("connected to a hub")
	}
}
