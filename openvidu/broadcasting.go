package openvidu

import "context"

// BroadcastMark is the argument of SetBroadcasting: broadcast ID of a session has
// begun (On) or has ended.
type BroadcastMark struct {
	ID string
	On bool
}

// SetBroadcasting marks a session as broadcast by ID, or as no longer so. A session
// may be broadcast several times at once: it shows broadcasting, and its clients are
// told broadcastStarted, with the first; broadcastStopped comes with the last. Told
// are the roles that OPENVIDU_RECORDING_NOTIFICATION names (signalling contract
// §6.9). The same mark twice does nothing. ErrSessionNotFound; ErrSessionClosing for
// a mark of a session that ends.
func (m *Manager) SetBroadcasting(ctx context.Context, sessionID string, b BroadcastMark) error {
	s := m.find(sessionID)
	if s == nil {
		return errf(CodeRoomNotFound, ErrSessionNotFound, "session %s not found", short(sessionID))
	}
	return s.do(ctx, func() error {
		if b.On && s.closing {
			return errf(CodeRoomClosed, ErrSessionClosing, "session %s is closing", s.id)
		}
		before := len(s.broadcasts) > 0
		if b.On {
			if s.broadcasts == nil {
				s.broadcasts = map[string]struct{}{}
			}
			s.broadcasts[b.ID] = struct{}{}
		} else {
			delete(s.broadcasts, b.ID)
		}
		if len(s.broadcasts) > 0 == before {
			return nil
		}
		n := notification("broadcastStopped", Empty{})
		if b.On {
			n = notification("broadcastStarted", Empty{})
		}
		for _, c := range s.conns {
			if c.hearsRecordings() {
				c.send(n)
			}
		}
		return nil
	})
}
