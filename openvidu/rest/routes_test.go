package rest

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/openvidu"
)

// Every route with each of its statuses: the tables of the contract, §2 to §9 and §16.
func TestStatuses(t *testing.T) {
	ok := "*" // any body
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/sessions", "", 200, ok},
		{"POST", "/sessions", "{}", 200, ok},
		{"POST", "/sessions", ` {"customSessionId":"a-B_9","mediaMode":null,"unknown":[1,{"x":2}]} `, 200, ok},
		{"POST", "/sessions", `{"customSessionId":""}`, 200, ok},
		{"POST", "/sessions", `{"customSessionId":"room"}`, 409, ""},
		{"POST", "/sessions", `{"customSessionId":"a b"}`, 400, "json"},
		{"POST", "/sessions", `{"customSessionId":7}`, 400, "json"},
		{"POST", "/sessions", `{"customSessionId":"` + strings.Repeat("a", 129) + `"}`, 400, "json"},
		{"POST", "/sessions", `{"mediaMode":"routed"}`, 400, "json"},
		{"POST", "/sessions", `{"recordingMode":"SOMETIMES"}`, 400, "json"},
		{"POST", "/sessions", `{"forcedVideoCodec":"H265"}`, 400, "json"},
		{"POST", "/sessions", `{"allowTranscoding":"true"}`, 400, "json"},
		{"POST", "/sessions", `{"defaultRecordingProperties":[]}`, 400, "json"},
		{"POST", "/sessions", `{"defaultRecordingProperties":{"name":"a b"}}`, 400, "json"},
		{"POST", "/sessions", `{"defaultRecordingProperties":{"frameRate":121}}`, 400, "json"},
		{"POST", "/sessions", `{"defaultRecordingProperties":{"frameRate":30.0,"resolution":"1920x1080"}}`, 200, ok},
		{"POST", "/sessions", `{`, 400, "json"},
		{"POST", "/sessions", `[]`, 400, "json"},
		{"POST", "/sessions", `{} {}`, 400, "json"},
		{"GET", "/sessions", "", 200, `{"numberOfElements":0,"content":[]}`},
		{"GET", "/sessions?webRtcStats=maybe", "", 400, "json"},
		{"DELETE", "/sessions", "", 403, ""},
		{"GET", "/sessions/room", "", 200, ok},
		{"GET", "/sessions/none", "", 404, ""},
		{"DELETE", "/sessions/none", "", 404, ""},
		{"DELETE", "/sessions/closing", "", 400, ""},
		{"DELETE", "/sessions/room", "", 204, ""},
		{"PUT", "/sessions/room", "", 403, ""},

		{"POST", "/sessions/room/connection", "", 200, ok},
		{"POST", "/sessions/room/connection", `{"type":"WEBRTC","data":null,"record":false,"role":"MODERATOR","kurentoOptions":{"videoMaxRecvBandwidth":500.0,"allowedFilters":["A"]}}`, 200, ok},
		{"POST", "/sessions/none/connection", "", 404, ""},
		{"POST", "/sessions/closing/connection", "", 404, "json"},
		{"POST", "/sessions/full/connection", "", 400, "json"},
		{"POST", "/sessions/none/connection", `{"role":"BOSS"}`, 400, "json"},
		{"POST", "/sessions/room/connection", `{"type":"PHONE"}`, 400, "json"},
		{"POST", "/sessions/room/connection", `{"data":5}`, 400, "json"},
		{"POST", "/sessions/room/connection", `{"data":"` + strings.Repeat("x", 65537) + `"}`, 400, "json"},
		{"POST", "/sessions/room/connection", `{"kurentoOptions":{"videoMinSendBandwidth":1.5}}`, 400, "json"},
		{"POST", "/sessions/room/connection", `{"kurentoOptions":{"videoMinSendBandwidth":-1}}`, 400, "json"},
		{"POST", "/sessions/room/connection", `{"kurentoOptions":{"allowedFilters":[1]}}`, 400, "json"},
		{"POST", "/sessions/room/connection", `{"customIceServers":[{"url":"http://x"}]}`, 400, "json"},
		{"POST", "/sessions/room/connection", `{"type":"IPCAM"}`, 400, "json"},
		{"POST", "/sessions/room/connection", `{"type":"IPCAM","rtspUri":"gopher://x"}`, 400, "json"},
		{"POST", "/sessions/room/connection", `{"type":"IPCAM","rtspUri":"rtsp://x/y","networkCache":100}`, 501, "json"},
		{"GET", "/sessions/none/connection", "", 404, ""},
		{"GET", "/sessions/room/connection", "", 200, `{"numberOfElements":2,`},
		{"GET", "/sessions/room/connection?pendingConnections=false", "", 200, `{"numberOfElements":1,`},
		{"GET", "/sessions/room/connection/con_A", "", 200, ok},
		{"GET", "/sessions/room/connection/con_X", "", 404, ""},
		{"GET", "/sessions/none/connection/con_A", "", 400, ""},
		{"PATCH", "/sessions/room/connection/con_A", `{"role":"SUBSCRIBER","record":true,"data":"ignored"}`, 200, ok},
		{"PATCH", "/sessions/room/connection/con_A", `{}`, 200, ok},
		{"PATCH", "/sessions/room/connection/con_A", `{"record":"yes"}`, 400, "json"},
		{"PATCH", "/sessions/room/connection/con_A", `{"role":""}`, 400, "json"},
		{"PATCH", "/sessions/room/connection/con_X", `{}`, 404, ""},
		{"DELETE", "/sessions/room/connection/con_X", "", 404, ""},
		{"DELETE", "/sessions/none/connection/con_A", "", 400, ""},
		{"DELETE", "/sessions/room/connection/con_A", "", 204, ""},
		{"DELETE", "/sessions/room/connection", "", 403, ""},

		{"DELETE", "/sessions/none/stream/str_A", "", 400, ""},
		{"DELETE", "/sessions/idle/stream/str_A", "", 404, ""},
		{"DELETE", "/sessions/room/stream/str_X", "", 404, ""},
		{"DELETE", "/sessions/room/stream/str_IPC", "", 405, ""},
		{"DELETE", "/sessions/room/stream/str_A", "", 204, ""},

		{"POST", "/signal", `{"session":"room"}`, 200, ""},
		{"POST", "/signal", `{"session":"room","to":[],"type":null,"data":"x"}`, 200, ""},
		{"POST", "/signal", `{"session":"room","to":["con_A"],"type":"t","data":"d"}`, 200, ""},
		{"POST", "/signal", `{}`, 400, "json"},
		{"POST", "/signal", `{"session":5}`, 400, "json"},
		{"POST", "/signal", `{"session":"none","to":"con_A"}`, 400, "json"},
		{"POST", "/signal", `{"session":"none","to":[5]}`, 400, "json"},
		{"POST", "/signal", `{"session":"none"}`, 404, ""},
		{"POST", "/signal", `{"session":"idle"}`, 406, ""},
		{"POST", "/signal", `{"session":"room","to":["con_A","con_X"]}`, 406, ""},

		{"POST", "/tokens", `{"session":"room","role":"SUBSCRIBER","type":"IPCAM","record":7}`, 200, ok},
		{"POST", "/tokens", `{}`, 400, "json"},
		{"POST", "/tokens", `{"session":"room","role":"x"}`, 400, "json"},
		{"POST", "/tokens", `{"session":"none"}`, 404, ""},

		// In the order of §7.1: session, its state, parameters, ranges, the doing.
		{"POST", "/recordings/start", `{}`, 400, "json"},
		{"POST", "/recordings/start", `{"session":5,"name":"a b"}`, 400, "json"},
		{"POST", "/recordings/start", `{"session":"none","name":"a b"}`, 404, ""},
		{"POST", "/recordings/start", `{"session":"relayed","name":"a b"}`, 409, ""},
		{"POST", "/recordings/start", `{"session":"idle","name":"a b"}`, 406, ""},
		{"POST", "/recordings/start", `{"session":"room","name":"a b","frameRate":0}`, 400, "json"},
		{"POST", "/recordings/start", `{"session":"room","outputMode":"SQUARE"}`, 400, "json"},
		{"POST", "/recordings/start", `{"session":"room","recordingLayout":"ROUND"}`, 400, "json"},
		{"POST", "/recordings/start", `{"session":"room","hasAudio":"no"}`, 400, "json"},
		{"POST", "/recordings/start", `{"session":"room","frameRate":0}`, 422, "json"},
		{"POST", "/recordings/start", `{"session":"room","frameRate":121}`, 422, "json"},
		{"POST", "/recordings/start", `{"session":"room","resolution":"99x720"}`, 422, "json"},
		{"POST", "/recordings/start", `{"session":"room","resolution":"2000x720"}`, 422, "json"},
		{"POST", "/recordings/start", `{"session":"room","resolution":"big"}`, 422, "json"},
		{"POST", "/recordings/start", `{"session":"room","shmSize":134217727}`, 422, "json"},
		{"POST", "/recordings/start", `{"session":"room","hasAudio":false,"hasVideo":false}`, 422, "json"},
		{"POST", "/recordings/start", `{"session":"room"}`, 500, "Error starting recording: "},
		{"POST", "/recordings/start", `{"session":"room","outputMode":"COMPOSED_QUICK_START"}`, 500, "Error starting recording: "},
		{"POST", "/recordings/stop/none", "", 404, ""},
		{"POST", "/recordings/stop", "", 403, ""},
		{"POST", "/recordings/stop/", "", 403, ""},
		{"GET", "/recordings", "", 200, `{"count":0,"items":[]}`},
		{"GET", "/recordings/none", "", 404, ""},
		{"DELETE", "/recordings/none", "", 404, ""},
		{"DELETE", "/recordings", "", 403, ""},

		{"GET", "/config", "", 200, ok},
		{"GET", "/config/openvidu-version", "", 200, "2.32.2"},
		{"GET", "/config/openvidu-publicurl", "", 200, "https://host:4443/"},
		{"GET", "/config/openvidu-recording", "", 200, "true"},
		{"GET", "/config/openvidu-recording-path", "", 200, "/opt/rec/"},
		{"GET", "/config/openvidu-cdr", "", 200, "false"},
		{"GET", "/config/secret", "", 403, ""},
		{"GET", "/health", "", 200, `{"status":"UP","disconnectedMediaNodes":[]}`},
		{"GET", "/nothing", "", 403, ""},
		{"GET", "/sessions/", "", 403, ""},
		{"GET", "//sessions", "", 403, ""},
		{"GET", "/sessions/../config", "", 403, ""},
	} {
		t.Run(c.method+" "+c.path+" "+cut(c.body), func(t *testing.T) {
			d := newDoor(t, nil)
			for _, prefix := range []string{apiPrefix, "/api"} {
				if prefix == "/api" && strings.HasPrefix(c.path, "/config") {
					prefix = ""
				}
				w := d.call(c.method, prefix+c.path, c.body)
				if w.Code != c.status {
					t.Fatalf("%s%s: status %d, want %d: %s", prefix, c.path, w.Code, c.status, w.Body)
				}
				if c.want != ok {
					wantBody(t, w, c.want)
				}
				if w.Code >= 400 && len(d.rooms.changed()) != 0 {
					t.Errorf("a refusal changed %v", d.rooms.changed())
				}
			}
		})
	}
}

