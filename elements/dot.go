package elements

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/dot"
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

// DotContributor is an object with a graph of its own behind it, such as a
// worker's GStreamer pipeline: Dot gives it as one whole Graphviz graph. It is
// asked with a deadline, and may come from another process.
type DotContributor interface {
	Dot(ctx context.Context) (string, error)
}

// contributor finds the graph behind an object, under any of the names that
// families have for it; nil when there is none.
func contributor(obj Object) func(ctx context.Context) (string, error) {
	switch x := obj.(type) {
	case DotContributor:
		return x.Dot
	case interface {
		WorkerDot(ctx context.Context) (string, error)
	}:
		return x.WorkerDot
	case interface{ Dot() string }:
		return func(context.Context) (string, error) { return x.Dot(), nil }
	}
	return nil
}

// ours marks drawings of this file, which need not stand inside another.
const ours = "  comment=\"elements\";\n"

// dotTime bounds the wait for one contributor, dotBytes what is taken of it.
const (
	dotTime  = 2 * time.Second
	dotBytes = 4 << 20
)

func (p *MediaPipeline) getGstreamerDot(ctx context.Context, _ DotParams) (string, error) {
	return p.dot(ctx), nil
}

func (p *MediaPipeline) dumpGstreamerDot(ctx context.Context, _ DotParams) (None, error) {
	return None{}, dumpDot(p.ID(), p.dot(ctx))
}

// dot draws the whole pipeline. Hubs are no elements, but have graphs of their own.
func (p *MediaPipeline) dot(ctx context.Context) string {
	var hubs []Object
	for _, c := range p.Children() {
		if _, element := c.(Element); !element {
			hubs = append(hubs, c)
		}
	}
	return draw(ctx, p.ID(), p.Graph().Elements(), hubs)
}

func (e *MediaElement) getGstreamerDot(ctx context.Context, _ DotParams) (string, error) {
	return draw(ctx, e.ID(), []pipeline.Element{e.whole()}, nil), nil
}

func (e *MediaElement) dumpGstreamerDot(ctx context.Context, _ DotParams) (None, error) {
	return None{}, dumpDot(e.ID(), draw(ctx, e.ID(), []pipeline.Element{e.whole()}, nil))
}

