package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/govidu/govidu/internal/obs"
)

// Stops turns signals into two contexts: gentle ends at the first SIGINT or
// SIGTERM, hard at the second, which skips the manners. Both end with parent. Call
// stop at the end; it waits.
func Stops(parent context.Context, log *slog.Logger) (gentle, hard context.Context, stop func()) {
	hard, cancelHard := context.WithCancel(parent)
	gentle, cancelGentle := context.WithCancel(hard)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	var wg sync.WaitGroup
	wg.Go(func() {
		for _, end := range []struct {
			cancel func()
			say    string
		}{{cancelGentle, "stopping; a second signal skips the waiting"}, {cancelHard, "stopping at once"}} {
			select {
			case s := <-signals:
				log.Info(end.say, "signal", s.String())
				end.cancel()
			case <-hard.Done():
				return
			}
		}
	})
	return gentle, hard, func() {
		signal.Stop(signals)
		cancelHard()
		cancelGentle()
		wg.Wait()
	}
}

// Closer is one thing to close, named for the log.
type Closer struct {
	Name  string
	Close func(ctx context.Context) error
}

// Down is what must be closed, in order of birth: Close runs it backwards, which
// is the order in docs/closures.md.
type Down struct {
	Log     *slog.Logger
	closers []Closer
}

// Add puts a closer on top: it will be closed before all those added earlier.
func (d *Down) Add(name string, f func(ctx context.Context) error) {
	d.closers = append(d.closers, Closer{name, f})
}

// Names lists what is to be closed, first to last.
func (d *Down) Names() []string {
	var names []string
	for i := len(d.closers) - 1; i >= 0; i-- {
		names = append(names, d.closers[i].Name)
	}
	return names
}

// Close closes everything, even after errors and panics, and gives all errors.
// ctx bounds the waiting of those closers that heed it. A second call does nothing.
func (d *Down) Close(ctx context.Context) error {
	var errs []error
	for len(d.closers) > 0 {
		c := d.closers[len(d.closers)-1]
		d.closers = d.closers[:len(d.closers)-1]
		start := time.Now()
		if err := closeOne(ctx, c, d.Log); err != nil {
			d.Log.Warn("closing failed", "what", c.Name, obs.AttrErr, err)
			errs = append(errs, fmt.Errorf("close %s: %w", c.Name, err))
			continue
		}
		d.Log.Debug("closed", "what", c.Name, "took", time.Since(start))
	}
	return errors.Join(errs...)
}

// CloseWithin is Close with an end: after limit it returns an error and leaves
// behind what does not close, because the process is about to end anyway.
func (d *Down) CloseWithin(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.Close(ctx) }() // given up on below, on purpose
	select {
	case err := <-done:
		return err
	case <-time.After(limit + time.Second):
		return fmt.Errorf("close everything: not done after %v", limit)
	}
}

func closeOne(ctx context.Context, c Closer, log *slog.Logger) (err error) {
	defer obs.Guard(log, "process.close", func() { err = errors.New("panic") })
	return c.Close(ctx)
}
