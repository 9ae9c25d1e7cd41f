package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/govidu/govidu/internal/config"
)

// TestServesKurentoAndEnds starts the program in this process, speaks the protocol
// to it, and ends it as an operator would.
func TestServesKurentoAndEnds(t *testing.T) {
	ready := filepath.Join(t.TempDir(), "ready.json")
	done := make(chan error, 1)
	go func() {
		done <- run(config.Input{
			Args: []string{"--kms-listen=127.0.0.1:0", "--media-port=0", "--file-roots=" + t.TempDir(), "--ready-file=" + ready, "--pprof=127.0.0.1:0"},
			Out:  io.Discard,
		})
	}()
	var ports struct{ KMS, Media int }
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		if b, err := os.ReadFile(ready); err == nil && json.Unmarshal(b, &ports) == nil {
			break
		}
		select {
		case err := <-done:
			t.Fatalf("it ended at start: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("no ready file")
		}
	}
	if ports.KMS == 0 || ports.Media == 0 {
		t.Fatalf("ports %+v", ports)
	}
	ws, _, err := websocket.DefaultDialer.Dial(fmt.Sprintf("ws://127.0.0.1:%d/kurento", ports.KMS), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ws.Close()
	for _, c := range []struct{ request, holds string }{
		{`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"interval":240000}}`, `"pong"`},
		{`{"jsonrpc":"2.0","id":2,"method":"create","params":{"type":"MediaPipeline","constructorParams":{}}}`, "MediaPipeline"},
		{`{"jsonrpc":"2.0","id":3,"method":"create","params":{"type":"NoSuchEndpoint","constructorParams":{}}}`, "40108"},
	} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(c.request)); err != nil {
			t.Fatal(err)
		}
		if _, answer, err := ws.ReadMessage(); err != nil || !strings.Contains(string(answer), c.holds) {
			t.Errorf("%s: %s %v, want %q", c.request, answer, err, c.holds)
		}
	}
	for path, want := range map[string]string{"/health": "UP", "/metrics": `kms_objects{type="MediaPipeline"} 1`} {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", ports.KMS, path))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != 200 || !bytes.Contains(b, []byte(want)) {
			t.Errorf("GET %s: %d, want %q in it", path, resp.StatusCode, want)
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("run: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
}

func TestRefusesToStart(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--kms-listen=0.0.0.0:0", "GOVIDU_KMS_TOKEN"}, {"--media-port=99999", "not a port"}, {"--pprof=0.0.0.0:0 --kms-listen=127.0.0.1:0 --media-port=0", "loopback"},
	} {
		err := run(config.Input{Args: strings.Fields(c.args), Out: io.Discard})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.args, err, c.want)
		}
	}
	if err := run(config.Input{Args: []string{"--help"}, Out: io.Discard}); !errors.Is(err, config.ErrDone) {
		t.Errorf("--help: %v", err)
	}
}
