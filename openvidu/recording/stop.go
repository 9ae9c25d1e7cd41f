package recording

import (
	"cmp"
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/openvidu"
)

// stopGrace is how long a stop waits for the files, so that most callers get a
// recording that is ready; a long one comes back as stopped.
const stopGrace = 5 * time.Second

// Stop ends a recording and gives it as ready, or as stopped when its files take
// longer. ErrNotFound for one that is not among the started, ErrStarting,
// ErrConflict when the session is not marked as recorded by it.
func (s *Service) Stop(ctx context.Context, id string, reason openvidu.Reason) (Recording, error) {
	a := s.lookup(id)
	if a == nil {
		return Recording{}, ErrNotFound
	}
	m := a.snapshot()
	switch m.Status {
	case Starting:
		return Recording{}, ErrStarting
	case Started:
	default:
		return Recording{}, ErrNotFound
	}
	t, err := s.opts.Rooms.RecordingTarget(ctx, m.SessionID)
	switch {
	case errors.Is(err, openvidu.ErrSessionNotFound), err == nil && t.RecordingID != id:
		return Recording{}, ErrConflict
	case err != nil:
		return Recording{}, err
	}
	if !s.finish(ctx, a, reason) {
		return Recording{}, ErrNotFound // somebody else was faster
	}
	wait, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	a.waitFinal(wait)
	m = a.snapshot()
	return m.shown(), nil
}

// finish stops a recording that has started; false when it had not, or is
// stopping already. It returns when the recorders have stopped and everybody is
// told; the zip is made in the background (see active.final). A start still under
// way is aborted and waited for.
//
// The caller's context bounds only the waiting for such a start: what has begun is
// carried through.
func (s *Service) finish(ctx context.Context, a *active, reason openvidu.Reason) bool {
	select {
	case <-a.decided:
	default:
		a.mu.Lock()
		abort := a.abort
		a.mu.Unlock()
		abort()
		select {
		case <-a.decided:
		case <-ctx.Done():
			return false
		}
	}
	if !a.move(Stopped, Started) {
		return false
	}
	ctx = context.WithoutCancel(ctx)
	a.disarmAutostop()
	a.update(func(m *metadata) { m.Reason = string(reason) })
	a.endTakes(ctx)
	s.store.unreserve(a.snapshot().ID)
	a.happened(proof.Event{Event: "stopped", Detail: string(reason)})
	if err := a.save(); err != nil {
		a.log.Error("metadata could not be written", obs.AttrErr, err)
	}
	m := a.snapshot()
	s.emit(ctx, m, reason, time.Now().UnixMilli())
	// The finaliser starts before the session is told: unmarking an empty session
	// closes it, and closing waits for the files.
	s.release(a)
	if !s.spawn("recording.finalize", func() { s.finalize(a) }) {
		a.markFinal() // closing: the next start finishes it
	}
	err := s.opts.Rooms.SetRecording(ctx, m.SessionID, openvidu.RecordingMark{ID: m.ID, Name: m.Name, Reason: reason})
	if err != nil && !errors.Is(err, openvidu.ErrSessionNotFound) && !errors.Is(err, openvidu.ErrStopped) {
		a.log.Warn("session could not be told that its recording stopped", obs.AttrErr, err)
	}
	return true
}

// finalize makes the zip, or what a composed recording has instead, and settles the recording as ready or failed, on the
// disk first, then by the event.
func (s *Service) finalize(a *active) {
	defer a.markFinal()
	select {
	case s.finalising <- struct{}{}:
		defer func() { <-s.finalising }()
	case <-s.ctx.Done():
		return // the metadata says stopped: the next start goes on from there
	}
	m := a.snapshot()
	outcome, err := s.pack(&m)
	if s.ctx.Err() != nil {
		return
	}
	switch {
	case errors.Is(err, errNoMedia):
		a.update(func(m *metadata) { m.Status, m.Failure = Failed, cmp.Or(m.Failure, errNoMedia.Error()) })
	case err != nil:
		a.log.Error("recording could not be finalised, its files are kept", obs.AttrErr, err)
		why := "the files could not be packed"
		if errors.Is(err, syscall.ENOSPC) {
			why = "the disk is full"
		}
		a.update(func(m *metadata) {
			m.Status, m.Failure, m.Retry = Failed, cmp.Or(m.Failure, why), true
		})
	default:
		a.update(outcome)
	}
	s.holdBack(a)
	if err := s.settle(a); err != nil {
		a.log.Error("metadata could not be written", obs.AttrErr, err)
		if s.ctx.Err() != nil {
			return
		}
		// On the disk it is stopped, so that the next start finishes it. Those who
		// wait hear of it now.
		a.update(func(m *metadata) {
			m.Status, m.Failure, m.URL = Failed, cmp.Or(m.Failure, "the metadata could not be written"), nil
		})
		s.tellFinal(a)
		return
	}
	m = a.snapshot()
	if m.URL != nil {
		if err := s.store.sweep(&m); err != nil {
			a.log.Warn("packed files could not be removed", obs.AttrErr, err)
		}
	}
	s.conclude(a)
}

// ready fills in what only the packed files tell.
func (s *Service) ready(m *metadata, r *result) {
	m.Status, m.Failure, m.Retry = Ready, "", false
	m.Size, m.Duration = totals(r.takes)
	m.URL = s.url(m, r.zip.Name)
	m.Incomplete = m.Incomplete || len(r.left) > 0
	m.Files = nil
	whole := 0
	for _, t := range r.takes {
		if t.Failure == "" {
			whole++
		}
		m.Files = append(m.Files, t.fileMeta)
	}
	m.Incomplete = m.Incomplete || whole < len(r.takes)
	if whole == 0 && len(r.takes) > 0 {
		// What was written is packed and can be fetched, but it is not what was asked
		// for (a full or broken disk).
		m.Status, m.Failure = Failed, "every stream failed: "+r.takes[0].Failure
	}
}

// settle writes the last metadata of a recording. Of one with a zip, the list of
// files is that of the packed ones, so the takes are forgotten.
func (s *Service) settle(a *active) error {
	if a.snapshot().URL != nil {
		a.mu.Lock()
		a.takes = nil
		a.mu.Unlock()
	}
	return a.save()
}
