package kurento_test

import (
	"bufio"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/govidu/govidu/internal/medianode"
)

// install puts the clients into js and js6, once.
var install = sync.OnceValue(func() error {
	for _, dir := range []string{"js", "js6"} {
		cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return &installError{string(out), err}
		}
	}
	return nil
})

type installError struct {
	out string
	err error
}

func (e *installError) Error() string { return e.err.Error() + "\n" + e.out }

// runNode runs a script of js on the unmodified client of one line against a fresh
// node. It passes when the script's last line is "done". A line "cut" breaks all
// sockets; "restart" puts another node in the old one's place besides.
func runNode(t *testing.T, script, line string) {
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is missing: scripts/install.sh node", tool)
		}
	}
	if err := install(); err != nil {
		t.Fatalf("install the client: %v", err)
	}
	n, files := newNodeAt(t)
	var current atomic.Pointer[medianode.Node]
	current.Store(n)
	cuts := &cutter{}
	h := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { current.Load().Server.ServeHTTP(w, r) }))
	h.Config.ConnState = cuts.note
	h.Start()
	defer h.Close()
	cmd := exec.Command("node", script, "ws"+strings.TrimPrefix(h.URL, "http")+"/kurento", files, line)
	cmd.Dir = "js"
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		last = lines.Text()
		t.Log(last)
		switch last {
		case "restart":
			fresh, _ := newNodeAt(t)
			current.Store(fresh)
			cuts.cut()
		case "cut":
			cuts.cut()
		}
	}
	if err := cmd.Wait(); err != nil || last != "done" {
		t.Fatalf("%s ended with %v before it was done", script, err)
	}
}

// TestNodeClient: the manager, objects, events, errors, reconnecting.
func TestNodeClient(t *testing.T) {
	for _, line := range []string{"7", "6"} {
		t.Run(line, func(t *testing.T) { runNode(t, "client.js", line) })
	}
}

// TestNodeEndpoints: two WebRtcEndpoints connected with each other, a recorder.
func TestNodeEndpoints(t *testing.T) {
	for _, line := range []string{"7", "6"} {
		t.Run(line, func(t *testing.T) { runNode(t, "endpoints.js", line) })
	}
}

// TestOldNames: what only 6.x knows.
func TestOldNames(t *testing.T) { runNode(t, "old-names.js", "6") }

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
