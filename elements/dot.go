package elements

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// GstreamerDotDetails is how much a graph drawing tells; every level draws the
// same here.
type GstreamerDotDetails string

// Values implements the enumeration.
func (GstreamerDotDetails) Values() []string {
	return []string{"SHOW_MEDIA_TYPE", "SHOW_CAPS_DETAILS", "SHOW_NON_DEFAULT_PARAMS", "SHOW_STATES",
		"SHOW_FULL_PARAMS", "SHOW_ALL", "SHOW_VERBOSE"}
}

// DotParams are those of getGstreamerDot and dumpGstreamerDot.
type DotParams struct {
	Details GstreamerDotDetails `json:"details" default:"SHOW_VERBOSE"`
}

func (p *MediaPipeline) getGstreamerDot(_ context.Context, _ DotParams) (string, error) {
	return Dot(p.ID(), p.Graph().Elements()), nil
}

func (p *MediaPipeline) dumpGstreamerDot(_ context.Context, _ DotParams) (None, error) {
	return None{}, dumpDot(p.ID(), Dot(p.ID(), p.Graph().Elements()))
}

func (e *MediaElement) getGstreamerDot(_ context.Context, _ DotParams) (string, error) {
	return Dot(e.ID(), []pipeline.Element{e}), nil
}

func (e *MediaElement) dumpGstreamerDot(_ context.Context, _ DotParams) (None, error) {
	return None{}, dumpDot(e.ID(), Dot(e.ID(), []pipeline.Element{e}))
}

// dumpDot writes where GST_DEBUG_DUMP_DOT_DIR says; without it nothing is
// written, as with the original.
func dumpDot(id, text string) error {
	dir := os.Getenv("GST_DEBUG_DUMP_DOT_DIR")
	if dir == "" {
		return nil
	}
	name := strings.ReplaceAll(id, "/", "_") + ".dot"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		return fmt.Errorf("dump graph of %s: %w", id, kerr.UnexpectedError)
	}
	return nil
}

// Dot draws elements, their ports and what they are connected to as a Graphviz
// digraph. Neighbours that are not in the list appear as plain boxes.
func Dot(title string, list []pipeline.Element) string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph pipeline {\n  rankdir=LR;\n  fontname=\"sans\";\n  label=%q;\n  node [shape=box, style=\"filled,rounded\", fontname=\"sans\", fontsize=\"9\"];\n", title)
	drawn := map[*MediaElement]string{}
	var bases []*MediaElement
	for _, x := range list {
		if el, ok := x.(Element); ok {
			drawn[el.Base()] = fmt.Sprintf("n%d", len(bases))
			bases = append(bases, el.Base())
		}
	}
	for i, e := range bases {
		e.draw(&b, i)
	}
	outside := map[*MediaElement]string{}
	node := func(e *MediaElement, port string) string {
		if n, ok := drawn[e]; ok {
			return n + "_" + port
		}
		n, ok := outside[e]
		if !ok {
			n = fmt.Sprintf("x%d", len(outside))
			outside[e] = n
			fmt.Fprintf(&b, "  %s [label=%q];\n", n, e.ID())
		}
		return n
	}
	var seen []*connection
	for _, e := range bases {
		for _, c := range append(e.connections(true), e.connections(false)...) {
			if slices.Contains(seen, c) {
				continue
			}
			seen = append(seen, c)
			style := "dashed" // connected, waiting for a port
			c.sink.connectMu.Lock()
			if c.link != nil {
				style = "solid"
			}
			c.sink.connectMu.Unlock()
			fmt.Fprintf(&b, "  %s -> %s [label=%q, style=%s];\n", node(c.source, "out_"+c.kind.String()), node(c.sink, "in_"+c.kind.String()), c.kind, style)
		}
	}
	b.WriteString("}\n")
	return b.String()
}

func (e *MediaElement) draw(b *strings.Builder, i int) {
	name := "MediaElement"
	if c := e.Class(); c != nil {
		name = c.Name()
	}
	fmt.Fprintf(b, "  subgraph cluster_%d {\n    label=%q;\n", i, name+"\n"+e.ID())
	for _, k := range allKinds {
		for _, out := range []bool{false, true} {
			p := e.port(k, "", out)
			side, color := "in", "#aaaaff"
			if out {
				side, color = "out", "#ffaaaa"
			}
			text, style := fmt.Sprintf("%s %s", side, k), "dashed"
			if p != nil {
				style = "\"filled,rounded\""
				if p.counter != nil {
					n, bytes := p.counter.Counters()
					text += fmt.Sprintf("\n%d packets, %d bytes", n, bytes)
				}
				if p.out != nil && p.out.Format() != nil {
					f := p.out.Format()
					text += fmt.Sprintf("\n%s %d Hz", f.Codec, f.ClockRate)
				}
			}
			fmt.Fprintf(b, "    n%d_%s_%s [label=%q, style=%s, fillcolor=%q];\n", i, side, k, text, style, color)
		}
	}
	b.WriteString("  }\n")
}
