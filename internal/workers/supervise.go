package workers

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// watchEvery is how often a running process is measured and asked for life.
const watchEvery = time.Second

var errClosed = kerr.New(kerr.MediaObjectNotFound, "The media job is closed")

// refusedStart means that the worker runs but does not take the job: another
// one would not either.
type refusedStart struct{ error }

func (r refusedStart) Unwrap() error { return r.error }

// run keeps a process at work until Close, or until it may not be started again.
func (j *Job) run() {
	defer j.pool.wg.Done()
	defer close(j.done)
	defer j.pool.remove(j)
	defer j.cancel() // ends tick also when the job gave up
	var crashes []time.Time
	for again := false; ; again = true {
		if again {
			j.pool.metrics.restarts.WithLabelValues(j.spec.Kind).Inc()
		}
		err := j.serve(again)
		if j.ctx.Err() != nil {
			j.die(errClosed)
			return
		}
		now := time.Now()
		for len(crashes) > 0 && now.Sub(crashes[0]) > j.pool.window {
			crashes = crashes[1:]
		}
		crashes = append(crashes, now)
		var refused refusedStart
		restart := j.spec.Restart && len(crashes) < maxCrashes && !errors.As(err, &refused)
		j.pool.metrics.crashes.WithLabelValues(j.spec.Kind).Inc()
		j.log.Error("media worker died", "err", err, "restart", restart)
		if !restart {
			j.die(err)
		}
		j.call(func(h *Handler) {
			if h.Crashed != nil {
				h.Crashed(err, restart)
			}
		})
		if !restart {
			return
		}
		wait := time.NewTimer(j.pool.backoff(len(crashes)))
		select {
		case <-wait.C:
		case <-j.ctx.Done():
			wait.Stop()
		}
	}
}

// die tells those who wait that there will be no process any more.
func (j *Job) die(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dead = err
	close(j.changed)
	j.changed = make(chan struct{})
}

// serve runs one process from its start to its end and says why it ended.
func (j *Job) serve(again bool) error {
	if err := j.ctx.Err(); err != nil {
		return err
	}
	w, err := j.pool.acquire()
	if err != nil {
		return err
	}
	l, err := j.open(w)
	if err != nil {
		return err
	}
	defer l.stop()
	if err := l.begin(); err != nil {
		return err
	}
	j.pool.replenish()
	j.attach(l)
	defer j.detach(l)
	watch := time.NewTicker(watchEvery)
	defer watch.Stop()
	j.pool.measure(j, w.PID, time.Now())
	for {
		select {
		case <-l.over:
			return l.death()
		case <-w.exited:
			return l.death()
		case <-j.ctx.Done():
			l.finish()
			return j.ctx.Err()
		case now := <-watch.C:
			j.pool.measure(j, w.PID, now)
			if method, late := l.control.late(j.pool.answer); late {
				l.fail(fmt.Errorf("the media worker has not answered %s for %v", method, j.pool.answer))
			}
			if l.hangs() {
				l.fail(fmt.Errorf("the media worker has not given a sign of life for %v", time.Duration(j.pool.deaf)*watchEvery))
			}
		}
	}
}

// hangs asks for life and tells whether the last question has waited for too
// many rounds. Rounds are counted, not time: after a pause of this process or of
// the machine a worker gets its time to answer.
func (l *live) hangs() bool {
	if n := l.unheard.Add(1); n > 1 {
		return n > l.job.pool.deaf
	}
	// Where it cannot be asked it is known already to be gone.
	_ = l.control.ask(wire.MethodPing, nil, -1, true, func(json.RawMessage, error) { l.unheard.Store(0) })
	return false
}

// attach makes l the running process and tells it all that the job has been
// told. Requests are only queued here, so what others ask for from now on comes
// behind.
func (j *Job) attach(l *live) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.live = l
	close(j.changed)
	j.changed = make(chan struct{})
	for _, in := range j.inputs {
		in.attach(l)
	}
	for _, e := range j.encodings {
		l.output(e)
	}
	for _, s := range j.settings {
		l.set(s.params)
	}
}

// detach takes l away: frames are held, calls wait, nothing flows.
func (j *Job) detach(l *live) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.live = nil
	for _, in := range j.inputs {
		in.detach(l)
	}
	for name, p := range j.ports {
		p.flowing = false
		if p.out == nil {
			delete(j.ports, name)
		}
	}
}

// begin waits until the process is ready and starts the job.
func (l *live) begin() error {
	j := l.job
	timeout := time.NewTimer(j.pool.ready)
	defer timeout.Stop()
	select {
	case <-l.ready:
		j.pool.breaks(nil)
	case <-l.over:
		return l.stillborn()
	case <-l.w.exited:
		return l.stillborn()
	case <-timeout.C:
		l.fail(fmt.Errorf("the media worker is not ready after %v", j.pool.ready))
		return l.death()
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
	answer := make(chan error, 1)
	err := l.control.ask(wire.MethodStart, wire.StartParams{Kind: j.spec.Kind, Params: j.params}, -1, true, func(_ json.RawMessage, err error) { answer <- err })
	if err != nil {
		return l.death()
	}
	timeout.Reset(j.pool.answer)
	select {
	case err := <-answer:
		if errors.Is(err, errWorkerGone) {
			return l.death()
		} else if err != nil {
			return refusedStart{err}
		}
		return nil
	case <-l.over:
		return l.death()
	case <-l.w.exited:
		return l.death()
	case <-timeout.C:
		l.fail(fmt.Errorf("the media worker has not started the job for %v", j.pool.answer))
		return l.death()
	case <-j.ctx.Done():
		return j.ctx.Err()
	}
}

// stillborn is death before the process was ready. One that exits by itself
// cannot run here: a library is missing, as a rule.
func (l *live) stillborn() error {
	err := l.death()
	var exit *exec.ExitError
	if errors.As(l.w.err, &exit) && exit.Exited() {
		l.job.pool.breaks(err)
	}
	return err
}

// death ends the process and says why it ended.
func (l *live) death() error {
	l.stop()
	l.mu.Lock()
	cause := l.cause
	l.mu.Unlock()
	if code, ok := kerr.Of(cause); ok {
		return kerr.New(code, "%s", cause.Error())
	}
	how := "it ended by itself"
	switch {
	case cause != nil:
		how = cause.Error()
	case l.w.err != nil:
		how = l.w.err.Error()
	}
	if last := l.w.last(); last != "" {
		how += ", having said: " + last
	}
	return kerr.New(kerr.UnexpectedError, "The media worker for %s died: %s", l.job.spec.Kind, how)
}
