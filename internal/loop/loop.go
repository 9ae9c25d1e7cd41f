// Package loop is a mailbox: closures run one after another on one goroutine,
// which makes state that only they touch safe without a lock.
//
// A Loop owns its goroutine from New until Close, which waits for it. A closure
// must not block for long and must not call Do or Close of its own loop; Post
// and Stop are fine.
package loop

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/govidu/govidu/internal/obs"
)

// Errors of Do and Post.
var (
	ErrClosed = errors.New("loop is closed")
	ErrFull   = errors.New("loop mailbox is full")
	ErrPanic  = errors.New("closure panicked")
)

// DefaultLimit bounds the closures waiting in one mailbox.
const DefaultLimit = 8192

// Options configure a Loop.
type Options struct {
	Log *slog.Logger
	// Where names the loop in panics_total.
	Where string
	// Limit bounds the waiting closures; 0 means DefaultLimit.
	Limit int
	// OnPanic runs on the loop's goroutine after a closure panicked. The loop goes
	// on, so that the owner can be closed through it.
	OnPanic func()
}

// Loop runs closures in the order they came.
type Loop struct {
	opts Options
	wake chan struct{}
	done chan struct{}

	mu      sync.Mutex
	queue   []func()
	stopped bool
}

// New starts a loop.
func New(opts Options) *Loop {
	if opts.Limit == 0 {
		opts.Limit = DefaultLimit
	}
	l := &Loop{opts: opts, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go l.run()
	return l
}

// Post appends f without waiting for it: ErrFull, or ErrClosed after Stop.
func (l *Loop) Post(f func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return ErrClosed
	}
	if len(l.queue) >= l.opts.Limit {
		return ErrFull
	}
	l.queue = append(l.queue, f)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

// Do runs f and returns when it has run. When ctx ends before f began, f will
// not run and the context's error is returned; once begun, Do waits for its end,
// so that what f captured is never touched after Do. ErrClosed, ErrFull, and
// ErrPanic when f panicked.
func (l *Loop) Do(ctx context.Context, f func()) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	const waiting, running, given = 0, 1, 2
	var (
		mu    sync.Mutex
		state = waiting
		ok    bool
		ran   = make(chan struct{})
	)
	err := l.Post(func() {
		mu.Lock()
		if state == given {
			mu.Unlock()
			return
		}
		state = running
		mu.Unlock()
		defer close(ran)
		f()
		ok = true
	})
	if err != nil {
		return err
	}
	select {
	case <-ran:
	case <-ctx.Done():
		mu.Lock()
		begun := state == running
		if !begun {
			state = given
		}
		mu.Unlock()
		if !begun {
			return ctx.Err()
		}
		<-ran
	}
	if !ok {
		return ErrPanic
	}
	return nil
}

// Stop refuses new closures; those already waiting still run. It does not wait
// and may be called by a closure of the loop.
func (l *Loop) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Done is closed when the loop has stopped and its goroutine has ended.
func (l *Loop) Done() <-chan struct{} { return l.done }

// Close stops the loop and waits until everything waiting has run.
func (l *Loop) Close() error {
	l.Stop()
	<-l.done
	return nil
}

func (l *Loop) run() {
	defer close(l.done)
	for range l.wake {
		for {
			f, stopped := l.next()
			if f == nil {
				if stopped {
					return
				}
				break
			}
			l.call(f)
		}
	}
}

// next takes the first closure; stopped is meaningful when there is none.
func (l *Loop) next() (f func(), stopped bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		l.queue = nil
		return nil, l.stopped
	}
	f = l.queue[0]
	l.queue[0] = nil
	l.queue = l.queue[1:]
	return f, false
}

func (l *Loop) call(f func()) {
	defer obs.Guard(l.opts.Log, l.opts.Where, l.opts.OnPanic)
	f()
}
