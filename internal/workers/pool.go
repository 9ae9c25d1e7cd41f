package workers

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// Config is what a Pool needs. The zero value works where the binary is in place.
type Config struct {
	// Binary is the worker's path; empty looks beside the executable, then in PATH.
	Binary string
	// Warm is how many started, unused processes wait for a job; 0 is one, below 0 none.
	Warm int
	// Cores is how much processor time jobs may use together, in cores; 0 is what Go may use.
	Cores   float64
	Log     *slog.Logger          // nil is silent
	Metrics prometheus.Registerer // may be nil
	// Spawn starts a worker in another way than as a process; tests only.
	Spawn func() (*Process, error)
}

// Pool starts workers for jobs. Safe for concurrent use.
type Pool struct {
	c       Config
	log     *slog.Logger
	finder  finder
	forker  forker
	metrics *poolMetrics
	backoff func(crashes int) time.Duration
	patience
	platform atomic.Pointer[wire.ReadyData]

	mu       sync.Mutex
	jobs     map[*Job]struct{}
	idle     []*process // oldest first
	spawning int        // warm ones on their way
	closed   bool
	broken   error // the binary ends before it is ready
	brokenAt time.Time
	wg       sync.WaitGroup
}

// patience is how long things may take.
type patience struct {
	ready  time.Duration // GStreamer may have to look at all its plugins first
	answer time.Duration // of a request that nobody waits for: longer is a hung worker
	deaf   int32         // rounds of watchEvery without a sign of life: longer is a hung worker
	close  time.Duration // then it is killed
	window time.Duration // in which maxCrashes crashes are too many
	settle time.Duration // how long a job is charged at least its estimate
}

const (
	maxCrashes = 10
	maxBackoff = 10 * time.Second
	// brokenFor is how long a binary that cannot run is not tried again.
	brokenFor = 10 * time.Second
)

// NewPool makes a Pool; no process is started before the first job.
func NewPool(c Config) *Pool {
	if c.Warm == 0 {
		c.Warm = 1
	}
	if c.Cores == 0 {
		c.Cores = float64(runtime.GOMAXPROCS(0))
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pool{
		c: c, log: c.Log, finder: finder{binary: c.Binary}, backoff: backoff, jobs: map[*Job]struct{}{},
		patience: patience{ready: time.Minute, answer: 15 * time.Second, deaf: 5, close: 5 * time.Second, window: time.Minute, settle: settle},
	}
	p.metrics = newMetrics(p, c.Metrics)
	return p
}

// backoff is the wait before the next start: none after the first crash, then
// half a second, doubled up to maxBackoff.
func backoff(crashes int) time.Duration {
	if crashes <= 1 {
		return 0
	}
	return min(500*time.Millisecond<<min(crashes-2, 10), maxBackoff)
}

// Available tells whether jobs can be started here at all: nil, or
// kerr.MediaObjectNotAvailable with a text that says what to install. A binary
// that appears later is found.
func (p *Pool) Available() error {
	p.mu.Lock()
	closed, broken := p.closed, p.broken
	if time.Since(p.brokenAt) > brokenFor {
		broken = nil
	}
	p.mu.Unlock()
	switch {
	case closed:
		return kerr.New(kerr.MediaObjectNotAvailable, "The server is closing")
	case p.c.Spawn != nil:
		return nil
	case broken != nil:
		return kerr.New(kerr.MediaObjectNotAvailable, "The media worker cannot run here (%v): %s", broken, remedy)
	}
	_, err := p.finder.find()
	return err
}

// Platform is what a worker said of its GStreamer; false before the first.
func (p *Pool) Platform() (wire.ReadyData, bool) {
	if r := p.platform.Load(); r != nil {
		return *r, true
	}
	return wire.ReadyData{}, false
}

// Start begins a job and returns before its process runs: what goes wrong later
// is told by s.Handler. It fails with kerr.NotEnoughResources when the budget of
// processor time is full and with kerr.MediaObjectNotAvailable without a binary.
// The job lives until its Close; ctx bounds nothing but this call.
func (p *Pool) Start(ctx context.Context, s Spec) (*Job, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start job %s: %w: %w", s.Kind, err, kerr.UnexpectedError)
	}
	if err := p.Available(); err != nil {
		return nil, err
	}
	j, err := newJob(p, s)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	if p.closed {
		err = kerr.New(kerr.MediaObjectNotAvailable, "The server is closing")
	} else {
		err = p.admit(&j.spec)
	}
	if err != nil {
		p.mu.Unlock()
		j.cancel()
		return nil, err
	}
	p.jobs[j] = struct{}{}
	p.wg.Add(2)
	p.mu.Unlock()
	go j.run()
	go j.tick()
	return j, nil
}

