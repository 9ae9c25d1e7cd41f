//go:build gst

package uri_test

import (
	"testing"
	"time"
)

// still fails when n changes within d.
func still(t testing.TB, what string, d time.Duration, n func() int) {
	t.Helper()
	before := n()
	tick := time.NewTicker(d / 10)
	defer tick.Stop()
	for range 10 {
		<-tick.C
		if now := n(); now != before {
			t.Errorf("%s: %d, then %d", what, before, now)
			return
		}
	}
}
