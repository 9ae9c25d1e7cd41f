package broadcast

import (
	"context"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu"
)

// StreamPublished implements openvidu.Recorder; streams are the studio's.
func (s *Service) StreamPublished(context.Context, openvidu.StreamInfo, bool) {}

// StreamUnpublished implements openvidu.Recorder.
func (s *Service) StreamUnpublished(context.Context, openvidu.StreamInfo, openvidu.Reason) {}

// ParticipantJoined implements openvidu.Recorder.
func (s *Service) ParticipantJoined(string) {}

// SessionEmpty implements openvidu.Recorder: nobody is left to be seen. It comes
// for a session that is being recorded, which may go on for a while; others close
// at once, and SessionClosing brings the same reason.
func (s *Service) SessionEmpty(sessionID string, reason openvidu.Reason) {
	list := s.of(sessionID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(list) == 0 {
		return // Close stops them
	}
	s.wg.Go(func() {
		defer obs.Guard(s.log, "broadcast.empty", nil)
		s.finishAll(list, reason)
	})
}

// SessionClosing implements openvidu.Recorder: it stops the session's broadcasts
// and returns when everybody is told, or when ctx ends.
func (s *Service) SessionClosing(ctx context.Context, sessionID string, reason openvidu.Reason) {
	list := s.of(sessionID)
	if len(list) == 0 {
		return
	}
	done := make(chan struct{})
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.finishAll(list, reason) // joins what Close is doing
		return
	}
	// On a goroutine of its own, because a stop is carried through even when the
	// hook's time is over.
	s.wg.Go(func() {
		defer close(done)
		defer obs.Guard(s.log, "broadcast.closing", nil)
		s.finishAll(list, reason)
	})
	s.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
