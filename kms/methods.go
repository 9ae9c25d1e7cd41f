package kms

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// result is the result member of a reply; nil is null.
type result map[string]any

// method is one JSON-RPC method of the protocol (kurento-protocol §3).
type method struct {
	run func(s *Server, ctx context.Context, q *call) (result, error)
	// insists on a sessionId; the others make one, or (ping) go without.
	insists bool
	// bare methods work without params.
	bare bool
	// exclusive methods are ordered with everything on the connection.
	exclusive bool
	// keyless is the dispatch key of methods that are about no object.
	keyless string
	// makes registers the session when it is not yet.
	makes bool
	// uncached replies are not kept for repeated ids.
	uncached bool
}

var methods = map[string]method{
	"ping":         {run: (*Server).ping, bare: true, keyless: "ping", uncached: true},
	"connect":      {run: (*Server).connect, bare: true, exclusive: true, uncached: true},
	"keepAlive":    {run: (*Server).keepAlive, insists: true, bare: true, keyless: "ping", uncached: true},
	"closeSession": {run: (*Server).closeSession, insists: true, bare: true, exclusive: true},
	"create":       {run: (*Server).create, makes: true},
	"describe":     {run: (*Server).describe, makes: true},
	"invoke":       {run: (*Server).invoke, makes: true},
	"subscribe":    {run: (*Server).subscribe, makes: true},
	"unsubscribe":  {run: (*Server).unsubscribe, insists: true, makes: true},
	"release":      {run: (*Server).releaseObject, makes: true},
	"ref":          {run: (*Server).ref, insists: true, makes: true},
	"unref":        {run: (*Server).unref, insists: true, makes: true},
	"transaction":  {}, // runs the others: connection.transaction
}

// run checks what all methods share and calls the method.
func (c *connection) run(ctx context.Context, name string, q *call) (result, error) {
	began := time.Now()
	if !q.known {
		return nil, kerr.New(kerr.MethodNotFound, "Method not found.")
	}
	defer func() { c.server.metrics.observe("", name, began) }()
	if err := q.check(); err != nil {
		return nil, err
	}
	q.conn = c
	if q.method.makes {
		if err := c.server.roomForSession(q.sessionID); err != nil {
			return nil, err
		}
	}
	if q.method.run == nil {
		return c.transaction(ctx, q)
	}
	return q.method.run(c.server, ctx, q)
}

// maxSessionID bounds session ids that clients bring themselves.
const maxSessionID = 256

// check refuses what no method can work with.
func (q *call) check() error {
	switch {
	case q.badParams:
		return kerr.New(kerr.InvalidParams, "'params' should be an object")
	case q.params == nil && !q.method.bare:
		return kerr.New(kerr.InvalidParams, "'params' is required")
	case q.badID:
		return kerr.New(kerr.ServerError, "'sessionId' parameter should be a string")
	case len(q.sessionID) > maxSessionID:
		return kerr.New(kerr.ServerError, "'sessionId' parameter is longer than %d bytes", maxSessionID)
	case q.sessionID == "" && q.method.insists:
		return kerr.New(kerr.ServerError, "'sessionId' parameter is required")
	}
	return nil
}

// made gives the call a new session id when it has none.
func (q *call) made() string {
	if q.sessionID == "" {
		q.sessionID = uuid.NewString()
	}
	return q.sessionID
}

// text reads a required top-level text parameter.
func (q *call) text(name string) (string, error) {
	raw, ok := q.params[name]
	if !ok {
		return "", kerr.New(kerr.ServerError, "'%s' parameter is required", name)
	}
	text, ok := elements.Text(raw)
	if !ok {
		return "", kerr.New(kerr.ServerError, "'%s' parameter should be a string", name)
	}
	return text, nil
}

func (s *Server) ping(_ context.Context, q *call) (result, error) {
	res := result{"value": "pong"}
	if q.sessionID != "" {
		s.registered(q.sessionID) // a ping keeps its session alive
		res["sessionId"] = q.sessionID
	}
	return res, nil
}

