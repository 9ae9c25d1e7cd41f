package workers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/workerstest"
)

// players are the processes that the test binary can be, by file name.
var players = map[string]func() error{
	"mediaworker": func() error {
		return workerstest.Serve(workerstest.Script{Call: processCall})
	},
	"mediaworker-stubborn": func() error { // does not close
		return workerstest.Serve(workerstest.Script{Closing: time.Hour})
	},
	"mediaworker-unlinked": func() error {
		fmt.Fprintln(os.Stderr, "error while loading shared libraries: libgstreamer-1.0.so.0")
		os.Exit(127)
		return nil
	},
	"mediaworker-mute": func() error { <-time.After(time.Hour); return nil },
	// A server that dies without a word to its worker.
	"server": func() error {
		pool := workers.NewPool(workers.Config{Binary: os.Getenv("MEDIAWORKER"), Warm: -1, Cores: 100})
		job, err := pool.Start(context.Background(), workers.Spec{Kind: "test"})
		if err != nil {
			return err
		}
		if err := job.Call(context.Background(), "nothing", nil, nil); err != nil {
			return err
		}
		fmt.Println(job.PID())
		<-time.After(time.Hour)
		return nil
	},
}

// TestStoppedWorkerIsKilled: a process that neither works nor dies, and of which
// nobody wants anything, is found out.
func TestStoppedWorkerIsKilled(t *testing.T) {
	p := processPool(t, workers.Config{Binary: binary(t, "mediaworker")})
	p.Deaf(1)
	crashed := make(chan error, 16)
	j, err := p.Start(context.Background(), workers.Spec{Kind: "test", Restart: true, Handler: workers.Handler{
		Crashed: func(err error, _ bool) { crashed <- err },
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Call(context.Background(), "nothing", nil, nil); err != nil {
		t.Fatal(err)
	}
	pid := j.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := <-crashed; !strings.Contains(err.Error(), "sign of life") {
		t.Errorf("told as %v", err)
	}
	if err := j.Call(context.Background(), "nothing", nil, nil); err != nil {
		t.Error(err)
	}
	if again := j.PID(); again == pid {
		t.Error("the stopped process is still at work")
	}
}

// processCall is what a worker process can be asked.
func processCall(_ *workerstest.Worker, method string, _ json.RawMessage, files []*os.File) (any, error) {
	switch method {
	case "environment":
		return os.Environ(), nil
	case "descriptors":
		return descriptors(os.Getpid())
	case "read":
		b, err := io.ReadAll(files[0])
		return string(b), err
	case "child": // something in the same group that outlives a crash
		cmd := exec.Command("/bin/sleep", "3600")
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		return cmd.Process.Pid, nil
	case "say":
		fmt.Fprintln(os.Stderr, "hello from the worker")

	}
	return nil, nil
}

// binary is a path under which the test binary is a player.
func binary(t testing.TB, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func processPool(t testing.TB, c workers.Config) *workers.Pool {
	t.Helper()
	c.Cores = 100
	p := workers.NewPool(c)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close pool: %v", err)
		}
	})
	return p
}

// descriptors are the open ones of a process, without the one that lists them.
func descriptors(pid int) ([]string, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return nil, err
	}
	var all []string
	for _, e := range entries {
		if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, e.Name())); err == nil {
			all = append(all, e.Name()+" "+to)
		}
	}
	return all, nil
}

// children are the processes whose parent we are, zombies included.
func children(t testing.TB) (pids []int) {
	t.Helper()
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil || len(tasks) == 0 {
		t.Fatalf("no list of children: %v", err)
	}
	for _, name := range tasks {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range strings.Fields(string(b)) {
			pid, _ := strconv.Atoi(f)
			pids = append(pids, pid)
		}
	}
	return pids
}

func gone(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(b[bytes.LastIndexByte(b, ')'):]), ") Z ")
}

func call[T any](t testing.TB, j *workers.Job, method string) (result T) {
	t.Helper()
	if err := j.Call(context.Background(), method, nil, &result); err != nil {
		t.Fatalf("call %s: %v", method, err)
	}
	return result
}

