//go:build linux

// Package rtmptest runs nginx with its RTMP module as a target of live streams. Nothing
// but tests may import it.
package rtmptest

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// deadline is for a start of nginx on a busy machine.
const deadline = 30 * time.Second

// Nginx is one process on a loopback port, with a folder of its own. Its application
// "live" takes every stream that Refuse does not forbid and keeps it as a file,
// "closed" takes none.
type Nginx struct {
	t       testing.TB
	home    string
	addr    string
	gate    *httptest.Server // is asked before a stream is taken
	refuse  atomic.Bool
	refused atomic.Int64
	cmd     *exec.Cmd
	done    chan struct{}
}

// Path is the nginx to run: NGINX, Debian's, or the one that scripts/install.sh
// keeps in the repository's .tools.
func Path() string {
	const system, own = "/usr/sbin/nginx", ".tools/nginx/usr/sbin/nginx"
	if path := os.Getenv("NGINX"); path != "" {
		return path
	}
	if _, err := os.Stat(module(system)); err == nil {
		return system
	}
	dir, err := os.Getwd()
	for ; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, own)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return system
}

// module is where the RTMP module of an nginx is, if it is not built in.
func module(nginx string) string {
	return filepath.Join(filepath.Dir(nginx), "../lib/nginx/modules/ngx_rtmp_module.so")
}

// Start runs nginx until the test ends.
func Start(t testing.TB) *Nginx {
	t.Helper()
	if _, err := exec.LookPath(Path()); err != nil {
		t.Fatalf("this test needs nginx with its RTMP module: scripts/install.sh nginx (%v)", err)
	}
	n := &Nginx{t: t, home: t.TempDir(), addr: freeAddr(t)}
	n.gate = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n.refuse.Load() {
			n.refused.Add(1)
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	n.Run()
	t.Cleanup(func() {
		n.Kill()
		n.gate.Close()
		if log, _ := os.ReadFile(filepath.Join(n.home, "error.log")); t.Failed() {
			t.Logf("log of nginx:\n%s", log[max(len(log)-8000, 0):])
		}
	})
	return n
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Addr is its host and port.
func (n *Nginx) Addr() string { return n.addr }

// URL is that of a stream.
func (n *Nginx) URL(application, stream string) string {
	return "rtmp://" + n.addr + "/" + application + "/" + stream
}

// Run starts it, the first time or after Kill, and returns when it listens.
func (n *Nginx) Run() {
	n.t.Helper()
	load := ""
	if _, err := os.Stat(module(Path())); err == nil {
		load = "load_module " + module(Path()) + ";"
	}
	n.write("nginx.conf", fmt.Sprintf(`%s
daemon off; master_process off; pid nginx.pid; error_log error.log info;
events { worker_connections 64; }
rtmp { access_log off; server { listen %s;
  application live { live on; on_publish %s/; record all; record_path .; record_unique on; }
  application closed { live on; deny publish all; }
} }
`, load, n.addr, n.gate.URL))
	// All of it is one process, so that a signal reaches all of it. The kernel ends
	// it when the test dies.
	n.cmd = exec.Command(Path(), "-p", n.home, "-c", filepath.Join(n.home, "nginx.conf"), "-e", filepath.Join(n.home, "error.log"))
	n.cmd.Dir = n.home // where it keeps streams
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said := &bytes.Buffer{} // read after done
	n.cmd.Stdout, n.cmd.Stderr = said, said
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	done := make(chan struct{})
	n.done = done
	go func() {
		defer close(done)
		_ = n.cmd.Wait() // killed
	}()
	n.until("nginx listens", func() bool {
		select {
		case <-done:
			n.t.Fatalf("nginx ended: %v\n%s", n.cmd.ProcessState, said)
		default:
		}
		c, err := net.Dial("tcp", n.addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (n *Nginx) write(name, text string) {
	if err := os.WriteFile(filepath.Join(n.home, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
}

func (n *Nginx) until(what string, ok func() bool) {
	n.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !ok(); <-tick.C {
		if time.Now().After(end) {
			n.t.Fatalf("%s: not within %v", what, deadline)
		}
	}
}

// Kill ends it as a crash does.
func (n *Nginx) Kill() {
	_ = n.cmd.Process.Kill() // it may have ended
	<-n.done
}

// Freeze makes it hold its connections and read nothing; Thaw ends that.
func (n *Nginx) Freeze() { n.signal(syscall.SIGSTOP) }

// Thaw lets it go on.
func (n *Nginx) Thaw() { n.signal(syscall.SIGCONT) }

func (n *Nginx) signal(s syscall.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(s); err != nil {
		n.t.Fatal(err)
	}
}

// Refuse makes it refuse new streams of "live", or take them again.
func (n *Nginx) Refuse(on bool) { n.refuse.Store(on) }

// Refused is how many streams were refused by Refuse.
func (n *Nginx) Refused() int { return int(n.refused.Load()) }
