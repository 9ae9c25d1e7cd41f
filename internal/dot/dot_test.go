package dot

import (
	"encoding/xml"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const sample = `digraph pipeline {
  rankdir=LR; label="<GstPipeline>\npipeline0";
  node [style="filled,rounded", shape=box];
  legend [ pos="0,0!", label="Legend\lElement-States: [~] void\l" ];
  subgraph cluster_src_0x1 {
    label="Src\nsrc0";
    subgraph cluster_src_0x1_src { label=""; style="invis";
      src_0x1_src [color=black, label="src\n[>]", height="0.2"];
    }
  }
  // a remark
  src_0x1_src -> sink_0x2 [label="video/x-raw", style=dashed]
  "odd id" -> sink_0x2:p:n;
  a -> b -> src_0x1_src
}
`

func TestParse(t *testing.T) {
	g, err := Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	if g.Name != "pipeline" || len(g.Sub) != 1 || len(g.Sub[0].Sub) != 1 || len(g.Edges) != 4 || g.Attrs["rankdir"] != "LR" {
		t.Fatalf("%+v", g)
	}
	inner := g.Sub[0].Sub[0]
	if len(inner.Nodes) != 1 || inner.Nodes[0].ID != "src_0x1_src" || inner.Nodes[0].Attrs["shape"] != "box" || inner.Attrs["style"] != "invis" {
		t.Errorf("%+v", inner)
	}
	for _, bad := range []string{"", "x", "digraph {", "digraph { a -> }", "digraph { a [b=] }", "digraph { } }", `digraph { "a }`, "digraph { [] }", "digraph { a = }",
		"digraph " + strings.Repeat("{", 100), "digraph { <a }", "digraph { /* }", "digraph { \x01 }"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// TestEmbed: two copies of one graph stand beside each other, and nothing of the
// copies is shared.
func TestEmbed(t *testing.T) {
	one, err := Embed(sample, "w0", `job "one"`)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Embed(sample, "w1", "two")
	if err != nil {
		t.Fatal(err)
	}
	whole := "digraph all {\n" + one + two + "}\n"
	g, err := Parse(whole)
	if err != nil {
		t.Fatalf("%v in\n%s", err, whole)
	}
	if len(g.Sub) != 2 || len(g.Edges) != 8 || g.Sub[0].Attrs["label"] != `job "one"` || g.Sub[0].Sub[0].Name != "cluster_w0_src_0x1" {
		t.Errorf("%+v", g.Sub[0])
	}
	ids := map[string]bool{}
	for _, e := range g.Edges[:4] {
		ids[e.From], ids[e.To] = true, true
	}
	for _, e := range g.Edges[4:] {
		if ids[e.From] || ids[e.To] {
			t.Errorf("the copies share %s or %s", e.From, e.To)
		}
	}
	if path, err := exec.LookPath("dot"); err == nil {
		cmd := exec.Command(path, "-Tsvg")
		cmd.Stdin, cmd.Stdout = strings.NewReader(whole), io.Discard
		var errs strings.Builder
		cmd.Stderr = &errs
		if err := cmd.Run(); err != nil || strings.Contains(errs.String(), "syntax error") {
			t.Errorf("graphviz: %v %s", err, errs.String())
		}
	}
	if _, err := Embed("not a graph", "w", ""); err == nil {
		t.Error("a text that is no graph was embedded")
	}
}

// TestSVG: well-formed, every label in it, nothing outside the picture.
func TestSVG(t *testing.T) {
	g, err := Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	picture := string(SVG(g))
	d := xml.NewDecoder(strings.NewReader(picture))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, picture)
		}
	}
	for _, want := range []string{"<svg ", "Src", "src0", "video/x-raw", "odd id", "pipeline0"} {
		if !strings.Contains(picture, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add("digraph { a -> a; subgraph cluster_x { a } }")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := Parse(text)
		if err != nil {
			return
		}
		SVG(g)
		body, err := Embed(text, "p", "l")
		if err != nil {
			t.Fatalf("parsed, but not embedded: %v", err)
		}
		if _, err := Parse("digraph {" + body + "}"); err != nil {
			t.Fatalf("the embedded form does not parse: %v\n%s", err, body)
		}
	})
}
