package elements_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/dot"
)

// drawn is an element with a graph behind it.
type drawn struct {
	elements.MediaElement
	text string
	err  error
}

func (d *drawn) Dot(context.Context) (string, error) { return d.text, d.err }

// TestDotOfContributors: the graph behind an element is a cluster in ours, what is
// none or does not come is a note, and the whole parses.
func TestDotOfContributors(t *testing.T) {
	inner := "digraph pipeline {\n  label=\"<GstPipeline>\";\n  subgraph cluster_decoder0 { sink_0x1 [label=\"sink\"]; }\n  src_0x2 -> sink_0x1;\n}\n"
	for _, c := range []struct {
		text, want string
		err        error
	}{
		{inner, "cluster_w0_0_decoder0", nil},
		{inner + inner, "cluster_w0_1_decoder0", nil},
		{"no graph", "media worker: it does not begin", nil},
		{"", "cluster_0", nil},
		{"", "worker gone", errors.New("worker gone")},
	} {
		build := func(ctx context.Context, env elements.Env, _ struct {
			MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
		}) (*drawn, error) {
			d := &drawn{text: c.text, err: c.err}
			d.Init(env)
			return d, nil
		}
		w := elementtest.New(t, elements.Type{Name: "Drawn", Extends: "MediaElement", Module: "test", New: elements.New(build)})
		x := w.Create("Drawn", map[string]any{"mediaPipeline": w.Pipeline.ID()})
		for _, obj := range []elements.Object{x, w.Pipeline} {
			text := w.Call(obj, "getGstreamerDot", nil).(string)
			if _, err := dot.Parse(text); err != nil {
				t.Errorf("%v in\n%s", err, text)
			}
			if !strings.Contains(text, c.want) {
				t.Errorf("%q is missing in\n%s", c.want, text)
			}
		}
	}
}
