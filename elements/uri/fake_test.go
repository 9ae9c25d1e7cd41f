package uri_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/uri"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/internal/workers/workerstest"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

// projector is a fake worker's job "player": it reads all that it is given, then
// sends as many VP8 frames as the text says ("frames 5"), and ends. Text that says
// anything else is no media.
type projector struct {
	mu    sync.Mutex
	calls []string
	read  []byte
}

func (pr *projector) script() workerstest.Script {
	return workerstest.Script{Call: pr.call}
}

func (pr *projector) note(s string) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	pr.calls = append(pr.calls, s)
}

func (pr *projector) seen() ([]string, string) {
	pr.mu.Lock()
	defer pr.mu.Unlock()
	return slices.Clone(pr.calls), string(pr.read)
}

func (pr *projector) call(w *workerstest.Worker, method string, params json.RawMessage, files []*os.File) (any, error) {
	if method != "open" {
		pr.note(method)
	}
	switch method {
	case "open":
		var p struct {
			Mode string `json:"mode"`
			Size int64  `json:"size"`
		}
		if err := json.Unmarshal(params, &p); err != nil || len(files) != 1 {
			return nil, errors.New("open without a file")
		}
		pr.note("open " + p.Mode)
		f, err := dup(files[0])
		if err != nil {
			return nil, err
		}
		go pr.play(w, p.Mode, p.Size, f)
	case "position":
		return map[string]int64{"ms": 1234}, nil
	case "seek":
		if strings.Contains(string(params), "666") {
			return nil, kerr.New(kerr.PlayerSeekFail, "no")
		}
	case "play", "pause":
	default:
		return nil, fmt.Errorf("unknown method %s", method)
	}
	return nil, nil
}

func (pr *projector) play(w *workerstest.Worker, mode string, size int64, f *os.File) {
	defer f.Close()
	var b []byte
	if mode == "read" {
		b = ask(f, size)
	} else {
		b, _ = io.ReadAll(f)
	}
	pr.mu.Lock()
	pr.read = b
	pr.mu.Unlock()
	var n int
	if _, err := fmt.Sscanf(string(b), "frames %d", &n); err != nil {
		w.Error(wire.ErrorData{Type: "INVALID_MEDIA", Text: "no media"})
		return
	}
	w.Event("ready", map[string]any{"seekable": true, "fromMs": 0, "toMs": 5000, "durationMs": 5000})
	id := w.Stream("video", wire.Media{Kind: "video", Codec: "VP8", ClockRate: 90000})
	for i := range n {
		w.Send(id, workerstest.Unit(codec.VP8, i == 0), int64(i)*int64(40*time.Millisecond), i == 0)
	}
	if !strings.Contains(string(b), "endless") {
		w.End("")
	}
}

// ask reads a file through the socket of ranges, last byte first.
func ask(f *os.File, size int64) []byte {
	out := make([]byte, size)
	conn, err := net.FileConn(f)
	if err != nil {
		return nil
	}
	defer conn.Close()
	for at := size - 1; at >= 0; at-- {
		var head [16]byte
		binary.BigEndian.PutUint64(head[:], uint64(at))
		binary.BigEndian.PutUint32(head[8:], 10)
		conn.Write(head[:])
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			return nil
		}
		b := make([]byte, binary.BigEndian.Uint64(head[:]))
		if _, err := io.ReadFull(conn, b); err != nil {
			return nil
		}
		out[at] = b[0]
	}
	return out
}

// dup keeps a file that is closed after the call.
func dup(f *os.File) (*os.File, error) {
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "dup"), nil
}

// cinema is a world whose workers are projectors.
type cinema struct {
	*elementtest.World
	pr   *projector
	farm *workerstest.Farm
	dir  string
}

func newCinema(t *testing.T) *cinema {
	t.Helper()
	c := &cinema{pr: &projector{}, dir: t.TempDir()}
	c.farm = workerstest.New(t, c.pr.script())
	c.World = elementtest.New(t, uri.Types(uri.Deps{
		Fetch: &fetch.Policy{FileRoots: []string{c.dir}, AllowPrivate: true}, Workers: c.farm.Pool, HTTP: uri.HTTP{MaxBody: 1 << 20},
	})...)
	return c
}

func (c *cinema) file(name, text string) string {
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.T.Fatal(err)
	}
	return "file://" + path
}

func (c *cinema) sink(e elements.Element) *pipelinetest.Sink {
	s := pipelinetest.NewSink()
	out, err := e.Output(pipeline.Video, "")
	if err != nil {
		c.T.Fatal(err)
	}
	if _, err := out.Connect(s); err != nil {
		c.T.Fatal(err)
	}
	return s
}

