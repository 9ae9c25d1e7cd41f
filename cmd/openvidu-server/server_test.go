package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/internal/config"
	"github.com/govidu/govidu/internal/secret"
)

func TestMain(m *testing.M) {
	// net/http lingers half a second over a connection whose request it did not read.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// running is a server in this process, on free ports, in a folder of its own.
type running struct {
	t      *testing.T
	s      *server
	signal context.CancelFunc // the first signal
	kill   context.CancelFunc // the second
	done   chan error
	client *http.Client
	log    *bytes.Buffer
}

func begin(t *testing.T, args ...string) *running {
	t.Helper()
	dir := t.TempDir()
	cfg, err := config.Load(config.Input{
		Args: append([]string{"--dev", "--https-port=0", "--cpu-limit=0", "--kms-listen=127.0.0.1:0", "--media-port=0", "--stun-port=0", "--recording-path=" + filepath.Join(dir, "recordings"),
			"--state-dir=" + filepath.Join(dir, "state"), "--dotenv-path=" + dir}, args...),
		Out: io.Discard, Home: dir,
	})
	if err != nil {
		t.Fatal(err)
	}
	log := &bytes.Buffer{}
	s, err := newServer(t.Context(), cfg, "v0", slog.New(slog.NewTextHandler(&lockedWriter{w: log}, &slog.HandlerOptions{Level: slog.LevelDebug})))
	if err != nil {
		t.Fatal(err)
	}
	hard, kill := context.WithCancel(context.Background())
	gentle, signal := context.WithCancel(hard)
	r := &running{t: t, s: s, signal: signal, kill: kill, done: make(chan error, 1), log: log, client: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}}
	go func() { r.done <- s.run(gentle, hard) }()
	t.Cleanup(func() {
		r.client.CloseIdleConnections()
		kill()
		signal()
	})
	return r
}

// end waits for run to return.
func (r *running) end() {
	r.t.Helper()
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("run: %v", err)
		}
	case <-time.After(30 * time.Second):
		r.t.Fatal("the server does not end")
	}
}

