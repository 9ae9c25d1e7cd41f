package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/rtmp/rtmptest"
)

// streamKey must never be seen outside of webhooks and the target.
const streamKey = "the-secret-stream-key"

// broadcastDeadline is for a start or a return on a busy machine: ten times what
// the pieces may take.
const broadcastDeadline = 60 * time.Second

// rtmpTarget is nginx with its RTMP module: the application "live" takes everybody,
// "closed" refuses to publish.
type rtmpTarget struct {
	t    testing.TB
	home string
	port int
	proc *process
}

func startTarget(t testing.TB) *rtmpTarget {
	t.Helper()
	n := &rtmpTarget{t: t, home: t.TempDir(), port: freePort(t)}
	n.start()
	t.Cleanup(func() {
		n.proc.kill()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(n.home, "error.log"))
			t.Logf("log of nginx:\n%s\n%s", n.proc.log, log)
		}
	})
	return n
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// start runs nginx in one process, so that a signal reaches all of it, and waits
// for its port.
func (n *rtmpTarget) start() {
	n.t.Helper()
	conf := filepath.Join(n.home, "nginx.conf")
	text := fmt.Sprintf(`load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; pid nginx.pid; error_log error.log info;
events { worker_connections 64; }
rtmp { access_log off; server { listen 127.0.0.1:%d;
  application live { live on; }
  application closed { live on; deny publish all; }
} }
`, n.port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	var err error
	if n.proc, err = startProcess(exec.Command(rtmptest.Path(), "-p", n.home, "-c", conf, "-e", filepath.Join(n.home, "error.log")), &tail{}); err != nil {
		n.t.Fatal(err)
	}
	eventually(n.t, startDeadline, "nginx listens", func() error {
		if n.proc.exited() {
			n.t.Fatalf("nginx ended: %v\n%s", n.proc.err, n.proc.log)
		}
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", n.port))
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

func (n *rtmpTarget) url(application string) string {
	return fmt.Sprintf("rtmp://127.0.0.1:%d/%s/%s", n.port, application, streamKey)
}

// plays says whether the target hands out H264 and AAC now.
func (n *rtmpTarget) plays() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-rw_timeout", "8000000", "-analyzeduration", "5000000",
		"-show_entries", "stream=codec_name", "-of", "csv=p=0", n.url("live")).CombinedOutput()
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

// The publisher's colour, and how far decoded and scaled pixels may be from it.
const publishedColor = "#d02030"

func isPublished(rgb []int) error {
	expected := [3]int{0xd0, 0x20, 0x30}
	if len(rgb) != 3 {
		return errors.New("no picture yet")
	}
	for i, v := range rgb {
		if d := v - expected[i]; d < -24 || d > 24 {
			return fmt.Errorf("the picture is %v, want about %v", rgb, expected)
		}
	}
	return nil
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

func (s *server) broadcastIs(status string, retries int) aBroadcast {
	s.t.Helper()
	var b aBroadcast
	eventually(s.t, broadcastDeadline, "the broadcast is "+status, func() error {
		list := s.broadcasts()
		if len(list) != 1 {
			return fmt.Errorf("%d broadcasts", len(list))
		}
		b = list[0]
		return want(b.Status == status && b.Retries >= retries, "it is %s after %d retries", b.Status, b.Retries)
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

// onAir is a session with one publisher of one colour and one who watches.
func onAir(t testing.TB, s *server) (session string, publisher *page, cam publication, watcher *page) {
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
	cam = publisher.publish(map[string]any{"color": publishedColor, "frameRate": 20})
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
	s, target := startServer(t), startTarget(t)
	n := newNodeClient(t, s)
	n.ok("createSession", map[string]any{"properties": map[string]any{"customSessionId": "show"}}, nil)
	start := map[string]any{"session": "show", "url": target.url("live"), "properties": smallBroadcast(nil)}
	n.fails("406", "startBroadcast", start)
	n.fails("404", "startBroadcast", map[string]any{"session": "nowhere", "url": target.url("live")})
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
	if b := s.broadcastIs("connected", 0); b.BroadcastURL == nil || !strings.HasSuffix(*b.BroadcastURL, "/live/***") || b.Name != "default" {
		t.Errorf("the list shows %+v", b)
	}
	eventually(t, broadcastDeadline, "the target plays", target.plays)
	if rgb := color(t, target.url("live")); isPublished(rgb[:]) != nil {
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

// TestBroadcastTargetsThatFail: targets that refuse, die, wedge and come back, while
// the call and a recording of it go on.
func TestBroadcastTargetsThatFail(t *testing.T) {
	s, target := startServer(t), startTarget(t)
	session, _, cam, watcher := onAir(t, s)

	// Refused at the start, in three ways; nothing is left running.
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer deaf.Close() // accepts by its backlog and reads nothing
	for name, url := range map[string]string{
		"nobody listens":  fmt.Sprintf("rtmp://127.0.0.1:%d/live/%s", freePort(t), streamKey),
		"refuses publish": target.url("closed"),
		"reads nothing":   fmt.Sprintf("rtmp://%s/live/%s", deaf.Addr(), streamKey),
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

	var rec recording
	s.rest(200, "POST", "/recordings/start", map[string]any{"session": session, "outputMode": "INDIVIDUAL"}, &rec)
	s.rest(200, "POST", "/broadcast/start", smallBroadcast(map[string]any{"session": session, "broadcastUrl": target.url("live")}), nil)
	eventually(t, broadcastDeadline, "the target plays", target.plays)

	callGoesOn := func(length time.Duration, what string) {
		t.Helper()
		before, since := watcher.inbound()[cam.StreamID].FramesDecoded, time.Now()
		runFor(t, length, what, func() error {
			now := watcher.inbound()[cam.StreamID].FramesDecoded
			if now > before {
				before, since = now, time.Now()
			}
			return want(time.Since(since) < 5*time.Second, "no frame of the call for %v", time.Since(since))
		})
	}

	// Killed for five seconds.
	target.proc.kill()
	s.broadcastIs("reconnecting", 1)
	callGoesOn(5*time.Second, "the call goes on without its target")
	target.start()
	back := time.Now()
	s.broadcastIs("connected", 1)
	took := time.Since(back)
	t.Logf("back %v after the target", took.Round(time.Millisecond))
	if strictTimes() && took > 2*time.Second {
		t.Errorf("the stream is back after %v, want within 2 s", took)
	}
	eventually(t, broadcastDeadline, "the target plays again", target.plays)

	// Wedged: it holds its socket and reads nothing.
	if err := target.proc.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	s.broadcastIs("reconnecting", 2)
	took = time.Since(stopped)
	t.Logf("wedged target noticed after %v", took.Round(time.Millisecond))
	if strictTimes() && took > 10*time.Second {
		t.Errorf("the wedged target is noticed after %v, want within 10 s", took)
	}
	callGoesOn(3*time.Second, "the call goes on beside a wedged target")
	if err := target.proc.signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	s.broadcastIs("connected", 2)
	eventually(t, broadcastDeadline, "the target plays after it was wedged", target.plays)

	// A wedged target does not hold up the stop.
	if err := target.proc.signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	s.rest(200, "POST", "/broadcast/stop", map[string]any{"session": session}, nil)
	if list := s.broadcasts(); len(list) != 0 {
		t.Errorf("left over: %+v", list)
	}

	// The recording has no gap: everything that was published, at its rate.
	length := time.Since(time.UnixMilli(rec.CreatedAt))
	s.rest(200, "POST", "/recordings/stop/"+rec.ID, nil, nil)
	done := s.recordingIs(rec.ID, "ready")
	_, files := s.download(done)
	for _, path := range files {
		if filepath.Ext(path) == ".json" {
			continue
		}
		p := probe(t, path)
		if p.Duration < length-5*time.Second || p.Packets["video"] < 5*p.Duration.Seconds() || p.Packets["audio"] < 45*p.Duration.Seconds() {
			t.Errorf("the recording has %v of %v, packets %v", p.Duration, length, p.Packets)
		}
		plays(t, path)
	}
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
	s, target := startServer(t), startTarget(t)
	session, _, _, _ := onAir(t, s)
	var b aBroadcast
	s.rest(200, "POST", "/broadcast/start", smallBroadcast(map[string]any{"session": session, "name": "web", "output": "HLS", "record": true}), &b)
	if b.URL == nil || b.Folder == nil || !strings.HasPrefix(*b.URL, s.url("/openvidu/hls/")) || !strings.HasSuffix(*b.URL, "/index.m3u8") || b.Output != "HLS" {
		t.Fatalf("started: %+v", b)
	}
	s.rest(200, "POST", "/broadcast/start", smallBroadcast(map[string]any{"session": session, "name": "tv", "broadcastUrl": target.url("live"), "recordingLayout": "PICTURE_IN_PICTURE"}), nil)
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
		rgb := color(t, target.url("live"))
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
