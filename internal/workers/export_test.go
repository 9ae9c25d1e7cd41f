package workers

import "time"

// Hurry shortens a pool's waits for tests; 0 leaves one as it is.
func (p *Pool) Hurry(backoff, ready, answer, closing time.Duration) {
	if backoff > 0 {
		p.backoff = func(int) time.Duration { return backoff }
	}
	for _, x := range []struct {
		to *time.Duration
		d  time.Duration
	}{{&p.ready, ready}, {&p.answer, answer}, {&p.close, closing}} {
		if x.d > 0 {
			*x.to = x.d
		}
	}
}

// Deaf sets how many rounds a worker may be silent.
func (p *Pool) Deaf(rounds int32) { p.deaf = rounds }

// Window sets the time in which ten crashes are too many.
func (p *Pool) Window(d time.Duration) { p.window = d }

// Settle sets how long a job is charged at least its estimate.
func (p *Pool) Settle(d time.Duration) { p.settle = d }

// Used is what jobs are charged, in cores.
func (p *Pool) Used() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum, _, _ := p.used()
	return sum
}

// Idle are the numbers of the warm processes.
func (p *Pool) Idle() (pids []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.idle {
		pids = append(pids, w.PID)
	}
	return pids
}
