package e2e

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStart: one command gives a server that says where it is and how it does.
func TestStart(t *testing.T) {
	s := startServer(t)
	eventually(t, eventDeadline, "the log names the URL", func() error {
		return want(strings.Contains(s.proc.log.String(), fmt.Sprintf("https://localhost:%d", s.ports.HTTPS)), "the log is\n%s", s.proc.log)
	})
	for _, path := range []string{"/health", "/ready", "/metrics", "/"} {
		resp, err := s.client.Do(newRequest(t, s.url(path)))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("GET %s: %d", path, resp.StatusCode)
		}
	}
	resp, err := s.client.Do(newRequest(t, s.url("/openvidu/api/sessions")))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic") {
		t.Errorf("the API without credentials: %d %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
	}
	var config map[string]any
	s.rest(200, "GET", "/config", nil, &config)
	if config["OPENVIDU_RECORDING"] != true {
		t.Errorf("recording is not on by default: %v", config)
	}
	if strings.Contains(s.proc.log.String(), secret+`"`) {
		t.Error("the log holds the secret")
	}
}

// TestTerminate: SIGTERM while a call is being recorded ends the server in
// order, and the recording is ready after the next start.
func TestTerminate(t *testing.T) {
	home := t.TempDir()
	s := startServerIn(t, home)
	id := s.session(nil)
	token, _ := s.connection(id, "PUBLISHER", nil)
	p := openPage(t, "publisher")
	p.join(token, "")
	p.publish(small())
	s.rest(200, "POST", "/recordings/start", map[string]any{"session": id, "outputMode": "INDIVIDUAL"}, nil)
	started := time.Now()
	runFor(t, 2*time.Second, "the server records", func() error { return want(!s.proc.exited(), "it ended: %v", s.proc.err) })

	told := time.Now()
	if err := s.proc.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, 150*time.Second, "the server ends", func() error { return want(s.proc.exited(), "it runs on\n%s", s.proc.log) })
	took := time.Since(told)
	t.Logf("ended after %v", took)
	if s.proc.err != nil {
		t.Errorf("exit: %v, want 0", s.proc.err)
	}
	if strictTimes() && took > 15*time.Second {
		t.Errorf("ended %v after SIGTERM, want at most 15 s", took)
	}
	p.sees(eventDeadline, "the end", func(e event) bool { return e.Type == "sessionDisconnected" || e.Type == "reconnecting" })
	p.close()

	s = startServerIn(t, home)
	_, files := s.download(s.recordingIs(id, "ready"))
	if len(files) != 1 {
		t.Errorf("%d files recorded, want 1", len(files))
	}
	for name, path := range files {
		plays(t, path)
		if d := probe(t, path).Duration; d < told.Sub(started)-2*time.Second {
			t.Errorf("%s has %v, %v were recorded before SIGTERM", name, d, told.Sub(started))
		}
	}
	s.healthy()
}

// TestSecondServer starts other servers beside one that is recording. One whose
// folders overlap must not take the living recording for a dead process's; one
// with the same recordings folder is refused.
func TestSecondServer(t *testing.T) {
	s := startServer(t)
	id := s.session(nil)
	token, _ := s.connection(id, "PUBLISHER", nil)
	p := openPage(t, "publisher")
	p.join(token, "")
	p.publish(small())
	s.rest(200, "POST", "/recordings/start", map[string]any{"session": id, "outputMode": "INDIVIDUAL"}, nil)
	started := time.Now()

	beside := startServer(t, "--file-roots="+s.home)
	beside.healthy()
	ctx, cancel := context.WithTimeout(t.Context(), startDeadline)
	defer cancel()
	same := exec.CommandContext(ctx, bin, "--dev", "--https-port=0", "--kms-listen=127.0.0.1:0", "--media-port=0",
		"--file-roots="+s.home, "--recording-path="+s.recordings, "--state-dir="+t.TempDir())
	same.Env = cleanEnvironment()
	if out, err := same.CombinedOutput(); err == nil || !strings.Contains(string(out), "OPENVIDU_RECORDING_PATH") {
		t.Errorf("a second server on the same recordings: %v\n%s", err, out)
	}

	runFor(t, time.Second, "the first records on", func() error { return want(!s.proc.exited(), "it ended: %v", s.proc.err) })
	recorded := time.Since(started)
	s.rest(200, "POST", "/recordings/stop/"+id, nil, nil)
	_, files := s.download(s.recordingIs(id, "ready"))
	for name, path := range files {
		plays(t, path)
		if d := probe(t, path).Duration; d < recorded-2*time.Second {
			t.Errorf("%s has %v, %v were recorded", name, d, recorded)
		}
	}
	s.healthy()
}
