package uri_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2"
	"github.com/bluenviron/gohlslib/v2/pkg/codecs"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/uri"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// spectator is a world whose HlsEndpoints are served.
type spectator struct {
	*elementtest.World
	hls *uri.HLSServer
	web *httptest.Server
	dir string
}

func newSpectator(t *testing.T) *spectator {
	t.Helper()
	h := &spectator{hls: uri.NewHLSServer(), dir: t.TempDir()}
	h.web = httptest.NewServer(h.hls)
	t.Cleanup(func() {
		h.web.Close()
		if err := h.hls.Close(); err != nil {
			t.Error(err)
		}
	})
	h.World = elementtest.New(t, uri.Types(uri.Deps{Fetch: &fetch.Policy{FileRoots: []string{h.dir}}, HLS: h.hls})...)
	return h
}

// play starts an endpoint that footage feeds.
func (h *spectator) play(params map[string]any) (*footage, *uri.HLS) {
	h.T.Helper()
	codectest.NeedFFmpeg(h.T)
	cam := newFootage(h.World, 0)
	e := h.Element("HlsEndpoint", params).(*uri.HLS)
	h.Call(cam, "connect", map[string]any{"sink": e})
	h.Call(e, "start", nil)
	return cam, e
}

// ask makes a request below a stream's path.
func (h *spectator) ask(method, path string, header map[string]string) (int, http.Header, string) {
	h.T.Helper()
	r, err := http.NewRequest(method, h.web.URL+path, nil)
	if err != nil {
		h.T.Fatal(err)
	}
	for k, v := range header {
		r.Header.Set(k, v)
	}
	resp, err := h.web.Client().Do(r)
	if err != nil {
		h.T.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		h.T.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// get is a file that must be there.
func (h *spectator) get(path string) (http.Header, string) {
	h.T.Helper()
	status, header, body := h.ask("GET", path, nil)
	if status != 200 || body == "" {
		h.T.Fatalf("GET %s: %d, %d bytes", path, status, len(body))
	}
	return header, body
}

func TestHLSEndpoint(t *testing.T) {
	t.Parallel()
	h := newSpectator(t)
	_, e := h.play(map[string]any{"segmentSeconds": 1, "directory": "file://" + h.dir + "/deep/film"})
	defer h.Release(e)
	path := h.Call(e, "getPath", nil).(string)
	if !regexp.MustCompile(`^/hls/[0-9A-Za-z]{32}/index\.m3u8$`).MatchString(path) {
		t.Fatalf("path %s", path)
	}
	root := strings.TrimSuffix(path, "index.m3u8")
	header, index := h.get(path)
	if header.Get("Content-Type") != "application/vnd.apple.mpegurl" || header.Get("Cache-Control") != "no-cache" || header.Get("Access-Control-Allow-Origin") != "*" ||
		!strings.Contains(index, "\nstream.m3u8\n") {
		t.Errorf("index: %v\n%s", header, index)
	}
	_, media := h.get(root + "stream.m3u8")
	if strings.Count(media, "#EXTINF") < 3 || strings.Contains(media, "ENDLIST") {
		t.Errorf("the first playlist has not enough to play:\n%s", media)
	}
	name := regexp.MustCompile(`seg\d+\.m4s`).FindString(media)
	header, segment := h.get(root + name)
	if header.Get("Content-Type") != "video/mp4" || !strings.Contains(header.Get("Cache-Control"), "immutable") || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("segment: %v", header)
	}
	status, header, some := h.ask("GET", root+name, map[string]string{"Range": "bytes=10-19"})
	if status != 206 || some != segment[10:20] || header.Get("Content-Range") != "bytes 10-19/"+strconv.Itoa(len(segment)) {
		t.Errorf("a range: %d %q %v", status, some, header)
	}
	if status, header, body := h.ask("HEAD", root+name, nil); status != 200 || body != "" || header.Get("Content-Length") != strconv.Itoa(len(segment)) {
		t.Errorf("HEAD: %d, %v", status, header)
	}
	if status, header, _ := h.ask("OPTIONS", path, map[string]string{"Origin": "https://elsewhere"}); status != 204 || !strings.Contains(header.Get("Access-Control-Allow-Methods"), "GET") {
		t.Errorf("OPTIONS: %d, %v", status, header)
	}
	if status, _, _ := h.ask("POST", path, nil); status != 405 {
		t.Errorf("POST: %d", status)
	}
	for _, wrong := range []string{
		"/", "/hls", "/hls/", "/hls/x/index.m3u8", "/hls/" + strings.Repeat("x", 32) + "/index.m3u8", root, root + "seg", root + "seg01.m4s",
		root + "seg99999.m4s", root + "seg-1.m4s", root + "part0.0.m4s", root + "init0.mp4", root + "init2.mp4", root + "../x", root + "index.m3u8/x",
	} {
		if status, header, _ := h.ask("GET", wrong, nil); status != 404 || header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %s: %d, %v", wrong, status, header)
		}
	}

	// Paused and started again, the playlist goes on; stopped, it ends.
	h.Call(e, "pause", nil)
	h.Call(e, "start", nil)
	elementtest.Eventually(t, "a segment after the pause", func() bool {
		_, media = h.get(root + "stream.m3u8")
		return strings.Contains(media, "#EXT-X-DISCONTINUITY\n") && strings.Contains(media, `"init2.mp4"`)
	})
	h.hls.Linger(2 * time.Second)
	h.Call(e, "stop", nil)
	h.Call(e, "stop", nil)
	if _, media = h.get(root + "stream.m3u8"); !strings.HasSuffix(media, "#EXT-X-ENDLIST\n") {
		t.Errorf("a stopped stream:\n%s", media)
	}
	if out, err := exec.Command("ffmpeg", "-v", "error", "-xerror", "-i", h.web.URL+path, "-f", "null", "-").CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("ffmpeg plays the ended stream: %v\n%s", err, out)
	}
	var states []string
	for _, ev := range h.Events(e, "UriEndpointStateChanged") {
		states = append(states, ev.Data["state"].(string))
	}
	if got := strings.Join(states, " "); got != "START PAUSE START STOP" {
		t.Errorf("states %s", got)
	}
	elementtest.Eventually(t, "the stream is served no more", func() bool { status, _, _ := h.ask("GET", path, nil); return status == 404 })
	kept(t, filepath.Join(h.dir, "deep", "film"), 4*time.Second)
}

