package recording

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/studio"
)

// Start records a session with the given, already merged and checked, properties.
// It returns when every stream's recorder reports that it records, at most
// StartTimeout later. Errors: those of Check; ErrNoSpace; *StartError for all that
// goes wrong in the doing, after which nothing of the recording goes on.
//
// The caller's context bounds the checks only: a start that has begun is carried
// through even when the caller hangs up.
func (s *Service) Start(ctx context.Context, sessionID string, p openvidu.RecordingProperties) (Recording, error) {
	target, err := s.check(ctx, sessionID)
	if err != nil {
		return Recording{}, err
	}
	if p.Composed() {
		if err := s.checkComposed(p); err != nil {
			return Recording{}, err
		}
	}
	if free, err := s.opts.FreeBytes(s.store.dir); err == nil && free < s.opts.MinFreeStart {
		return Recording{}, ErrNoSpace
	}
	a, err := s.reserve(target, p)
	if err != nil {
		return Recording{}, err
	}
	if p.Composed() {
		c := newComposite(a)
		a.mu.Lock()
		a.one = c
		a.mu.Unlock()
	}
	if err := s.start(context.WithoutCancel(ctx), a, sessionID); err != nil {
		a.log.Warn("recording could not be started", obs.AttrErr, err)
		return Recording{}, err
	}
	return a.snapshot().Recording, nil
}

func (s *Service) start(ctx context.Context, a *active, sessionID string) error {
	defer a.markDecided()
	// A panic must not leave the session half recorded; nothing else gets here so.
	defer func() { s.abandon(ctx, a, errors.New("start did not end")) }()
	ctx, cancel := context.WithTimeout(ctx, s.opts.StartTimeout+s.pageTime(a))
	defer cancel()
	a.mu.Lock()
	a.abort = cancel
	a.mu.Unlock()

	m := a.snapshot()
	m.Status, m.UpdatedAt = Started, m.CreatedAt
	b, err := marshal(&m)
	if err == nil {
		err = s.store.createFolder(m.ID, b)
	}
	if err != nil {
		a.move(Failed, Starting)
		s.drop(a)
		a.markFinal()
		return &StartError{"the recording's folder could not be made"}
	}
	close(a.housed)
	if err := s.store.reserve(m.ID); err != nil {
		a.log.Warn("no space is kept for the end of a recording", obs.AttrErr, err)
	}
	a.happened(proof.Event{At: m.CreatedAt, Event: "started"})
	// Taken after the recording is registered, so that a stream published
	// meanwhile is in it, or comes by the hook, or both.
	target, err := s.opts.Rooms.RecordingTarget(ctx, sessionID)
	switch c := a.whole(); {
	case err != nil:
		if c != nil {
			close(c.begun)
		}
	case c != nil:
		err = c.begin(ctx, target)
	default:
		err = a.beginAll(ctx, target.Streams)
	}
	if err == nil {
		err = s.opts.Rooms.SetRecording(ctx, sessionID, openvidu.RecordingMark{ID: m.ID, Name: m.Name, On: true})
	}
	if errors.Is(err, studio.ErrNoCapacity) {
		s.withdraw(ctx, a)
		return &CapacityError{startText(err), RetryAfter}
	}
	if err != nil {
		s.abandon(ctx, a, err)
		if errors.Is(err, openvidu.ErrSessionNotFound) {
			return err
		}
		return &StartError{startText(err)}
	}
	a.move(Started, Starting)
	s.emit(ctx, a.snapshot(), "", m.CreatedAt)
	if err := a.save(); err != nil {
		a.log.Warn("metadata could not be written", obs.AttrErr, err)
	}
	if len(target.Streams) == 0 && s.opts.AutostopTimeout > 0 {
		a.armAutostop(s.opts.AutostopTimeout)
	}
	return nil
}

// startFailure is a failure with a text that may be told.
type startFailure struct{ text string }

func (e *startFailure) Error() string { return e.text }