func basic(credentials string) string { return base64.StdEncoding.EncodeToString([]byte(credentials)) }

func TestCredentials(t *testing.T) {
	for _, path := range []string{"/openvidu/api/sessions", "/api/sessions", "/config", "/openvidu/cdr", "/openvidu/recordings/a/b.zip", "/openvidu/api/nothing", "/openvidu/layouts/x"} {
		d := newDoor(t, nil)
		for _, header := range []string{"", "Basic x", "Bearer " + testSecret, "Basic " + basic("OPENVIDUAPP:wrong"), "Basic " + basic("other:"+testSecret), "Basic " + basic("OPENVIDUAPP:")} {
			w := d.call("GET", path, "", "Authorization", header)
			if w.Code != 401 || !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic") {
				t.Errorf("GET %s with %q: %d", path, header, w.Code)
			}
			wantBody(t, w, "json")
		}
	}
	for _, path := range []string{"/openvidu/api/config/openvidu-publicurl", "/config/openvidu-publicurl", "/openvidu/accept-certificate", "/accept-certificate"} {
		d := newDoor(t, nil)
		for _, method := range []string{"GET", "HEAD"} {
			if w := d.call(method, path, "", "Authorization", ""); w.Code != 200 {
				t.Errorf("%s %s without credentials: %d", method, path, w.Code)
			}
		}
		if w := d.call("POST", path, "", "Authorization", ""); w.Code != 401 {
			t.Errorf("POST %s without credentials: %d", path, w.Code)
		}
	}
	d := newDoor(t, func(o *Options) { o.Secret = secret.New("") })
	r := httptest.NewRequest("GET", "/openvidu/api/sessions", nil)
	r.SetBasicAuth(userName, "")
	w := httptest.NewRecorder()
	if d.h.ServeHTTP(w, r); w.Code != 401 {
		t.Errorf("an unset secret lets in: %d", w.Code)
	}
}

