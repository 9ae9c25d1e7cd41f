package medianode

import (
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/elements")

// TestManualIsCurrent keeps docs/elements equal to the registry of a whole node.
func TestManualIsCurrent(t *testing.T) {
	const dir = "../../docs/elements"
	n, err := New(Config{Loopback: true, FileRoots: []string{t.TempDir()}, STUNPort: -1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	pages := n.Server.Registry().Manual()
	if *update {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range pages {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, text := range pages {
		if have, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(have) != text {
			t.Errorf("docs/elements/%s does not match the registry (%v): run `make docs`", name, err)
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, ok := pages[filepath.Base(f)]; !ok {
			t.Errorf("%s is about no type", f)
			if *update {
				os.Remove(f)
			}
		}
	}
}
