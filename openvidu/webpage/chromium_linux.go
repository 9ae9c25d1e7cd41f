package webpage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// chromium is one running browser.
type chromium struct {
	log     *slog.Logger
	profile string
	cmd     *exec.Cmd
	said    *tail
	tools   *devtools
	exited  chan struct{} // closed when the first process has been waited for

	mu     sync.Mutex // leaf
	reaped bool
	family map[process]struct{} // every process of it that was ever seen
}

// process is a number and the time it began, so that a number given to another is
// known as such.
type process struct {
	pid   int
	start string
}

// start runs the browser with a profile folder of its own.
func start(path, profile string, args []string, log *slog.Logger, heard func(session, method string, params json.RawMessage)) (*chromium, error) {
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer theirIn.Close()
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		ourOut.Close()
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer theirOut.Close()
	c := &chromium{log: log, profile: profile, said: &tail{}, exited: make(chan struct{}), family: map[process]struct{}{}}
	c.cmd = &exec.Cmd{
		Path: path, Args: append([]string{path}, args...), Stderr: c.said,
		// Secrets of ours stay here, and so does the operator's home.
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "HOME=" + profile, "TMPDIR=" + profile,
			"XDG_CONFIG_HOME=" + profile, "XDG_CACHE_HOME=" + profile, "XDG_RUNTIME_DIR=" + profile,
			"DBUS_SESSION_BUS_ADDRESS=disabled:", "DBUS_SYSTEM_BUS_ADDRESS=disabled:",
		},
		ExtraFiles:  []*os.File{theirIn, theirOut}, // descriptors 3 and 4
		WaitDelay:   time.Second,                   // a grandchild that keeps stderr open must not keep us
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
	}
	// When this process dies the pipe ends, and Chromium ends itself.
	if err := c.cmd.Start(); err != nil {
		ourIn.Close()
		ourOut.Close()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	c.tools = newDevtools(ourIn, ourOut, log, heard)
	go c.wait()
	return c, nil
}

// wait reaps the first process. Before its number is free for others, what is left
// of its group is killed.
func (c *chromium) wait() {
	defer close(c.exited)
	for {
		if err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			break
		}
	}
	c.mu.Lock()
	_ = unix.Kill(-c.cmd.Process.Pid, unix.SIGKILL)
	for p := range c.family { // some have a group of their own
		if now, _, ok := stat(p.pid); ok && now == p {
			_ = unix.Kill(p.pid, unix.SIGKILL)
		}
	}
	c.reaped = true
	c.mu.Unlock()
	_ = c.cmd.Wait() // how it ended is told by the pipe
	c.tools.end()
}

// kill ends the group at once.
func (c *chromium) kill() {
	c.look()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		_ = unix.Kill(-c.cmd.Process.Pid, unix.SIGKILL)
	}
}

// look notes every process below the first and gives the memory that all of them
// hold for themselves, in bytes.
func (c *chromium) look() (used int64) {
	children := map[int][]process{}
	entries, _ := os.ReadDir("/proc") // no /proc, no numbers
	self := process{pid: c.cmd.Process.Pid}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		p, parent, ok := stat(pid)
		if !ok {
			continue
		}
		if pid == self.pid {
			self = p
		}
		children[parent] = append(children[parent], p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reaped {
		return 0
	}
	for list := []process{self}; len(list) > 0; {
		p := list[0]
		list = append(list[1:], children[p.pid]...)
		used += resident(p.pid)
		if p.pid != self.pid {
			c.family[p] = struct{}{}
		}
	}
	return used
}

// kin adds to the family what has this browser's folder in its environment: it may
// have lost its parent before anybody looked. The caller holds c.mu.
func (c *chromium) kin() {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // not of others' processes
		if err != nil || !bytes.Contains(env, []byte("HOME="+c.profile+"\x00")) {
			continue
		}
		if p, _, ok := stat(pid); ok {
			c.family[p] = struct{}{}
		}
	}
}

// reap ends what outlived the browser's group, and waits for what became a child of
// ours: in a container this process may be everybody's parent.
func (c *chromium) reap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kin()
	for range 20 {
		left := false
		for p := range c.family {
			now, _, ok := stat(p.pid)
			if !ok || now != p {
				delete(c.family, p)
				continue
			}
			left = true
			_ = unix.Kill(p.pid, unix.SIGKILL)
			_, _ = unix.Wait4(p.pid, nil, unix.WNOHANG, nil) // somebody else's child is their affair
		}
		if !left {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
}

// stat reads a process's start time and parent; zombies that others wait for count
// as gone.
func stat(pid int) (p process, parent int, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(b, ')') // the name before it may hold anything
	if err != nil || i < 0 {
		return p, 0, false
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 20 {
		return p, 0, false
	}
	parent, err = strconv.Atoi(f[1])
	if f[0] == "Z" && parent != os.Getpid() {
		return p, 0, false
	}
	return process{pid, f[19]}, parent, err == nil
}

// resident is the memory of a process that no file stands for, in bytes.
func resident(pid int) (sum int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		if f := strings.Fields(rest); (name == "RssAnon" || name == "RssShmem") && len(f) > 0 {
			kb, _ := strconv.ParseInt(f[0], 10, 64)
			sum += kb << 10
		}
	}
	return sum
}

func exists(pid int) bool { return unix.Kill(pid, 0) != unix.ESRCH }

// maySandbox says whether Chromium's own sandbox can be used: it refuses to run as
// the superuser with it.
func maySandbox() bool { return os.Geteuid() != 0 }
