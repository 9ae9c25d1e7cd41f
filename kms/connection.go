package kms

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/obs"
)

// connection is one socket or memory stream. It implements jsonrpc.Handler.
type connection struct {
	server *Server
	stream jsonrpc.Conn
	log    *slog.Logger
	cache  cache
	names  names
	opened sync.Once // the read limit was raised
	own    bool      // of this process, by Pipe

	mu        sync.Mutex // leaf
	sessionID string     // of the latest successful result
}

// call is a request on its way: what Route found out for Handle.
type call struct {
	method    method
	known     bool
	params    map[string]any // nil when absent
	badParams bool           // neither object nor absent
	sessionID string         // given or filled in; "" when there is none yet
	badID     bool           // sessionId is no text
	conn      *connection
}

func (c *connection) session() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessionID
}

// Route implements jsonrpc.Handler. Requests that keep to the connection's
// session are ordered per pipeline; one that makes or changes the session must
// not overtake or be overtaken, because later requests without sessionId refer
// to its result.
func (c *connection) Route(r *jsonrpc.Request) jsonrpc.Route {
	q := c.parse(r)
	r.Data = q
	c.decideNames(r.Method, q)
	current := c.session()
	switch {
	case !q.known, q.badParams, q.method.exclusive, current == "" || q.sessionID != current:
		return jsonrpc.Route{Exclusive: true}
	}
	return q.route()
}

func (c *connection) parse(r *jsonrpc.Request) *call {
	q := &call{}
	q.method, q.known = methods[r.Method]
	if q.known {
		c.opened.Do(func() { c.stream.SetReadLimit(maxMessage) })
	}
	if r.Params != nil {
		d := json.NewDecoder(bytes.NewReader(r.Params))
		d.UseNumber()
		if d.Decode(&q.params) != nil {
			q.badParams = true
		}
	}
	switch raw, given := q.params["sessionId"]; {
	case given && raw != nil && raw != "":
		id, ok := elements.Text(raw)
		q.sessionID, q.badID = id, !ok
	default:
		q.sessionID = c.session()
	}
	return q
}

// route is the key of the pipeline a request is about.
func (q *call) route() jsonrpc.Route {
	if q.method.keyless != "" {
		return jsonrpc.Route{Key: q.method.keyless}
	}
	if ops, ok := q.params["operations"].([]any); ok {
		return routeAll(ops)
	}
	if _, event := q.params["type"]; event && q.params["object"] == managerID {
		// Its events tell of all pipelines: a create after subscribe must be seen.
		return jsonrpc.Route{Exclusive: true}
	}
	return jsonrpc.Route{Key: pipelineOf(q.params)}
}

// routeAll is the one pipeline of a transaction, or exclusive when it touches
// more than one.
func routeAll(ops []any) jsonrpc.Route {
	key := ""
	for _, op := range ops {
		m, _ := op.(map[string]any)
		p, _ := m["params"].(map[string]any)
		k := pipelineOf(p)
		switch {
		case k == "" || strings.HasPrefix(k, newref):
		case key == "":
			key = k
		case key != k:
			return jsonrpc.Route{Exclusive: true}
		}
	}
	return jsonrpc.Route{Key: key}
}

// pipelineOf finds the pipeline's id in "object", or among the constructor's
// parameters: the part of an id before its first slash. Requests about no
// pipeline share the key "".
func pipelineOf(params map[string]any) string {
	id, _ := params["object"].(string)
	if id == "" {
		ctor, _ := params["constructorParams"].(map[string]any)
		if id, _ = ctor["mediaPipeline"].(string); id == "" {
			id, _ = ctor["hub"].(string)
		}
	}
	root, _, _ := strings.Cut(id, "/")
	return root
}

// Handle implements jsonrpc.Handler.
func (c *connection) Handle(ctx context.Context, r *jsonrpc.Request) {
	q := r.Data.(*call)
	began := time.Now()
	key := cacheKey{q.sessionID, string(r.ID)}
	cached := !c.server.cfg.NoRequestCache && r.ID != nil && q.sessionID != "" && q.known && !q.method.uncached
	if cached {
		if reply := c.cache.get(key, r, began); reply != nil {
			c.stream.WriteJSON(reply)
			return
		}
	}
	result, err := c.run(ctx, r.Method, q)
	reply := c.reply(r, result, err)
	if err == nil {
		c.bind(result)
	}
	raw, encodeErr := jsonrpc.Marshal(reply)
	if encodeErr != nil {
		c.log.Error("encode reply", "method", r.Method, "err", encodeErr)
		raw, _ = jsonrpc.Marshal(jsonrpc.Failure(r.ID, &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: "Unexpected error while processing method: reply cannot be encoded"}))
	}
	if cached {
		c.cache.put(key, r, raw, began)
	}
	c.debug(ctx, r, raw)
	c.stream.WriteJSON(json.RawMessage(raw))
}

// debug shows the protocol, cut short, without the keys of live streams.
func (c *connection) debug(ctx context.Context, r *jsonrpc.Request, reply []byte) {
	if c.log.Enabled(ctx, slog.LevelDebug) {
		c.log.Debug("request", "requestId", clip(string(r.ID)), "method", clip(r.Method), "params", clip(obs.HideTargets(string(r.Params))), "reply", clip(obs.HideTargets(string(reply))))
	}
}

// reply builds the answer. A request without id gets its result inside an
// error, as the original does.
func (c *connection) reply(r *jsonrpc.Request, result result, err error) any {
	if err != nil {
		wire, known := wireError(err)
		if !known {
			c.log.Error("request failed without a code", "method", r.Method, "err", err)
		}
		return jsonrpc.Failure(r.ID, wire)
	}
	var value any = map[string]any(result)
	if result == nil {
		value = nil
	}
	if r.ID == nil {
		return jsonrpc.Failure(nil, &jsonrpc.Error{Code: int(kerr.ServerError), Data: value, Message: "Ignoring response because of a notification request"})
	}
	return jsonrpc.Result(r.ID, value)
}

// bind ties the connection to the session of a successful result; events of the
// session go here from now on.
func (c *connection) bind(res result) {
	id, ok := res["sessionId"].(string)
	if !ok {
		return
	}
	c.mu.Lock()
	before := c.sessionID
	c.sessionID = id
	c.mu.Unlock()
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if before != id {
		if old, ok := s.sessions[before]; ok {
			old.unbind(c)
			old.marked = true
		}
	}
	if sess, ok := s.sessions[id]; ok {
		sess.six = sess.six || c.names.six()
		sess.bind(c)
	}
}

// unbind leaves the session without a socket: its period starts.
func (c *connection) unbind() {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess, ok := s.sessions[c.session()]; ok {
		sess.unbind(c)
		sess.marked = true
	}
}
