package workers

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketBuffer is what we ask of each end of the media socket: some whole
// keyframes. The kernel gives net.core.wmem_max at most.
const socketBuffer = 4 << 20

// forker starts processes on one locked thread: the kernel kills a child with
// the thread that made it (PR_SET_PDEATHSIG), and Go ends idle threads.
type forker struct {
	once sync.Once
	mu   sync.Mutex
	work chan func()
	done chan struct{}
}

func (f *forker) do(what func()) {
	f.once.Do(func() {
		work, done := make(chan func()), make(chan struct{})
		f.mu.Lock()
		f.work, f.done = work, done
		f.mu.Unlock()
		go func() {
			defer close(done)
			runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
			for what := range work {
				what()
			}
		}()
	})
	ready := make(chan struct{})
	f.work <- func() {
		defer close(ready)
		what()
	}
	<-ready
}

// close ends the thread, and with it what it started; nobody calls do any more.
func (f *forker) close() {
	f.mu.Lock()
	work, done := f.work, f.done
	f.work = nil
	f.mu.Unlock()
	if work != nil {
		close(work)
	}
	if done != nil {
		<-done
	}
}

// environment is all of ours that a worker gets: what GStreamer needs to find
// its plugins and their cache. Secrets stay here.
func environment(all []string) []string {
	var kept []string
	for _, e := range all {
		name, _, _ := strings.Cut(e, "=")
		switch {
		case strings.HasPrefix(name, "GST_"), name == "HOME", name == "XDG_CACHE_HOME", name == "XDG_DATA_HOME", name == "LD_LIBRARY_PATH", name == "TMPDIR":
			kept = append(kept, e)
		}
	}
	return kept
}

// exec starts the binary with its two sockets.
func (f *forker) exec(path string, log *slog.Logger) (*Process, error) {
	media, theirMedia, err := SocketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	control, theirControl, err := SocketPair(unix.SOCK_STREAM)
	if err != nil {
		media.Close()
		theirMedia.Close()
		return nil, err
	}
	defer theirMedia.Close()
	defer theirControl.Close()
	said := newLines(log)
	cmd := &exec.Cmd{
		Path: path, Args: []string{path}, Env: environment(os.Environ()), Stderr: said,
		ExtraFiles: []*os.File{theirMedia, theirControl}, // wire.MediaFD, wire.ControlFD
		// A grandchild that keeps stderr open must not keep us.
		WaitDelay:   time.Second,
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
	}
	said.mu.Lock() // its first line waits for the process's number
	f.do(func() { err = cmd.Start() })
	if err == nil {
		said.log = log.With("pid", cmd.Process.Pid)
	}
	said.mu.Unlock()
	if err != nil {
		media.Close()
		control.Close()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	c := &child{cmd: cmd, pid: cmd.Process.Pid}
	return &Process{Media: media, Control: control, PID: c.pid, Wait: c.wait, Kill: c.kill, Last: said.Last}, nil
}

// child is an executed worker.
type child struct {
	cmd    *exec.Cmd
	pid    int
	mu     sync.Mutex
	reaped bool
}

// wait reaps it. Before its number is free for others, what it left in its
// process group is killed.
func (c *child) wait() error {
	for {
		if err := unix.Waitid(unix.P_PID, c.pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			break
		}
	}
	c.mu.Lock()
	_ = unix.Kill(-c.pid, unix.SIGKILL)
	c.reaped = true
	c.mu.Unlock()
	return c.cmd.Wait()
}

func (c *child) kill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		_ = unix.Kill(-c.pid, unix.SIGKILL)
	}
}

// SocketPair makes a pair of Unix sockets of the given type (unix.SOCK_STREAM,
// unix.SOCK_SEQPACKET) with large buffers, both closed on exec: our end, and the
// one that a worker inherits.
func SocketPair(kind int) (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	for _, fd := range fds {
		// The forced form is for root only; what is refused leaves the default.
		for _, o := range [][2]int{{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}, {unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}} {
			if unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[0], socketBuffer) != nil {
				_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, o[1], socketBuffer)
			}
		}
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "worker"), os.NewFile(uintptr(fds[1]), "worker")
	defer ours.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("use socket pair: %w", err)
	}
	return c.(*net.UnixConn), theirs, nil
}

// monotonic is CLOCK_MONOTONIC in ns, the clock of the wire.
func monotonic() int64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0
	}
	return t.Nano()
}

// rights is the out-of-band data that carries a descriptor.
func rights(fd int) []byte { return unix.UnixRights(fd) }

// duplicate makes a second descriptor of f, closed on exec.
func duplicate(f *os.File) (fd int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	if again := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); again != nil {
		return -1, again
	}
	return fd, err
}

func closeFD(fd int) { _ = unix.Close(fd) }
