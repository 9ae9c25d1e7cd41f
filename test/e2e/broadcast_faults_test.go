package e2e

import (
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/rtmp/rtmptest"
)

// backWithin is the figure of a stream's return to its target.
const backWithin = 2 * time.Second

// quickBack asserts a figure of time where that is wanted, and tells it always.
func quickBack(t *testing.T, what string, took, most time.Duration) {
	t.Helper()
	t.Logf("%s: %v", what, took.Round(time.Millisecond))
	if strictTimes() && took > most {
		t.Errorf("%s: %v, want within %v", what, took, most)
	}
}

// TestBroadcastRefused: starts that fail answer so, tell no key and leave nothing.
func TestBroadcastRefused(t *testing.T) {
	s, target := startServer(t), rtmptest.Start(t)
	session, _, _, _ := onAir(t, s)
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close() // accepts by its backlog and reads nothing
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	target.Refuse(true)
	for name, url := range map[string]string{
		"nobody listens":        fmt.Sprintf("rtmp://%s/live/%s", gone.Addr(), streamKey),
		"refuses its streams":   target.URL("closed", streamKey),
		"refuses this stream":   target.URL("live", streamKey),
		"unknown application":   target.URL("nothing", streamKey),
		"accepts, says no word": fmt.Sprintf("rtmp://%s/live/%s", deaf.Addr(), streamKey),
		"speaks no TLS":         fmt.Sprintf("rtmps://%s/live/%s", target.Addr(), streamKey),
	} {
		begun := time.Now()
		r, err := s.try("POST", "/openvidu/api/broadcast/start", smallBroadcast(map[string]any{"session": session, "broadcastUrl": url}))
		if err != nil || r.Status != 500 || !strings.HasPrefix(string(r.Body), "Error starting broadcast: ") || strings.Contains(string(r.Body), streamKey) {
			t.Errorf("%s: %v, %v", name, r, err)
		}
		t.Logf("%s: refused after %v: %s", name, time.Since(begun).Round(time.Millisecond), r.Body)
		if list := s.broadcasts(); len(list) != 0 {
			t.Errorf("%s: left over %+v", name, list)
		}
	}
	target.Refuse(false)
	s.rest(200, "POST", "/broadcast/start", smallBroadcast(map[string]any{"session": session, "broadcastUrl": target.URL("live", streamKey)}), nil)
	target.Await(0, 10)
	s.keepsSecret()
	s.healthy()
}

