package web

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/recording"
)

// rooms remembers what was asked of it.
type rooms struct {
	sessions map[string]openvidu.SessionProperties
	// closing makes that many connections fail as if the room had just closed.
	closing int
	marked  string
}

func (r *rooms) CreateSession(_ context.Context, p openvidu.SessionProperties) (openvidu.SessionInfo, error) {
	if _, ok := r.sessions[p.CustomSessionID]; ok {
		return openvidu.SessionInfo{}, openvidu.ErrSessionExists
	}
	r.sessions[p.CustomSessionID] = p
	return openvidu.SessionInfo{ID: p.CustomSessionID}, nil
}

func (r *rooms) CreateConnection(_ context.Context, id string, _ openvidu.ConnectionProperties) (openvidu.ConnectionInfo, error) {
	if r.closing > 0 {
		r.closing--
		delete(r.sessions, id)
		return openvidu.ConnectionInfo{}, openvidu.ErrSessionNotFound
	}
	token := "wss://localhost?sessionId=" + id
	return openvidu.ConnectionInfo{Token: &token}, nil
}

func (r *rooms) RecordingTarget(_ context.Context, id string) (openvidu.RecordingTarget, error) {
	if _, ok := r.sessions[id]; !ok {
		return openvidu.RecordingTarget{}, openvidu.ErrSessionNotFound
	}
	return openvidu.RecordingTarget{SessionID: id, RecordingID: r.marked}, nil
}

type recordings struct {
	dir     string
	list    []recording.Recording
	started []openvidu.RecordingProperties
	stopped []string
	err     error
}

func (r *recordings) Start(_ context.Context, id string, p openvidu.RecordingProperties) (recording.Recording, error) {
	r.started = append(r.started, p)
	return recording.Recording{ID: id}, r.err
}

func (r *recordings) Stop(_ context.Context, id string, _ openvidu.Reason) (recording.Recording, error) {
	r.stopped = append(r.stopped, id)
	return recording.Recording{ID: id}, r.err
}

func (r *recordings) List() ([]recording.Recording, error) { return r.list, r.err }

func (r *recordings) Get(id string) (recording.Recording, error) {
	for _, x := range r.list {
		if x.ID == id {
			return x, nil
		}
	}
	return recording.Recording{}, recording.ErrNotFound
}

func (r *recordings) Open(id, file string) (recording.File, fs.FileInfo, error) {
	f, err := os.Open(filepath.Join(r.dir, id, file))
	if err != nil {
		return nil, nil, recording.ErrNotFound
	}
	info, err := f.Stat()
	return f, info, err
}

type bench struct {
	mux   *http.ServeMux
	rooms *rooms
	recs  *recordings
}

func newBench(t *testing.T) *bench {
	b := &bench{mux: http.NewServeMux(), rooms: &rooms{sessions: map[string]openvidu.SessionProperties{}}, recs: &recordings{dir: t.TempDir()}}
	Register(b.mux, Options{Demo: true, Rooms: b.rooms, Recordings: b.recs, Version: "v1", Log: slog.New(slog.DiscardHandler)})
	return b
}

func (b *bench) call(method, path, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.mux.ServeHTTP(w, req)
	return w
}