// whole is the element that embeds this base.
func (e *MediaElement) whole() pipeline.Element {
	if el, ok := e.Self().(pipeline.Element); ok {
		return el
	}
	return e
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

// Dot draws elements, their ports, the conversions inside them and what they are
// connected to as a Graphviz digraph. Graphs of DotContributors are clusters in
// it. Neighbours that are not in the list appear as plain boxes.
func Dot(title string, list []pipeline.Element) string {
	return draw(context.Background(), title, list, nil)
}

func draw(ctx context.Context, title string, list []pipeline.Element, hubs []Object) string {
	d := &drawing{index: map[*MediaElement]int{}, outside: map[*MediaElement]string{}, stages: map[*pipeline.Output]string{}, seen: map[*connection]bool{}}
	for _, x := range list {
		if el, ok := x.(Element); ok {
			d.index[el.Base()] = len(d.bases)
			d.bases = append(d.bases, el.Base())
		}
	}
	for _, e := range d.bases {
		for _, c := range append(e.connections(true), e.connections(false)...) {
			d.connect(c)
		}
	}
	b := &d.out
	fmt.Fprintf(b, "digraph pipeline {\n"+ours+"  rankdir=LR;\n  fontname=\"sans\";\n  nodesep=.15;\n  ranksep=.5;\n  label=%s;\n  node [shape=box, style=\"filled,rounded\", fontname=\"sans\", fontsize=\"9\", fillcolor=\"#ffffff\"];\n  edge [fontname=\"monospace\", fontsize=\"9\"];\n", dot.Quote(title))
	for i, e := range d.bases {
		d.element(ctx, i, e)
	}
	for i, h := range hubs {
		d.hub(ctx, i, h)
	}
	b.WriteString(d.neighbours.String())
	b.WriteString(d.edges.String())
	b.WriteString("}\n")
	return b.String()
}

// drawing is one graph being written.
type drawing struct {
	bases   []*MediaElement
	index   map[*MediaElement]int // of those drawn whole
	outside map[*MediaElement]string
	stages  map[*pipeline.Output]string // conversions by their results
	inside  map[int]*strings.Builder    // what stands in an element's cluster
	seen    map[*connection]bool

	out, neighbours, edges strings.Builder
}

// colours of ports and conversions.
const (
	inColour    = "#bfd8ff"
	outColour   = "#ffd2bf"
	stageColour = "#d9f2d0"
)

// node is the name of an element's port; of an element that is not drawn, of it all.
func (d *drawing) node(e *MediaElement, side string, k pipeline.Kind) string {
	if i, ok := d.index[e]; ok {
		return fmt.Sprintf("n%d_%s_%s", i, side, k)
	}
	name, ok := d.outside[e]
	if !ok {
		name = fmt.Sprintf("x%d", len(d.outside))
		d.outside[e] = name
		fmt.Fprintf(&d.neighbours, "  %s [label=%s, tooltip=%s, style=\"filled,rounded,dashed\"];\n", name, dot.Quote(e.title()), dot.Quote(e.ID()))
	}
	return name
}

// title is the class and the last part of the id.
func (e *MediaElement) title() string {
	name := "MediaElement"
	if c := e.Class(); c != nil {
		name = c.Name()
	}
	return name + "\n" + shortID(e.ID())
}

// shortID is an object's own UUID: the parents before it and the class behind it
// are in the drawing anyway.
func shortID(id string) string {
	id, _, _ = strings.Cut(id[strings.LastIndexByte(id, '/')+1:], "_kurento.")
	return id
}

// connect draws one connection: through the conversions on its way, or dashed
// while it waits for a port.
func (d *drawing) connect(c *connection) {
	if d.seen[c] {
		return
	}
	d.seen[c] = true
	c.sink.connectMu.Lock()
	link := c.link
	c.sink.connectMu.Unlock()
	from, to := d.node(c.source, "out", c.kind), d.node(c.sink, "in", c.kind)
	if link == nil {
		fmt.Fprintf(&d.edges, "  %s -> %s [label=%q, style=dashed];\n", from, to, c.kind)
		return
	}
	text := c.kind.String()
	for _, o := range link.Stages()[1:] {
		name, known := d.stages[o]
		if !known {
			name = fmt.Sprintf("c%d", len(d.stages))
			d.stages[o] = name
			d.stage(c.source, name, o)
			fmt.Fprintf(&d.edges, "  %s -> %s;\n", from, name)
		}
		from = name
	}
	if link.Spliced() {
		text += " spliced"
	}
	fmt.Fprintf(&d.edges, "  %s -> %s [label=%q, style=solid];\n", from, to, text)
}

// stage draws one conversion inside its source.
func (d *drawing) stage(source *MediaElement, name string, o *pipeline.Output) {
	packets, bytes := o.Counters()
	label := "conversion"
	if f := o.Format(); f != nil {
		label = describeFormat(f)
	}
	at := &d.neighbours
	if i, ok := d.index[source]; ok {
		if d.inside == nil {
			d.inside = map[int]*strings.Builder{}
		}
		if d.inside[i] == nil {
			d.inside[i] = &strings.Builder{}
		}
		at = d.inside[i]
	}
	fmt.Fprintf(at, "    %s [label=%s, fillcolor=%q];\n", name, dot.Quote(fmt.Sprintf("to %s\n%d packets, %d bytes", label, packets, bytes)), stageColour)
}

func describeFormat(f *pipeline.Format) string {
	framing := map[pipeline.Framing]string{pipeline.RTP: "RTP", pipeline.Unit: "frames", pipeline.Raw: "raw"}[f.Framing]
	text := strings.TrimSpace(framing + " " + string(f.Codec))
	if f.ClockRate > 0 {
		text += fmt.Sprintf(" %d Hz", f.ClockRate)
	}
	if f.Width > 0 && f.Height > 0 {
		text += fmt.Sprintf(" %d×%d", f.Width, f.Height)
	}
	return text
}

// element draws one element's cluster.
func (d *drawing) element(ctx context.Context, i int, e *MediaElement) {
	b := &d.out
	fmt.Fprintf(b, "  subgraph cluster_%d {\n    label=%s;\n    tooltip=%s;\n    style=\"rounded\";\n    fontname=\"sans\";\n    fontsize=\"10\";\n", i, dot.Quote(e.title()), dot.Quote(e.ID()))
	for _, k := range allKinds {
		for _, out := range []bool{false, true} {
			d.port(i, e, k, out)
		}
		// Inputs stand left of outputs.
		fmt.Fprintf(b, "    n%d_in_%s -> n%d_out_%s [style=invis];\n", i, k, i, k)
	}
	if inside := d.inside[i]; inside != nil {
		b.WriteString(inside.String())
	}
	if graph := contributor(e.Self()); graph != nil {
		d.contribution(ctx, fmt.Sprintf("w%d", i), graph)
	}
	b.WriteString("  }\n")
}

// hub draws what is behind a hub; its ports are elements and drawn as such.
func (d *drawing) hub(ctx context.Context, i int, h Object) {
	n, ok := h.(Node)
	if !ok || n.Media().Class() == nil {
		return
	}
	class := n.Media().Class()
	graph := contributor(h)
	if graph == nil && class.HasOperation("getGstreamerDot") {
		graph = func(ctx context.Context) (string, error) {
			text, err := class.Invoke(ctx, h, "getGstreamerDot", nil, nil)
			s, _ := text.(string)
			return s, err
		}
	}
	fmt.Fprintf(&d.out, "  subgraph cluster_h%d {\n    label=%s;\n    style=\"rounded\";\n    h%d [label=%s, fillcolor=%q];\n",
		i, dot.Quote(class.Name()+"\n"+shortID(h.ID())), i, dot.Quote(class.Name()), stageColour)
	if graph != nil {
		d.contribution(ctx, fmt.Sprintf("v%d", i), graph)
	}
	d.out.WriteString("  }\n")
}

func (d *drawing) port(i int, e *MediaElement, k pipeline.Kind, out bool) {
	side, colour := "in", inColour
	if out {
		side, colour = "out", outColour
	}
	text, style := fmt.Sprintf("%s %s", side, k), "filled,rounded,dashed"
	if p := e.port(k, "", out); p != nil {
		style = "filled,rounded"
		if p.counter != nil {
			n, bytes := p.counter.Counters()
			text += fmt.Sprintf("\n%d packets, %d bytes", n, bytes)
		}
		if p.out != nil && p.out.Format() != nil {
			text += "\n" + describeFormat(p.out.Format())
		}
	}
	fmt.Fprintf(&d.out, "    n%d_%s_%s [label=%s, style=%q, fillcolor=%q];\n", i, side, k, dot.Quote(text), style, colour)
}

// contribution puts the graph behind an element into its cluster. A graph that
// does not come, or is none, is a note.
func (d *drawing) contribution(ctx context.Context, prefix string, graph func(context.Context) (string, error)) {
	ctx, cancel := context.WithTimeout(ctx, dotTime)
	defer cancel()
	text, err := graph(ctx)
	if err == nil && len(text) > dotBytes {
		err = fmt.Errorf("graph of %d bytes is too large", len(text))
	}
	if err == nil && (text == "" || strings.Contains(text, ours)) {
		return
	}
	var graphs []string
	if err == nil {
		graphs, err = dot.Split(text)
	}
	for i, one := range graphs {
		if g, parseErr := dot.Parse(one); parseErr == nil && len(graphs) > 1 && len(g.Sub) == 0 && len(g.Edges) == 0 {
			continue // a pipeline without elements, beside one that has some
		}
		var body string
		if body, err = dot.Embed(one, fmt.Sprintf("%s_%d", prefix, i), "media worker"); err != nil {
			break
		}
		d.out.WriteString(body)
	}
	if err != nil {
		fmt.Fprintf(&d.out, "    %s_note [label=%s, style=dashed];\n", prefix, dot.Quote("media worker: "+err.Error()))
	}
}
