package kms

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/govidu/govidu/internal/kerr"
)

// Usage is what the process uses of what it may use at most; a limit of 0 is
// unknown and never reached.
type Usage struct{ Threads, MaxThreads, Files, MaxFiles int }

// maxGoThreads is where the Go runtime ends the process (runtime/debug.SetMaxThreads).
const maxGoThreads = 10_000

// measureTime is how long a measured Usage is believed: reading it costs one
// directory of the process's files.
const measureTime = 250 * time.Millisecond

// admission refuses new objects above exceptionLimit of the process's limits
// (kurento-protocol §3.1).
type admission struct {
	limit   float64 // part of the limits; 1 or more refuses nothing
	measure func() Usage

	mu   sync.Mutex // leaf
	at   time.Time
	last Usage
}

func (a *admission) check(now time.Time) error {
	if a.limit >= 1 {
		return nil
	}
	a.mu.Lock()
	if a.at.IsZero() || now.Sub(a.at) > measureTime {
		a.last, a.at = a.measure(), now
	}
	u := a.last
	a.mu.Unlock()
	over := func(used, most int) bool { return most > 0 && float64(used) > a.limit*float64(most) }
	switch {
	case over(u.Threads, u.MaxThreads):
		return kerr.New(kerr.NotEnoughResources, "Too many threads: %d, limit %.0f", u.Threads, a.limit*float64(u.MaxThreads))
	case over(u.Files, u.MaxFiles):
		return kerr.New(kerr.NotEnoughResources, "Too many open files: %d, limit %.0f", u.Files, a.limit*float64(u.MaxFiles))
	}
	return nil
}

// measureUsage reads /proc; where there is none nothing is refused.
func measureUsage() Usage {
	u := Usage{MaxThreads: maxGoThreads}
	if d, err := os.Open("/proc/self/fd"); err == nil {
		names, _ := d.Readdirnames(-1)
		d.Close()
		u.Files = len(names)
	}
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil && files.Cur < 1<<31 {
		u.MaxFiles = int(files.Cur)
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("Threads:")); ok {
			u.Threads, _ = strconv.Atoi(string(bytes.TrimSpace(rest)))
		}
	}
	return u
}