// store writes a ready recording whose zip holds one stream with these bytes.
func (b *bench) store(t *testing.T, id, sessionID, media string, method uint16) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(b.recs.dir, id), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(b.recs.dir, id, "talk.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	index := `{"files":[{"name":"str_1.webm","streamId":"str_1","size":10,"clientData":"{\"clientData\":\"<b>Ann</b>\"}","hasVideo":true,"typeOfVideo":"SCREEN","startTimeOffset":100,"endTimeOffset":1600}]}`
	for name, text := range map[string]string{"str_1.webm": media, "hidden.webm": "x", "talk.json": index} {
		e, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(e, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b.recs.list = append(b.recs.list, recording.Recording{ID: id, Name: "talk", SessionID: sessionID, Status: recording.Ready, Duration: 1.5})
}

func TestTokenMakesARoomOfItsOwn(t *testing.T) {
	b := newBench(t)
	b.rooms.closing = 1 // the room closes under the first try
	for range 2 {
		w := b.call("POST", "/demo/token", `{"room":"a","name":"Ann"}`)
		if w.Code != 200 || !strings.Contains(w.Body.String(), `"token":"wss://localhost?sessionId=demo-a"`) {
			t.Fatalf("token: %d %s", w.Code, w.Body)
		}
	}
	if p := b.rooms.sessions["demo-a"].DefaultRecordingProperties; p == nil || p.OutputMode != openvidu.OutputIndividual {
		t.Errorf("recording defaults = %+v, want INDIVIDUAL", p)
	}
}

func TestRefusals(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/demo/token", `{`, 400},
		{"POST", "/demo/token", `{"room":"../x"}`, 400},
		{"POST", "/demo/token", `{"room":""}`, 400},
		{"POST", "/demo/token", `{"room":"` + strings.Repeat("a", 65) + `"}`, 400},
		{"POST", "/demo/token", `{"room":"` + strings.Repeat("a", 5000) + `"}`, 400},
		{"POST", "/demo/recording/stop", `{"room":"none"}`, 404},
		{"GET", "/demo/recordings?room=%2e%2e", "", 400},
		{"GET", "/demo/recordings/none", "", 404},
		{"GET", "/demo/recordings/none/str_1.webm", "", 404},
		{"GET", "/demo/token", "", 405},
	} {
		if w := b.call(c.method, c.path, c.body); w.Code != c.status {
			t.Errorf("%s %s %.30s: %d, want %d (%s)", c.method, c.path, c.body, w.Code, c.status, w.Body)
		}
	}
	if w := b.call("POST", "/demo/token", `{"room":"a"}`, "Sec-Fetch-Site", "cross-site"); w.Code != 403 {
		t.Errorf("another site's page got %d, want 403", w.Code)
	}
}

func TestErrorsHaveTextsForPeople(t *testing.T) {
	b := newBench(t)
	b.rooms.sessions["demo-a"] = openvidu.SessionProperties{}
	for _, c := range []struct {
		err    error
		status int
	}{
		{recording.ErrNotActive, 409}, {recording.ErrConflict, 409}, {recording.ErrNoSpace, 507}, {openvidu.ErrSessionNotFound, 404},
		{openvidu.ErrLimit, 503}, {&recording.StartError{Text: "no codec"}, 500}, {errors.New("secret detail"), 500},
		{&openvidu.Error{Text: "told"}, 400},
	} {
		b.recs.err = c.err
		w := b.call("POST", "/demo/recording/start", `{"room":"a"}`)
		var answer struct{ Message string }
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != c.status || answer.Message == "" || strings.Contains(answer.Message, "secret detail") {
			t.Errorf("%v: %d %s, want %d and a message", c.err, w.Code, w.Body, c.status)
		}
	}
}

func TestRecordAndStop(t *testing.T) {
	b := newBench(t)
	b.rooms.sessions["demo-a"] = openvidu.SessionProperties{}
	if w := b.call("POST", "/demo/recording/start", `{"room":"a"}`); w.Code != 200 || b.recs.started[0].OutputMode != openvidu.OutputIndividual {
		t.Fatalf("start: %d %s", w.Code, w.Body)
	}
	if w := b.call("POST", "/demo/recording/stop", `{"room":"a"}`); w.Code != 409 {
		t.Errorf("stop of a room that is not recorded: %d, want 409", w.Code)
	}
	b.rooms.marked = "demo-a"
	if w := b.call("POST", "/demo/recording/stop", `{"room":"a"}`); w.Code != 200 || len(b.recs.stopped) != 1 {
		t.Errorf("stop: %d %s", w.Code, w.Body)
	}
}

func TestPlayback(t *testing.T) {
	b := newBench(t)
	b.store(t, "demo-a", "demo-a", "0123456789", zip.Store)
	b.store(t, "other", "other", "0123456789", zip.Store)
	b.store(t, "demo-a~1", "demo-a", "0123456789", zip.Deflate)

	w := b.call("GET", "/demo/recordings?room=a", "")
	var got struct{ Recordings []item }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Recordings) != 2 {
		t.Fatalf("list: %v %s", err, w.Body)
	}
	want := stream{StreamID: "str_1", Name: "<b>Ann</b>", Kind: "video", Screen: true, URL: "demo/recordings/demo-a/str_1.webm", Type: "video/webm", DurationMs: 1500, Size: 10}
	if s := got.Recordings[1].Streams; len(s) != 1 || s[0] != want {
		t.Errorf("streams = %+v, want %+v", s, want)
	}

	w = b.call("GET", "/demo/recordings/demo-a/str_1.webm", "", "Range", "bytes=2-4")
	if w.Code != 206 || w.Body.String() != "234" || w.Header().Get("Content-Range") != "bytes 2-4/10" || w.Header().Get("Content-Type") != "video/webm" {
		t.Errorf("range: %d %q %v", w.Code, w.Body, w.Header())
	}
	if w = b.call("GET", "/demo/recordings/demo-a", ""); w.Code != 200 || w.Header().Get("Content-Type") != "application/zip" ||
		!strings.Contains(w.Header().Get("Content-Disposition"), "talk.zip") {
		t.Errorf("zip: %d %v", w.Code, w.Header())
	}
	for _, path := range []string{
		"/demo/recordings/demo-a/hidden.webm", "/demo/recordings/demo-a/talk.json", // not listed streams
		"/demo/recordings/other", "/demo/recordings/other/str_1.webm", // an application's recording
		"/demo/recordings/demo-a~1/str_1.webm", // compressed
	} {
		if w := b.call("GET", path, ""); w.Code != 404 {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
}

func TestTornZipShowsNoStreams(t *testing.T) {
	b := newBench(t)
	b.store(t, "demo-a", "demo-a", "0123456789", zip.Store)
	if err := os.Truncate(filepath.Join(b.recs.dir, "demo-a", "talk.zip"), 40); err != nil {
		t.Fatal(err)
	}
	if w := b.call("GET", "/demo/recordings?room=a", ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"streams":[]`) {
		t.Errorf("list: %d %s", w.Code, w.Body)
	}
	if w := b.call("GET", "/demo/recordings/demo-a/str_1.webm", ""); w.Code != 404 {
		t.Errorf("stream: %d, want 404", w.Code)
	}
}

