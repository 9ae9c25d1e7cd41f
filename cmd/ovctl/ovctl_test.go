package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// api is a server that remembers what it was asked.
type api struct {
	t     *testing.T
	asked []string
	// answers are keyed by method and path.
	answers map[string]string
	status  map[string]int
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.Path
	body, _ := io.ReadAll(r.Body)
	a.asked = append(a.asked, strings.TrimSpace(key+" "+string(body)))
	if user, pass, _ := r.BasicAuth(); user != "OPENVIDUAPP" || pass != "s3cret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s := a.status[key]; s != 0 {
		w.WriteHeader(s)
		return
	}
	answer, ok := a.answers[key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if strings.HasSuffix(r.URL.Path, ".zip") {
		w.Header().Set("Content-Disposition", `attachment; filename="../talk.zip"`)
	}
	fmt.Fprint(w, answer)
}

func ovctl(t *testing.T, a *api, args ...string) (string, error) {
	t.Helper()
	a.t = t
	srv := httptest.NewTLSServer(a)
	defer srv.Close()
	var out bytes.Buffer
	err := run(context.Background(), append([]string{"--url", srv.URL, "--secret", "s3cret"}, args...), func(string) string { return "" }, &out)
	return out.String(), err
}

const recorded = `{"id":"r1","sessionId":"s1","status":"ready","duration":2.5,"size":2048,"createdAt":0,"url":"https://elsewhere.example/openvidu/recordings/r1/talk.zip"}`

const layers = `{"streamId":"x1","preferred":{"spatialLayer":0,"temporalLayer":-1,"width":320,"height":0},"current":{"spatialLayer":0,"temporalLayer":1},
	"layers":[{"spatialLayer":0,"temporalLayer":0,"rid":"rdiv2","width":320,"height":180,"frameRate":15,"bps":150000,"active":true}]}`

func TestCommands(t *testing.T) {
	for _, c := range []struct {
		args   string
		answer map[string]string
		status map[string]int
		asked  string // the last request
		out    string
		err    string
	}{
		{args: "session list", answer: map[string]string{"GET /openvidu/api/sessions": `{"content":[{"id":"s1","connections":{"numberOfElements":3},"recording":true}]}`}, asked: "GET /openvidu/api/sessions", out: "s1       3       yes"},
		{args: "--json session list", answer: map[string]string{"GET /openvidu/api/sessions": `{"content":[]}`}, asked: "GET /openvidu/api/sessions", out: `{"content":[]}`},
		{args: "session create --id s1", answer: map[string]string{"POST /openvidu/api/sessions": `{"id":"s1"}`}, asked: `POST /openvidu/api/sessions {"customSessionId":"s1","recordingMode":"MANUAL"}`, out: "s1"},
		{args: "session close s1", answer: map[string]string{"DELETE /openvidu/api/sessions/s1": ""}, asked: "DELETE /openvidu/api/sessions/s1", out: "closed s1"},
		{args: "session close none", asked: "DELETE /openvidu/api/sessions/none", err: "no such session"},
		{args: "token create s1 --role MODERATOR", status: map[string]int{"POST /openvidu/api/sessions": 409},
			answer: map[string]string{"POST /openvidu/api/sessions/s1/connection": `{"token":"wss://x?token=tok_1"}`},
			asked:  `POST /openvidu/api/sessions/s1/connection {"data":"","role":"MODERATOR"}`, out: "wss://x?token=tok_1"},
		{args: "token create s1 --role KING", err: "MODERATOR"},
		{args: "session create --id s1 --last-n 4", answer: map[string]string{"POST /openvidu/api/sessions": `{"id":"s1"}`}, asked: `POST /openvidu/api/sessions {"customSessionId":"s1","lastN":4,"recordingMode":"MANUAL"}`, out: "s1"},
		{args: "stream layer s1 c1 x1", answer: map[string]string{"GET /openvidu/api/sessions/s1/connection/c1/layer/x1": layers}, asked: "GET /openvidu/api/sessions/s1/connection/c1/layer/x1", out: "rdiv2  320x180  15        150     comes"},
		{args: "stream layer s1 c1 x1 --spatial 0 --width 320", answer: map[string]string{"PUT /openvidu/api/sessions/s1/connection/c1/layer/x1": layers}, asked: `PUT /openvidu/api/sessions/s1/connection/c1/layer/x1 {"spatialLayer":0,"width":320}`, out: "sent    spatial 0, temporal 1"},
		{args: "stream layer s1 c1 x1 --auto", answer: map[string]string{"PUT /openvidu/api/sessions/s1/connection/c1/layer/x1": layers}, asked: "PUT /openvidu/api/sessions/s1/connection/c1/layer/x1 {}", out: "wished  spatial 0, temporal any"},
		{args: "stream layer s1 c1 x1 --auto --spatial 1", err: "no other bound"},
		{args: "stream layer s1 c1 x1", status: map[string]int{"GET /openvidu/api/sessions/s1/connection/c1/layer/x1": 501}, err: "501"},
		{args: "recording list", answer: map[string]string{"GET /openvidu/api/recordings": `{"items":[` + recorded + `]}`}, asked: "GET /openvidu/api/recordings", out: "2.5 s"},
		{args: "recording get r1", answer: map[string]string{"GET /openvidu/api/recordings/r1": recorded}, asked: "GET /openvidu/api/recordings/r1", out: "ready"},
		{args: "recording start s1 --no-video", answer: map[string]string{"POST /openvidu/api/recordings/start": recorded}, asked: `POST /openvidu/api/recordings/start {"hasAudio":true,"hasVideo":false,"outputMode":"INDIVIDUAL","session":"s1"}`, out: "r1"},
		{args: "recording start s1", status: map[string]int{"POST /openvidu/api/recordings/start": 406}, asked: `POST /openvidu/api/recordings/start {"hasAudio":true,"hasVideo":true,"outputMode":"INDIVIDUAL","session":"s1"}`, err: "nobody in it"},
		{args: "recording stop r1", answer: map[string]string{"POST /openvidu/api/recordings/stop/r1": recorded}, asked: "POST /openvidu/api/recordings/stop/r1", out: "r1"},
		{args: "recording delete r1", answer: map[string]string{"DELETE /openvidu/api/recordings/r1": ""}, asked: "DELETE /openvidu/api/recordings/r1", out: "deleted r1"},
		{args: "recording download r1", answer: map[string]string{"GET /openvidu/api/recordings/r1": `{"id":"r1","status":"started","url":null}`}, asked: "GET /openvidu/api/recordings/r1", err: "is started"},
		{args: "health", answer: map[string]string{"GET /health": "{}"}, asked: "GET /health", out: "UP"},
		{args: "health", status: map[string]int{"GET /health": 503}, asked: "GET /health", err: "503"},
		{args: "version", answer: map[string]string{"GET /openvidu/api/config": `{"VERSION":"2.32.2"}`}, asked: "GET /openvidu/api/config", out: "OpenVidu 2.32.2"},
		{args: "--secret wrong session list", asked: "GET /openvidu/api/sessions", err: "secret is wrong"},
		{args: "nonsense", err: "--help"},
	} {
		t.Run(c.args, func(t *testing.T) {
			a := &api{answers: c.answer, status: c.status}
			out, err := ovctl(t, a, strings.Fields(c.args)...)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Fatalf("error = %v, want %q", err, c.err)
			}
			if !strings.Contains(out, c.out) {
				t.Errorf("printed %q, want %q in it", out, c.out)
			}
			if c.asked != "" && (len(a.asked) == 0 || a.asked[len(a.asked)-1] != c.asked) {
				t.Errorf("asked %q, want %q", a.asked, c.asked)
			}
		})
	}
}

