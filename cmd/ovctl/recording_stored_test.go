package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMovedAway(t *testing.T) {
	for text, want := range map[string]bool{`{"schema":1,"done":true,"trimmed":true}`: true, `{"schema":1,"done":true}`: false, `{"trimmed":`: false, "": false} {
		dir := t.TempDir()
		if text != "" {
			if err := os.WriteFile(filepath.Join(dir, ".upload.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := movedAway(dir); (err != nil) != want {
			t.Errorf("state %q: %v", text, err)
		}
	}
}
