package kms

import (
	"encoding/json"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/kerr"
)

// session is an rpcSession: what a client holds and hears, whatever socket it
// comes on. Server.mu guards all but conn.
type session struct {
	id     string
	holds  map[*node]struct{}
	marked bool
	ended  bool
	six    bool // a connection of it is served the names of 6.x

	mu   sync.Mutex // leaf but for the write queue
	conn *connection
}

// send writes an event to the bound socket; with none it is dropped.
func (s *session) send(msg *eventText) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return
	}
	if raw := msg.text(s.conn.names.six()); raw != nil {
		s.conn.stream.WriteJSON(raw)
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

// eventText is one event as it is written, each form at most once.
type eventText struct {
	node       *node
	event      string
	data       map[string]any
	six, seven json.RawMessage
	err        error
}

// text gives the form with or without the fields of 6.x; nil when it cannot be
// encoded. One goroutine calls it.
func (e *eventText) text(six bool) json.RawMessage {
	form, data := &e.seven, e.data
	if six {
		form = &e.six
	}
	if *form == nil && e.err == nil {
		if six {
			data = sixEvent(data)
		}
		*form, e.err = jsonrpc.Marshal(jsonrpc.NewNotification("onEvent", map[string]any{"value": eventBody{data, e.node.id, e.event}}))
	}
	return *form
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

// roomForSession makes room for a session that is not registered yet.
func (s *Server) roomForSession(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sessions[id]; ok || len(s.sessions) < s.cfg.MaxSessions {
		return nil
	}
	for _, sess := range s.sessionOrder {
		if len(sess.holds) == 0 && !sess.bound() {
			s.end(sess, false)
			return nil
		}
	}
	return kerr.New(kerr.NotEnoughResources, "Not enough resources: %d sessions", s.cfg.MaxSessions)
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