// remove forgets a job that has ended.
func (p *Pool) remove(j *Job) {
	p.mu.Lock()
	delete(p.jobs, j)
	p.mu.Unlock()
}

// retire closes a job in the background, for those who may not wait; Close of
// the pool does.
func (p *Pool) retire(j *Job) {
	j.cancel() // run and tick, which wg counts, end by themselves now
}

// acquire gives a process: a warm one when there is one.
func (p *Pool) acquire() (*process, error) {
	p.mu.Lock()
	p.bury()
	if len(p.idle) > 0 {
		w := p.idle[0]
		p.idle = p.idle[1:]
		p.mu.Unlock()
		return w, nil
	}
	p.mu.Unlock()
	return p.spawn()
}

// spawn starts a process and a goroutine that waits for its end.
func (p *Pool) spawn() (*process, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, kerr.New(kerr.MediaObjectNotAvailable, "The server is closing")
	}
	p.wg.Add(1)
	p.mu.Unlock()
	var raw *Process
	var err error
	if p.c.Spawn != nil {
		raw, err = p.c.Spawn()
	} else {
		var path string
		if path, err = p.finder.find(); err == nil {
			raw, err = p.forker.exec(path, p.log)
		}
	}
	if err != nil {
		p.wg.Done()
		if _, ok := kerr.Of(err); !ok {
			err = kerr.New(kerr.MediaObjectNotAvailable, "The media worker cannot be started: %v", err)
		}
		return nil, err
	}
	w := &process{Process: raw, exited: make(chan struct{})}
	go func() {
		defer p.wg.Done()
		w.err = raw.Wait()
		close(w.exited)
	}()
	return w, nil
}

// bury forgets warm processes that have died. The caller holds p.mu.
func (p *Pool) bury() {
	p.idle = slices.DeleteFunc(p.idle, func(w *process) bool {
		if w.gone() {
			w.end() // closes our sockets; there is nothing to wait for
			return true
		}
		return false
	})
}

// replenish starts warm processes until there are enough. It returns at once.
func (p *Pool) replenish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bury()
	for !p.closed && len(p.idle)+p.spawning < p.c.Warm {
		p.spawning++
		p.wg.Add(1)
		go func() {
			defer p.wg.Done()
			w, err := p.spawn()
			p.mu.Lock()
			p.spawning--
			keep := err == nil && !p.closed
			if keep {
				p.idle = append(p.idle, w)
			}
			p.mu.Unlock()
			if err != nil {
				p.log.Warn("no warm media worker", "err", err)
			} else if !keep {
				w.end()
			}
		}()
	}
}

// breaks remembers that the binary cannot run, nil that it can.
func (p *Pool) breaks(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken, p.brokenAt = err, time.Now()
}

// Close ends all jobs and processes and waits for them. Idempotent.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	jobs := slices.Collect(maps.Keys(p.jobs))
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for _, j := range jobs {
		j.cancel()
	}
	for _, w := range idle {
		w.end()
	}
	var errs []error
	for _, j := range jobs {
		errs = append(errs, j.Close())
	}
	p.wg.Wait()
	p.forker.close()
	p.metrics.close()
	return errors.Join(errs...)
}
