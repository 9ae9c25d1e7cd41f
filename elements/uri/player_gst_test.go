//go:build gst

package uri_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/uri"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
)

// worker builds the real media worker once.
var worker = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "uri-mediaworker")
	if err != nil {
		return "", err
	}
	built = dir
	path := filepath.Join(dir, "mediaworker")
	cmd := exec.Command("go", "build", "-tags", "gst", "-o", path, "../../cmd/mediaworker")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// theatre is a world with real workers and a folder of files.
type theatre struct {
	*elementtest.World
	dir  string
	pool *workers.Pool
}

func newTheatre(t *testing.T) *theatre {
	t.Helper()
	path, err := worker()
	if err != nil {
		t.Fatal(err)
	}
	var log *slog.Logger
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	pool := workers.NewPool(workers.Config{Binary: path, Warm: 1, Cores: 64, Log: log})
	t.Cleanup(func() { pool.Close() })
	dir := t.TempDir()
	types := uri.Types(uri.Deps{Fetch: &fetch.Policy{FileRoots: []string{dir}, AllowPrivate: true}, Workers: pool})
	converters := []pipeline.Converter{pipeline.NewDepacketizer(), pipeline.NewPacketizer(), pipeline.NewEncoder(), workers.NewDecoder(pool)}
	return &theatre{World: elementtest.NewWith(t, converters, types...), dir: dir, pool: pool}
}

// film makes a file with ffmpeg: three seconds of pictures at 25 a second, and a
// tone of 1000 Hz.
func film(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	codectest.NeedFFmpeg(t)
	path := filepath.Join(dir, name)
	all := []string{"-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=320x240:rate=25:duration=3",
		"-f", "lavfi", "-i", "sine=frequency=1000:sample_rate=48000:duration=3", "-pix_fmt", "yuv420p"}
	cmd := exec.Command("ffmpeg", append(append(all, args...), path)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	return path
}

// audience takes units of certain codecs, and remembers them.
type audience struct {
	accepts []pipeline.Format
	ended   atomic.Int32

	mu   sync.Mutex
	got  []*pipeline.Packet
	came []time.Time
}

func (a *audience) Accepts() []pipeline.Format { return a.accepts }

func (a *audience) Push(p *pipeline.Packet) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, p)
	a.came = append(a.came, time.Now())
}

func (a *audience) End() { a.ended.Add(1) }

func (a *audience) packets() []*pipeline.Packet {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.got)
}

// watch links a new audience to a player's output.
func watch(t testing.TB, e elements.Element, kind pipeline.Kind, names ...codec.Name) *audience {
	t.Helper()
	a := &audience{}
	for _, n := range names {
		a.accepts = append(a.accepts, pipeline.Format{Kind: kind, Codec: n, Framing: pipeline.Unit})
	}
	out, err := e.Output(kind, "")
	if err != nil {
		t.Fatal(err)
	}
	l, err := out.Connect(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Disconnect(l) })
	return a
}

// player makes one of a file below the theatre's folder.
func (th *theatre) player(target string, more map[string]any) elements.Element {
	if !strings.Contains(target, "://") {
		target = "file://" + filepath.Join(th.dir, target)
	}
	params := map[string]any{"uri": target}
	for k, v := range more {
		params[k] = v
	}
	return th.Element("PlayerEndpoint", params)
}

// told lists what a player told, in order.
func (th *theatre) told(e elements.Element) (out []string) {
	for _, ev := range th.Events(e, "") {
		switch ev.Name {
		case "UriEndpointStateChanged":
			out = append(out, ev.Data["state"].(string))
		case "EndOfStream", "Error":
			out = append(out, ev.Name)
		}
	}
	return out
}

func span(p []*pipeline.Packet) time.Duration {
	if len(p) < 2 {
		return 0
	}
	lo, hi := p[0].PTS, p[0].PTS
	for _, x := range p {
		lo, hi = min(lo, x.PTS), max(hi, x.PTS)
	}
	return hi - lo
}

