package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"net/http/httptest"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/core"
	"github.com/govidu/govidu/kms"
	kmsclient "github.com/govidu/govidu/kms/client"
)

// node is a media node with the core types, and its URL.
func node(t *testing.T) (*kms.Server, string) {
	t.Helper()
	reg, err := elements.NewRegistry(append(elements.Types(), core.Types()...)...)
	if err != nil {
		t.Fatal(err)
	}
	s, err := kms.NewServer(kms.Config{Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() { h.Close(); s.Close() })
	return s, "ws" + strings.TrimPrefix(h.URL, "http") + "/kurento"
}

func command(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(context.Background(), args, func(string) string { return "" }, &out)
	return out.String(), err
}

func TestGraph(t *testing.T) {
	s, url := node(t)
	if _, err := command(t, "graph", "--kms", url); err == nil || !strings.Contains(err.Error(), "no pipelines") {
		t.Errorf("an empty node: %v", err)
	}
	c := kmsclient.New(s.Pipe())
	defer c.Close()
	ctx := t.Context()
	var made []kmsclient.ID
	for range 2 {
		p, err := c.Create(ctx, "MediaPipeline", nil)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, p)
		var ends []kmsclient.ID
		for range 2 {
			x, err := c.Create(ctx, "PassThrough", map[string]any{"mediaPipeline": p})
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, x)
		}
		if err := c.Invoke(ctx, ends[0], "connect", map[string]any{"sink": ends[1], "mediaType": "VIDEO"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "g.svg")
	for _, args := range [][]string{
		{"graph", "--kms", url, "--no-graphviz", "-o", file},
		{"graph", "--kms", url, "--pipeline", string(made[1])[:8], "-o", file},
	} {
		if out, err := command(t, args...); err != nil || !strings.Contains(out, file) {
			t.Fatalf("%v: %s %v", args, out, err)
		}
		b, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(b, []byte("<svg")) || bytes.Count(b, []byte("PassThrough")) < 2 {
			t.Errorf("%v: %v, %.200s", args, err, b)
		}
		if whole := bytes.Contains(b, []byte(string(made[0])[:8])); whole != (len(args) == 6) {
			t.Errorf("%v: first pipeline in it: %v", args, whole)
		}
	}
	if out, err := command(t, "graph", "--kms", url, "--pipeline", string(made[0])); err != nil || !strings.Contains(out, "<svg") {
		t.Errorf("to standard output: %v", err)
	}
	if _, err := command(t, "graph", "--kms", url, "--pipeline", "nope"); err == nil {
		t.Error("an unknown pipeline was drawn")
	}
	if _, err := command(t, "graph", "--kms", "ws://127.0.0.1:1/kurento"); err == nil || !strings.Contains(err.Error(), "--kms") {
		t.Errorf("no node there: %v", err)
	}
}

func TestReplay(t *testing.T) {
	_, url := node(t)
	dir := t.TempDir()
	const files = "../../kms/replay/testdata/"
	out, err := command(t, "replay", "--kms", url, "--media", dir, "--all", files+"01-connect-ping.json", files+"08-protocol-errors.json")
	if err != nil || !strings.Contains(out, "01-connect-ping: 17 frames, 0 differences") || !strings.Contains(out, "reviewed, ") {
		t.Errorf("%v\n%s", err, out)
	}
	// This node has no WebRtcEndpoint.
	if out, err := command(t, "replay", "--kms", url, "--media", dir, files+"12-create-properties-and-small-checks.json"); err == nil || !strings.Contains(out, "40108") {
		t.Errorf("a node without the type: %v\n%s", err, out)
	}
}
