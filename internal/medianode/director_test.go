package medianode

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/workerstest"
	"github.com/govidu/govidu/kms/kmstest"
)

// TestDirectorOverRPC: a Director, its ports and its views in the tree of objects
// of a whole node: made by id, laid out by JSON, and gone with their parent.
func TestDirectorOverRPC(t *testing.T) {
	farm := workerstest.NewFarm(workerstest.Script{})
	n, err := New(Config{Loopback: true, FileRoots: []string{t.TempDir()}, STUNPort: -1, Open: true, Path: "/kurento",
		Log: slog.New(slog.DiscardHandler), Workers: workers.Config{Spawn: farm.Spawn, Cores: 8}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	p := kmstest.NewPeer(t, n.Server.Pipe())
	asked := 0
	ask := func(method string, params map[string]any) (any, int, string) {
		asked++
		return p.Ask(asked, method, params)
	}
	must := func(method string, params map[string]any) any {
		t.Helper()
		v, code, text := ask(method, params)
		if code != 0 {
			t.Fatalf("%s %v: %d %s", method, params, code, text)
		}
		return v
	}
	create := func(typ string, params map[string]any) string {
		t.Helper()
		return must("create", map[string]any{"type": typ, "constructorParams": params}).(string)
	}
	invoke := func(object, op string, params map[string]any) map[string]any {
		return map[string]any{"object": object, "operation": op, "operationParams": params}
	}
	pipeline := create("MediaPipeline", map[string]any{})
	director := create("Director", map[string]any{"mediaPipeline": pipeline})
	port := create("HubPort", map[string]any{"hub": director})
	view := create("View", map[string]any{"director": director, "layout": map[string]any{"layout": "CUSTOM", "rest": map[string]any{"x": 0, "y": 0, "width": 0.5, "height": 1}}})
	source := create("PassThrough", map[string]any{"mediaPipeline": pipeline})
	must("invoke", invoke(source, "connect", map[string]any{"sink": port}))
	must("invoke", invoke(director, "describePort", map[string]any{"port": port, "source": map[string]any{"streamId": "s", "name": "Ada"}}))
	farm.Wait(t, "the tile", func() bool {
		tiles := must("invoke", invoke(view, "getTiles", nil)).([]any)
		return len(tiles) == 1 && tiles[0].(map[string]any)["name"] == "Ada" && tiles[0].(map[string]any)["avatar"] == true
	})
	if got := must("invoke", invoke(view, "getLayout", nil)).(map[string]any); got["layout"] != "CUSTOM" || got["__type__"] != nil {
		t.Errorf("layout %v", got)
	}
	if _, code, text := ask("invoke", invoke(view, "setLayout", map[string]any{"layout": map[string]any{"lay": 1}})); code != 40001 || !strings.Contains(text, `unknown field "lay"`) {
		t.Errorf("a misspelt layout: %d %s", code, text)
	}
	if got := must("invoke", invoke(director, "getChildren", nil)).([]any); !slices.Equal(got, []any{port, view}) {
		t.Errorf("children %v", got)
	}
	if got := must("invoke", invoke(view, "getParent", nil)); got != director {
		t.Errorf("parent %v", got)
	}
	w := farm.Worker(t, 0)
	must("release", map[string]any{"object": director})
	for _, id := range []string{director, port, view} {
		if _, code, _ := ask("invoke", invoke(id, "getName", nil)); code != 40101 {
			t.Errorf("%s lives on: %d", id, code)
		}
	}
	farm.Wait(t, "the worker to end", w.Dead)
}
