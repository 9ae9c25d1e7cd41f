package faults

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// server is the program openvidu-server in folders that outlive it.
type server struct {
	t          testing.TB
	home       string
	recordings string
	cmd        *exec.Cmd
	done       chan struct{}
	log        *os.File
	https      int
	client     *http.Client
}

// startServer runs openvidu-server in home. It ends by kill -9, at the latest with
// the test.
func startServer(t testing.TB, home, recordings string) *server {
	t.Helper()
	program(t, "mediaworker", "worker") // the server looks for it beside itself
	s := &server{t: t, home: home, recordings: recordings, done: make(chan struct{}), client: &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, // self-signed in dev mode
	}}
	ready := filepath.Join(home, fmt.Sprintf("ready-%d.json", time.Now().UnixNano()))
	var err error
	if s.log, err = os.OpenFile(filepath.Join(home, "log"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(program(t, "openvidu-server", "build"), "--dev", "--https-port=0", "--cpu-limit=0", "--kms-listen=127.0.0.1:0", "--media-port=0", "--worker-cores=16", "--log-level=debug",
		"--recording-path="+recordings, "--file-roots="+recordings, "--state-dir="+filepath.Join(home, "state"), "--ready-file="+ready)
	s.cmd.Dir = home
	s.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GOVIDU_") || strings.HasPrefix(v, "OPENVIDU_") })
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.done) }()
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			b, _ := os.ReadFile(s.log.Name())
			t.Logf("%s", b[max(0, len(b)-12000):])
		}
		s.log.Close()
	})
	eventually(t, patience, "the server is ready", func() error {
		select {
		case <-s.done:
			return fmt.Errorf("it ended: %v", s.cmd.ProcessState)
		default:
		}
		var ports struct{ HTTPS int }
		b, err := os.ReadFile(ready)
		if err == nil {
			err = json.Unmarshal(b, &ports)
		}
		s.https = ports.HTTPS
		return err
	})
	return s
}

// kill ends it as a crash does. A second call does nothing.
func (s *server) kill() {
	_ = syscall.Kill(s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.done
}

// ask calls the REST API below /openvidu/api and gives status and body.
func (s *server) ask(method, path string, body any) (int, []byte) {
	s.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, fmt.Sprintf("https://localhost:%d/openvidu/api%s", s.https, path), in)
	if err != nil {
		s.t.Fatal(err)
	}
	req.SetBasicAuth("OPENVIDUAPP", "MY_SECRET")
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, out
}

// ok is ask that demands 200 and reads the answer.
func (s *server) ok(method, path string, body, result any) {
	s.t.Helper()
	status, out := s.ask(method, path, body)
	if status != http.StatusOK {
		s.t.Fatalf("%s %s: %d %s", method, path, status, out)
	}
	if result != nil {
		if err := json.Unmarshal(out, result); err != nil {
			s.t.Fatalf("%s %s: %v in %s", method, path, err, out)
		}
	}
}

// recorded is the API's Recording, as far as it matters.
type recorded struct {
	ID, Name, Status string
	Size             int64
	Duration         float64
	URL              *string
}

// becomes waits until a recording has one of the statuses.
func (s *server) becomes(id string, statuses ...string) (r recorded) {
	s.t.Helper()
	eventually(s.t, patience, fmt.Sprintf("the recording is %v", statuses), func() error {
		s.ok("GET", "/recordings/"+id, nil, &r)
		for _, want := range statuses {
			if r.Status == want {
				return nil
			}
		}
		return fmt.Errorf("it is %s", r.Status)
	})
	return r
}

// worker is the process that composes: a child with a job, the busiest.
func (s *server) worker() int {
	s.t.Helper()
	best, most := 0, -1
	for _, c := range children(s.t, s.cmd.Process.Pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.pid))
		if err != nil {
			continue
		}
		var user int
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) > 11 {
			_, _ = fmt.Sscan(string(fields[11]), &user)
		}
		if user > most {
			best, most = c.pid, user
		}
	}
	if best == 0 {
		s.t.Fatal("nothing composes")
	}
	return best
}
