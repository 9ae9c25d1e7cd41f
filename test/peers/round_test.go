//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

// The instrument itself, with the naive server: every packet is counted once, and
// sampled viewers find the times in them.
func TestMeasure(t *testing.T) {
	o := options{srtp: "gcm", parallel: 2, settle: 100 * time.Millisecond, dir: t.TempDir()}
	l := load{name: "room", publishers: 2, viewers: 3, burst: 2, fps: 30, size: 400, measure: time.Second, sampled: 2}
	r, err := measure(t.Context(), o, l, "naive")
	if err != nil {
		t.Fatal(err)
	}
	if r.Delivered < .99 || r.Delivered > 1 || r.Packets < 3*2*50 || r.Samples == 0 || r.P50 <= 0 || r.RSSKB == 0 {
		t.Errorf("%+v", r)
	}
	l.viewers = 0
	l.measure = 3 * time.Second // reports come each second
	if r, err = measure(t.Context(), o, l, "naive"); err != nil || r.Packets < 2*50 || r.Delivered < .99 {
		t.Errorf("%+v, %v", r, err)
	}
}

// A server that does not come up is told of with what it said.
func TestServerFails(t *testing.T) {
	for name, c := range map[string]struct{ command, want string }{
		"ends at once": {"/bin/sh -c exit", "ended at once"},
		"is not there": {"/nonexistent", "no such file"},
	} {
		o := options{srtp: "gcm", dir: t.TempDir(), programs: programs{"x": strings.Fields(c.command)}}
		if _, err := measure(t.Context(), o, loads()[0], "x"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
