package media

import (
	"os"
	"strings"
	"testing"
)

// TestLayers: Chromium publishes video in layers of every kind that it knows, and
// sees each that it asks for, without a pause when it changes.
func TestLayers(t *testing.T) {
	n := startNode(t)
	script(t, "layers.mjs", append([]string{n.url, n.files, "6"}, strings.Fields(os.Getenv("GOVIDU_LAYERS"))...)...)
}
