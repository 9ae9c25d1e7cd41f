package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/secret"
)

// seeds are one good request per call; the malformed ones are made of them.
var seeds = []struct{ method, path, body string }{
	{"POST", "/openvidu/api/sessions", `{"mediaMode":"ROUTED","recordingMode":"MANUAL","customSessionId":"s1","forcedVideoCodec":"VP8","allowTranscoding":false,"defaultRecordingProperties":{"name":"n","hasAudio":true,"hasVideo":true,"outputMode":"COMPOSED","recordingLayout":"BEST_FIT","resolution":"1280x720","frameRate":25,"shmSize":536870912}}`},
	{"GET", "/openvidu/api/sessions?pendingConnections=true&webRtcStats=false", ""},
	{"POST", "/openvidu/api/sessions/room/connection", `{"type":"WEBRTC","data":"d","record":true,"role":"PUBLISHER","kurentoOptions":{"videoMaxRecvBandwidth":1000,"allowedFilters":["A"]},"customIceServers":[{"url":"turn:host:3478","username":"u","credential":"c"}]}`},
	{"POST", "/openvidu/api/sessions/room/connection", `{"type":"IPCAM","rtspUri":"rtsp://host/x","adaptativeBitrate":true,"onlyPlayWithSubscribers":true,"networkCache":2000}`},
	{"GET", "/openvidu/api/sessions/room/connection/con_A?webRtcStats=true", ""},
	{"PATCH", "/openvidu/api/sessions/room/connection/con_A", `{"role":"SUBSCRIBER","record":true}`},
	{"DELETE", "/openvidu/api/sessions/room/connection/con_A", ""},
	{"DELETE", "/openvidu/api/sessions/room/stream/str_A", ""},
	{"PUT", "/openvidu/api/sessions/room/connection/con_A/layer/str_A", `{"spatialLayer":1,"temporalLayer":0,"width":640,"height":360}`},
	{"POST", "/openvidu/api/signal", `{"session":"room","to":["con_A"],"type":"t","data":"d"}`},
	{"POST", "/openvidu/api/tokens", `{"session":"room","role":"PUBLISHER","data":"d"}`},
	{"POST", "/openvidu/api/recordings/start", `{"session":"room","name":"n","outputMode":"INDIVIDUAL","hasAudio":true,"hasVideo":true,"recordingLayout":"BEST_FIT","customLayout":"","resolution":"1280x720","frameRate":25,"shmSize":536870912,"ignoreFailedStreams":false}`},
	{"POST", "/openvidu/api/recordings/stop/room", ""},
	{"GET", "/openvidu/recordings/room/room.zip", ""},
	{"GET", "/openvidu/api/config", ""},
}

// odd values to put where others belong.
var odd = []string{
	`null`, `true`, `0`, `-1`, `1e999`, `1.5`, `99999999999999999999`, `""`, `"` + strings.Repeat("A", 300) + `"`, `"../../etc/passwd"`, `"\u0000"`, `"<script>"`, `"' OR 1=1"`,
	`[]`, `{}`, `[[[[[[]]]]]]`, `{"a":{"b":{}}}`, `["con_X"]`, `[{}]`, `[{"url":5}]`, `"ROUTED "`, `"\ud800"`, `{"session":"room"}`, "\"\xff\xfe\"", `[1,2,3]`, `"${jndi:x}"`, `"%s%n"`,
}

// mutate makes a malformed request of a good one.
func mutate(rnd *rand.Rand, method, path, body string) (string, string, string) {
	switch rnd.IntN(8) {
	case 0: // cut
		if len(body) > 1 {
			body = body[:1+rnd.IntN(len(body)-1)]
		}
	case 1: // one value replaced
		var m map[string]json.RawMessage
		if json.Unmarshal([]byte(body), &m) == nil {
			if keys := slices.Sorted(maps.Keys(m)); len(keys) > 0 {
				body = strings.Replace(body, string(m[keys[rnd.IntN(len(keys))]]), odd[rnd.IntN(len(odd))], 1)
			}
		}
	case 2: // bytes turned
		b := []byte(body)
		for range 1 + rnd.IntN(4) {
			if len(b) > 0 {
				b[rnd.IntN(len(b))] = byte(rnd.IntN(256))
			}
		}
		body = string(b)
	case 3:
		body = odd[rnd.IntN(len(odd))]
	case 4: // path segment replaced
		parts := strings.Split(path, "/")
		parts[1+rnd.IntN(len(parts)-1)] = []string{"..", ".", "", "%2e%2e", "%00", "%ff", "a%2fb", strings.Repeat("x", 400), "{id}", "~1", "room;x=1", "con_A%20"}[rnd.IntN(12)]
		path = strings.Join(parts, "/")
	case 5:
		method = []string{"PUT", "TRACE", "HEAD", "OPTIONS", "CONNECT", "FOO", "PATCH", "GET", "POST"}[rnd.IntN(9)]
	case 6: // deep or wide
		body = []string{strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40), strings.Repeat("[", 5000), `{"to":[` + strings.Repeat("1,", 3000) + `1]}`, strings.Repeat("{", 300)}[rnd.IntN(4)]
	case 7:
		path += []string{"/", "/x", "?webRtcStats=%zz", "?pendingConnections=5", "?" + strings.Repeat("a=b&", 200), "%", "#x"}[rnd.IntN(7)]
	}
	return method, path, body
}