func TestDemoIsRateLimited(t *testing.T) {
	b := newBench(t)
	limited := 0
	for range callBurst + 50 {
		if b.call("GET", "/demo/config", "").Code == 429 {
			limited++
		}
	}
	if limited == 0 {
		t.Errorf("%d calls at once and none was refused", callBurst+50)
	}
}

func TestDemoIsOffUnlessAskedFor(t *testing.T) {
	mux := http.NewServeMux()
	Register(mux, Options{Log: slog.New(slog.DiscardHandler)})
	for _, path := range []string{"/demo/token", "/demo/config", "/demo/recordings"} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("POST", path, strings.NewReader(`{"room":"a"}`)))
		if w.Code != 404 {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
}

func TestPage(t *testing.T) {
	files := fstest.MapFS{
		"dist/index.html":   {Data: []byte("<title>page</title>"), ModTime: time.Unix(1, 0)},
		"dist/assets/a1.js": {Data: []byte("1")},
		"dist/.keep":        {},
	}
	mux := http.NewServeMux()
	registerPage(mux, files)
	for _, c := range []struct {
		path, cache string
		status      int
	}{
		{"/", "no-cache", 200}, {"/assets/a1.js", "immutable", 200}, {"/assets/", "", 404}, {"/.keep", "", 404}, {"/nothing", "", 404}, {"/assets/none.js", "", 404},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", c.path, nil))
		if w.Code != c.status || c.status == 200 && !strings.Contains(w.Header().Get("Cache-Control"), c.cache) {
			t.Errorf("%s: %d %q, want %d %q", c.path, w.Code, w.Header().Get("Cache-Control"), c.status, c.cache)
		}
		if c.status == 200 && !strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s has no content policy", c.path)
		}
	}
	bare := http.NewServeMux()
	registerPage(bare, fstest.MapFS{"dist/.keep": {}})
	w := httptest.NewRecorder()
	bare.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "make web") {
		t.Errorf("without a build: %d %s", w.Code, w.Body)
	}
}

func ExampleRegister() {
	mux := http.NewServeMux()
	Register(mux, Options{Log: slog.New(slog.DiscardHandler)})
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/demo/token", nil))
	fmt.Println(w.Code)
	// Output: 404
}