func (r *running) call(method, path, body string) (int, string) {
	r.t.Helper()
	req, err := http.NewRequest(method, fmt.Sprintf("https://127.0.0.1:%d%s", r.s.port(), path), strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	req.SetBasicAuth("OPENVIDUAPP", "MY_SECRET")
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func TestServerServesAndEnds(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready.json")
	r := begin(t, "--ready-file="+ready)
	for _, c := range []struct {
		path   string
		status int
		holds  string
	}{
		{"/health", 200, "UP"}, {"/", 200, "Govidu"}, {"/metrics", 200, "govidu_build_info"},
		{"/openvidu/api/config", 200, `"VERSION":"2.32.2"`}, {"/config", 200, "OPENVIDU_RECORDING_PATH"}, {"/openvidu/api/broadcasts", 200, `{"count":0,"items":[]}`}, {"/demo/config", 200, `"recording":true`},
		{"/nothing", 404, ""},
	} {
		if status, body := r.call("GET", c.path, ""); status != c.status || !strings.Contains(body, c.holds) {
			t.Errorf("GET %s: %d %.200s, want %d with %q", c.path, status, body, c.status, c.holds)
		}
	}
	if status, body := r.call("POST", "/openvidu/api/sessions", `{"customSessionId":"a"}`); status != 200 {
		t.Errorf("session: %d %s", status, body)
	}
	var ports struct {
		HTTPS, KMS, Media int
		URL               string
	}
	b, err := os.ReadFile(ready)
	if err != nil || json.Unmarshal(b, &ports) != nil || ports.HTTPS != r.s.port() || ports.KMS == 0 || ports.Media == 0 || !strings.HasPrefix(ports.URL, "https://localhost:") {
		t.Errorf("ready file %q, %v", b, err)
	}
	r.signal()
	r.end()
	if bytes.Contains(r.log.Bytes(), []byte("level=ERROR")) {
		t.Errorf("errors in the log:\n%s", r.log)
	}
}

// TestClosingOrder holds the list of docs/closures.md.
func TestClosingOrder(t *testing.T) {
	r := begin(t)
	want := []string{"https port", "kurento port", "recordings", "broadcasts", "web pages", "studios", "rooms", "signalling sockets", "media client", "media node"}
	if got := r.s.down.Names(); !slices.Equal(got, want) {
		t.Errorf("closing order is %v, want %v", got, want)
	}
	r.signal()
	r.end()
}

// TestDrain: a stopping server with somebody in a room takes no new rooms but
// serves on, until the second signal.
func TestDrain(t *testing.T) {
	r := begin(t, "--drain-timeout=1h")
	if status, _ := r.call("GET", "/ready", ""); status != 200 {
		t.Errorf("ready before: %d", status)
	}
	r.s.draining.Store(true)
	for path, want := range map[string]int{"/ready": 503, "/health": 200} {
		if status, _ := r.call("GET", path, ""); status != want {
			t.Errorf("GET %s while draining: %d, want %d", path, status, want)
		}
	}
	for _, path := range []string{"/openvidu/api/sessions", "/api/sessions", "/openvidu//api/./sessions", "/openvidu/api/recordings/start", "/openvidu/api/broadcast/start", "/demo/token", "/demo/recording/start"} {
		if status, body := r.call("POST", path, "{}"); status != 503 && status != 403 {
			t.Errorf("POST %s while draining: %d %s, want 503", path, status, body)
		}
	}
	// Nobody is in a room: the first signal is enough.
	r.signal()
	r.end()
}

func TestSecondSignalSkipsTheWaiting(t *testing.T) {
	r := begin(t)
	r.s.cfg.DrainTimeout = time.Hour
	r.kill()
	r.end()
}

func TestPortInUse(t *testing.T) {
	r := begin(t)
	cfg := *r.s.cfg
	cfg.HTTPSPort = r.s.port()
	if _, err := newServer(t.Context(), &cfg, "v0", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "listen for HTTP") {
		t.Errorf("second server on the same port: %v", err)
	}
	cfg.HTTPSPort = 0
	if _, err := newServer(t.Context(), &cfg, "v0", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "OPENVIDU_RECORDING_PATH") {
		t.Errorf("second server on the same recordings: %v", err)
	}
	cfg.RecordingPath, cfg.KMSListen = t.TempDir(), r.s.kms[0].Addr().String()
	if _, err := newServer(t.Context(), &cfg, "v0", slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "Kurento port") {
		t.Errorf("second Kurento port: %v", err)
	}
	r.signal()
	r.end()
}

func TestOptionsSwitchThingsOff(t *testing.T) {
	r := begin(t, "--no-recording", "--no-demo", "--kms-listen=none", "--force-plain-http")
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/demo/config", r.s.port()))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 404 || len(r.s.kms) != 0 || r.s.recordings != nil {
		t.Errorf("demo %d, kms %v, recordings %v; want all off", resp.StatusCode, r.s.kms, r.s.recordings)
	}
	http.DefaultClient.CloseIdleConnections()
	r.signal()
	r.end()
}

func TestGreetingShowsNoSecret(t *testing.T) {
	for _, c := range []struct {
		secret string
		dev    bool
		want   string
	}{
		{"MY_SECRET", true, "  (secret MY_SECRET, dev mode)"}, {"hunter2hunter2", true, "  (dev mode)"}, {"hunter2hunter2", false, ""},
	} {
		r := begin(t)
		cfg := *r.s.cfg
		cfg.Secret, cfg.Dev = secret.New(c.secret), c.dev
		want := fmt.Sprintf("Govidu is ready: https://localhost:%d%s", r.s.port(), c.want)
		if got := (&server{cfg: &cfg, https: r.s.https}).greeting(); got != want {
			t.Errorf("greeting %q, want %q", got, want)
		}
		r.signal()
		r.end()
	}
}

func TestDefaultICE(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	got := defaultICE(config.ICEServers{
		{URL: "turn:a", Username: "u", Credential: secret.New("c")}, {URL: "turn:b", StaticAuthSecret: secret.New("north")},
	}, now)
	if got[0].Username != "u" || got[0].Credential != "c" {
		t.Errorf("fixed user: %+v", got[0])
	}
	if got[1].Username != "1700086400:openvidu" || got[1].Credential != "7YrG9RElKBsasqePShbjHIZxMCc=" {
		t.Errorf("derived user: %+v", got[1])
	}
}