// kept plays what a folder keeps, which must last at least so long, and gives how
// many segments that is.
func kept(t testing.TB, dir string, least time.Duration) int {
	t.Helper()
	index := filepath.Join(dir, "index.m3u8")
	codectest.MustPlay(t, index)
	if d := codectest.ProbeFile(t, index).Duration(t); d < least {
		t.Errorf("%v is kept, want %v", d, least)
	}
	b, err := os.ReadFile(filepath.Join(dir, "stream.m3u8"))
	if err != nil || !strings.HasSuffix(string(b), "#EXT-X-ENDLIST\n") || !strings.Contains(string(b), "TYPE:VOD") {
		t.Errorf("kept playlist: %v\n%s", err, b)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	return strings.Count(string(b), "#EXTINF")
}

// A reader of another make plays it while it is live, in low latency too.
func TestHLSReader(t *testing.T) {
	for _, low := range []bool{false, true} {
		t.Run(strconv.FormatBool(low), func(t *testing.T) {
			t.Parallel()
			h := newSpectator(t)
			_, e := h.play(map[string]any{"segmentSeconds": 1, "lowLatency": low})
			defer h.Release(e)
			if !low { // it gives up when the next segment is not there yet
				elementtest.Eventually(t, "six segments", func() bool {
					_, media := h.get(strings.TrimSuffix(e.Path(), "index.m3u8") + "stream.m3u8")
					return strings.Count(media, "#EXTINF") >= 6
				})
			}
			var pictures, sounds atomic.Int64
			var backward atomic.Bool
			var c *gohlslib.Client
			quiet := func(string) {}
			c = &gohlslib.Client{URI: h.web.URL + e.Path(), StartDistance: 5, MaxDistance: 10,
				OnDownloadPrimaryPlaylist: quiet, OnDownloadStreamPlaylist: quiet, OnDownloadSegment: quiet, OnDownloadPart: quiet, OnTracks: func(tracks []*gohlslib.Track) error {
					for _, track := range tracks {
						switch track.Codec.(type) {
						case *codecs.H264:
							last := int64(-1)
							c.OnDataH26x(track, func(pts, _ int64, _ [][]byte) {
								backward.Store(backward.Load() || pts <= last)
								last = pts
								pictures.Add(1)
							})
						case *codecs.MPEG4Audio:
							c.OnDataMPEG4Audio(track, func(int64, [][]byte) { sounds.Add(1) })
						}
					}
					return nil
				}}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			elementtest.Eventually(t, "pictures and sound", func() bool { return pictures.Load() > 60 && sounds.Load() > 100 })
			c.Close()
			if err := c.Wait2(); err != nil && !strings.Contains(err.Error(), "terminated") {
				t.Error(err)
			}
			if backward.Load() {
				t.Error("time goes backward")
			}
		})
	}
}

// With low latency, a player asks for what does not exist yet, and gets it then.
func TestHLSBlocks(t *testing.T) {
	t.Parallel()
	h := newSpectator(t)
	_, e := h.play(map[string]any{"segmentSeconds": 1, "lowLatency": true})
	defer h.Release(e)
	root := strings.TrimSuffix(e.Path(), "index.m3u8")
	_, media := h.get(root + "stream.m3u8")
	hint := regexp.MustCompile(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="(part(\d+)\.(\d+)\.m4s)"`)
	for range 6 {
		m := hint.FindStringSubmatch(media)
		if m == nil || !strings.Contains(media, "CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.500") {
			t.Fatalf("playlist:\n%s", media)
		}
		_, media = h.get(root + "stream.m3u8?_HLS_msn=" + m[2] + "&_HLS_part=" + m[3])
		listed := strings.Contains(media, `URI="`+m[1]+`"`) && !strings.Contains(media, `HINT:TYPE=PART,URI="`+m[1]+`"`)
		if !listed && !strings.Contains(media, "seg"+m[2]+".m4s") {
			t.Errorf("asked for %s, got\n%s", m[1], media)
		}
	}
	m := hint.FindStringSubmatch(media)
	if status, header, body := h.ask("GET", root+m[1], nil); status != 404 && (status != 200 || len(body) < 8 || body[4:8] != "moof" || header.Get("Content-Type") != "video/mp4") {
		t.Errorf("the part that is hinted at: %d, %d bytes", status, len(body))
	}
	for _, wrong := range []string{"_HLS_msn=x", "_HLS_msn=99999", "_HLS_part=1", "_HLS_msn=" + m[2] + "&_HLS_part=x", "_HLS_msn=-1"} {
		if status, _, _ := h.ask("GET", root+"stream.m3u8?"+wrong, nil); status != 400 {
			t.Errorf("%s: %d", wrong, status)
		}
	}
	// Who waits is answered when the stream ends.
	done := make(chan string, 1)
	go func() {
		_, _, body := h.ask("GET", root+"stream.m3u8?_HLS_msn="+m[2]+"&_HLS_part=500", nil)
		done <- body
	}()
	h.Call(e, "stop", nil)
	if body := <-done; !strings.HasSuffix(body, "#EXT-X-ENDLIST\n") {
		t.Errorf("who waited gets\n%s", body)
	}
}

// Nothing to play is waited for, not for ever, and no goroutine stays.
func TestHLSWithoutMedia(t *testing.T) {
	t.Parallel()
	h := newSpectator(t)
	e := h.Element("HlsEndpoint", nil).(*uri.HLS)
	if status, _, _ := h.ask("GET", e.Path(), nil); status != 404 {
		t.Errorf("before start: %d", status)
	}
	h.Call(e, "start", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", h.web.URL+e.Path(), nil)
	if _, err := h.web.Client().Do(r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a viewer does not wait: %v", err)
	}
	waiting := make(chan int, 1)
	go func() { status, _, _ := h.ask("GET", e.Path(), nil); waiting <- status }()
	elementtest.Within(t, "release", func() { h.Release(e) })
	if status := <-waiting; status != 404 {
		t.Errorf("a viewer of nothing gets %d", status)
	}
}

// A picture that comes three seconds after the sound is waited for: players that
// began with sound alone could not take it up.
func TestHLSWaitsForPicture(t *testing.T) {
	t.Parallel()
	codectest.NeedFFmpeg(t)
	h := newSpectator(t)
	picture, sound := newFootage(h.World, 0, pipeline.Video), newFootage(h.World, 0, pipeline.Audio)
	e := h.Element("HlsEndpoint", map[string]any{"segmentSeconds": 1}).(*uri.HLS)
	defer h.Release(e)
	h.Call(sound, "connect", map[string]any{"sink": e})
	h.Call(e, "start", nil)
	before := sound.pushed.Load()
	elementtest.Eventually(t, "three seconds of sound", func() bool { return sound.pushed.Load() > before+140 })
	h.Call(picture, "connect", map[string]any{"sink": e, "mediaType": "VIDEO"})
	_, index := h.get(e.Path())
	_, media := h.get(strings.TrimSuffix(e.Path(), "index.m3u8") + "stream.m3u8")
	if !strings.Contains(index, "avc1.") || !strings.Contains(index, "mp4a.40.2") || strings.Count(media, "init") != 1 {
		t.Errorf("playlists:\n%s\n%s", index, media)
	}
}

// What cannot be kept is told, and the stream goes on; what is there stays.
func TestHLSKeepFails(t *testing.T) {
	t.Parallel()
	h := newSpectator(t)
	dir := filepath.Join(h.dir, "film")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "stream.m3u8"), []byte("mine"), 0o600)); err != nil {
		t.Fatal(err)
	}
	_, e := h.play(map[string]any{"segmentSeconds": 1, "directory": "file://" + dir})
	defer h.Release(e)
	if ev := h.WaitEvents(e, "Error", 1)[0]; ev.Data["type"] != "RESOURCE_ERROR_OPEN" || !strings.Contains(ev.Data["description"].(string), "holds a stream already") {
		t.Errorf("error %v", ev.Data)
	}
	h.get(e.Path())
	if b, err := os.ReadFile(filepath.Join(dir, "stream.m3u8")); err != nil || string(b) != "mine" {
		t.Errorf("what was there: %q, %v", b, err)
	}
}

// A folder that goes away while it is written to.
func TestHLSFolderGoes(t *testing.T) {
	t.Parallel()
	h := newSpectator(t)
	dir := filepath.Join(h.dir, "film")
	_, e := h.play(map[string]any{"segmentSeconds": 1, "directory": "file://" + dir})
	defer h.Release(e)
	h.get(e.Path())
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if ev := h.WaitEvents(e, "Error", 1)[0]; ev.Data["type"] != "RESOURCE_ERROR_WRITE" {
		t.Errorf("error %v", ev.Data)
	}
	_, before := h.get(strings.TrimSuffix(e.Path(), "index.m3u8") + "stream.m3u8")
	elementtest.Eventually(t, "the stream goes on", func() bool {
		_, now := h.get(strings.TrimSuffix(e.Path(), "index.m3u8") + "stream.m3u8")
		return now != before
	})
}

func TestHLSRefuses(t *testing.T) {
	h := newSpectator(t)
	for name, c := range map[string]struct {
		params map[string]any
		code   kerr.Code
		text   string
	}{
		"too short":        {map[string]any{"segmentSeconds": 0}, kerr.MediaObjectIllegalParam, "1 to 10"},
		"too long":         {map[string]any{"segmentSeconds": 11}, kerr.MediaObjectIllegalParam, "1 to 10"},
		"too few":          {map[string]any{"segments": 2}, kerr.MediaObjectIllegalParam, "3 to 60"},
		"too many":         {map[string]any{"segments": 61}, kerr.MediaObjectIllegalParam, "3 to 60"},
		"text":             {map[string]any{"segments": "many"}, kerr.MarshallError, "segments"},
		"remote directory": {map[string]any{"directory": "https://127.0.0.1/x"}, kerr.MediaObjectIllegalParam, "file URI"},
		"other directory":  {map[string]any{"directory": "file:///etc/x"}, kerr.URIPathFileNotFound, "outside"},
		"the root itself":  {map[string]any{"directory": "file://" + h.dir}, kerr.URIPathFileNotFound, "outside"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.TryCreate("HlsEndpoint", c.params)
			elementtest.Code(t, err, c.code, c.text)
		})
	}
	w := elementtest.New(t, uri.Types(uri.Deps{})...)
	_, err := w.TryCreate("HlsEndpoint", nil)
	elementtest.Code(t, err, kerr.MediaObjectNotAvailable, "no HLS")
}

func TestHLSContract(t *testing.T) {
	elementtest.Run(t, uri.Types(uri.Deps{HLS: uri.NewHLSServer()}), elementtest.Case{
		Type: "HlsEndpoint", Ancestors: []string{"UriEndpoint", "Endpoint", "MediaElement", "MediaObject"},
	})
}

var _ elements.URIEndpoint = (*uri.HLS)(nil)
