package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/rtmp/rtmptest"
)

// streamKey must never be seen outside of webhooks and the target.
const streamKey = "the-secret-stream-key"

// broadcastDeadline is for a start or a return on a busy machine: ten times what
// the pieces may take.
const broadcastDeadline = 60 * time.Second

// viewed says whether a viewer of a target gets H264 and AAC now.
func viewed(target *rtmptest.Nginx) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-rw_timeout", "8000000", "-analyzeduration", "5000000",
		"-show_entries", "stream=codec_name", "-of", "csv=p=0", target.URL("live", streamKey)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ffprobe: %w: %.300s", err, out)
	}
	text := string(out)
	return want(strings.Contains(text, "h264") && strings.Contains(text, "aac"), "codecs %q", text)
}

// color is the mean colour in the middle of the next frame that a media address shows.
func color(t testing.TB, address string) (rgb [3]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), broadcastDeadline)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-nostdin", "-i", address, "-an",
		"-vf", "crop=iw/5:ih/5,scale=8:8", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "rgb24", "-").Output()
	if err != nil || len(out) != 8*8*3 {
		t.Fatalf("a frame of the broadcast: %v, %d bytes", err, len(out))
	}
	for i, v := range out {
		rgb[i%3] += int(v)
	}
	for i := range rgb {
		rgb[i] /= 64
	}
	return rgb
}

const publishedColor = "#d02030"

// isPublished compares the hue: Chromium turns a canvas into YUV of its own choice,
// which VP8 has no means to name, so that every receiver shows the red a little off.
func isPublished(rgb []int) error {
	if len(rgb) != 3 {
		return errors.New("no picture yet")
	}
	return want(rgb[0] > 170 && rgb[1] < 70 && rgb[2] < 90, "the picture is %v, want about 208 32 48", rgb)
}

// aBroadcast is the API's object, as far as tests read it.
type aBroadcast struct {
	ID, Name, SessionID, Output, Status string
	BroadcastURL, URL, Folder           *string
	Retries                             int
}

func (s *server) broadcasts() (list []aBroadcast) {
	s.t.Helper()
	var answer struct {
		Count int
		Items []aBroadcast
	}
	s.rest(200, "GET", "/broadcasts", nil, &answer)
	if answer.Count != len(answer.Items) {
		s.t.Errorf("count is %d of %d", answer.Count, len(answer.Items))
	}
	return answer.Items
}

func (s *server) broadcastIs(name, status string, retries int) (b aBroadcast) {
	s.t.Helper()
	eventually(s.t, broadcastDeadline, "the broadcast is "+status, func() error {
		for _, b = range s.broadcasts() {
			if b.Name == name {
				return want(b.Status == status && b.Retries >= retries, "it is %s after %d retries", b.Status, b.Retries)
			}
		}
		return errors.New("there is none")
	})
	return b
}

// keepsSecret fails when the server's log holds the stream key.
func (s *server) keepsSecret() {
	s.t.Helper()
	for line := range strings.Lines(s.proc.log.String()) {
		if strings.Contains(line, streamKey) {
			s.t.Fatalf("the log holds the stream key: %s", line)
		}
	}
}

// onAir is a session with one publisher, of one colour when nothing else is asked
// for, and one who watches.
func onAir(t testing.TB, s *server, options ...map[string]any) (session string, publisher *page, cam publication, watcher *page) {
	t.Helper()
	session = "show"
	if r, err := s.try("POST", "/openvidu/api/sessions", map[string]any{"customSessionId": session}); err != nil || (r.Status != 200 && r.Status != 409) {
		t.Fatalf("make the session: %v, %v", r, err)
	}
	token, _ := s.connection(session, "PUBLISHER", nil)
	other, _ := s.connection(session, "SUBSCRIBER", nil)
	publisher, watcher = openPage(t, "publisher"), openPage(t, "watcher")
	watcher.join(other, "")
	publisher.join(token, `{"clientData":"Ann"}`)
	publish := map[string]any{"color": publishedColor, "frameRate": 20}
	if len(options) > 0 {
		publish = options[0]
	}
	cam = publisher.publish(publish)
	watcher.hears(cam.StreamID)
	return session, publisher, cam, watcher
}

