package e2e

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// process is a child in a process group of its own. The kernel kills the child
// when this test process dies, and stop kills the whole group, so nothing that
// a test started can outlive it.
type process struct {
	cmd  *exec.Cmd
	log  *tail
	done chan struct{} // closed when the child has been waited for
	err  error         // of Wait; valid after done
}

func startProcess(cmd *exec.Cmd, log *tail) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.Stderr = log
	// Grandchildren may hold the pipes open after the child is gone.
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// signal sends a signal to the child alone.
func (p *process) signal(s syscall.Signal) error {
	select {
	case <-p.done:
		return fmt.Errorf("%s has ended: %v", p.cmd.Path, p.err)
	default:
		return syscall.Kill(p.cmd.Process.Pid, s)
	}
}

// kill ends the group at once and waits for the child. The group is killed even
// when its leader is gone already.
func (p *process) kill() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// tail keeps the newest part of what a process wrote, for the log of a failed test.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

const tailBytes = 256 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if over := t.buf.Len() - tailBytes; over > 0 {
		t.buf.Next(over)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}

// brief is what a reader wants first: warnings and the last lines, none of them long,
// so that they do not hide what the test itself says.
func (t *tail) brief() string {
	const last, width, most = 12, 300, 60
	lines := slices.Collect(strings.Lines(t.String()))
	var kept []string
	for i, line := range lines {
		if i < len(lines)-last && !strings.Contains(line, "level=WARN") && !strings.Contains(line, "level=ERROR") {
			continue
		}
		if line = strings.TrimSuffix(line, "\n"); len(line) > width {
			line = line[:width] + "…"
		}
		kept = append(kept, line)
	}
	if over := len(kept) - most; over > 0 {
		kept = kept[over:]
	}
	return strings.Join(kept, "\n")
}