// Guessing is slowed down per address, loopback included; right credentials never.
func TestGuessing(t *testing.T) {
	d := newDoor(t, func(o *Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} })
	guess := func(remote, real string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/openvidu/api/sessions", nil)
		r.RemoteAddr = remote
		r.Header.Set("X-Real-IP", real)
		r.SetBasicAuth(userName, "guess")
		w := httptest.NewRecorder()
		d.h.ServeHTTP(w, r)
		return w
	}
	synctest.Test(t, func(t *testing.T) {
		for i := range 60 {
			if w := guess("127.0.0.1:5", ""); w.Code != map[bool]int{true: 401, false: 429}[i < 50] {
				t.Fatalf("guess %d: %d", i, w.Code)
			} else if w.Code == 429 && w.Header().Get("Retry-After") == "" {
				t.Fatal("429 without Retry-After")
			}
		}
		r := httptest.NewRequest("GET", "/openvidu/api/sessions", nil)
		r.RemoteAddr = "127.0.0.1:5"
		r.SetBasicAuth(userName, testSecret)
		w := httptest.NewRecorder()
		if d.h.ServeHTTP(w, r); w.Code != 200 {
			t.Errorf("right credentials from the guesser's address: %d", w.Code)
		}
		// Behind the proxy each caller has his own budget; X-Real-IP of others is not believed.
		if w := guess("127.0.0.1:5", "10.1.1.1"); w.Code != 401 {
			t.Errorf("first guess of another caller: %d", w.Code)
		}
		for range 50 {
			guess("192.0.2.1:5", "10.2.2.2")
		}
		if w := guess("192.0.2.1:5", "10.3.3.3"); w.Code != 429 {
			t.Errorf("a forged X-Real-IP: %d", w.Code)
		}
		for range 50 {
			guess("[2001:db8::1]:5", "")
		}
		if w := guess("[2001:db8::2]:5", ""); w.Code != 429 {
			t.Errorf("a neighbour in the same /64: %d", w.Code)
		}
		time.Sleep(time.Second)
		if w := guess("127.0.0.1:5", ""); w.Code != 401 {
			t.Errorf("a second later: %d", w.Code)
		}
		for i := range 2 * maxFailing {
			guess(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}).String()+":1", "")
		}
		if n := len(d.h.failures.buckets); n > maxFailing+1 {
			t.Errorf("%d addresses are remembered", n)
		}
	})
}

