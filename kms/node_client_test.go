package kms_test

import (
	"bufio"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/govidu/govidu/kms"
)

// TestNodeClient runs the unmodified npm kurento-client against the server.
// KURENTO_CLIENT_DIR names a directory whose node_modules holds it (with
// reconnect-ws 0.0.0 and reconnect-core 1.0.0, its own dependencies).
func TestNodeClient(t *testing.T) {
	dir := os.Getenv("KURENTO_CLIENT_DIR")
	if dir == "" {
		t.Skip("KURENTO_CLIENT_DIR is not set")
	}
	s := newServer(t, func(c *kms.Config) {
		c.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	cuts := &cutter{}
	h := httptest.NewUnstartedServer(s)
	h.Config.ConnState = cuts.note
	h.Start()
	defer h.Close()
	cmd := exec.Command("node", "testdata/node-client.js", dir, "ws"+strings.TrimPrefix(h.URL, "http")+"/kurento")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		t.Log(lines.Text())
		switch lines.Text() {
		case "cut":
			cuts.cut()
		case "done":
			done = true
		}
	}
	if err := cmd.Wait(); err != nil || !done {
		t.Fatalf("client ended with %v before it was done", err)
	}
}

// cutter remembers hijacked connections, to break them like a cable.
type cutter struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cutter) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if state == http.StateHijacked {
		c.conns = append(c.conns, conn)
	}
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	c.conns = nil
}