func TestPlayFiles(t *testing.T) {
	files := []struct {
		name string
		args []string
		// what comes out when nothing has to be converted; 0 pictures: only sound
		video  codec.Name
		audio  codec.Name
		direct bool
	}{
		{"vp8.webm", []string{"-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus"}, codec.VP8, codec.Opus, true},
		{"vp9.webm", []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libvorbis"}, codec.VP9, pipeline.Other, true},
		{"base.mp4", []string{"-c:v", "libx264", "-profile:v", "baseline", "-c:a", "aac"}, codec.H264, codec.AAC, true},
		{"b-frames.mp4", []string{"-c:v", "libx264", "-bf", "2", "-c:a", "aac"}, codec.H264, codec.AAC, false},
		{"h264.mkv", []string{"-c:v", "libx264", "-tune", "zerolatency", "-c:a", "libopus"}, codec.H264, codec.Opus, true},
		{"theora.ogg", []string{"-c:v", "libtheora", "-c:a", "libvorbis"}, pipeline.Other, pipeline.Other, false},
		{"sound.wav", []string{"-vn", "-c:a", "pcm_s16le"}, "", codec.Opus, true},
		{"mulaw.wav", []string{"-vn", "-c:a", "pcm_mulaw", "-ar", "8000", "-ac", "1"}, "", codec.PCMU, true},
		{"sound.mp3", []string{"-vn", "-c:a", "libmp3lame"}, "", pipeline.Other, false},
		{"sorenson.flv", []string{"-c:v", "flv", "-c:a", "libmp3lame", "-ar", "44100"}, pipeline.Other, pipeline.Other, false},
		{"h264.flv", []string{"-c:v", "libx264", "-tune", "zerolatency", "-c:a", "aac"}, codec.H264, codec.AAC, true},
		{"mpeg4.avi", []string{"-c:v", "mpeg4", "-c:a", "libmp3lame"}, pipeline.Other, pipeline.Other, false},
		{"mjpeg.avi", []string{"-c:v", "mjpeg", "-c:a", "pcm_s16le"}, pipeline.Other, codec.Opus, false},
		{"h264.ts", []string{"-c:v", "libx264", "-tune", "zerolatency", "-c:a", "aac"}, codec.H264, codec.AAC, true},
		{"raw.y4m", []string{"-an", "-c:v", "wrapped_avframe"}, codec.VP8, "", true},
	}
	for _, row := range files {
		t.Run(row.name, func(t *testing.T) {
			th := newTheatre(t)
			film(t, th.dir, row.name, row.args...)
			p := th.player(row.name, nil)
			as := watch(t, p, pipeline.Video, row.video)
			sound := watch(t, p, pipeline.Audio, row.audio)
			shown := watch(t, p, pipeline.Video, codec.VP8, codec.VP9, codec.H264)
			heard := watch(t, p, pipeline.Audio, codec.Opus, codec.PCMU)
			th.Call(p, "play", nil)
			th.WaitEvents(p, "EndOfStream", 1)
			if got := th.told(p); !slices.Equal(got, []string{"START", "STOP", "EndOfStream"}) {
				t.Errorf("events %v", got)
			}
			for _, e := range th.Events(p, "Error") {
				t.Errorf("error %v", e.Data)
			}
			if row.video != "" {
				n, m := len(as.packets()), len(shown.packets())
				if row.direct && (n < 74 || n > 76) {
					t.Errorf("%d coded pictures, want 75", n)
				}
				if m < 60 || m > 80 {
					t.Errorf("%d pictures for a common receiver, want about 75", m)
				}
				if d := span(shown.packets()); (d - 2960*time.Millisecond).Abs() > 400*time.Millisecond {
					t.Errorf("pictures span %v, want 2.96 s", d)
				}
				if got := shown.packets(); len(got) > 0 && !got[0].Key {
					t.Error("the first picture is no keyframe")
				}
			}
			if row.audio != "" {
				if row.direct && row.audio == codec.Opus && len(sound.packets()) < 145 {
					t.Errorf("%d packets of sound, want 150", len(sound.packets()))
				}
				if d := span(heard.packets()); (d - 3*time.Second).Abs() > 400*time.Millisecond {
					t.Errorf("sound spans %v, want 3 s", d)
				}
				if hz := tone(t, heard.packets()); math.Abs(hz-1000) > 30 {
					t.Errorf("tone of %.0f Hz, want 1000", hz)
				}
			}
			// The end of the source reaches who asked for it.
			elementtest.Eventually(t, "the end arrives", func() bool { return heard.ended.Load() == 1 && shown.ended.Load() == 1 })
		})
	}
}

// tone writes units of sound to a file and measures their pitch.
func tone(t testing.TB, units []*pipeline.Packet) float64 {
	t.Helper()
	if len(units) == 0 {
		return 0
	}
	path := filepath.Join(t.TempDir(), "tone.mkv")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mux, err := recorder.NewMuxer(recorder.Matroska, f, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	format, _ := recorder.Describe(units[0])
	track, err := mux.AddTrack(format)
	if err != nil {
		t.Fatal(err)
	}
	last := time.Duration(-1)
	for _, u := range units {
		q := *u
		q.PTS = max(u.PTS-units[0].PTS, last+time.Millisecond)
		last = q.PTS
		if err := mux.Write(track, &q); err != nil {
			t.Fatal(err)
		}
	}
	if err := mux.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-ar", "16000", "-ac", "1", "-")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	pcm, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v %s", err, errs.String())
	}
	crossings, before := 0, int16(0)
	n := len(pcm) / 2
	for i := range n {
		v := int16(uint16(pcm[2*i]) | uint16(pcm[2*i+1])<<8)
		if v > 500 && before <= 500 {
			crossings++
		}
		before = v
	}
	return float64(crossings) / (float64(n) / 16000)
}