// Five thousand malformed requests: no 5xx (501 is the answer for what this server
// does not do yet, with its words), no stack, and no refusal changes anything.
func TestMalformedRequests(t *testing.T) {
	d := newDoor(t, nil)
	before := d.call("GET", "/openvidu/api/sessions/room", "").Body.String()
	flood(t, d, func() any { return len(d.rooms.changed()) })
	if after := d.call("GET", "/openvidu/api/sessions/room", "").Body.String(); after != before {
		t.Errorf("a bystander changed from %s to %s", before, after)
	}
}

// flood sends the malformed requests; state must be the same after each refusal.
func flood(t *testing.T, d *door, state func() any) {
	t.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	refused := 0
	for i := range 5000 {
		seed := seeds[rnd.IntN(len(seeds))]
		method, path, body := mutate(rnd, seed.method, seed.path, seed.body)
		before := state()
		r := httptest.NewRequest("GET", "http://host/", strings.NewReader(body))
		r.Method = method
		if u, err := r.URL.Parse(path); err == nil {
			r.URL = u
		} else {
			r.URL.Path = path
		}
		r.SetBasicAuth(userName, testSecret)
		w := httptest.NewRecorder()
		d.h.ServeHTTP(w, r)
		what := fmt.Sprintf("request %d: %s %s %.80s", i, method, path, body)
		switch {
		case w.Code >= 500 && w.Code != 503 && w.Code != 501 && !isComposedRefusal(w):
			t.Fatalf("%s: %d %s", what, w.Code, w.Body)
		case w.Code >= 400 && state() != before:
			t.Fatalf("%s: %d, and it changed something", what, w.Code)
		case bytes.Contains(w.Body.Bytes(), []byte("goroutine ")), bytes.Contains(w.Body.Bytes(), []byte(d.dir)), bytes.Contains(w.Body.Bytes(), []byte(testSecret)):
			t.Fatalf("%s: the answer tells too much: %s", what, w.Body)
		}
		if w.Code >= 400 {
			refused++
		}
		if id := d.rooms.target.RecordingID; id != "" { // a mutation that was still good
			d.call("POST", "/openvidu/api/recordings/stop/"+id, "")
		}
	}
	if refused < 2500 {
		t.Errorf("only %d of 5000 were refused: they are not malformed enough", refused)
	}
}

// isComposedRefusal is the contract's own 500, of a valid request for a mode that
// this server cannot do yet.
func isComposedRefusal(w *httptest.ResponseRecorder) bool {
	return w.Code == 500 && strings.HasPrefix(w.Body.String(), "Error starting recording: this server does not compose")
}

// Any body gives an answer without a server error.
func FuzzBody(f *testing.F) {
	for _, s := range seeds {
		f.Add(s.method, s.path, []byte(s.body))
	}
	for _, o := range odd {
		f.Add("POST", "/openvidu/api/signal", []byte(`{"session":`+o+`}`))
	}
	h := New(Options{Manager: &fakeRooms{}, Secret: secret.New(testSecret), DeprecatedAPI: true, Log: slog.New(slog.DiscardHandler)})
	f.Fuzz(func(t *testing.T, method, path string, body []byte) {
		r := httptest.NewRequest("GET", "http://host/", bytes.NewReader(body))
		r.Method, r.URL.Path = method, path
		r.SetBasicAuth(userName, testSecret)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 && w.Code != http.StatusServiceUnavailable && w.Code != http.StatusNotImplemented {
			t.Errorf("%s %q: %d %s", method, path, w.Code, w.Body)
		}
		_, _ = io.Copy(io.Discard, w.Body)
	})
}