// Fifty times SIGSEGV: each crash is told in time, each time another process
// takes over, and nothing is left behind.
func TestKilledFiftyTimes(t *testing.T) {
	var mu sync.Mutex
	var told []time.Time
	var texts []string
	pool := processPool(t, workers.Config{Binary: binary(t, "mediaworker")})
	pool.Hurry(time.Millisecond, 0, 0, 0)
	pool.Window(time.Nanosecond)
	job, err := pool.Start(context.Background(), workers.Spec{Kind: "test", Restart: true, Handler: workers.Handler{
		Crashed: func(err error, restarting bool) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, time.Now())
			texts = append(texts, err.Error())
			if !restarting {
				t.Errorf("no restart after %d crashes: %v", len(told), err)
			}
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	crashes := func() int { mu.Lock(); defer mu.Unlock(); return len(told) }
	// settled waits for the warm process, so that there is always as much of all.
	settled := func() {
		call[any](t, job, "nothing")
		soon(t, "a warm process", func() bool { return len(pool.Idle()) == 1 && len(children(t)) == 2 })
	}
	settled()
	before, err := descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	var late []time.Duration
	for n := range 50 {
		pid := job.PID()
		at := time.Now()
		if err := syscall.Kill(pid, syscall.SIGSEGV); err != nil {
			t.Fatalf("kill %d: %v", pid, err)
		}
		soon(t, "the crash to be told", func() bool { return crashes() == n+1 })
		mu.Lock()
		late = append(late, told[n].Sub(at))
		if d := told[n].Sub(at); d > 10*time.Second {
			t.Errorf("crash %d is told after %v", n, d)
		}
		if !strings.Contains(texts[n], "test died") {
			t.Errorf("crash %d is told as %q", n, texts[n])
		}
		mu.Unlock()
		soon(t, "another process", func() bool { next := job.PID(); return next != 0 && next != pid })
		call[any](t, job, "nothing")
		if !gone(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	settled()
	t.Logf("of fifty crashes the slowest was told after %v", slices.Max(late))
	after, err := descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if len(after) > len(before) {
		t.Errorf("%d descriptors, %d before:\n%s", len(after), len(before), strings.Join(after, "\n"))
	}
	if err := job.Close(); err != nil {
		t.Error(err)
	}
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
	if left := children(t); len(left) != 0 {
		t.Errorf("processes %v are left", left)
	}
}

func TestProcessGetsWhatItNeeds(t *testing.T) {
	t.Setenv("KMS_SECRET", "x")
	t.Setenv("GST_DEBUG", "1")
	pool := processPool(t, workers.Config{Binary: binary(t, "mediaworker"), Warm: -1})
	job, err := pool.Start(context.Background(), workers.Spec{Kind: "test"})
	if err != nil {
		t.Fatal(err)
	}
	env := call[[]string](t, job, "environment")
	if slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "KMS_") || strings.HasPrefix(e, "PATH=") }) || !slices.Contains(env, "GST_DEBUG=1") {
		t.Errorf("environment %q", env)
	}
	ours, err := descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	sockets := 0
	for _, d := range call[[]string](t, job, "descriptors") {
		number, to, _ := strings.Cut(d, " ")
		switch {
		case strings.HasPrefix(to, "socket:"):
			sockets++
		case to == "/dev/null", number == "2", strings.HasPrefix(to, "anon_inode:"), strings.HasPrefix(to, "/proc/"), strings.HasPrefix(to, "/sys/fs/cgroup/"):
		case slices.Contains(ours, d): // inherited by both from whoever runs the test
		default:
			t.Errorf("the worker inherits %s", d)
		}
	}
	if sockets > 2 {
		t.Errorf("the worker has %d sockets, want its two", sockets)
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("by descriptor"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	var text string
	if err := job.SendFile(context.Background(), "read", nil, f, &text); err != nil || text != "by descriptor" {
		t.Errorf("the file reads %q, %v", text, err)
	}
	if pgid, err := syscall.Getpgid(job.PID()); err != nil || pgid != job.PID() {
		t.Errorf("process group %d of %d, %v", pgid, job.PID(), err)
	}
}

// What a crashed worker has started goes with it.
func TestCrashTakesItsGroup(t *testing.T) {
	pool := processPool(t, workers.Config{Binary: binary(t, "mediaworker"), Warm: -1})
	job, err := pool.Start(context.Background(), workers.Spec{Kind: "test"})
	if err != nil {
		t.Fatal(err)
	}
	grandchild := call[int](t, job, "child")
	if err := syscall.Kill(job.PID(), syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	soon(t, "the grandchild's end", func() bool { return gone(grandchild) })
}

// The kernel ends workers when the server is killed.
func TestServerKilled(t *testing.T) {
	cmd := exec.Command(binary(t, "server"))
	cmd.Env = append(os.Environ(), "MEDIAWORKER="+binary(t, "mediaworker"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	_, err = fmt.Fscan(out, &pid)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil || pid == 0 {
		t.Fatalf("the server names no worker: %v", err)
	}
	soon(t, "the worker's end", func() bool { return gone(pid) })
}

func TestStubbornProcessIsKilled(t *testing.T) {
	pool := processPool(t, workers.Config{Binary: binary(t, "mediaworker-stubborn"), Warm: -1})
	pool.Hurry(0, 0, 0, 100*time.Millisecond)
	job, err := pool.Start(context.Background(), workers.Spec{Kind: "test"})
	if err != nil {
		t.Fatal(err)
	}
	call[any](t, job, "nothing")
	pid := job.PID()
	if err := job.Close(); err != nil {
		t.Error(err)
	}
	if !gone(pid) {
		t.Error("it lives on")
	}
}

func TestUnreadyProcessIsGivenUp(t *testing.T) {
	pool := processPool(t, workers.Config{Binary: binary(t, "mediaworker-mute"), Warm: -1})
	pool.Hurry(0, 50*time.Millisecond, 0, 0)
	crashed := make(chan error, 1)
	if _, err := pool.Start(context.Background(), workers.Spec{Kind: "test", Handler: workers.Handler{
		Crashed: func(err error, _ bool) { crashed <- err },
	}}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-crashed:
		if !strings.Contains(err.Error(), "not ready") {
			t.Errorf("it crashed of %v", err)
		}
	case <-time.After(patience):
		t.Error("nothing is told")
	}
}

// A binary that cannot run makes workers unavailable, with what it said.
func TestUnlinkedBinary(t *testing.T) {
	pool := processPool(t, workers.Config{Binary: binary(t, "mediaworker-unlinked"), Warm: -1})
	crashed := make(chan error, 1)
	if _, err := pool.Start(context.Background(), workers.Spec{Kind: "test", Handler: workers.Handler{
		Crashed: func(err error, _ bool) { crashed <- err },
	}}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-crashed:
		if !strings.Contains(err.Error(), "libgstreamer") {
			t.Errorf("it crashed of %v", err)
		}
	case <-time.After(patience):
		t.Fatal("nothing is told")
	}
	err := pool.Available()
	if !errors.Is(err, kerr.MediaObjectNotAvailable) || !strings.Contains(err.Error(), "libgstreamer") || !strings.Contains(err.Error(), "make worker") {
		t.Errorf("available: %v", err)
	}
}

// The binary may be built while the server runs.
func TestBinaryAppearsLater(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mediaworker")
	pool := processPool(t, workers.Config{Binary: path, Warm: -1})
	if err := pool.Available(); !errors.Is(err, kerr.MediaObjectNotAvailable) || !strings.Contains(err.Error(), "make worker") {
		t.Fatalf("without a binary: %v", err)
	}
	if _, err := pool.Start(context.Background(), workers.Spec{Kind: "test"}); !errors.Is(err, kerr.MediaObjectNotAvailable) {
		t.Fatalf("start without a binary: %v", err)
	}
	if err := os.Symlink(binary(t, "mediaworker"), path); err != nil {
		t.Fatal(err)
	}
	soon(t, "the binary to be found", func() bool { return pool.Available() == nil })
	job, err := pool.Start(context.Background(), workers.Spec{Kind: "test"})
	if err != nil {
		t.Fatal(err)
	}
	call[any](t, job, "nothing")
}

// What a process really uses takes the place of its estimate.
func TestUseIsMeasured(t *testing.T) {
	pool := processPool(t, workers.Config{Binary: binary(t, "mediaworker"), Warm: -1})
	pool.Settle(time.Nanosecond)
	if _, err := pool.Start(context.Background(), workers.Spec{Kind: "test", Cores: 5}); err != nil {
		t.Fatal(err)
	}
	if used := pool.Used(); used != 5 {
		t.Errorf("at first it is charged %.2f cores, want its estimate", used)
	}
	soon(t, "the measurement", func() bool { return pool.Used() < 1 })
}

// A warm process that died is not handed out, and leaves nothing.
func TestWarmProcessDies(t *testing.T) {
	pool := processPool(t, workers.Config{Binary: binary(t, "mediaworker")})
	start := func() *workers.Job {
		j, err := pool.Start(context.Background(), workers.Spec{Kind: "test"})
		if err != nil {
			t.Fatal(err)
		}
		call[any](t, j, "nothing")
		soon(t, "a warm process", func() bool { return len(pool.Idle()) == 1 })
		return j
	}
	if err := start().Close(); err != nil {
		t.Error(err)
	}
	warm := pool.Idle()[0]
	before, err := descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(warm, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	soon(t, "its end", func() bool { _, err := os.Stat(fmt.Sprintf("/proc/%d", warm)); return err != nil })
	j := start()
	if j.PID() == warm {
		t.Error("the dead one is handed out")
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	after, err := descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if len(after) > len(before) {
		t.Errorf("%d descriptors, %d before", len(after), len(before))
	}
}

func TestStderrIsLogged(t *testing.T) {
	var mu sync.Mutex
	var b bytes.Buffer
	log := slog.New(slog.NewTextHandler(writer(func(p []byte) { mu.Lock(); defer mu.Unlock(); b.Write(p) }), nil))
	pool := processPool(t, workers.Config{Binary: binary(t, "mediaworker"), Warm: -1, Log: log})
	job, err := pool.Start(context.Background(), workers.Spec{Kind: "test"})
	if err != nil {
		t.Fatal(err)
	}
	call[any](t, job, "say")
	soon(t, "the line in the log", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return strings.Contains(b.String(), "hello from the worker") && strings.Contains(b.String(), "pid="+strconv.Itoa(job.PID()))
	})
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }
