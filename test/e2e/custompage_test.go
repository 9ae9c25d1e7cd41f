package e2e

import (
	"errors"
	"fmt"
	"image"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pageServer is a server with the custom layout "wall" and a folder of its own for
// the profiles of its browsers.
func pageServer(t *testing.T, flags ...string) (s *server, profiles string) {
	t.Helper()
	dir := t.TempDir()                         // before the change: other folders of the test stay where they are
	profiles, err := os.MkdirTemp("", "pages") // a short name: there are sockets in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profiles) })
	t.Setenv("TMPDIR", profiles)
	wall := filepath.Join(dir, "wall")
	if err := os.Mkdir(wall, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, from := range map[string]string{
		"index.html": "testdata/wall/index.html", "wall.css": "testdata/wall/wall.css",
		"openvidu-browser.js": "js/node_modules/openvidu-browser/static/js/openvidu-browser-2.32.2.min.js",
	} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(wall, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return startServer(t, append([]string{"--recording-custom-layout=" + dir, "--chromium=" + chromiumPath()}, flags...)...), profiles
}

// wallRecording asks for a recording of the page.
func wallRecording(more map[string]any) map[string]any {
	p := map[string]any{"outputMode": "COMPOSED", "recordingLayout": "CUSTOM", "customLayout": "wall", "resolution": "640x360", "frameRate": 25, "name": "wall"}
	for k, v := range more {
		p[k] = v
	}
	return p
}

// browsers are the processes that keep their things in a folder.
func browsers(t *testing.T, profiles string) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline")) // it may have ended meanwhile
		if strings.Contains(string(line), profiles) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestCustomPage records two players through an unmodified custom layout page,
// kills its browser on the way, and looks at what is in the one file.
func TestCustomPage(t *testing.T) {
	s, profiles := pageServer(t)
	c := newCast(t, s, s.session(map[string]any{"forcedVideoCodec": "NONE"}))
	c.until(2)

	properties := wallRecording(map[string]any{"session": c.session})
	var rec recording
	begun := time.Now()
	s.rest(200, "POST", "/recordings/start", properties, &rec)
	t.Logf("the page was shown %v after the call", time.Since(begun).Round(time.Millisecond))
	length := time.Now()
	if rec.Status != "started" {
		t.Fatalf("the recording: %+v", rec)
	}

	// Nobody sees the recorder, and nothing counts it.
	var connections struct {
		NumberOfElements int
		Content          []struct{ ConnectionID string }
	}
	s.rest(200, "GET", "/sessions/"+c.session+"/connection", nil, &connections)
	if connections.NumberOfElements != 2 || len(connections.Content) != 2 {
		t.Errorf("connections with a recorder: %+v", connections)
	}
	s.rest(404, "GET", "/sessions/"+c.session+"/connection/RECORDER", nil, nil)
	s.rest(409, "GET", "/recordings/"+rec.ID+"/layout", nil, nil)
	runFor(t, 5*time.Second, "the page is recorded", func() error { return nil })

	first := browsers(t, profiles)
	if len(first) == 0 {
		t.Fatal("no browser is found")
	}
	for _, pid := range first {
		_ = syscall.Kill(pid, syscall.SIGKILL) // the first takes others with it
	}
	killed := time.Since(length)
	eventually(t, eventDeadline, "another browser shows the page", func() error {
		now := browsers(t, profiles)
		if len(now) == 0 {
			return errors.New("no browser")
		}
		for _, pid := range now {
			if slices.Contains(first, pid) {
				return fmt.Errorf("process %d is still there", pid)
			}
		}
		return nil
	})
	runFor(t, 8*time.Second, "the page is recorded again", func() error { return nil })
	if n := c.players[0].joins(); n != 1 {
		t.Errorf("the first player saw %d others join, want 1", n)
	}
	least := time.Since(length)
	s.rest(200, "POST", "/recordings/stop/"+rec.ID, nil, nil)
	total := time.Since(length)
	ready := s.recordingIs(rec.ID, "ready")
	if left := browsers(t, profiles); len(left) != 0 {
		t.Errorf("processes left: %v", left)
	}
	if left, _ := os.ReadDir(profiles); len(left) != 0 {
		t.Errorf("folders left: %v", left)
	}

	film := s.fetch(rec.ID, ready.Name+".mp4")
	keep(t, film)
	plays(t, film)
	p := probe(t, film)
	if p.Codecs["video"] != "h264" || p.Codecs["audio"] != "aac" {
		t.Errorf("codecs %v", p.Codecs)
	}
	within(t, "duration", p.Duration, least-2*time.Second, total+2*time.Second)
	const width, height = 640, 360
	places := []place{placeOf(1, image.Rect(0, 0, 320, 180), 0, false), placeOf(2, image.Rect(320, 0, 640, 180), 0, false)}
	counters := look(t, film, width, height, places, [3]byte{0, 0xa0, 0}).counters
	rate := float64(p.Packets["video"]) / p.Duration.Seconds()
	if rate < 24 {
		t.Errorf("%.1f pictures per second, want 25", rate)
	}
	before := counters[:min(int(killed.Seconds()*25), len(counters))]
	gap := 0
	for _, row := range counters {
		if slices.Contains(row, -1) {
			gap++
		}
	}
	v := judge(before)
	t.Logf("killed after %v of %v; %.1f pictures/s, %d without the players; before it %v", killed.Round(time.Millisecond), p.Duration, rate, gap, v)
	if v.pictures < len(before)*8/10 || v.broken > len(before)/10 || v.backward > 0 || v.distinct < 0.4 {
		t.Errorf("of %d pictures before the crash: %v", len(before), v)
	}
	for _, at := range []time.Duration{killed - 700*time.Millisecond, p.Duration - 700*time.Millisecond} {
		f := frameAt(t, film, at, width, height)
		if r, g, b := f.at(width/2, height-40); r > 60 || g < 130 || b > 60 {
			t.Errorf("background of the page at %v is %d %d %d, want its green", at, r, g, b)
		}
		for _, place := range places {
			if f.read(place) < 0 {
				t.Errorf("player %d is not to be seen at %v", place.number, at)
			}
		}
	}
	sound := tones(t, film, killed.Seconds()-3, 2.5)
	if sound[1] < 0.02 || sound[2] < 0.02 {
		t.Errorf("tones of the players: %.3f", sound[1:3])
	}
	s.healthy()
}

// joins is how many others a player saw join.
func (w *wire) joins() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, note := range w.notes {
		if note.Method == "participantJoined" {
			n++
		}
	}
	return n
}

// TestCustomPageRefused: what cannot be shown is refused at once, and clearly.
func TestCustomPageRefused(t *testing.T) {
	s, profiles := pageServer(t)
	c := newCast(t, s, s.session(map[string]any{"forcedVideoCodec": "NONE"}))
	c.until(1)
	start := func(custom string) reply {
		t.Helper()
		r, err := s.try("POST", "/openvidu/api/recordings/start", wallRecording(map[string]any{"session": c.session, "customLayout": custom}))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	nobody := httptest.NewServer(nil)
	nobody.Close()
	if r := start(s.url("/openvidu/layouts/absent/index.html")); r.Status != 500 || !strings.Contains(string(r.Body), "answered with") {
		t.Errorf("a page that is not there: %v", r)
	}
	if r := start(nobody.URL + "/x"); r.Status != 500 || !strings.Contains(string(r.Body), "cannot be reached") {
		t.Errorf("a server that is not there: %v", r)
	}
	if left := browsers(t, profiles); len(left) != 0 {
		t.Errorf("processes left: %v", left)
	}

	without, _ := pageServer(t, "--chromium=/nonexistent/chromium")
	w := newCast(t, without, without.session(map[string]any{"forcedVideoCodec": "NONE"}))
	w.until(1)
	r, err := without.try("POST", "/openvidu/api/recordings/start", wallRecording(map[string]any{"session": w.session}))
	if err != nil || r.Status != 501 || !strings.Contains(string(r.Body), "Chromium") {
		t.Errorf("without a Chromium: %v %v", r, err)
	}
	without.rest(404, "GET", "/recordings/"+w.session, nil, nil)
}

// TestCustomPageOutlivesNobody: no browser outlives a server that is killed, and the
// next one removes what was left.
func TestCustomPageOutlivesNobody(t *testing.T) {
	s, profiles := pageServer(t)
	c := newCast(t, s, s.session(map[string]any{"forcedVideoCodec": "NONE"}))
	c.until(1)
	s.rest(200, "POST", "/recordings/start", wallRecording(map[string]any{"session": c.session}), nil)
	if len(browsers(t, profiles)) == 0 {
		t.Fatal("no browser is found")
	}
	runFor(t, 3*time.Second, "the page is recorded", func() error { return nil })
	s.kill9()
	eventually(t, eventDeadline, "the browser ends with the server", func() error {
		left := browsers(t, profiles)
		return want(len(left) == 0, "processes left: %v", left)
	})
	next := startServerIn(t, s.home)
	if left, _ := os.ReadDir(profiles); len(left) != 0 {
		t.Errorf("folders left: %v", left)
	}
	ready := next.recordingIs(c.session, "ready")
	plays(t, next.fetch(ready.ID, ready.Name+".mp4"))
}
