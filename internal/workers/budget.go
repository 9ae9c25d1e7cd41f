package workers

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/govidu/govidu/internal/kerr"
)

const (
	// settle is how long a job is charged at least its estimate: what it really
	// uses cannot be known before.
	settle = 5 * time.Second
	// defaultCores is the estimate of a job whose maker names none.
	defaultCores = 0.25
	// tick is the unit of /proc/<pid>/stat: USER_HZ, 100 on every Linux of Go.
	cpuTick = 10 * time.Millisecond
)

// meter is what one job uses. Guarded by Pool.mu.
type meter struct {
	estimate float64
	told     float64   // by Spec.Cores or Expect
	raised   bool      // by Expect, above Spec.Cores
	since    time.Time // of the present process's start, or of the latest raise
	cores    float64   // measured, a running mean; below 0 unknown
	cpu      time.Duration
	at       time.Time
	pid      int
}

func (m *meter) charge(now time.Time, settle time.Duration) float64 {
	switch {
	case m.cores < 0:
		return m.estimate
	case now.Sub(m.since) < settle:
		return max(m.estimate, m.cores)
	}
	return m.cores
}

// ending is how many times the budget may be in use together with jobs that are
// closing: who releases one to make another has its room at once, but nobody can
// heap up processes that way.
const ending = 2

// used is the sum of n jobs, and of all with those that are closing. The caller
// holds p.mu.
func (p *Pool) used() (sum float64, n int, all float64) {
	now := time.Now()
	for j := range p.jobs {
		cores := j.meter.charge(now, p.settle)
		all += cores
		if j.ctx.Err() == nil {
			sum += cores
			n++
		}
	}
	return sum, n, all
}

// admit refuses a job that would not fit into the budget. The only job is always
// taken: a small machine does one thing slowly rather than nothing. The caller
// holds p.mu.
func (p *Pool) admit(s *Spec) error {
	if s.Cores <= 0 {
		s.Cores = defaultCores
	}
	used, n, all := p.used()
	if n > 0 && used+s.Cores > p.c.Cores || len(p.jobs) > n && all+s.Cores > ending*p.c.Cores {
		p.metrics.refused.WithLabelValues(s.Kind).Inc()
		return kerr.New(kerr.NotEnoughResources,
			"Not enough processor time for another %s: it needs about %.2f cores, %d jobs use %.2f of %.2f; %s", s.Kind, s.Cores, len(p.jobs), all, p.c.Cores, retryHint)
	}
	return nil
}

// measure notes what the process of j has used by now.
func (p *Pool) measure(j *Job, pid int, now time.Time) {
	if pid == 0 {
		return
	}
	cpu, err := processorTime(pid)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m := &j.meter
	if m.pid == pid && now.After(m.at) {
		cores := float64(cpu-m.cpu) / float64(now.Sub(m.at))
		if m.cores >= 0 {
			cores = (m.cores + cores) / 2
		}
		m.cores = cores
	}
	if m.pid != pid {
		m.since, m.cores = now, -1
	}
	m.pid, m.cpu, m.at = pid, cpu, now
}

// processorTime is the user and system time of a process (proc_pid_stat(5),
// fields 14 and 15; the name in field 2 may hold spaces and brackets).
func processorTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	return parseStat(b)
}

func parseStat(b []byte) (time.Duration, error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("read processor time: %d fields", len(fields))
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read processor time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * cpuTick, nil
}

// Expect tells how much processor time the whole job is expected to take from
// now on, in cores, after it was given more or less to do. What it takes already
// is measured, so only the difference is weighed: kerr.NotEnoughResources when
// that does not fit, and the job stays as it was. Less always fits, and so does
// the first raise of the only job (see admit).
func (j *Job) Expect(cores float64) error {
	p := j.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	m := &j.meter
	more := cores - m.told
	now := time.Now()
	if more <= 0 {
		m.told, m.estimate = cores, max(m.estimate+more, 0)
		m.raised = m.raised && cores > j.spec.Cores
		return nil
	}
	used, n, all := p.used()
	if (n > 1 || m.raised) && (used+more > p.c.Cores || all+more > ending*p.c.Cores) {
		p.metrics.refused.WithLabelValues(j.spec.Kind).Inc()
		return kerr.New(kerr.NotEnoughResources, "Not enough processor time for more in this %s: it needs about %.2f cores more, %d jobs use %.2f of %.2f; %s",
			j.spec.Kind, more, len(p.jobs), all, p.c.Cores, retryHint)
	}
	m.estimate = m.charge(now, p.settle) + more
	m.told, m.since, m.raised = cores, now, true
	return nil
}

// retryHint ends the refusals for want of processor time: after settle, what
// jobs really use is known, and often it is less than was thought.
const retryHint = "try again in 5 s, or with fewer or smaller pictures"