// smallBroadcast is a picture that two cores compose beside a browser.
func smallBroadcast(more map[string]any) map[string]any {
	p := map[string]any{"resolution": "480x270", "frameRate": 15}
	for k, v := range more {
		p[k] = v
	}
	return p
}

// TestBroadcastByNodeClient: the unmodified openvidu-node-client starts and stops,
// the target has picture and sound, clients are told.
func TestBroadcastByNodeClient(t *testing.T) {
	s, target := startServer(t), rtmptest.Start(t)
	n := newNodeClient(t, s)
	n.ok("createSession", map[string]any{"properties": map[string]any{"customSessionId": "show"}}, nil)
	start := map[string]any{"session": "show", "url": target.URL("live", streamKey), "properties": smallBroadcast(nil)}
	n.fails("406", "startBroadcast", start)
	n.fails("404", "startBroadcast", map[string]any{"session": "nowhere", "url": target.URL("live", streamKey)})
	n.fails("409", "stopBroadcast", map[string]any{"session": "show"})

	session, publisher, _, watcher := onAir(t, s)
	n.ok("startBroadcast", start, nil)
	publisher.sees(eventDeadline, "broadcastStarted", func(e event) bool { return e.Type == "broadcastStarted" })
	var fetched struct{ Session nodeSession }
	n.ok("fetch", map[string]any{"session": session}, &fetched)
	if !fetched.Session.Broadcasting {
		t.Error("the session does not say that it is broadcast")
	}
	n.fails("409", "startBroadcast", start)
	if b := s.broadcastIs("default", "connected", 0); b.BroadcastURL == nil || !strings.HasSuffix(*b.BroadcastURL, "/live/***") || b.Name != "default" {
		t.Errorf("the list shows %+v", b)
	}
	eventually(t, broadcastDeadline, "the target plays", func() error { return viewed(target) })
	if rgb := color(t, target.URL("live", streamKey)); isPublished(rgb[:]) != nil {
		t.Error(isPublished(rgb[:]))
	}
	if s.metric("broadcasts") != 1 {
		t.Errorf("metric broadcasts is %v", s.metric("broadcasts"))
	}
	n.ok("stopBroadcast", map[string]any{"session": session}, nil)
	publisher.sees(eventDeadline, "broadcastStopped", func(e event) bool { return e.Type == "broadcastStopped" })
	n.fails("409", "stopBroadcast", map[string]any{"session": session})
	if list := s.broadcasts(); len(list) != 0 {
		t.Errorf("left over: %+v", list)
	}
	for _, e := range watcher.events() {
		if strings.HasPrefix(e.Type, "broadcast") {
			t.Errorf("a SUBSCRIBER is told %s", e.Type)
		}
	}

	// The end of the session ends its broadcast.
	n.ok("startBroadcast", start, nil)
	n.ok("close", map[string]any{"session": session}, nil)
	if list := s.broadcasts(); len(list) != 0 {
		t.Errorf("left over after the session: %+v", list)
	}
	eventually(t, eventDeadline, "the reason is logged", func() error {
		log := s.proc.log.String()
		return want(strings.Contains(log, "broadcastStopped") && strings.Contains(log, "sessionClosedByServer"), "not in the log")
	})
	s.keepsSecret()
	s.healthy()
}

// spectator is what the page's hls.js shows.
type spectator struct {
	CurrentTime   float64
	Width, Height int
	Frames        float64
	Live          bool
	Latency       float64
	Color         []int
	Errors        []string
}

