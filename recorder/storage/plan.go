package storage

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"regexp"
	"slices"
	"time"

	"github.com/govidu/govidu/internal/obs"
)

// errNever marks failures that repeating does not mend.
var errNever = errors.New("cannot be uploaded")

// plan starts due steps, as many at once as there are slots, the longest due
// first.
func (u *Uploader) plan() {
	t := time.NewTicker(min(u.opts.Scan, u.opts.MinBackoff))
	defer t.Stop()
	for {
		u.startDue(time.Now())
		select {
		case <-u.ctx.Done():
			return
		case <-u.wake:
		case <-t.C:
		}
	}
}

func (u *Uploader) startDue(now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return
	}
	var due []*job
	for _, j := range u.jobs {
		if j.cancel == nil && !j.next.After(now) {
			due = append(due, j)
		}
	}
	slices.SortFunc(due, func(a, b *job) int { return cmp.Or(a.next.Compare(b.next), cmp.Compare(a.id, b.id)) })
	for _, j := range due {
		slot := u.slots[min(1, j.phase)]
		select {
		case slot <- struct{}{}:
		default:
			continue
		}
		ctx, cancel := context.WithCancel(u.ctx)
		j.cancel = cancel
		p, turn := j.phase, j.turn
		u.wg.Go(func() {
			err := errPanic
			defer func() {
				cancel()
				<-slot
				u.settle(j, turn, err)
			}()
			defer obs.Guard(u.log, "storage.step", nil)
			err = u.step(ctx, j, p)
		})
	}
}

var (
	errPanic = errors.New("internal error")
	// errLater says that the step has set the time of the next one.
	errLater = errors.New("later")
)

// errWait asks for another step after Scan: a recording that grows.
var errWait = errors.New("not done yet")

// step does what is to be done now for a recording: nil when it is done with.
func (u *Uploader) step(ctx context.Context, j *job, p phase) error {
	switch p {
	case live:
		if err := u.stepLive(ctx, j); err != nil {
			return err
		}
		return errWait
	case final:
		return u.stepFinal(ctx, j)
	case trim:
		return u.stepTrim(ctx, j)
	default:
		return u.stepRemove(ctx, j)
	}
}

// query is what may hold a signature in the texts of HTTP clients.
var query = regexp.MustCompile(`\?[^\s"']+`)

// clean is the text of an error of a provider's library without what may be
// secret, and not too long.
func clean(err error) string { return obs.Quote(query.ReplaceAllString(err.Error(), "?…")) }

// settle decides when a job's next step comes, or forgets it.
func (u *Uploader) settle(j *job, turn int, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	j.cancel = nil
	defer func() {
		select {
		case u.wake <- struct{}{}:
		default:
		}
	}()
	switch {
	case j.turn != turn: // another order came meanwhile
		return
	case u.ctx.Err() != nil:
	case err == nil, errors.Is(err, errNever):
		u.metrics.outcome(err)
		if u.jobs[j.id] == j {
			delete(u.jobs, j.id)
		}
	case errors.Is(err, errWait):
		j.tries, j.next = 0, time.Now().Add(u.opts.Scan)
	case errors.Is(err, errLater):
		j.tries = 0
	default:
		u.metrics.failed(j.phase)
		u.metrics.outcome(err)
		pause := u.opts.MaxBackoff
		if j.tries < 20 {
			pause = min(pause, u.opts.MinBackoff<<j.tries)
		}
		j.tries++
		pause = pause/2 + rand.N(pause/2+1)
		j.next = time.Now().Add(pause)
		level := u.log.Warn
		if j.tries > 3 { // said often enough
			level = u.log.Debug
		}
		level("storage is not reached, it will be tried again", obs.AttrRecording, j.id, "step", j.phase.String(), "in", pause.Round(time.Millisecond), obs.AttrErr, clean(err))
	}
}
