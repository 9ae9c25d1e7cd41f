package recording

import (
	"context"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu"
)

// StreamPublished implements openvidu.Recorder: a stream joins the recording in
// progress, or, as the first of an ALWAYS session, starts one. It is called on the
// connection's recorder goroutine, before any StreamUnpublished of the stream.
func (s *Service) StreamPublished(ctx context.Context, st openvidu.StreamInfo, first bool) {
	a := s.ofSession(st.SessionID)
	if a == nil {
		if first {
			s.startAlways(ctx, st.SessionID)
		}
		return
	}
	a.disarmAutostop()
	ctx, cancel := context.WithTimeout(ctx, s.opts.StartTimeout)
	defer cancel()
	a.awaitHouse(ctx) // a stream may come in the very moment in which it is made
	t := a.join(st)
	if t == nil {
		return
	}
	if err := t.begin(ctx); err != nil {
		a.update(func(m *metadata) { m.Incomplete = true })
		return
	}
	if err := a.save(); err != nil {
		a.log.Warn("metadata could not be written", obs.AttrErr, err)
	}
}

// startAlways starts the recording of an ALWAYS session (§7.6) in the background:
// the publisher must not wait for its own recorder.
func (s *Service) startAlways(ctx context.Context, sessionID string) {
	t, err := s.opts.Rooms.RecordingTarget(ctx, sessionID)
	if err != nil || t.RecordingMode != openvidu.RecordingAlways || t.MediaMode != openvidu.MediaRouted {
		return
	}
	s.spawn("recording.always", func() {
		if _, err := s.Start(s.ctx, sessionID, t.Defaults); err != nil {
			s.log.Warn("session could not be recorded from its first stream", obs.AttrSession, sessionID, obs.AttrErr, err)
		}
	})
}

// StreamUnpublished implements openvidu.Recorder: it returns when the stream's
// file is final, or when ctx ends.
func (s *Service) StreamUnpublished(ctx context.Context, st openvidu.StreamInfo, _ openvidu.Reason) {
	a := s.ofSession(st.SessionID)
	if a == nil {
		return
	}
	if t := a.running(st.StreamID); t != nil {
		t.end(ctx)
	}
}

// ParticipantJoined implements openvidu.Recorder: it aborts the auto-stop.
func (s *Service) ParticipantJoined(sessionID string) {
	if a := s.ofSession(sessionID); a != nil {
		a.disarmAutostop()
	}
}

// SessionEmpty implements openvidu.Recorder: it starts the auto-stop timer, or,
// with a timeout of zero, stops the recording at once.
func (s *Service) SessionEmpty(sessionID string, _ openvidu.Reason) {
	a := s.ofSession(sessionID)
	if a == nil {
		return
	}
	if s.opts.AutostopTimeout > 0 {
		a.armAutostop(s.opts.AutostopTimeout)
		return
	}
	s.spawn("recording.autostop", func() { _ = s.finish(s.ctx, a, openvidu.ReasonLastParticipantLeft) })
}

// SessionClosing implements openvidu.Recorder: it stops the session's recording
// and returns when its files are final, or when ctx ends.
func (s *Service) SessionClosing(ctx context.Context, sessionID string, reason openvidu.Reason) {
	for _, a := range s.actives() {
		if a.snapshot().SessionID != sessionID {
			continue
		}
		// On a goroutine of its own, because stopping is carried through even when
		// the hook's time is over.
		stopped := make(chan struct{})
		if !s.spawn("recording.closing", func() { defer close(stopped); _ = s.finish(s.ctx, a, reason) }) {
			return
		}
		select {
		case <-stopped:
			a.waitFinal(ctx)
		case <-ctx.Done():
		}
	}
}
