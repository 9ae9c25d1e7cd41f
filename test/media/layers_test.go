package media

import (
	"os"
	"strings"
	"testing"
)

// TestLayers: Chromium publishes video in layers, and sees each that it asks for.
// With GOVIDU_NETWORK it is every kind that it knows, at its rate and without a pause
// when it changes (make test-faults); else two, of which no time is judged.
func TestLayers(t *testing.T) {
	n := startNode(t)
	cases, how := strings.Fields(os.Getenv("GOVIDU_LAYERS")), "strict"
	if os.Getenv("GOVIDU_NETWORK") == "" {
		how = "brief"
		if len(cases) == 0 {
			cases = []string{"vp9-l3t3-key", "av1-l1t3"}
		}
	}
	script(t, "layers.mjs", append([]string{n.url, n.files, how}, cases...)...)
}
