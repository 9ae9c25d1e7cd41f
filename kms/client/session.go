package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/kerr"
)

// ErrLost is what calls answer once the session cannot be resumed.
var ErrLost = errors.New("kurento session lost")

// ErrInterrupted is what a call answers whose socket broke before the reply:
// whether it was served is not known.
var ErrInterrupted = errors.New("kurento connection interrupted")

// maxEvents bounds what waits for the event goroutine; above it the session is
// given up, since a gap in the events could not be told from silence.
const maxEvents = 1 << 16

// Session is a Client on one stream, or on a row of WebSockets that resume each
// other (Dial).
type Session struct {
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	lost   chan struct{}
	events *events

	mu       sync.Mutex // leaf but for the stream's write queue, which orders requests
	stream   jsonrpc.Conn
	ready    chan struct{} // closed while requests may be written
	session  string
	next     uint64
	pending  map[uint64]chan reply
	handlers map[topic][]*handler
	ended    bool
}

type reply struct {
	result json.RawMessage
	err    error
}

type topic struct {
	object ID
	event  string
}

type handler struct{ fn func(json.RawMessage) }

var _ Client = (*Session)(nil)

// New starts a session on a stream, for example kms.Server.Pipe. It is lost when
// the stream ends; Close ends it.
func New(stream jsonrpc.Conn) *Session {
	c := newSession(slog.New(slog.DiscardHandler))
	c.attach(stream)
	c.open()
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		c.read(stream)
		c.giveUp()
	}()
	return c
}

func newSession(log *slog.Logger) *Session {
	c := &Session{
		log: log, lost: make(chan struct{}), ready: make(chan struct{}), events: newEvents(),
		pending: map[uint64]chan reply{}, handlers: map[topic][]*handler{},
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		c.events.run(c)
	}()
	return c
}

// attach makes stream the one that requests go to, once open is called.
func (c *Session) attach(stream jsonrpc.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stream = stream
	if c.ended {
		stream.Abort(jsonrpc.CloseGoingAway, "")
	}
}

// open lets requests through.
func (c *Session) open() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
}

// interrupt holds new requests back and fails those under way.
func (c *Session) interrupt(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.ready:
		c.ready = make(chan struct{})
	default:
	}
	for id, ch := range c.pending {
		ch <- reply{err: err}
		delete(c.pending, id)
	}
}

// giveUp ends the session for good.
func (c *Session) giveUp() {
	c.mu.Lock()
	first := !c.ended
	c.ended = true
	stream := c.stream
	c.mu.Unlock()
	if first {
		close(c.lost)
		c.cancel()
	}
	if stream != nil {
		stream.Abort(jsonrpc.CloseNormal, "")
	}
	c.interrupt(ErrLost)
	c.events.close()
}

// Close ends the session's connection and waits for its goroutines. The
// server keeps the objects until its collector comes; release them before.
func (c *Session) Close() error {
	c.giveUp()
	c.wg.Wait()
	c.mu.Lock()
	stream := c.stream
	c.mu.Unlock()
	return stream.Close(jsonrpc.CloseNormal, "")
}

// Lost implements Client.
func (c *Session) Lost() <-chan struct{} { return c.lost }

// ID is the sessionId, "" before the first reply.
func (c *Session) ID() string { c.mu.Lock(); defer c.mu.Unlock(); return c.session }

type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Error  *wireError      `json:"error"`
	Params struct {
		Value struct {
			Data   json.RawMessage `json:"data"`
			Object ID              `json:"object"`
			Type   string          `json:"type"`
		} `json:"value"`
	} `json:"params"`
}

type wireError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// read takes messages off the stream until it ends.
func (c *Session) read(stream jsonrpc.Conn) {
	for {
		frame, err := stream.ReadFrame()
		if err != nil || !c.take(frame) {
			return
		}
	}
}

// take handles one message; false when the session had to be given up.
func (c *Session) take(frame []byte) bool {
	var m message
	if err := json.Unmarshal(frame, &m); err != nil {
		c.log.Warn("unreadable message from media node", "err", err)
		return true
	}
	if m.Method != "onEvent" {
		c.answer(m)
		return true
	}
	v := m.Params.Value
	if c.events.push(event{topic{v.Object, v.Type}, v.Data}) {
		return true
	}
	c.log.Error("media node's events are not consumed, session given up")
	c.giveUp()
	return false
}

func (c *Session) answer(m message) {
	var id uint64
	if json.Unmarshal(m.ID, &id) != nil {
		return
	}
	r := reply{result: m.Result}
	if m.Error != nil {
		r.err = kerr.New(kerr.Code(m.Error.Code), "%s", m.Error.Message)
	}
	var s struct {
		SessionID string `json:"sessionId"`
	}
	json.Unmarshal(m.Result, &s) // a result without one is fine
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.SessionID != "" {
		c.session = s.SessionID
	}
	if ch, ok := c.pending[id]; ok {
		delete(c.pending, id)
		ch <- r // buffered
	}
}

