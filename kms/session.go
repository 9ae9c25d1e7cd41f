package kms

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/govidu/govidu/internal/jsonrpc"
)

// session is an rpcSession: what a client holds and hears, whatever socket it
// comes on. Server.mu guards holds, marked and ended.
type session struct {
	id     string
	holds  map[*node]struct{}
	marked bool
	ended  bool

	mu   sync.Mutex // leaf but for the write queue
	conn *connection
}

// send writes an event to the bound socket; with none it is dropped.
func (s *session) send(msg json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		s.conn.stream.WriteJSON(msg)
	}
}

// bind makes c the socket that events go to.
func (s *session) bind(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = c
}

func (s *session) bound() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil
}

// unbind forgets c, if it is still the one.
func (s *session) unbind(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == c {
		s.conn = nil
	}
}

type eventBody struct {
	Data   map[string]any `json:"data"`
	Object string         `json:"object"`
	Type   string         `json:"type"`
}

func eventMessage(n *node, event string, data map[string]any) (json.RawMessage, error) {
	return jsonrpc.Marshal(jsonrpc.NewNotification("onEvent", map[string]any{"value": eventBody{data, n.id, event}}))
}

// touch finds or registers the session and marks it as alive.
func (s *Server) touch(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.touchLocked(id)
}

func (s *Server) touchLocked(id string) *session {
	sess, ok := s.sessions[id]
	if !ok {
		sess = &session{id: id, holds: map[*node]struct{}{}}
		s.sessions[id] = sess
		s.sessionOrder = append(s.sessionOrder, sess)
	}
	sess.marked = true
	return sess
}

// holding registers the session as a holder of n; it fails when n was released
// meanwhile.
func (s *Server) holding(sessionID string, n *node) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.released {
		return nil, notFound(n.id)
	}
	sess := s.touchLocked(sessionID)
	s.hold(sess, n)
	return sess, nil
}

// registered finds a session that exists, and marks it.
func (s *Server) registered(id string) (*session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess, ok := s.sessions[id]
	if ok {
		sess.marked = true
	}
	return sess, ok
}

// end drops a session: its holds go, with all nobody else holds, or with
// releaseAll all it held. The caller holds s.mu.
func (s *Server) end(sess *session, releaseAll bool) {
	sess.ended = true
	delete(s.sessions, sess.id)
	s.sessionOrder = slices.DeleteFunc(s.sessionOrder, func(x *session) bool { return x == sess })
	s.manager.node.dropSubscriptions(sess)
	for len(sess.holds) > 0 {
		for n := range sess.holds {
			if releaseAll {
				s.release(n.root)
			} else {
				s.unhold(sess, n.root)
			}
			break
		}
	}
	sess.bind(nil)
}

// collect runs until the server closes: sessions without a mark since the last
// tick are dropped. A session whose socket is open counts as marked.
func (s *Server) collect() {
	defer s.wg.Done()
	t := time.NewTicker(s.cfg.SessionPeriod)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		s.mu.Lock()
		for _, sess := range slices.Clone(s.sessionOrder) {
			if sess.marked || sess.bound() {
				sess.marked = false
				continue
			}
			s.log.Info("session expired", "rpcSession", clip(sess.id), "objects", len(sess.holds))
			s.end(sess, false)
		}
		s.mu.Unlock()
	}
}

// subscribe adds one subscription; a second one of the session to the same
// event shares its handler.
func (n *node) subscribe(sess *session, event string) string {
	id := uuid.NewString()
	n.emitMu.Lock()
	defer n.emitMu.Unlock()
	for _, sub := range n.subs[event] {
		if sub.session == sess {
			sub.ids = append(sub.ids, id)
			return id
		}
	}
	if n.subs == nil {
		n.subs = map[string][]*subscription{}
	}
	n.subs[event] = append(n.subs[event], &subscription{sess, []string{id}})
	return id
}

// unsubscribe takes one subscription back; unknown ids are no error.
func (n *node) unsubscribe(sessionID, id string) {
	n.emitMu.Lock()
	defer n.emitMu.Unlock()
	for event, subs := range n.subs {
		for _, sub := range subs {
			if sub.session.id == sessionID {
				sub.ids = slices.DeleteFunc(sub.ids, func(x string) bool { return x == id })
			}
		}
		n.subs[event] = slices.DeleteFunc(subs, func(x *subscription) bool { return len(x.ids) == 0 })
	}
}