// TestBroadcastHLS: a playlist that hls.js plays while live, beside an RTMP target
// with another layout, and that is kept.
func TestBroadcastHLS(t *testing.T) {
	s, target := startServer(t), rtmptest.Start(t)
	session, _, _, _ := onAir(t, s)
	var b aBroadcast
	s.rest(200, "POST", "/broadcast/start", smallBroadcast(map[string]any{"session": session, "name": "web", "output": "HLS", "record": true}), &b)
	if b.URL == nil || b.Folder == nil || !strings.HasPrefix(*b.URL, s.url("/openvidu/hls/")) || !strings.HasSuffix(*b.URL, "/index.m3u8") || b.Output != "HLS" {
		t.Fatalf("started: %+v", b)
	}
	s.rest(200, "POST", "/broadcast/start", smallBroadcast(map[string]any{"session": session, "name": "tv", "broadcastUrl": target.URL("live", streamKey), "recordingLayout": "PICTURE_IN_PICTURE"}), nil)
	s.rest(409, "POST", "/broadcast/start", map[string]any{"session": session, "name": "web", "output": "HLS"}, nil)
	s.rest(409, "POST", "/broadcast/start", map[string]any{"session": session, "output": "HLS"}, nil)

	viewer := openPage(t, "spectator")
	var version string
	viewer.call("watchHLS", map[string]any{"url": *b.URL}, &version)
	if version != "1.7.4" {
		t.Errorf("hls.js is %s, want 1.7.4", version)
	}
	var at spectator
	look := func() error {
		if err := viewer.try("spectator", nil, &at); err != nil {
			return err
		}
		if at.Width != 480 || at.Height != 270 || !at.Live {
			return fmt.Errorf("%+v", at)
		}
		return isPublished(at.Color)
	}
	eventually(t, broadcastDeadline, "hls.js shows the publisher's colour, live", look)
	first := at
	eventually(t, broadcastDeadline, "hls.js plays on", func() error {
		if err := look(); err != nil {
			return err
		}
		return want(at.CurrentTime > first.CurrentTime+6 && at.Frames > first.Frames+60, "from %+v to %+v", first, at)
	})
	for _, e := range at.Errors {
		if strings.Contains(e, "fatal") {
			t.Errorf("hls.js: %s", e)
		}
	}
	t.Logf("hls.js is %.1f s behind, errors %v", at.Latency, at.Errors)

	// The layout changes while it runs, and back.
	var laid struct {
		Layout struct{ Layout string }
		Tiles  []struct{ Width, Height int }
	}
	s.rest(200, "PUT", "/broadcasts/"+session+"/web/layout", map[string]any{"layout": "CUSTOM", "background": map[string]any{"color": "#00a000"},
		"tiles": []any{map[string]any{"x": 0, "y": 0, "width": 0.25, "height": 0.25}}}, &laid)
	if laid.Layout.Layout != "CUSTOM" || len(laid.Tiles) != 1 {
		t.Errorf("the layout answers %+v", laid)
	}
	eventually(t, broadcastDeadline, "the new background reaches the spectator", func() error {
		if err := viewer.try("spectator", nil, &at); err != nil {
			return err
		}
		return want(len(at.Color) == 3 && at.Color[1] > 120 && at.Color[0] < 60, "middle is %v", at.Color)
	})
	eventually(t, broadcastDeadline, "the other view keeps its layout", func() error {
		rgb := color(t, target.URL("live", streamKey))
		return isPublished(rgb[:])
	})

	// Public, for pages of any origin, but nothing beside it.
	resp, err := s.client.Do(newRequest(t, *b.URL))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != 200 || resp.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(resp.Header.Get("Content-Type"), "mpegurl") {
		t.Errorf("playlist: %d %v", resp.StatusCode, resp.Header)
	}
	for _, path := range []string{"/openvidu/hls/", "/openvidu/hls/nothing/index.m3u8", "/openvidu/hls/../api/sessions"} {
		if resp, err = s.client.Do(newRequest(t, s.url(path))); err == nil {
			_ = resp.Body.Close()
		}
		if err != nil || (resp.StatusCode != 404 && resp.StatusCode != 401) {
			t.Errorf("GET %s: %v %v", path, resp.StatusCode, err)
		}
	}

	s.rest(200, "POST", "/broadcast/stop", map[string]any{"session": session}, nil)
	folder := filepath.Join(s.recordings, *b.Folder)
	playlists, err := filepath.Glob(filepath.Join(folder, "*.m3u8"))
	if err != nil || len(playlists) == 0 {
		t.Fatalf("no playlist in %s: %v", folder, err)
	}
	// One of them is of all segments; ffmpeg plays the whole of it.
	longest := time.Duration(0)
	for _, p := range playlists {
		longest = max(longest, probe(t, p).Duration)
		plays(t, p)
	}
	if longest < 8*time.Second {
		t.Errorf("the kept broadcast has %v", longest)
	}
	var listed json.RawMessage
	s.rest(200, "GET", "/recordings", nil, &listed)
	if string(listed) != `{"count":0,"items":[]}` {
		t.Errorf("the recordings list trips over the broadcast: %s", listed)
	}
	s.healthy()
}