type request struct {
	Version string         `json:"jsonrpc"`
	ID      uint64         `json:"id"`
	Method  string         `json:"method"`
	Params  map[string]any `json:"params"`
}

// call sends one request, once the connection is ready for it, and waits for its
// reply, or for ctx.
func (c *Session) call(ctx context.Context, method string, params map[string]any) (json.RawMessage, error) {
	for {
		c.mu.Lock()
		ready := c.ready
		select {
		case <-ready:
			id, ch, err := c.write(method, params)
			c.mu.Unlock()
			if err != nil {
				return nil, err
			}
			return c.await(ctx, id, ch)
		default:
		}
		c.mu.Unlock()
		select {
		case <-ready:
		case <-c.lost:
			return nil, ErrLost
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Session) await(ctx context.Context, id uint64, ch chan reply) (json.RawMessage, error) {
	select {
	case r := <-ch:
		return r.result, r.err
	case <-ctx.Done():
		c.mu.Lock()
		delete(c.pending, id)
		c.mu.Unlock()
		return nil, ctx.Err()
	}
}

// write puts a request on the wire and its reply channel into pending. The
// caller holds c.mu, so that the order of ids is the order on the wire.
func (c *Session) write(method string, params map[string]any) (uint64, chan reply, error) {
	if c.ended {
		return 0, nil, ErrLost
	}
	id := c.next
	c.next++
	if _, given := params["sessionId"]; !given && c.session != "" {
		params["sessionId"] = c.session
	}
	ch := make(chan reply, 1)
	c.pending[id] = ch
	if err := c.stream.WriteJSON(request{"2.0", id, method, params}); err != nil {
		delete(c.pending, id)
		return 0, nil, fmt.Errorf("%w: %v", ErrInterrupted, err)
	}
	return id, ch, nil
}

type valueResult struct {
	Value json.RawMessage `json:"value"`
}

func (c *Session) value(ctx context.Context, method string, params map[string]any, into any) error {
	raw, err := c.call(ctx, method, params)
	if err != nil {
		return err
	}
	var v valueResult
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	if into == nil || len(v.Value) == 0 {
		return nil
	}
	if err := json.Unmarshal(v.Value, into); err != nil {
		return fmt.Errorf("read result: %w", err)
	}
	return nil
}

// Create implements Client.
func (c *Session) Create(ctx context.Context, typ string, params any) (ID, error) {
	p := map[string]any{"type": typ, "properties": map[string]any{}}
	if params != nil {
		p["constructorParams"] = params
	}
	var id ID
	if err := c.value(ctx, "create", p, &id); err != nil {
		return "", fmt.Errorf("create %s: %w", typ, err)
	}
	return id, nil
}

// Invoke implements Client.
func (c *Session) Invoke(ctx context.Context, obj ID, op string, params, result any) error {
	p := map[string]any{"object": obj, "operation": op}
	if params != nil {
		p["operationParams"] = params
	}
	if err := c.value(ctx, "invoke", p, result); err != nil {
		return fmt.Errorf("%s on %s: %w", op, obj, err)
	}
	return nil
}

// Release implements Client.
func (c *Session) Release(ctx context.Context, obj ID) error {
	if _, err := c.call(ctx, "release", map[string]any{"object": obj}); err != nil {
		return fmt.Errorf("release %s: %w", obj, err)
	}
	return nil
}

// Subscribe implements Client.
func (c *Session) Subscribe(ctx context.Context, obj ID, event string, fn func(json.RawMessage)) (func(), error) {
	t, h := topic{obj, event}, &handler{fn}
	c.mu.Lock()
	c.handlers[t] = append(slices.Clone(c.handlers[t]), h) // before the request: an event may overtake the reply
	c.mu.Unlock()
	var sub string
	if err := c.value(ctx, "subscribe", map[string]any{"object": obj, "type": event}, &sub); err != nil {
		c.unhandle(t, h)
		return nil, fmt.Errorf("subscribe %s of %s: %w", event, obj, err)
	}
	var once sync.Once
	return func() {
		once.Do(func() {
			c.unhandle(t, h)
			// Nobody waits for the reply; it is read and dropped.
			c.mu.Lock()
			defer c.mu.Unlock()
			if id, _, err := c.write("unsubscribe", map[string]any{"object": obj, "subscription": sub}); err == nil {
				delete(c.pending, id)
			}
		})
	}, nil
}

func (c *Session) unhandle(t topic, h *handler) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := slices.DeleteFunc(slices.Clone(c.handlers[t]), func(x *handler) bool { return x == h })
	if len(rest) == 0 {
		delete(c.handlers, t)
		return
	}
	c.handlers[t] = rest
}

func (c *Session) handlersOf(t topic) []*handler {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.handlers[t]
}

// pingTimeout is how long a reply to ping may take before the socket counts as dead.
const pingTimeout = 10 * time.Second
