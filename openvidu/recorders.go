package openvidu

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// lastClosingTime is what SessionClosing of a later recorder gets when the ones
// before it have used the time up.
const lastClosingTime = 5 * time.Second

// Recorders makes one Recorder of several; nil ones are left out. Hooks that may
// wait run side by side, so that a recorder which starts slowly keeps no other from
// its stream, except SessionClosing: that one runs in the order given, so that
// events come in the contract's order (§11.4) and what is built on another ends
// before it.
func Recorders(list ...Recorder) Recorder {
	var f fan
	for _, r := range list {
		if r != nil {
			f = append(f, r)
		}
	}
	return f
}

type fan []Recorder

var (
	_ Recorder      = fan(nil)
	_ StreamWatcher = fan(nil)
)

// each runs f for all at once and returns when all have. A panic of one does not
// keep the others from their work; it goes on afterwards, on the caller's goroutine.
func (f fan) each(do func(Recorder)) {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		broken any
	)
	for _, r := range f {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					mu.Lock()
					defer mu.Unlock()
					broken = fmt.Sprintf("%v\n%s", p, debug.Stack())
				}
			}()
			do(r)
		})
	}
	wg.Wait()
	if broken != nil {
		panic(broken)
	}
}

func (f fan) StreamPublished(ctx context.Context, s StreamInfo, first bool) {
	f.each(func(r Recorder) { r.StreamPublished(ctx, s, first) })
}

func (f fan) StreamUnpublished(ctx context.Context, s StreamInfo, reason Reason) {
	f.each(func(r Recorder) { r.StreamUnpublished(ctx, s, reason) })
}

func (f fan) StreamChanged(ctx context.Context, s StreamInfo) {
	f.each(func(r Recorder) {
		if w, ok := r.(StreamWatcher); ok {
			w.StreamChanged(ctx, s)
		}
	})
}

func (f fan) ParticipantJoined(sessionID string) {
	for _, r := range f {
		r.ParticipantJoined(sessionID)
	}
}

func (f fan) SessionEmpty(sessionID string, reason Reason) {
	for _, r := range f {
		r.SessionEmpty(sessionID, reason)
	}
}

func (f fan) SessionClosing(ctx context.Context, sessionID string, reason Reason) {
	var broken any
	for _, r := range f {
		func() {
			defer func() {
				if p := recover(); p != nil {
					broken = fmt.Sprintf("%v\n%s", p, debug.Stack())
				}
			}()
			c, cancel := ctx, context.CancelFunc(func() {})
			if ctx.Err() != nil {
				c, cancel = context.WithTimeout(context.WithoutCancel(ctx), lastClosingTime)
			}
			defer cancel()
			r.SessionClosing(c, sessionID, reason)
		}()
	}
	if broken != nil {
		panic(broken)
	}
}