func (c *cinema) told(e elements.Element) (out []string) {
	for _, ev := range c.Events(e, "") {
		switch ev.Name {
		case "UriEndpointStateChanged":
			out = append(out, ev.Data["state"].(string))
		case "EndOfStream", "Error", "MediaSessionStarted", "MediaSessionTerminated":
			out = append(out, ev.Name)
		}
	}
	return out
}

func TestPlayer(t *testing.T) {
	c := newCinema(t)
	p := c.Element("PlayerEndpoint", map[string]any{"uri": c.file("a.webm", "frames 5 endless")})
	defer c.Release(p)
	sink := c.sink(p)
	c.Call(p, "play", nil)
	c.Call(p, "play", nil) // nothing more
	elementtest.Eventually(t, "five frames", func() bool { return len(sink.Packets()) == 5 })
	if f := sink.Packets()[0]; f.Format.Codec != codec.VP8 || f.Format.Framing != pipeline.Unit || !f.Key {
		t.Errorf("first frame %+v", f)
	}
	if info := c.Call(p, "getVideoInfo", nil).(map[string]any); info["isSeekable"] != true || info["duration"] != int64(5000) || info["seekableEnd"] != int64(5000) {
		t.Errorf("videoInfo %v", info)
	}
	if at := c.Call(p, "getPosition", nil); at != int64(1234) {
		t.Errorf("position %v", at)
	}
	c.Call(p, "setPosition", map[string]any{"position": 1000})
	for _, at := range []int{666, 5001, -1} {
		_, err := c.Invoke(p, "setPosition", map[string]any{"position": at})
		elementtest.Code(t, err, kerr.PlayerSeekFail, "Seek fails")
	}
	c.Call(p, "pause", nil)
	c.Call(p, "pause", nil)
	c.Call(p, "play", nil)
	c.Call(p, "stop", nil)
	c.Call(p, "stop", nil)
	c.Call(p, "pause", nil) // refused, and yet no error
	if got, want := c.told(p), []string{"START", "PAUSE", "START", "STOP"}; !slices.Equal(got, want) {
		t.Errorf("events %v, want %v", got, want)
	}
	calls, _ := c.pr.seen()
	calls = slices.DeleteFunc(calls, func(s string) bool { return s == "position" })
	if want := []string{"open file", "play", "seek", "seek", "pause", "play"}; !slices.Equal(calls, want) {
		t.Errorf("calls %v, want %v", calls, want)
	}
	c.Call(p, "play", nil)
	elementtest.Eventually(t, "it plays again", func() bool { return len(sink.Packets()) == 10 })
	c.farm.Workers()[len(c.farm.Workers())-1].Crash()
	if e := c.WaitEvents(p, "Error", 1)[0]; e.Data["type"] == "" || e.Data["description"] == "" {
		t.Errorf("error %v", e.Data)
	}
	elementtest.Eventually(t, "it stops", func() bool { return c.Call(p, "getState", nil) == "STOP" })
}

// A file on a server with ranges is read where the worker wants.
func TestPlayerRanges(t *testing.T) {
	c := newCinema(t)
	text := "frames 3" + strings.Repeat(" ", 300)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "a.webm", time.Time{}, strings.NewReader(text))
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	defer srv.Close()
	p := c.Element("PlayerEndpoint", map[string]any{"uri": "http://" + l.Addr().String() + "/a.webm"})
	defer c.Release(p)
	c.Call(p, "play", nil)
	c.WaitEvents(p, "EndOfStream", 1)
	calls, read := c.pr.seen()
	if calls[0] != "open read" || read != text {
		t.Errorf("calls %v, read %q", calls, read)
	}
}

func TestPlayerNeedsWorkers(t *testing.T) {
	w := elementtest.New(t, uri.Types(uri.Deps{})...)
	for typ, params := range map[string]map[string]any{"PlayerEndpoint": {"uri": "file:///tmp/x.webm"}, "HttpPostEndpoint": {}} {
		_, err := w.TryCreate(typ, params)
		elementtest.Code(t, err, kerr.MediaObjectNotAvailable, "worker")
	}
	if _, err := w.TryCreate("PlayerEndpoint", map[string]any{"uri": "rtsp://127.0.0.1/x"}); err != nil {
		t.Errorf("rtsp needs no worker: %v", err)
	}
}

