package media

import "testing"

// TestRestart: Chromium restarts ICE under media, and connects by TCP alone.
func TestRestart(t *testing.T) {
	n := startNode(t)
	script(t, "restart.mjs", n.url)
}