func (s *Server) connect(_ context.Context, q *call) (result, error) {
	if q.sessionID != "" {
		if _, ok := s.registered(q.sessionID); !ok {
			return nil, kerr.New(kerr.InvalidSession, "Invalid session")
		}
	}
	return result{"sessionId": q.made(), "serverId": s.id}, nil
}

func (s *Server) keepAlive(_ context.Context, q *call) (result, error) {
	if _, ok := s.registered(q.sessionID); !ok {
		return nil, kerr.New(kerr.InvalidSession, "Invalid session")
	}
	return result{"sessionId": q.sessionID}, nil
}

func (s *Server) closeSession(_ context.Context, q *call) (result, error) {
	release := q.params["release"] == true || q.params["release"] == "true"
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess, ok := s.sessions[q.sessionID]; ok {
		s.end(sess, release)
	}
	return nil, nil
}

func (s *Server) describe(_ context.Context, q *call) (result, error) {
	n, err := s.target(q)
	if err != nil {
		return nil, err
	}
	return result{
		"sessionId": q.sessionID, "type": n.class.Name(), "qualifiedType": n.class.QualifiedName(),
		"hierarchy": n.class.Hierarchy(),
	}, nil
}

// target finds the object a request is about; its session becomes a holder.
func (s *Server) target(q *call) (*node, error) {
	id, err := q.text("object")
	if err != nil {
		return nil, err
	}
	n, err := s.find(id)
	if err != nil {
		return nil, newrefError(id, err)
	}
	if _, err := s.holding(q.made(), n); err != nil {
		return nil, err
	}
	return n, nil
}

func (s *Server) invoke(ctx context.Context, q *call) (result, error) {
	if _, err := q.text("object"); err != nil {
		return nil, err
	}
	op, err := q.text("operation")
	if err != nil {
		return nil, err
	}
	n, err := s.target(q)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if !q.conn.names.six() && elements.Legacy(op) {
		return nil, elements.UnknownOperation(clip(op), q.params["operationParams"])
	}
	var value any
	incident := uuid.NewString()
	panicked := s.guarded(s.log.With("incident", incident, "pipelineId", n.root.id, "elementId", n.id, "op", clip(op)), "kms.invoke", func() {
		value, err = n.class.Invoke(ctx, n.obj, clip(op), q.params["operationParams"], s.resolve)
	})
	if panicked {
		s.mu.Lock()
		s.release(n) // its state cannot be trusted any more
		s.mu.Unlock()
		return nil, internalError("operation '%s' failed, object released (incident %s)", clip(op), incident)
	}
	if n.class.HasOperation(op) {
		s.metrics.observe(n.class.Name(), op, began)
	}
	if err != nil {
		return nil, err
	}
	if q.conn.names.six() {
		value = withSix(value)
	}
	return result{"sessionId": q.sessionID, "value": value}, nil
}