func TestPlayerContract(t *testing.T) {
	farm := workerstest.New(t, (&projector{}).script())
	types := uri.Types(uri.Deps{Workers: farm.Pool})
	elementtest.Run(t, types, elementtest.Case{
		Type: "PlayerEndpoint", Required: []string{"uri"},
		Params:    func() map[string]any { return map[string]any{"uri": "file:///nowhere/x.webm"} },
		Ancestors: []string{"UriEndpoint", "Endpoint", "MediaElement", "MediaObject"},
	}, elementtest.Case{
		Type: "HttpPostEndpoint", Ancestors: []string{"HttpEndpoint", "SessionEndpoint", "Endpoint", "MediaElement", "MediaObject"},
	})
}

// form is a multipart body with a field and a file.
func form(t *testing.T, text string) (io.Reader, string) {
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	m.WriteField("name", "value")
	part, err := m.CreateFormFile("file", "a.webm")
	if err != nil {
		t.Fatal(err)
	}
	part.Write([]byte(text))
	m.Close()
	return &b, m.FormDataContentType()
}

func TestHTTPPost(t *testing.T) {
	c := newCinema(t)
	e := c.Element("HttpPostEndpoint", map[string]any{"disconnectionTimeout": 1})
	defer c.Release(e)
	url := c.Call(e, "getUrl", nil).(string)
	sink := c.sink(e)
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, Transport: &http.Transport{DisableKeepAlives: true}}
	post := func(cl *http.Client, method, kind string, body io.Reader) int {
		t.Helper()
		r, _ := http.NewRequest(method, url, body)
		r.Header.Set("Content-Type", kind)
		resp, err := cl.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := post(client, "GET", "", nil); got != 405 {
		t.Errorf("GET gives %d", got)
	}
	if ev := c.WaitEvents(e, "Error", 1)[0]; ev.Data["type"] != "INVALID_URI" {
		t.Errorf("error %v", ev.Data)
	}
	body, kind := form(t, "frames 4")
	if got := post(client, "POST", kind, body); got != 200 {
		t.Errorf("form gives %d", got)
	}
	c.WaitEvents(e, "EndOfStream", 1)
	if n := len(sink.Packets()); n != 4 {
		t.Errorf("%d frames", n)
	}
	if calls, read := c.pr.seen(); calls[0] != "open pipe" || read != "frames 4" {
		t.Errorf("calls %v read %q", calls, read)
	}
	stranger := &http.Client{Transport: client.Transport}
	if got := post(stranger, "POST", "video/webm", strings.NewReader("frames 1")); got != 403 {
		t.Errorf("another client gets %d", got)
	}
	if got := post(client, "POST", "video/webm", strings.NewReader("frames 2")); got != 200 {
		t.Errorf("body gives %d", got)
	}
	c.WaitEvents(e, "EndOfStream", 2)
	for kind, text := range map[string]string{"multipart/form-data": "x", "multipart/form-data; boundary=x": "nothing"} {
		if got := post(client, "POST", kind, strings.NewReader(text)); got != 415 {
			t.Errorf("%s gives %d", kind, got)
		}
	}
	if got := post(client, "POST", "video/webm", strings.NewReader(strings.Repeat("x", 2<<20))); got != 413 {
		t.Errorf("too large gives %d", got)
	}
	c.WaitEvents(e, "MediaSessionTerminated", 1)
	if n := len(c.Events(e, "MediaSessionStarted")); n != 1 {
		t.Errorf("%d sessions began", n)
	}
	if r, err := http.NewRequest("POST", url, strings.NewReader("x")); err == nil {
		if resp, err := client.Do(r); err == nil {
			resp.Body.Close()
			if resp.StatusCode != 404 {
				t.Errorf("an expired URL gives %d", resp.StatusCode)
			}
		}
	}
}

// A second upload while one is played is refused, and release ends a slow one.
func TestHTTPPostBusy(t *testing.T) {
	c := newCinema(t)
	e := c.Element("HttpPostEndpoint", nil)
	url := c.Call(e, "getUrl", nil).(string)
	pr, pw := io.Pipe()
	transport := &http.Transport{DisableKeepAlives: true}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r, _ := http.NewRequest("POST", url, pr)
		if resp, err := transport.RoundTrip(r); err == nil {
			resp.Body.Close()
		}
	}()
	pw.Write([]byte("frames"))
	c.WaitEvents(e, "MediaSessionStarted", 1)
	r, _ := http.NewRequest("POST", url, strings.NewReader("x"))
	resp, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 409 {
		t.Errorf("a second upload gets %d", resp.StatusCode)
	}
	elementtest.Within(t, "release", func() { c.Release(e) })
	pw.CloseWithError(io.ErrClosedPipe)
	elementtest.Within(t, "the upload ends", func() { <-done })
}
