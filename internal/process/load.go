package process

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"syscall"
	"time"
)

// Load watches the process's own memory and processor use, so that a server takes
// nobody more before it becomes slow or dies. Run samples; Busy is cheap.
type Load struct {
	busy atomic.Pointer[string]
	high time.Time // since when the processors are busy
}

// When new sessions are refused: memory above this share of the soft limit, or
// processors above this share for so long.
const (
	memoryShare = 0.85
	cpuShare    = 0.90
	cpuFor      = 10 * time.Second
	loadEvery   = 2 * time.Second
)

// Busy gives why nobody more should be taken, "" when there is room.
func (l *Load) Busy() string {
	if s := l.busy.Load(); s != nil {
		return *s
	}
	return ""
}

// Run samples until ctx ends.
func (l *Load) Run(ctx context.Context) error {
	tick := time.NewTicker(loadEvery)
	defer tick.Stop()
	before, at := cpuTime(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			used := cpuTime()
			share := float64(used-before) / float64(now.Sub(at)) / float64(runtime.GOMAXPROCS(0))
			before, at = used, now
			l.judge(now, share, memoryInUse(), debug.SetMemoryLimit(-1))
		}
	}
}

func (l *Load) judge(now time.Time, cpu float64, memory, limit int64) {
	if cpu < cpuShare {
		l.high = time.Time{}
	} else if l.high.IsZero() {
		l.high = now
	}
	var why string
	switch {
	case float64(memory) > memoryShare*float64(limit):
		why = "memory is nearly used up"
	case !l.high.IsZero() && now.Sub(l.high) >= cpuFor:
		why = "processors are busy"
	}
	l.busy.Store(&why)
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memoryInUse is what Go counts towards its soft limit, in bytes.
func memoryInUse() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}