func (s *Server) subscribe(_ context.Context, q *call) (result, error) {
	if _, err := q.text("object"); err != nil {
		return nil, err
	}
	event, err := q.text("type")
	if err != nil {
		return nil, err
	}
	n, err := s.target(q)
	if err != nil {
		return nil, err
	}
	if !n.class.HasEvent(event) || !q.conn.names.six() && elements.Legacy(event) {
		return nil, kerr.New(kerr.MediaObjectEventNotSupported, "Event '%s' not supported", clip(event))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sess, ok := s.sessions[q.sessionID]
	if !ok || n.released {
		return nil, notFound(n.id)
	}
	if !sess.bound() {
		sess.bind(q.conn) // the first event may come before the reply
	}
	return result{"sessionId": q.sessionID, "value": n.subscribe(sess, event)}, nil
}

func (s *Server) unsubscribe(_ context.Context, q *call) (result, error) {
	id, err := q.text("object")
	if err != nil {
		return nil, err
	}
	sub, err := q.text("subscription")
	if err != nil {
		return nil, err
	}
	if n, err := s.find(id); err == nil {
		s.touch(q.sessionID)
		n.unsubscribe(q.sessionID, sub)
	}
	return result{"sessionId": q.sessionID}, nil
}

func (s *Server) releaseObject(_ context.Context, q *call) (result, error) {
	id, err := q.text("object")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.nodes[id]; ok {
		s.touchLocked(q.made())
		s.release(n)
	}
	return result{"sessionId": q.made()}, nil
}

func (s *Server) ref(_ context.Context, q *call) (result, error) {
	if _, err := s.target(q); err != nil {
		return nil, err
	}
	return result{"sessionId": q.sessionID}, nil
}

func (s *Server) unref(_ context.Context, q *call) (result, error) {
	id, err := q.text("object")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.nodes[id]; ok && n != s.manager.node {
		s.unhold(s.touchLocked(q.sessionID), n)
	}
	return result{"sessionId": q.sessionID}, nil
}

func (s *Server) create(ctx context.Context, q *call) (result, error) {
	typ, err := q.text("type")
	if err != nil {
		return nil, err
	}
	class, ok := s.cfg.Registry.Lookup(typ)
	if !ok || !class.Creatable() {
		return nil, kerr.New(kerr.MediaObjectNotAvailable, "Factory '%s' not found", clip(typ))
	}
	args, err := class.Decode(q.params["constructorParams"], s.resolve)
	if err != nil {
		return nil, err
	}
	n := &node{class: class, holders: map[*session]struct{}{}}
	n.id = uuid.NewString() + "_" + class.QualifiedName()
	if args.Parent != nil {
		if n.parent, err = s.find(args.Parent.ID()); err != nil {
			return nil, err
		}
		n.id = n.parent.id + "/" + n.id
		n.root = n.parent.root
	} else {
		n.root = n
	}
	began := time.Now()
	if err := s.admission.check(began); err != nil {
		return nil, err
	}
	q.made()
	if err := s.roomFor(q, n); err != nil {
		return nil, err
	}
	if err := s.build(ctx, n, args); err != nil {
		return nil, err
	}
	if err := s.insert(n, s.touch(q.sessionID)); err != nil {
		n.obj.Close()
		return nil, err
	}
	s.metrics.observe(class.Name(), "create", began)
	s.manager.node.emit(s, "ObjectCreated", createdFields{n.id})
	return result{"sessionId": q.sessionID, "value": n.id}, nil
}

// roomFor checks the limits before anything is built.
func (s *Server) roomFor(q *call, n *node) error {
	if n.parent == nil && !q.conn.own {
		if why := s.cfg.Busy(); why != "" {
			return kerr.New(kerr.NotEnoughResources, "Not enough resources: %s", why)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess, ok := s.sessions[q.sessionID]; ok && len(sess.holds) >= s.cfg.MaxObjects {
		return kerr.New(kerr.NotEnoughResources, "Not enough resources: %d objects in one session", s.cfg.MaxObjects)
	}
	if n.parent == nil && s.pipelines >= s.cfg.MaxPipelines {
		return kerr.New(kerr.NotEnoughResources, "Not enough resources: %d pipelines", s.cfg.MaxPipelines)
	}
	return nil
}

// build runs the constructor; on failure nothing is left.
func (s *Server) build(ctx context.Context, n *node, args elements.Args) error {
	if n.parent == nil {
		n.graph = pipeline.New(n.id, s.cfg.Converters...)
	}
	env := elements.Env{
		ID: n.id, Pipeline: n.root.graph, Parent: args.Parent,
		Emit: func(event string, fields any) { n.emit(s, event, fields) },
		Log:  s.log.With("pipelineId", n.root.id, "elementId", n.id),
	}
	var obj elements.Object
	var err error
	incident := uuid.NewString()
	if s.guarded(env.Log.With("incident", incident), "kms.create", func() { obj, err = n.class.Create(ctx, env, args) }) {
		err = internalError("constructor of '%s' failed (incident %s)", n.class.Name(), incident)
	}
	if err != nil {
		if n.graph != nil {
			n.graph.Close()
		}
		return err
	}
	n.emitMu.Lock()
	n.obj = obj
	n.emitMu.Unlock()
	return nil
}