func TestPauseAndSeek(t *testing.T) {
	th := newTheatre(t)
	film(t, th.dir, "a.webm", "-c:v", "libvpx", "-deadline", "realtime", "-g", "25", "-c:a", "libopus")
	p := th.player("a.webm", nil)
	if got := th.Call(p, "getPosition", nil); fmt.Sprint(got) != "0" {
		t.Errorf("position before play: %v", got)
	}
	_, err := th.Invoke(p, "setPosition", map[string]any{"position": json.Number("100")})
	elementtest.Code(t, err, 40700, "Seek fails")
	video := watch(t, p, pipeline.Video, codec.VP8)
	th.Call(p, "play", nil)
	elementtest.Eventually(t, "media", func() bool { return len(video.packets()) > 10 })
	info := th.Call(p, "getVideoInfo", nil).(map[string]any)
	if info["isSeekable"] != true || fmt.Sprint(info["seekableInit"]) != "0" {
		t.Errorf("videoInfo %v", info)
	}
	if d := info["duration"].(int64); d < 2900 || d > 3100 || info["seekableEnd"] != d {
		t.Errorf("videoInfo %v", info)
	}
	th.Call(p, "pause", nil)
	last, since := -1, time.Now()
	elementtest.Eventually(t, "quiet", func() bool {
		if n := len(video.packets()); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 100*time.Millisecond
	})
	at := th.Call(p, "getPosition", nil).(int64)
	if at < 300 || at > 2500 {
		t.Errorf("position %d after 10 pictures", at)
	}
	n := len(video.packets())
	still(t, "media while paused", 300*time.Millisecond, func() int { return len(video.packets()) })
	if later := th.Call(p, "getPosition", nil).(int64); later != at || len(video.packets()) != n {
		t.Errorf("position goes from %d to %d while paused", at, later)
	}
	th.Call(p, "setPosition", map[string]any{"position": json.Number("2100")}) // a keyframe is at 2.0
	elementtest.Eventually(t, "position follows", func() bool { return th.Call(p, "getPosition", nil).(int64) >= 1900 })
	th.Call(p, "play", nil)
	elementtest.Eventually(t, "more media", func() bool { return len(video.packets()) > n+3 })
	if f := video.packets()[n]; !f.Key {
		t.Error("after a seek the first picture is no keyframe")
	}
	got := video.packets()
	if d := got[n].PTS - got[n-1].PTS; d < 250*time.Millisecond {
		t.Errorf("PTS goes on after %v, though 300 ms have passed", d)
	}
	th.Call(p, "setPosition", map[string]any{"position": json.Number("0")}) // while playing
	th.WaitEvents(p, "EndOfStream", 1)
	if total := len(video.packets()); total < n+75 {
		t.Errorf("%d pictures after the seek to the beginning", total-n)
	}
	_, err = th.Invoke(p, "setPosition", map[string]any{"position": json.Number("100000")})
	elementtest.Code(t, err, 40700, "Seek fails")
	before := len(video.packets())
	th.Call(p, "play", nil) // again, from the beginning
	th.WaitEvents(p, "EndOfStream", 2)
	if again := len(video.packets()) - before; again < 74 || again > 76 {
		t.Errorf("%d pictures the second time", again)
	}
	if got, want := th.told(p), []string{"START", "PAUSE", "START", "STOP", "EndOfStream", "START", "STOP", "EndOfStream"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
}

func TestStopWhilePlaying(t *testing.T) {
	th := newTheatre(t)
	film(t, th.dir, "a.webm", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus")
	p := th.player("a.webm", nil)
	video := watch(t, p, pipeline.Video, codec.VP8)
	th.Call(p, "play", nil)
	elementtest.Eventually(t, "media", func() bool { return len(video.packets()) > 5 })
	if dot := th.Call(p, "getElementGstreamerDot", nil).(string); !strings.Contains(dot, "matroska") {
		t.Errorf("dot has no demuxer: %.200s", dot)
	}
	th.Call(p, "stop", nil)
	still(t, "media after stop", 200*time.Millisecond, func() int { return len(video.packets()) })
	if got := th.told(p); !slices.Equal(got, []string{"START", "STOP"}) {
		t.Errorf("events %v", got)
	}
	for range 5 { // stop at any moment
		th.Call(p, "play", nil)
		th.Call(p, "pause", nil)
		th.Call(p, "play", nil)
		th.Call(p, "stop", nil)
	}
	if got := th.Call(p, "getState", nil); got != "STOP" {
		t.Errorf("state %v", got)
	}
}

func TestBadSources(t *testing.T) {
	th := newTheatre(t)
	os.WriteFile(filepath.Join(th.dir, "garbage.webm"), bytes.Repeat([]byte("no media at all "), 5000), 0o644)
	os.WriteFile(filepath.Join(th.dir, "empty.webm"), nil, 0o644)
	os.WriteFile(filepath.Join(th.dir, "text.txt"), []byte("hello"), 0o644)
	film(t, th.dir, "whole.mp4", "-c:v", "libx264", "-c:a", "aac")
	whole, _ := os.ReadFile(filepath.Join(th.dir, "whole.mp4"))
	os.WriteFile(filepath.Join(th.dir, "cut.mp4"), whole[:len(whole)/2], 0o644)
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	for target, typ := range map[string]string{
		"none.webm": "INVALID_URI", "garbage.webm": "INVALID_MEDIA", "empty.webm": "INVALID_MEDIA", "text.txt": "INVALID_MEDIA", "cut.mp4": "INVALID_MEDIA",
		"file:///etc/passwd": "INVALID_URI", gone.URL + "/x.webm": "INVALID_URI", "rtmp://127.0.0.1/x": "INVALID_URI", "http://127.0.0.1:1/x": "INVALID_URI",
		"rtsp://127.0.0.1:1/x": "INVALID_URI", "gopher://x/": "INVALID_URI", "http://169.254.169.254/latest": "INVALID_URI",
	} {
		p := th.player(target, nil)
		th.Call(p, "play", nil)
		e := th.WaitEvents(p, "Error", 1)[0]
		if e.Data["type"] != typ || fmt.Sprint(e.Data["errorCode"]) != "0" || e.Data["description"] == "" {
			t.Errorf("%s: %v, want %s", target, e.Data, typ)
		}
		elementtest.Eventually(t, "it stops", func() bool { return th.Call(p, "getState", nil) == "STOP" })
		if got := th.told(p); !slices.Equal(got, []string{"START", "Error", "STOP"}) {
			t.Errorf("%s: events %v", target, got)
		}
		th.Release(p)
	}
}

// A list of addresses is no media: GStreamer must not open what it names.
func TestPlaylistsAreNotFollowed(t *testing.T) {
	th := newTheatre(t)
	film(t, th.dir, "a.ts", "-c:v", "libx264", "-c:a", "aac")
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/secret") {
			asked.Add(1)
			http.ServeFile(w, r, filepath.Join(th.dir, "a.ts"))
			return
		}
		http.ServeFile(w, r, filepath.Join(th.dir, filepath.Base(r.URL.Path)))
	}))
	defer srv.Close()
	lists := map[string]string{
		"http.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXT-X-VERSION:3\n#EXTINF:3.0,\n" + srv.URL + "/secret.ts\n#EXT-X-ENDLIST\n",
		"file.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXT-X-VERSION:3\n#EXTINF:3.0,\nfile://" + th.dir + "/a.ts\n#EXT-X-ENDLIST\n",
		"a.mpd":     `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT3S" minBufferTime="PT1S" profiles="urn:mpeg:dash:profile:isoff-main:2011"><Period><AdaptationSet mimeType="video/mp2t"><Representation id="1" bandwidth="1000"><BaseURL>` + srv.URL + `/secret.ts</BaseURL><SegmentBase/></Representation></AdaptationSet></Period></MPD>`,
		"a.sdp":     "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 45555 RTP/AVP 96\na=rtpmap:96 VP8/90000\n",
	}
	for name, text := range lists {
		if err := os.WriteFile(filepath.Join(th.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, target := range []string{name, srv.URL + "/" + name} {
			p := th.player(target, nil)
			th.Call(p, "play", nil)
			if e := th.WaitEvents(p, "Error", 1)[0]; e.Data["type"] != "INVALID_MEDIA" {
				t.Errorf("%s: %v", target, e.Data)
			}
			th.Release(p)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("%d requests for what a list names", n)
	}
}

func TestPlayHTTP(t *testing.T) {
	th := newTheatre(t)
	film(t, th.dir, "a.mp4", "-c:v", "libx264", "-tune", "zerolatency", "-c:a", "aac") // the index is at its end
	film(t, th.dir, "a.webm", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus")
	var auth atomic.Value
	mux := http.NewServeMux()
	mux.Handle("/ranges/", http.StripPrefix("/ranges/", http.FileServer(http.Dir(th.dir))))
	mux.HandleFunc("/plain/", func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		auth.Store(user)
		b, _ := os.ReadFile(filepath.Join(th.dir, filepath.Base(r.URL.Path)))
		w.(http.Flusher).Flush() // so that no length is told
		w.Write(b)
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for _, row := range []struct {
		path     string
		video    codec.Name
		seekable bool
	}{{"/ranges/a.mp4", codec.H264, true}, {"/ranges/a.webm", codec.VP8, true}, {"/plain/a.webm", codec.VP8, false}} {
		p := th.player(strings.Replace(srv.URL, "http://", "http://ann:pw@", 1)+row.path, nil)
		video := watch(t, p, pipeline.Video, row.video)
		th.Call(p, "play", nil)
		elementtest.Eventually(t, row.path+" plays", func() bool { return len(video.packets()) > 10 })
		if info := th.Call(p, "getVideoInfo", nil).(map[string]any); info["isSeekable"] != row.seekable {
			t.Errorf("%s: videoInfo %v", row.path, info)
		}
		_, err := th.Invoke(p, "setPosition", map[string]any{"position": json.Number("2000")})
		if row.seekable && err != nil {
			t.Errorf("%s: seek: %v", row.path, err)
		}
		if !row.seekable {
			elementtest.Code(t, err, 40700, "Seek fails")
		}
		th.WaitEvents(p, "EndOfStream", 1)
		if n := len(video.packets()); !row.seekable && (n < 74 || n > 76) {
			t.Errorf("%s: %d pictures", row.path, n)
		}
		th.Release(p)
	}
	if auth.Load() != "ann" {
		t.Errorf("credentials: %v", auth.Load())
	}
}

// A worker that dies takes nothing but its player with it.
func TestKilledWorker(t *testing.T) {
	th := newTheatre(t)
	film(t, th.dir, "a.webm", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus")
	p, other := th.player("a.webm", nil), th.player("a.webm", nil)
	video, safe := watch(t, p, pipeline.Video, codec.VP8), watch(t, other, pipeline.Video, codec.VP8)
	th.Call(p, "play", nil)
	elementtest.Eventually(t, "media", func() bool { return len(video.packets()) > 5 })
	pids := slices.DeleteFunc(children(t), func(pid int) bool { return !busy(pid) })
	th.Call(other, "play", nil)
	elementtest.Eventually(t, "media", func() bool { return len(safe.packets()) > 1 })
	if len(pids) != 1 {
		t.Fatalf("%d workers play one file", len(pids))
	}
	if err := syscall.Kill(pids[0], syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	e := th.WaitEvents(p, "Error", 1)[0]
	if e.Data["description"] == "" {
		t.Errorf("error %v", e.Data)
	}
	if got := th.told(p); !slices.Equal(got, []string{"START", "Error", "STOP"}) {
		t.Errorf("events %v", got)
	}
	th.WaitEvents(other, "EndOfStream", 1)
	th.Call(p, "play", nil)
	th.WaitEvents(p, "EndOfStream", 1)
}

// children are the processes this one has started.
func children(t *testing.T) (pids []int) {
	t.Helper()
	tasks, _ := filepath.Glob("/proc/self/task/*/children")
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for _, f := range strings.Fields(string(b)) {
			var pid int
			fmt.Sscan(f, &pid)
			pids = append(pids, pid)
		}
	}
	return pids
}

// busy tells whether a worker has a file open: a warm one has none.
func busy(pid int) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasSuffix(to, ".webm") {
			return true
		}
	}
	return false
}
