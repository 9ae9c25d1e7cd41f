package e2e

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const secret = "MY_SECRET"

// startDeadline is for a start on a busy machine; the figure is about a second.
const startDeadline = 60 * time.Second

// server is one run of the binary, with a folder that outlives it.
type server struct {
	t          testing.TB
	home       string // working directory
	recordings string
	proc       *process
	ports      struct{ HTTPS, KMS, Media int }
	client     *http.Client
}

// startServer starts the binary in dev mode on free ports, in fresh folders.
func startServer(t testing.TB, flags ...string) *server {
	t.Helper()
	home := t.TempDir()
	return startServerIn(t, home, flags...)
}

// startServerIn starts the binary in a folder that an earlier run may have used.
func startServerIn(t testing.TB, home string, flags ...string) *server {
	t.Helper()
	s := &server{t: t, home: home, recordings: filepath.Join(home, "recordings")}
	s.client = &http.Client{
		Timeout: 60 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // self-signed in dev mode
			MaxIdleConnsPerHost: 16,
		},
	}
	ready := filepath.Join(home, fmt.Sprintf("ready-%d.json", time.Now().UnixNano()))
	args := append([]string{
		"--dev", "--https-port=0", "--cpu-limit=0", "--kms-listen=127.0.0.1:0", "--media-port=0", "--log-level=debug",
		"--recording-path=" + s.recordings, "--file-roots=" + home, // not /tmp: other tests' files are there
		"--state-dir=" + filepath.Join(home, "state"), "--ready-file=" + ready,
	}, flags...)
	cmd := exec.Command(bin, args...)
	cmd.Dir = home
	cmd.Env = cleanEnvironment()
	var err error
	if s.proc, err = startProcess(cmd, &tail{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.proc.kill()
		s.client.CloseIdleConnections()
		if t.Failed() {
			t.Logf("log of the server, warnings and the end:\n%s", s.proc.log.brief())
		}
	})
	eventually(t, startDeadline, "the server writes its ready file", func() error {
		if s.proc.exited() {
			t.Fatalf("the server ended at start: %v\n%s", s.proc.err, s.proc.log)
		}
		data, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(data, &s.ports)
	})
	if s.ports.HTTPS == 0 || s.ports.KMS == 0 || s.ports.Media == 0 {
		t.Fatalf("the ready file names ports %+v", s.ports)
	}
	return s
}

// cleanEnvironment drops the settings that a developer's shell may hold.
func cleanEnvironment() []string {
	var kept []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		ours := strings.HasPrefix(name, "OPENVIDU_") || strings.HasPrefix(name, "KMS_") || strings.HasPrefix(name, "GOVIDU_")
		switch name {
		case "DOMAIN_OR_PUBLIC_IP", "HTTPS_PORT", "HTTP_PORT", "DOTENV_PATH", "FORCE_PLAIN_HTTP", "CERTIFICATE_TYPE", "SUPPORT_DEPRECATED_API":
			ours = true
		}
		if !ours {
			kept = append(kept, v)
		}
	}
	return kept
}

// kill9 ends the server as a crash would.
func (s *server) kill9() {
	s.t.Helper()
	if err := s.proc.signal(syscall.SIGKILL); err != nil {
		s.t.Fatalf("kill -9: %v", err)
	}
	<-s.proc.done
}

// url is an address on the server's HTTPS port.
func (s *server) url(path string) string {
	return fmt.Sprintf("https://localhost:%d%s", s.ports.HTTPS, path)
}

// reply is an answer over HTTP, read whole.
type reply struct {
	Status int
	Header http.Header
	Body   []byte
}

func (r reply) String() string { return fmt.Sprintf("%d %.600s", r.Status, r.Body) }

// try sends one request with credentials; body is nil, a string sent as it
// is, or anything that marshals to JSON.
func (s *server) try(method, path string, body any) (reply, error) {
	var payload io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		payload = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			return reply{}, err
		}
		payload = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, s.url(path), payload)
	if err != nil {
		return reply{}, err
	}
	req.SetBasicAuth("OPENVIDUAPP", secret)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, data}, err
}

// rest calls the API below /openvidu/api and demands a status; result may be nil.
func (s *server) rest(status int, method, path string, body, result any) {
	s.t.Helper()
	r, err := s.try(method, "/openvidu/api"+path, body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	if r.Status != status {
		s.t.Fatalf("%s %s %v: %v, want %d", method, path, body, r, status)
	}
	if result != nil {
		if err := json.Unmarshal(r.Body, result); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, r.Body)
		}
	}
}

// session makes a session and returns its id.
func (s *server) session(properties map[string]any) string {
	s.t.Helper()
	if properties == nil {
		properties = map[string]any{}
	}
	var made struct{ ID string }
	s.rest(200, "POST", "/sessions", properties, &made)
	return made.ID
}

// connection makes a connection with a role and returns its token and id.
func (s *server) connection(session, role string, more map[string]any) (token, id string) {
	s.t.Helper()
	properties := map[string]any{"role": role}
	for k, v := range more {
		properties[k] = v
	}
	var made struct{ ID, Token string }
	s.rest(200, "POST", "/sessions/"+session+"/connection", properties, &made)
	if made.Token == "" {
		s.t.Fatalf("a connection of session %s has no token", session)
	}
	return made.Token, made.ID
}

// at sends a token's socket to another port: the client honours the host and
// port of its token.
func at(t testing.TB, token string, port int) string {
	t.Helper()
	u, err := url.Parse(token)
	if err != nil {
		t.Fatalf("token %q: %v", token, err)
	}
	u.Host = fmt.Sprintf("localhost:%d", port)
	return u.String()
}

// recording is the API's Recording object.
type recording struct {
	ID, Object, Name, OutputMode, Status, SessionID string
	CreatedAt                                       int64
	Size                                            int64
	Duration                                        float64
	URL                                             *string
	HasAudio, HasVideo                              bool
}

// recordingIs waits for a status; failed ends the wait.
func (s *server) recordingIs(id, status string) recording {
	s.t.Helper()
	var r recording
	eventually(s.t, 100*time.Second, "recording "+id+" is "+status, func() error {
		s.rest(200, "GET", "/recordings/"+id, nil, &r)
		if r.Status == "failed" && status != "failed" {
			s.t.Fatalf("recording %s failed: %+v", id, r)
		}
		return want(r.Status == status, "it is %q", r.Status)
	})
	return r
}

// metric sums the values of a metric over its labels; absent is 0.
func (s *server) metric(name string) float64 {
	s.t.Helper()
	r, err := s.try("GET", "/metrics", nil)
	if err != nil || r.Status != 200 {
		s.t.Fatalf("GET /metrics: %v %v", r.Status, err)
	}
	var sum float64
	for line := range strings.Lines(string(r.Body)) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || (rest != "" && rest[0] != ' ' && rest[0] != '{') {
			continue
		}
		var v float64
		if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v); err != nil {
			s.t.Fatalf("metric line %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

// healthy fails when the server died or a guard caught a panic.
func (s *server) healthy() {
	s.t.Helper()
	if s.proc.exited() {
		s.t.Fatalf("the server is gone: %v", s.proc.err)
	}
	if n := s.metric("panics_total"); n != 0 {
		s.t.Errorf("panics_total is %v", n)
	}
}

// newRequest is a GET without credentials.
func newRequest(t testing.TB, address string) *http.Request {
	t.Helper()
	req, err := http.NewRequest("GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}
