package faults

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is the program kms, which nothing of the test's own runs in.
type process struct {
	cmd      *exec.Cmd
	ports    struct{ KMS, Media int }
	profiles string // where Go's profiles are served, and a collection of garbage can be asked for
}

// startProcess runs kms; it ends with the test, orderly and with code 0.
func startProcess(t testing.TB, files string) *process {
	t.Helper()
	program(t, "mediaworker", "worker") // kms looks for it beside itself
	ready := filepath.Join(t.TempDir(), "ready.json")
	log, err := os.Create(filepath.Join(t.TempDir(), "kms.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &process{profiles: profiles(t)}
	p.cmd = exec.Command(program(t, "kms", "build"), "--kms-listen=127.0.0.1:0", "--media-port=0", "--file-roots="+files, "--ready-file="+ready,
		"--pprof="+p.profiles, "--worker-cores=16") // a small machine is slow here, but refuses nothing
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.cmd.Wait() }()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("kms: %v", err)
			}
		case <-time.After(patience):
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
			t.Errorf("kms does not end: %v", <-ended)
		}
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("%s", b[max(0, len(b)-20000):])
		}
	})
	eventually(t, patience, "kms is ready", func() error {
		b, err := os.ReadFile(ready)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &p.ports)
	})
	return p
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) url() string { return fmt.Sprintf("ws://127.0.0.1:%d/kurento", p.ports.KMS) }

// metric reads one metric without labels.
func (p *process) metric(t testing.TB, name string) int {
	t.Helper()
	resp, err := plain.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", p.ports.KMS))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(v)
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// collected is Go's heap after a collection of garbage, in bytes.
func (p *process) collected(t testing.TB) int {
	t.Helper()
	resp, err := plain.Get("http://" + p.profiles + "/debug/pprof/heap?gc=1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return p.metric(t, "go_memstats_heap_alloc_bytes")
}

// profiles is a free address: GOVIDU_PPROF, to look for leaks by hand, or any.
func profiles(t testing.TB) string {
	t.Helper()
	if addr := os.Getenv("GOVIDU_PPROF"); addr != "" {
		return addr
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// plain asks for answers that are not compressed: the compressor's memory is
// kept by the node, and would be measured as its own.
var plain = &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}

// keptReplies is how long a node keeps replies to requests that may be repeated.
const keptReplies = 20 * time.Second

// live is how much of Go's heap is in use when nothing runs and the garbage is
// collected, in bytes: the least that is seen until the kept replies are gone.
// The heap's profile goes to a file.
func (p *process) live(t testing.TB, profile string) int {
	t.Helper()
	least := math.MaxInt
	for end := time.Now().Add(keptReplies); ; time.Sleep(time.Second) {
		resp, err := plain.Get("http://" + p.profiles + "/debug/pprof/heap?gc=1")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if n := p.metric(t, "go_memstats_heap_alloc_bytes"); n < least {
			least = n
			if err := os.WriteFile(profile, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if time.Now().After(end) {
			return least
		}
	}
}