// startText is what may be told of a failed start: our own words, never those of
// lower layers, which may hold paths and addresses.
func startText(err error) string {
	if f, ok := errors.AsType[*startFailure](err); ok {
		return f.text
	}
	if e, ok := errors.AsType[*studio.Error](err); ok {
		return e.Text
	}
	if e, ok := errors.AsType[*openvidu.Error](err); ok {
		return e.Text
	}
	return "the session could not be recorded"
}

// checkComposed refuses what cannot be composed before anything is made.
func (s *Service) checkComposed(p openvidu.RecordingProperties) error {
	switch {
	case s.opts.Studios == nil:
		return &StartError{"this server does not compose recordings, use outputMode INDIVIDUAL"}
	case !p.HasVideo:
		return nil
	}
	_, err := s.opts.Studios.Resolve(cmp.Or(p.RecordingLayout, layout.BestFit), p.CustomLayout)
	if errors.Is(err, studio.ErrPage) {
		if s.opts.Pages != nil {
			err = s.opts.Pages.Available()
		}
		if err != nil {
			return &UnsupportedError{startText(err)}
		}
	}
	if err != nil {
		return &StartError{startText(err)}
	}
	return nil
}

// withdraw ends a start that the media node refused for want of CPU: as it never
// was, so that who tries again leaves no row of failed recordings.
func (s *Service) withdraw(ctx context.Context, a *active) {
	if !a.move(Failed, Starting) {
		return
	}
	a.endTakes(context.WithoutCancel(ctx))
	if err := s.store.deleteFolder(a.snapshot().ID); err != nil {
		a.log.Warn("folder of a refused recording could not be removed", obs.AttrErr, err)
	}
	s.drop(a)
	a.markFinal()
}

// beginAll begins a take of each stream at once and waits for their recorders.
func (a *active) beginAll(ctx context.Context, streams []openvidu.StreamInfo) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed int
		total  int
		slots  = make(chan struct{}, 16)
	)
	for _, st := range streams {
		t := a.join(st)
		if t == nil {
			continue
		}
		total++
		wg.Go(func() {
			defer obs.Guard(a.log, "recording.begin", func() { t.fail("internal error") })
			slots <- struct{}{}
			err := t.begin(ctx)
			<-slots
			if err == nil {
				err = t.awaitRecording(ctx)
			}
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed++
			}
		})
	}
	wg.Wait()
	if failed > 0 && !a.props.IgnoreFailedStreams {
		return &startFailure{fmt.Sprintf("%d of %d streams could not be recorded", failed, total)}
	}
	if failed > 0 {
		a.update(func(m *metadata) { m.Incomplete = true })
	}
	return nil
}

// abandon ends a start that failed: recorders stopped, status failed on the disk,
// the session free. The folder stays, with whatever was written, until deleted.
func (s *Service) abandon(ctx context.Context, a *active, cause error) {
	if !a.move(Failed, Starting) {
		return
	}
	ctx = context.WithoutCancel(ctx)
	a.endTakes(ctx)
	s.store.unreserve(a.snapshot().ID)
	a.update(func(m *metadata) { m.Failure = startText(cause) })
	if err := a.save(); err != nil {
		a.log.Error("metadata could not be written", obs.AttrErr, err)
	}
	s.emit(ctx, a.snapshot(), "", time.Now().UnixMilli())
	s.drop(a)
	a.markFinal()
}

// endTakes ends all takes at once.
func (a *active) endTakes(ctx context.Context) {
	var wg sync.WaitGroup
	if c := a.whole(); c != nil {
		c.end(ctx)
		if text := c.describe().Failure; text != "" {
			a.update(func(m *metadata) { m.Failure = text })
		}
	}
	for _, t := range a.allTakes() {
		wg.Go(func() {
			defer obs.Guard(a.log, "recording.end", nil)
			t.end(ctx)
		})
	}
	wg.Wait()
}
