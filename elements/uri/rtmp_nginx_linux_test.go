//go:build !gst

package uri_test

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/internal/rtmp/rtmptest"
)

// decodes counts the pictures that ffmpeg decodes of an address, at most for a
// length of media; an error of a decoder fails the test.
func decodes(t *testing.T, address string, length time.Duration) (pictures int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-nostdin", "-i", address, "-t", fmt.Sprint(length.Seconds()),
		"-map", "0:v:0", "-map", "0:a:0", "-f", "framecrc", "-")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || said.Len() > 0 {
		t.Fatalf("ffmpeg of %s: %v\n%.2000s", address, err, said.String())
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "0,") {
			pictures++
		}
	}
	return pictures
}

// A real server: published, killed, frozen and refusing, and each time published
// again; what it keeps of each connection plays from the first picture.
func TestRTMPNginx(t *testing.T) {
	t.Parallel()
	server := rtmptest.Start(t)
	w, _, e := newBroadcast(t, server.URL("live", "s3cr3t"), 20_000)
	gone := func(word string) {
		t.Helper()
		begun := time.Now()
		reason := lost(w, e, len(reasons(w, e)), word)
		t.Logf("seen after %v: %s", time.Since(begun).Round(time.Millisecond), reason)
	}
	back := func(run int, since time.Time) {
		t.Helper()
		_, at := server.Await(run, 1)
		t.Logf("the stream is back after %v", at.Sub(since).Round(time.Millisecond))
		server.Await(run, 40)
	}

	w.Call(e, "start", nil)
	server.Await(0, 25)
	if n := decodes(t, server.URL("live", "s3cr3t"), 2*time.Second); n < 20 {
		t.Errorf("a viewer sees %d pictures in 2 s", n)
	}

	server.Kill()
	gone("")
	server.Run()
	back(1, time.Now())

	server.Freeze()
	gone("takes nothing")
	server.Thaw()
	back(2, time.Now())

	server.Refuse(true)
	server.Kill()
	server.Run()
	w.WaitEvents(e, "Connected", 3)
	for server.Refused() < 2 {
		gone("refused")
	}
	server.Refuse(false)
	back(3, time.Now())

	w.Call(e, "stop", nil)
	for i, k := range server.Kept() {
		n := decodes(t, k.Path, time.Hour)
		info := codectest.ProbeFile(t, k.Path)
		t.Logf("connection %d: %d pictures, %v, %+v", i, k.Pictures, k.Last, info)
		if !k.Keyed || n < k.Pictures-1 || k.Pictures < 25 {
			t.Errorf("connection %d: begins with a keyframe: %v; %d of %d pictures decode", i, k.Keyed, n, k.Pictures)
		}
	}
}
