package main

import (
	"strings"
	"testing"
	"time"
)

// TestOverload: at its limit of processor time, here one that any process is above,
// the server takes no new session, says so and counts it; it stays well otherwise.
func TestOverload(t *testing.T) {
	r := begin(t, "--cpu-limit=0.000001")
	deadline := time.Now().Add(30 * time.Second)
	for {
		status, body := r.call("POST", "/openvidu/api/sessions", "{}")
		if status == 503 && strings.Contains(body, "processors are busy") {
			break
		}
		if status != 200 || time.Now().After(deadline) {
			t.Fatalf("session: %d %s", status, body)
		}
		time.Sleep(50 * time.Millisecond)
	}
	_, metrics := r.call("GET", "/metrics", "")
	for _, line := range []string{"govidu_overloaded 1\n", `govidu_refused_total{what="request"} 1` + "\n", `govidu_refused_total{what="participant"} 0` + "\n", "govidu_cpu_ratio "} {
		if !strings.Contains(metrics, line) {
			t.Errorf("metrics lack %q", line)
		}
	}
	if status, body := r.call("GET", "/openvidu/api/sessions", ""); status != 200 {
		t.Errorf("list of sessions: %d %s", status, body)
	}
	r.signal()
	r.end()
}