func TestOrigins(t *testing.T) {
	d := newDoor(t, nil)
	w := d.call("GET", "/openvidu/api/sessions", "", "Origin", "https://app.example")
	if w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("any origin: %d %v", w.Code, w.Header())
	}
	w = d.call("OPTIONS", "/openvidu/api/sessions", "", "Authorization", "", "Origin", "https://app.example",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,x-mine")
	if w.Code != 200 || w.Header().Get("Access-Control-Allow-Headers") != "authorization,content-type,x-mine" || !strings.Contains(w.Header().Get("Access-Control-Allow-Methods"), "PATCH") {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
	if w := d.call("OPTIONS", "/api/sessions", "", "Access-Control-Request-Headers", "x\r\ny: z"); w.Header().Get("Access-Control-Allow-Headers") != "Authorization, Content-Type" {
		t.Error("a header was injected")
	}
	d = newDoor(t, func(o *Options) { o.AllowedOrigins = []string{"https://app.example/"} })
	for origin, want := range map[string]int{"": 200, "https://app.example": 200, "https://evil.example": 403, "null": 403, "https://app.example.evil": 403} {
		w := d.call("GET", "/openvidu/api/sessions", "", "Origin", origin)
		if w.Code != want || (want == 403 && w.Header().Get("Access-Control-Allow-Origin") != "") {
			t.Errorf("origin %q: %d %v", origin, w.Code, w.Header())
		}
	}
	if w := d.call("OPTIONS", "/openvidu/api/sessions", "", "Authorization", "", "Origin", "https://evil.example"); w.Code != 403 {
		t.Errorf("preflight of another origin: %d", w.Code)
	}
}

func TestBounds(t *testing.T) {
	keys := make([]string, 1001)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"k%d":0`, i)
	}
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"1 MiB":         {`{"session":"none"}` + strings.Repeat(" ", 1<<20-18), 404},
		"over 1 MiB":    {`{"session":"none"}` + strings.Repeat(" ", 1<<20), 413},
		"32 deep":       {`{"session":"none","x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + "}", 404},
		"33 deep":       {`{"session":"none","x":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}", 400},
		"bottomless":    {strings.Repeat("[", 1<<19), 400},
		"1000 keys":     {`{"session":"none","x":{` + strings.Join(keys[:1000], ",") + "}}", 404},
		"1001 keys":     {`{"session":"none","x":{` + strings.Join(keys, ",") + "}}", 400},
		"long array":    {`{"session":"none","to":["` + strings.Repeat(`","`, 10_001) + `"]}`, 400},
		"exact names":   {`{"Session":"none"}`, 400},
		"nul":           {`{"session":"none\u0000"}`, 404},
		"bad UTF-8":     {"{\"session\":\"\xff\"}", 404},
		"huge number":   {`{"session":1e999}`, 400},
		"comment":       {`{/* */"session":"none"}`, 400},
		"trailing junk": {`{"session":"none"}x`, 400},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDoor(t, nil)
			w := d.call("POST", "/openvidu/api/signal", c.body, "Content-Type", "application/x-www-form-urlencoded")
			if w.Code != c.status {
				t.Fatalf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
			if c.status == 400 || c.status == 413 {
				wantBody(t, w, "json")
			}
		})
	}
}

func TestIntegers(t *testing.T) {
	for text, want := range map[string]bool{"25": true, "25.0": true, "2.5e1": true, "25.5": false, "1e30": false, "true": false, `"25"`: false, "-0": true, "9007199254740993.0": false} {
		obj, err := parseObject([]byte(`{"frameRate":` + text + `}`))
		if err != nil {
			t.Fatal(err)
		}
		var b recordingBody
		if err := fill(obj, &b); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestErrorEcho(t *testing.T) {
	d := newDoor(t, nil)
	long := strings.Repeat("é", 500)
	w := d.call("GET", "/openvidu/api/sessions/"+url.PathEscape(long)+"?webRtcStats="+long, "")
	m := decode(t, w)
	if p := m["path"].(string); w.Code != 400 || len(p) > len(apiPrefix)+1+maxEcho || !strings.HasPrefix(p, apiPrefix+"/sessions/é") {
		t.Errorf("%d: path is %q", w.Code, p)
	}
	if strings.Contains(m["message"].(string), "é") {
		t.Errorf("message echoes: %s", m["message"])
	}
	w = d.call("POST", "/openvidu/api/sessions", `{"mediaMode":"<script>`+long+`"}`)
	if strings.Contains(w.Body.String(), "script") {
		t.Errorf("message echoes: %s", w.Body)
	}
}

func TestFailures(t *testing.T) {
	for err, want := range map[error]int{
		openvidu.ErrStopped: 503, openvidu.ErrMedia: 503, openvidu.ErrLimit: 503, context.DeadlineExceeded: 503,
		errors.New("dial 10.0.0.1: secret"): 500,
	} {
		d := newDoor(t, nil)
		d.rooms.fail = fmt.Errorf("create: %w", err)
		w := d.call("POST", "/openvidu/api/sessions", "")
		if w.Code != want || (want == 503) != (w.Header().Get("Retry-After") == "1") {
			t.Errorf("%v: %d", err, w.Code)
		}
		wantBody(t, w, "json")
		if strings.Contains(w.Body.String(), "10.0.0.1") {
			t.Errorf("the answer tells: %s", w.Body)
		}
	}
}

func TestInFlight(t *testing.T) {
	d := newDoor(t, nil)
	for range maxInFlight {
		d.h.inFlight <- struct{}{}
	}
	w := d.call("GET", "/openvidu/api/sessions", "")
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("request %d: %d %v", maxInFlight+1, w.Code, w.Header())
	}
	<-d.h.inFlight
	for range 3 {
		if w := d.call("GET", "/openvidu/api/sessions", ""); w.Code != 200 {
			t.Errorf("with room again: %d", w.Code)
		}
	}
}

func TestPanicIsOneRequestsEnd(t *testing.T) {
	d := newDoor(t, func(o *Options) { o.Health = func() Health { panic("boom") }; o.Log = slog.New(slog.DiscardHandler) })
	w := d.call("GET", "/openvidu/api/health", "")
	if w.Code != 500 || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := d.call("GET", "/openvidu/api/sessions", ""); w.Code != 200 || len(d.h.inFlight) != 0 {
		t.Errorf("afterwards: %d, %d in flight", w.Code, len(d.h.inFlight))
	}
}

func TestRecordingModuleOff(t *testing.T) {
	d := newDoor(t, func(o *Options) { o.Recordings = nil })
	for _, c := range [][2]string{{"POST", "/recordings/start"}, {"POST", "/recordings/stop/x"}, {"GET", "/recordings"}, {"GET", "/recordings/x"}, {"DELETE", "/recordings/x"}} {
		w := d.call(c[0], apiPrefix+c[1], "")
		if w.Code != 501 {
			t.Errorf("%s %s: %d", c[0], c[1], w.Code)
		}
		wantBody(t, w, "")
	}
	if w := d.call("GET", "/openvidu/recordings/x/x.zip", ""); w.Code != 404 {
		t.Errorf("file: %d", w.Code)
	}
	if w := d.call("GET", "/config/openvidu-recording", ""); w.Body.String() != "false" {
		t.Errorf("config: %s", w.Body)
	}
}

// A whole recording by its calls, with bodies as node-client sends them.
func TestRecordingCalls(t *testing.T) {
	d := newDoor(t, nil)
	start := `{"session":"room","name":"n~1","outputMode":"INDIVIDUAL","hasAudio":null,"hasVideo":true,"shmSize":536870912,"mediaNode":null}`
	w := d.call("POST", "/openvidu/api/recordings/start", start)
	if m := decode(t, w); w.Code != 200 || m["status"] != "started" || m["id"] != "room" || m["name"] != "n~1" {
		t.Fatalf("start: %d %s", w.Code, w.Body)
	} else if v, ok := m["url"]; !ok || v != nil {
		t.Errorf("url is %v, want null", v)
	}
	if w := d.call("POST", "/openvidu/api/recordings/start", start); w.Code != 409 || w.Body.Len() != 0 {
		t.Errorf("second start: %d %s", w.Code, w.Body)
	}
	if w := d.call("DELETE", "/openvidu/api/recordings/room", ""); w.Code != 409 {
		t.Errorf("delete while recording: %d", w.Code)
	}
	if w := d.call("GET", "/openvidu/recordings/room/n~1.zip", ""); w.Code != 404 {
		t.Errorf("file while recording: %d", w.Code)
	}
	w = d.call("POST", "/openvidu/api/recordings/stop/room", "")
	if m := decode(t, w); w.Code != 200 || m["status"] != "ready" || m["url"] != "https://host:4443/openvidu/recordings/room/n~1.zip" {
		t.Fatalf("stop: %d %s", w.Code, w.Body)
	}
	if w := d.call("POST", "/openvidu/api/recordings/stop/room", ""); w.Code != 404 {
		t.Errorf("second stop: %d", w.Code)
	}
	if m := decode(t, d.call("GET", "/openvidu/api/recordings", "")); m["count"] != 1.0 || len(m["items"].([]any)) != 1 {
		t.Errorf("list is %v", m)
	}
	w = d.call("GET", "/openvidu/recordings/room/n~1.zip", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/zip" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("file: %d %v", w.Code, w.Header())
	}
	if w := d.call("DELETE", "/openvidu/api/recordings/room", ""); w.Code != 204 {
		t.Errorf("delete: %d", w.Code)
	}
	if w := d.call("GET", "/openvidu/api/recordings/room", ""); w.Code != 404 {
		t.Errorf("get after delete: %d", w.Code)
	}
}

func TestFiles(t *testing.T) {
	d := newDoor(t, nil)
	folder := filepath.Join(d.dir, "room")
	if err := os.Mkdir(folder, 0o750); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "secret")
	for _, f := range []string{filepath.Join(folder, "a.mp4"), filepath.Join(folder, "a.mkv"), filepath.Join(folder, "room.jpg"), filepath.Join(folder, "x.html"),
		filepath.Join(folder, ".recording.room"), filepath.Join(folder, "b.webm.part"), outside} {
		if err := os.WriteFile(f, []byte("0123456789"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(folder, "link.mp4")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a.mp4": "video/mp4", "a.mkv": "video/x-matroska", "room.jpg": "image/jpeg", "x.html": "application/octet-stream"} {
		for _, prefix := range []string{"/openvidu/recordings/", "/recordings/"} {
			w := d.call("GET", prefix+"room/"+name, "")
			if w.Code != 200 || w.Body.String() != "0123456789" || w.Header().Get("Content-Type") != want {
				t.Errorf("%s%s: %d %v %s", prefix, name, w.Code, w.Header(), w.Body)
			}
		}
	}
	w := d.call("GET", "/openvidu/recordings/room/a.mp4", "", "Range", "bytes=2-4")
	if w.Code != 206 || w.Body.String() != "234" || w.Header().Get("Content-Range") != "bytes 2-4/10" {
		t.Errorf("range: %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := d.call("GET", "/openvidu/recordings/room/a.mp4", "", "Range", "bytes=99-"); w.Code != 416 {
		t.Errorf("range past the end: %d", w.Code)
	}
	if w := d.call("HEAD", "/openvidu/recordings/room/a.mp4", ""); w.Code != 200 || w.Header().Get("Content-Length") != "10" || w.Body.Len() != 0 {
		t.Errorf("head: %d %v", w.Code, w.Header())
	}
	for _, path := range []string{"room/.recording.room", "room/b.webm.part", "room/link.mp4", "room/none.mp4", "room/%2e%2e%2fsecret", "..%2f..%2fetc%2fpasswd/x", "room/..%2f..%2fetc%2fpasswd", "room//a.mp4", "room", "room/", "room/a.mp4/x", "", "room/a.mp4%00", "%2e%2e/secret"} {
		if w := d.call("GET", "/openvidu/recordings/"+path, ""); w.Code != 404 || strings.Contains(w.Body.String(), "0123") || strings.Contains(w.Body.String(), d.dir) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := d.call("DELETE", "/openvidu/recordings/room/a.mp4", ""); w.Code != 403 {
		t.Errorf("delete of a file: %d", w.Code)
	}
	if w := d.call("GET", "/openvidu/recordings/room/a.mp4", "", "Authorization", ""); w.Code != 401 {
		t.Errorf("private file without credentials: %d", w.Code)
	}
	d.h.opts.PublicRecordings = true
	if w := d.call("GET", "/openvidu/recordings/room/a.mp4", "", "Authorization", ""); w.Code != 200 {
		t.Errorf("public file: %d", w.Code)
	}
	if w := d.call("GET", "/openvidu/recordings/room/.recording.room", "", "Authorization", ""); w.Code != 404 {
		t.Errorf("public hidden file: %d", w.Code)
	}
	r := httptest.NewRequest("GET", "/", nil)
	for range maxDownloads {
		if _, ok := d.h.download(r); !ok {
			t.Fatal("too few downloads")
		}
	}
	if w := d.call("GET", "/openvidu/recordings/room/a.mp4", ""); w.Code != 429 || w.Header().Get("Retry-After") == "" {
		t.Errorf("download %d: %d", maxDownloads+1, w.Code)
	}
}

func TestConfigKeys(t *testing.T) {
	keys := func(d *door) (out []string) {
		dec := json.NewDecoder(d.call("GET", "/openvidu/api/config", "").Body)
		_, _ = dec.Token()
		for dec.More() {
			k, _ := dec.Token()
			out = append(out, k.(string))
			var v any
			if err := dec.Decode(&v); err != nil || v == nil {
				t.Errorf("%v is %v, %v", k, v, err)
			}
		}
		return out
	}
	base := []string{
		"VERSION", "DOMAIN_OR_PUBLIC_IP", "HTTPS_PORT", "OPENVIDU_PUBLICURL", "OPENVIDU_CDR", "OPENVIDU_CDR_PATH",
		"OPENVIDU_STREAMS_VIDEO_MAX_RECV_BANDWIDTH", "OPENVIDU_STREAMS_VIDEO_MIN_RECV_BANDWIDTH", "OPENVIDU_STREAMS_VIDEO_MAX_SEND_BANDWIDTH", "OPENVIDU_STREAMS_VIDEO_MIN_SEND_BANDWIDTH",
		"OPENVIDU_STREAMS_FORCED_VIDEO_CODEC", "OPENVIDU_STREAMS_ALLOW_TRANSCODING", "OPENVIDU_WEBRTC_SIMULCAST", "OPENVIDU_SESSIONS_GARBAGE_INTERVAL", "OPENVIDU_SESSIONS_GARBAGE_THRESHOLD",
		"OPENVIDU_RECORDING", "OPENVIDU_RECORDING_VERSION", "OPENVIDU_RECORDING_PATH", "OPENVIDU_RECORDING_PUBLIC_ACCESS", "OPENVIDU_RECORDING_NOTIFICATION", "OPENVIDU_RECORDING_CUSTOM_LAYOUT", "OPENVIDU_RECORDING_AUTOSTOP_TIMEOUT", "OPENVIDU_RECORDING_COMPOSED_URL",
		"OPENVIDU_WEBHOOK", "OPENVIDU_WEBHOOK_ENDPOINT", "OPENVIDU_WEBHOOK_HEADERS", "OPENVIDU_WEBHOOK_EVENTS",
	}
	full := newDoor(t, func(o *Options) {
		o.Config.CDR, o.Config.Webhook, o.Config.RecordingComposedURL = true, true, "https://x"
	})
	if got := keys(full); !slices.Equal(got, base) {
		t.Errorf("keys are\n%v, want\n%v", got, base)
	}
	bare := newDoor(t, func(o *Options) { o.Recordings = nil })
	want := slices.DeleteFunc(slices.Clone(base), func(k string) bool {
		return k == "OPENVIDU_CDR_PATH" || strings.HasPrefix(k, "OPENVIDU_RECORDING_") || strings.HasPrefix(k, "OPENVIDU_WEBHOOK_")
	})
	if got := keys(bare); !slices.Equal(got, want) {
		t.Errorf("keys are\n%v, want\n%v", got, want)
	}
}

func TestSessionProperties(t *testing.T) {
	d := newDoor(t, nil)
	d.call("POST", "/api/sessions", `{"defaultOutputMode":"COMPOSED_QUICK_START","defaultRecordingLayout":"CUSTOM","defaultCustomLayout":"mine"}`)
	p := d.rooms.last.(openvidu.SessionProperties).DefaultRecordingProperties
	if p == nil || p.OutputMode != "COMPOSED_QUICK_START" || p.RecordingLayout != "CUSTOM" || p.CustomLayout != "mine" || p.FrameRate != 25 {
		t.Errorf("old defaults became %+v", p)
	}
	d.call("POST", "/api/sessions", `{"defaultRecordingProperties":null,"allowTranscoding":true,"mediaNode":{"id":"m"}}`)
	if got := d.rooms.last.(openvidu.SessionProperties); got.DefaultRecordingProperties != nil || got.AllowTranscoding == nil || !*got.AllowTranscoding || got.MediaNodeID != "m" {
		t.Errorf("properties are %+v", got)
	}
}

func TestICEServers(t *testing.T) {
	str := func(s string) *string { return &s }
	for _, u := range []string{"stun:host", "stuns:a.b.example:443", "stun:192.0.2.1:3478", "stun:[2001:db8::1]:3478", "stun:2001:db8::1", "stun:my_host-1"} {
		if _, err := (iceServerBody{URL: &u}).server(time.Now()); err != nil {
			t.Errorf("%s: %v", u, err)
		}
		if _, err := (iceServerBody{URL: &u, Username: str("x"), Credential: str("y")}).server(time.Now()); err == nil {
			t.Errorf("%s with credentials is accepted", u)
		}
	}
	for _, u := range []string{"turn:host", "turns:host:443?transport=tcp", "turn:[::1]:3478?transport=udp"} {
		s, err := (iceServerBody{URL: &u, Username: str("x"), Credential: str("y")}).server(time.Now())
		if err != nil || s.URL != u || s.Username != "x" || s.Credential != "y" {
			t.Errorf("%s: %+v, %v", u, s, err)
		}
		for _, b := range []iceServerBody{{URL: &u}, {URL: &u, Username: str("x")}, {URL: &u, Credential: str("y")}, {URL: &u, Username: str("x"), Credential: str("y"), StaticAuthSecret: str("z")}} {
			if _, err := b.server(time.Now()); err == nil {
				t.Errorf("%+v is accepted", b)
			}
		}
	}
	for _, u := range []string{"", "host", "http:host", "turn:", "turn:host:0", "turn:host:65536", "turn:host:", "turn:ho st", "turn:host?transport=sctp", "turn:host?x", "stun:host?transport=udp",
		"turn:1.2.3", "turn:1.2.3.256", "turn:[::1", "turn:[::1]x", "turn:[host]:1", "turn:-host", "turn:a..b", "turn://host", "TURN:host", "turn:" + strings.Repeat("a", 600), "turn:a:1:2"} {
		if _, err := (iceServerBody{URL: &u, Username: str("x"), Credential: str("y")}).server(time.Now()); err == nil {
			t.Errorf("%q is accepted", u)
		}
	}
	now := time.Unix(1_700_000_000, 0)
	s, err := (iceServerBody{URL: str("turn:host"), StaticAuthSecret: str("shared")}).server(now)
	if err != nil || !strings.HasPrefix(s.Username, "1700086400:") || len(s.Username) != len("1700086400:")+8 {
		t.Fatalf("%+v, %v", s, err)
	}
	mac := hmac.New(sha1.New, []byte("shared"))
	mac.Write([]byte(s.Username))
	if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); s.Credential != want {
		t.Errorf("credential is %s, want %s", s.Credential, want)
	}
}

func TestOldPathsCanBeOff(t *testing.T) {
	d := newDoor(t, func(o *Options) { o.DeprecatedAPI = false })
	if w := d.call("GET", "/api/sessions", ""); w.Code != 403 {
		t.Errorf("old path: %d", w.Code)
	}
}

func TestRegister(t *testing.T) {
	d := newDoor(t, nil)
	mux := http.NewServeMux()
	d.h.Register(mux)
	for path, want := range map[string]int{"/openvidu/api/sessions": 200, "/api/sessions": 200, "/config": 200, "/openvidu/recordings/a/b": 404, "/openvidu": 404, "/": 404, "/openvidu/cdr": 403} {
		r := httptest.NewRequest("GET", path, nil)
		r.SetBasicAuth(userName, testSecret)
		w := httptest.NewRecorder()
		if mux.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}