// TestBroadcastTargetsThatFail: a target dies, wedges and refuses, and has the stream
// again when it is back, while the call, a recording and a broadcast to another
// target go on without a gap.
func TestBroadcastTargetsThatFail(t *testing.T) {
	s, bad, good := startServer(t), rtmptest.Start(t), rtmptest.Start(t)
	session, _, cam, watcher := onAir(t, s, small()) // moving pictures fill buffers
	away, beside := time.Second, time.Second
	if strictTimes() {
		away, beside = 5*time.Second, 3*time.Second
	}
	var rec recording
	s.rest(200, "POST", "/recordings/start", smallBroadcast(map[string]any{"session": session, "outputMode": "COMPOSED"}), &rec)
	started := time.Now()
	for name, target := range map[string]*rtmptest.Nginx{"bad": bad, "good": good} {
		s.rest(200, "POST", "/broadcast/start", smallBroadcast(map[string]any{"session": session, "name": name, "broadcastUrl": target.URL("live", streamKey)}), nil)
		target.Await(0, 10)
	}
	if err := viewed(bad); err != nil {
		t.Error(err)
	}

	frames, since := watcher.inbound()[cam.StreamID].FramesDecoded, time.Now()
	callGoesOn := func(length time.Duration, what string) {
		t.Helper()
		runFor(t, length, what, func() error {
			if now := watcher.inbound()[cam.StreamID].FramesDecoded; now > frames {
				frames, since = now, time.Now()
			}
			return want(time.Since(since) < 5*time.Second, "no frame of the call for %v", time.Since(since))
		})
	}
	runs, retries := 1, 0
	back := func(what string, from time.Time) {
		t.Helper()
		_, at := bad.Await(runs, 1)
		runs++
		quickBack(t, "the stream is back after "+what, at.Sub(from), backWithin)
		retries = s.broadcastIs("bad", "connected", retries+1).Retries
		bad.Await(runs-1, 15)
	}

	bad.Kill()
	s.broadcastIs("bad", "reconnecting", retries+1)
	callGoesOn(away, "the call goes on without the target")
	bad.Run()
	back(fmt.Sprint(away, " without the target"), time.Now())

	bad.Freeze()
	frozen := time.Now()
	s.broadcastIs("bad", "reconnecting", retries+1)
	// A thin stream takes its time to fill what the target's kernel keeps for it.
	t.Logf("the wedged target is noticed after %v", time.Since(frozen).Round(time.Millisecond))
	callGoesOn(beside, "the call goes on beside a wedged target")
	bad.Thaw()
	back("a wedge", time.Now())

	bad.Refuse(true)
	bad.Kill()
	bad.Run()
	eventually(t, broadcastDeadline, "the target refuses", func() error { return want(bad.Refused() > 2, "%d times", bad.Refused()) })
	bad.Refuse(false)
	back("refusals", time.Now())

	// A wedged target does not hold up the stop.
	bad.Freeze()
	stopping := time.Now()
	s.rest(200, "POST", "/broadcast/stop", map[string]any{"session": session, "name": "bad"}, nil)
	quickBack(t, "a broadcast to a wedged target is stopped", time.Since(stopping), 3*time.Second)

	length := time.Since(started) // until the stop is asked for, which takes its own time
	s.rest(200, "POST", "/recordings/stop/"+rec.ID, nil, nil)
	s.recordingIs(rec.ID, "ready")
	film := s.fetch(rec.ID, rec.ID+".mp4")
	plays(t, film)
	s.rest(200, "POST", "/broadcast/stop", map[string]any{"session": session}, nil)
	kept := good.Kept()
	if len(kept) != 1 {
		t.Fatalf("the good target had %d connections", len(kept))
	}
	if p := probe(t, film); p.Duration < length-3*time.Second {
		t.Errorf("the recording has %v of %v", p.Duration, length)
	}
	for what, path := range map[string]string{"recording": film, "other target": kept[0].Path} {
		for kind, most := range map[string]time.Duration{"v": 500 * time.Millisecond, "a": 200 * time.Millisecond} {
			gap, at := widest(t, path, kind)
			t.Logf("%s, %s: the widest gap is %v, at %v", what, kind, gap, at)
			if gap > 5*time.Second || strictTimes() && gap > most {
				t.Errorf("%s, %s: a gap of %v at %v", what, kind, gap, at)
			}
		}
	}
	s.keepsSecret()
	s.healthy()
}

// widest is the longest time between two packets of a kind ("v", "a") in a file.
func widest(t *testing.T, path, kind string) (gap, at time.Duration) {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	last, n := time.Duration(0), 0
	for line := range strings.Lines(string(out)) {
		if strings.TrimSpace(line) == "" {
			continue // of metadata
		}
		seconds, err := strconv.ParseFloat(strings.Trim(line, ",\n"), 64)
		if err != nil {
			t.Fatalf("ffprobe says %q", line)
		}
		now := time.Duration(seconds * float64(time.Second))
		if n++; n > 1 && now-last > gap {
			gap, at = now-last, last
		}
		last = now
	}
	if n < 10 {
		t.Fatalf("%d packets of %s", n, kind)
	}
	return gap.Round(time.Millisecond), at.Round(time.Millisecond)
}

// TestBroadcastWorkerDies: the composition begins anew and the stream goes on over
// the connection it had; the target sees a short gap. The end of the session ends it.
func TestBroadcastWorkerDies(t *testing.T) {
	s, target := startServer(t), rtmptest.Start(t)
	session, _, _, _ := onAir(t, s)
	s.rest(200, "POST", "/broadcast/start", smallBroadcast(map[string]any{"session": session, "broadcastUrl": target.URL("live", streamKey)}), nil)
	before, _ := target.Await(0, 30)
	workers := children(t, s.proc.cmd.Process.Pid)
	if len(workers) == 0 {
		t.Fatal("nothing composes")
	}
	for _, pid := range workers {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	target.Await(0, before.Pictures+60)
	if b := s.broadcastIs("default", "connected", 0); b.Retries != 0 || len(target.Kept()) != 1 {
		t.Errorf("%d retries, %d connections", b.Retries, len(target.Kept()))
	}
	color := color(t, target.URL("live", streamKey))
	if err := isPublished(color[:]); err != nil {
		t.Errorf("after the crash: %v", err)
	}
	s.rest(204, "DELETE", "/sessions/"+session, nil, nil)
	if list := s.broadcasts(); len(list) != 0 {
		t.Errorf("left over after the session: %+v", list)
	}
	path := target.Kept()[0].Path
	gap, at := widest(t, path, "v")
	quickBack(t, fmt.Sprintf("gap of pictures at %v by the crash", at), gap, 3*time.Second)
	s.keepsSecret()
	s.healthy()
}
