package kms

import (
	"slices"
	"sync"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
)

// node is one object's place in the tree. Server.mu guards all fields but those
// of its events.
type node struct {
	id       string
	obj      elements.Object // nil while its constructor runs
	class    *elements.Class
	parent   *node
	root     *node
	children []*node // oldest first
	holders  map[*session]struct{}
	released bool

	graph   *pipeline.Pipeline // roots own one
	closing []*node            // roots: released, waiting for Close
	closer  bool               // roots: a goroutine works on closing

	emitMu sync.Mutex // order of this object's events; → session.mu, write queue
	dead   bool
	subs   map[string][]*subscription // by event
}

// subscription is the one handler of a session for an object's event.
type subscription struct {
	session *session
	ids     []string
}

// find looks a living object up.
func (s *Server) find(id string) (*node, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.nodes[id]
	if !ok || n.obj == nil {
		return nil, notFound(id)
	}
	return n, nil
}

// resolve implements elements.Resolver.
func (s *Server) resolve(id string) (elements.Object, error) {
	n, err := s.find(id)
	if err != nil {
		return nil, newrefError(id, err)
	}
	return n.obj, nil
}

// insert enters a finished object; it fails when the parent went meanwhile. The
// holders of the parent and sess hold it.
func (s *Server) insert(n *node, sess *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.parent != nil && n.parent.released {
		return notFound(n.parent.id)
	}
	if s.closed {
		return notFound(n.id)
	}
	s.nodes[n.id] = n
	if n.parent != nil {
		n.parent.children = append(n.parent.children, n)
		for h := range n.parent.holders {
			s.hold(h, n)
		}
	} else {
		s.pipelines++
	}
	s.hold(sess, n)
	s.metrics.objects.WithLabelValues(n.class.Name()).Inc()
	return nil
}

// hold makes sess a holder of n and all above it. The caller holds s.mu.
func (s *Server) hold(sess *session, n *node) {
	if n == s.manager.node || sess.ended {
		return
	}
	for at := n; at != nil; at = at.parent {
		at.holders[sess] = struct{}{}
		sess.holds[at] = struct{}{}
	}
}

// unhold drops one session's hold on n and all below it, and releases what
// nobody holds any more. The caller holds s.mu.
func (s *Server) unhold(sess *session, n *node) {
	for _, c := range slices.Backward(slices.Clone(n.children)) {
		s.unhold(sess, c)
	}
	if _, ok := n.holders[sess]; !ok {
		return
	}
	delete(n.holders, sess)
	delete(sess.holds, n)
	n.dropSubscriptions(sess)
	if len(n.holders) == 0 {
		s.release(n)
	}
}

// release takes n and all below it out of the tree at once; closing them,
// youngest first, is the work of the pipeline's closer. The caller holds s.mu.
func (s *Server) release(n *node) {
	if n.released || n == s.manager.node {
		return
	}
	if n.parent != nil {
		n.parent.children = slices.DeleteFunc(n.parent.children, func(x *node) bool { return x == n })
	}
	s.detach(n)
	if !n.root.closer {
		n.root.closer = true
		s.wg.Add(1)
		go s.closeAll(n.root)
	}
}

func (s *Server) detach(n *node) {
	for _, c := range slices.Backward(n.children) {
		s.detach(c)
	}
	n.released = true
	delete(s.nodes, n.id)
	for h := range n.holders {
		delete(h.holds, n)
	}
	if n.parent == nil {
		s.pipelines--
	}
	s.metrics.objects.WithLabelValues(n.class.Name()).Dec()
	n.root.closing = append(n.root.closing, n)
}

// closeAll closes what was released under one root, one after another, so that
// a slow file of one pipeline holds up no other pipeline.
func (s *Server) closeAll(root *node) {
	defer s.wg.Done()
	for {
		s.mu.Lock()
		if len(root.closing) == 0 {
			root.closer = false
			s.mu.Unlock()
			return
		}
		n := root.closing[0]
		root.closing = root.closing[1:]
		s.mu.Unlock()
		s.closeNode(n)
	}
}

func (s *Server) closeNode(n *node) {
	log := s.log.With("pipelineId", n.root.id, "elementId", n.id)
	s.guarded(log, "kms.close", func() {
		if err := n.obj.Close(); err != nil {
			log.Error("close object", "err", err)
		}
	})
	if n.parent != nil {
		if p, ok := n.parent.obj.(elements.Node); ok {
			p.Media().RemoveChild(n.obj)
		}
	}
	n.emitMu.Lock()
	n.dead, n.subs = true, nil
	n.emitMu.Unlock()
	s.manager.node.emit(s, "ObjectDestroyed", destroyedFields{n.id})
}

// emit raises an event of the object: it is written to the queue of each
// subscribed session's socket, in order per object. It never blocks.
func (n *node) emit(s *Server, event string, fields any) {
	n.emitMu.Lock()
	defer n.emitMu.Unlock()
	subs := n.subs[event]
	if n.dead || len(subs) == 0 || n.obj == nil {
		return
	}
	msg := &eventText{node: n, event: event, data: n.class.EventData(n.obj, event, fields, time.Now())}
	for _, sub := range subs {
		sub.session.send(msg)
	}
	if msg.err != nil {
		s.log.Error("encode event", "elementId", n.id, "event", event, "err", msg.err)
	}
}

func (n *node) dropSubscriptions(sess *session) {
	n.emitMu.Lock()
	defer n.emitMu.Unlock()
	for event, subs := range n.subs {
		n.subs[event] = slices.DeleteFunc(slices.Clone(subs), func(x *subscription) bool { return x.session == sess })
	}
}
