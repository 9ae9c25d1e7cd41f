package main

import (
	"os"
	"strings"
	"testing"
)

// The encoders' settings are the media worker's own: each is found in its text.
func TestSettings(t *testing.T) {
	b, err := os.ReadFile("../../internal/mediaworker/encoders.go")
	if err != nil {
		t.Fatal(err)
	}
	chains := string(b)
	whole := strings.NewReplacer("\"", " ", "+", " ").Replace(chains)
	filled := map[string]bool{"threads": true, "bitrate": true, "target-bitrate": true, "keyframe-max-dist": true, "key-int-max": true}
	for _, s := range append(scenes(), &scene{}) {
		text := s.encoder()
		if s.name == "" {
			text = voice
		}
		for _, w := range strings.Fields(text)[1:] {
			if key, _, _ := strings.Cut(w, "="); filled[key] {
				w = key + "="
			}
			if !strings.Contains(whole, " "+w) {
				t.Errorf("%s: the worker has no %s", s.name, w)
			}
		}
	}
}

func TestParseStat(t *testing.T) {
	line := "42 (a ) b) S 1 42 42 0 -1 4194304 9 8 7 6 150 50 30 20 20 0 5 0 100 1 2"
	if got, err := parseStat([]byte(line)); err != nil || got != (stat{own: 2, buried: .5}) {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := parseStat([]byte("42 (x) S 1")); err == nil {
		t.Error("a short line passes")
	}
}

// Settings are read out of both ways of writing a graph, and a difference is told.
func TestInGraph(t *testing.T) {
	for _, dot := range []string{
		"subgraph cluster_x {\n  label=\"GstVP8Enc\\nenc\\n[>]\\ntarget-bitrate=300000\\nerror-resilient=default\";\n",
		"  subgraph \"cluster_w0_x\" {\n  color=black; label=\"GstVP8Enc\\nenc\\ntarget-bitrate=300000\";\n",
	} {
		if err := inGraph(dot, "vp8enc target-bitrate=300000 error-resilient=default"); err != nil {
			t.Error(err)
		}
		if err := inGraph(dot, "vp8enc target-bitrate=1000000"); err == nil {
			t.Error("another bitrate passes")
		}
		if err := inGraph(dot, "x264enc bitrate=1"); err == nil {
			t.Error("another encoder passes")
		}
	}
}

func TestVerdict(t *testing.T) {
	one := func(cpu float64, frames int) []measurement {
		return []measurement{{seconds: 10, server: cpu, frames: frames, sampled: 100, decoded: 100}}
	}
	for _, c := range []struct {
		name         string
		ours, theirs []measurement
		says         string
	}{
		{"good", one(1.2, 300), one(1, 300), ""},
		{"dear", one(1.3, 300), one(1, 300), "ratio 1.300"},
		{"few", one(1, 250), one(1, 300), "the node sent 250 pictures of 300"},
		{"their few", one(1, 300), one(1, 250), "gst-launch-1.0 sent 250"},
		{"broken", []measurement{{seconds: 10, server: 1, frames: 300, sampled: 100, decoded: 3}}, one(1, 300), "3 decode"},
	} {
		err := verdict([]result{{&scene{name: c.name, fps: 30}, c.ours, c.theirs}}, 1.25)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestMedian(t *testing.T) {
	list := []measurement{{server: 5}, {server: 1}, {server: 3}, {server: 4}, {server: 2}}
	if got := median(list, measurement.cpu); got != 3 {
		t.Errorf("median %v", got)
	}
}

func TestApart(t *testing.T) {
	var a, b raster
	for i := range a {
		a[i] = float64(i)
		b[i] = a[i] + 3
	}
	if d := a.apart(&b); d != 3 {
		t.Errorf("apart %v", d)
	}
	b[7] = 250
	if d := b.apart(&a); d <= alike {
		t.Errorf("apart %v", d)
	}
}