func TestDownload(t *testing.T) {
	a := &api{answers: map[string]string{
		"GET /openvidu/api/recordings/r1":         recorded,
		"GET /openvidu/recordings/r1/talk.zip":    "PK-bytes",
		"GET /openvidu/recordings/r1/another.zip": "",
	}}
	dir := t.TempDir()
	t.Chdir(dir)
	if _, err := ovctl(t, a, "recording", "download", "r1"); err != nil {
		t.Fatal(err)
	}
	// The server's name for the file leads out of the folder; only its end counts.
	if b, err := os.ReadFile(filepath.Join(dir, "talk.zip")); err != nil || string(b) != "PK-bytes" {
		t.Errorf("file: %q, %v", b, err)
	}
	if _, err := save(filepath.Join(dir, "cut.zip"), strings.NewReader("half"), 100); err == nil {
		t.Error("a download cut short is no error")
	}
	left, _ := os.ReadDir(dir)
	if len(left) != 1 {
		t.Errorf("files left: %v", left)
	}
}

func TestDoctor(t *testing.T) {
	a := &api{answers: map[string]string{"GET /openvidu/api/config": `{"VERSION":"2.32.2","DOMAIN_OR_PUBLIC_IP":"localhost","OPENVIDU_RECORDING":true}`, "GET /ready": "{}"}}
	out, err := ovctl(t, a, "--json", "doctor")
	if err != nil {
		t.Fatal(err, out)
	}
	var list []finding
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	state := map[string]string{}
	for _, f := range list {
		state[f.Check] = f.State
	}
	for check, want := range map[string]string{"network": "ok", "certificate": "warn", "secret": "warn", "ready": "ok", "server": "ok", "address": "warn", "recording": "ok"} {
		if state[check] != want {
			t.Errorf("%s is %q, want %q (%v)", check, state[check], want, list)
		}
	}
	if out, err := ovctl(t, a, "--secret", "wrong", "doctor"); err == nil || !strings.Contains(out, "fail  secret") {
		t.Errorf("a wrong secret: %v\n%s", err, out)
	}
}

func TestNoServer(t *testing.T) {
	srv := httptest.NewServer(nil)
	srv.Close()
	err := run(context.Background(), []string{"--url", srv.URL, "session", "list"}, func(string) string { return "" }, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "is the server running?") {
		t.Errorf("error = %v", err)
	}
}

func TestHelpTeaches(t *testing.T) {
	var out bytes.Buffer
	if err := run(context.Background(), []string{"--help"}, func(string) string { return "" }, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Examples:", "recording download", "OPENVIDU_SECRET", "doctor"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("--help lacks %q:\n%s", want, out.String())
		}
	}
}

func TestLocalURL(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want string
	}{
		{nil, "https://localhost:4443"},
		{map[string]string{"DOMAIN_OR_PUBLIC_IP": "v.example.com"}, "https://localhost:443"},
		{map[string]string{"HTTPS_PORT": "5443", "FORCE_PLAIN_HTTP": "true"}, "http://localhost:5443"},
	} {
		if got := localURL(func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%v: %s, want %s", c.env, got, c.want)
		}
	}
}
