package process

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// os/signal keeps one goroutine for the process once it was used.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("os/signal.signal_recv"), goleak.IgnoreAnyFunction("os/signal.loop"))
}

var quiet = slog.New(slog.DiscardHandler)

func TestJudgeFiles(t *testing.T) {
	for _, c := range []struct {
		limit     uint64
		warn, err bool
	}{{1024, false, true}, {8191, false, true}, {8192, true, false}, {65535, true, false}, {65536, false, false}} {
		warning, err := judgeFiles(c.limit)
		if (warning != "") != c.warn || (err != nil) != c.err {
			t.Errorf("%d files: warning %q, error %v", c.limit, warning, err)
		}
		if text := warning; err != nil && !strings.Contains(err.Error()+text, "ulimit -n") {
			t.Errorf("%d files: no remedy in %v", c.limit, err)
		}
	}
}

func TestMemoryOf(t *testing.T) {
	const meminfo = "MemFree: 1 kB\nMemTotal:       2048 kB\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"machine":            {map[string]string{"/proc/meminfo": meminfo}, 2 << 20},
		"cgroup v2":          {map[string]string{"/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": "1048576\n"}, 1 << 20},
		"cgroup v2, no max":  {map[string]string{"/proc/meminfo": meminfo, "/sys/fs/cgroup/memory.max": "max\n"}, 2 << 20},
		"cgroup v1, no max":  {map[string]string{"/proc/meminfo": meminfo, "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 2 << 20},
		"cgroup v1":          {map[string]string{"/proc/meminfo": meminfo, "/sys/fs/cgroup/memory/memory.limit_in_bytes": "4096\n"}, 4096},
		"nothing to be read": {nil, 0},
	} {
		got := memoryOf(func(path string) ([]byte, error) {
			if s, ok := c.files[path]; ok {
				return []byte(s), nil
			}
			return nil, fs.ErrNotExist
		})
		if got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}

func TestTrimHeap(t *testing.T) {
	was := debug.SetGCPercent(100)
	defer debug.SetGCPercent(was)
	for _, c := range []struct {
		gogc, limit string
		want        int
	}{{"", "", heapGrowth}, {"200", "", 100}, {"", "1GiB", 100}, {"off", "1GiB", 100}} {
		t.Setenv("GOGC", c.gogc)
		t.Setenv("GOMEMLIMIT", c.limit)
		debug.SetGCPercent(100)
		TrimHeap()
		if got := debug.SetGCPercent(100); got != c.want {
			t.Errorf("GOGC=%q GOMEMLIMIT=%q: %d %%, want %d", c.gogc, c.limit, got, c.want)
		}
	}
}

func TestTwoSignals(t *testing.T) {
	gentle, hard, stop := Stops(context.Background(), quiet)
	defer stop()
	kill := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	kill()
	wait(t, gentle.Done(), "first signal")
	if hard.Err() != nil {
		t.Error("the first signal ended the hard context")
	}
	kill()
	wait(t, hard.Done(), "second signal")
}

func TestStopsEndsWithParent(t *testing.T) {
	parent, cancel := context.WithCancel(context.Background())
	gentle, hard, stop := Stops(parent, quiet)
	cancel()
	wait(t, gentle.Done(), "parent")
	wait(t, hard.Done(), "parent")
	stop()
}

func wait(t *testing.T, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s: nothing happened", what)
	}
}

func TestDownClosesBackwardsAndAll(t *testing.T) {
	d := &Down{Log: quiet}
	var order []string
	add := func(name string, f func() error) {
		d.Add(name, func(context.Context) error { order = append(order, name); return f() })
	}
	failure := errors.New("no")
	add("sockets", func() error { return nil })
	add("rooms", func() error { panic("bug") })
	add("door", func() error { return failure })
	if got := d.Names(); !slices.Equal(got, []string{"door", "rooms", "sockets"}) {
		t.Errorf("Names = %v", got)
	}
	err := d.Close(t.Context())
	if !slices.Equal(order, []string{"door", "rooms", "sockets"}) {
		t.Errorf("order = %v", order)
	}
	if !errors.Is(err, failure) || !strings.Contains(err.Error(), "close rooms") {
		t.Errorf("error = %v", err)
	}
	if err := d.Close(t.Context()); err != nil || len(order) != 3 {
		t.Errorf("second Close: %v, order %v", err, order)
	}
}

func TestCloseWithinGivesUp(t *testing.T) {
	d := &Down{Log: quiet}
	release := make(chan struct{})
	finished := make(chan struct{})
	d.Add("stuck", func(context.Context) error { <-release; close(finished); return nil })
	if err := d.CloseWithin(t.Context(), time.Millisecond); err == nil {
		t.Error("a closer that hangs gave no error")
	}
	close(release)
	<-finished
}

func TestLoad(t *testing.T) {
	l := &Load{CPULimit: 0.9}
	for i, c := range []struct {
		times  int
		cpu    float64
		memory int64
		busy   bool
	}{
		{5, 0.1, 10, false}, {1, 0.1, 86, true}, {1, 0.1, 85, false},
		{4, 0.95, 10, false}, {1, 0.95, 10, true}, // five seconds of it
		{5, 0.87, 10, true}, {5, 0.84, 10, false}, {5, 0.87, 10, false},
		{1, 1, 10, false}, {1, 0, 10, false}, // one busy second
	} {
		for range c.times {
			l.judge(c.cpu, c.memory, 100)
		}
		if (l.Busy() != "") != c.busy {
			t.Errorf("row %d: busy = %q at %.2f, want %v", i, l.Busy(), l.CPU(), c.busy)
		}
	}
	free := &Load{}
	for range 10 {
		free.judge(1, 10, 100)
	}
	if free.Busy() != "" || free.CPU() < 0.99 {
		t.Errorf("without a limit: %q at %v", free.Busy(), free.CPU())
	}
	if memoryInUse() <= 0 {
		t.Error("no figures of this process")
	}
}

// TestLoadOfChildren: what a child computes counts, while it lives and after.
func TestLoadOfChildren(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("there is no /proc")
	}
	var self syscall.Rusage
	own := func() time.Duration {
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &self); err != nil {
			t.Fatal(err)
		}
		return time.Duration(self.Utime.Nano() + self.Stime.Nano())
	}
	before := cpuTime() - own()
	child := exec.Command("sh", "-c", "while :; do :; done")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for cpuTime()-own()-before < 100*time.Millisecond {
		if time.Now().After(deadline) {
			t.Fatal("a busy child is not seen")
		}
		time.Sleep(5 * time.Millisecond)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	if used := cpuTime() - own() - before; used < 90*time.Millisecond {
		t.Errorf("after its end %v are left of the child's time", used)
	}
}

func TestWriteReady(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ready.json")
	if err := WriteReady(path, map[string]string{"https": "https://localhost:4443"}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil || string(b) != "{\"https\":\"https://localhost:4443\"}\n" {
		t.Errorf("%q, %v", b, err)
	}
	if err := WriteReady("", nil); err != nil {
		t.Error(err)
	}
	if err := WriteReady(filepath.Join(t.TempDir(), "none", "x"), 1); err == nil {
		t.Error("a missing folder gave no error")
	}
}
