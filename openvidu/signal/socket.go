package signal

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/auth"
)

const (
	// codeTooMany answers a request over the rate limit.
	codeTooMany = -32005
	// tooManyInRow of those close the socket, as do as many unparsable frames.
	tooManyInRow    = 3
	unparsableInRow = 3
	// waiting bounds the requests a socket may have outstanding: the reader stops there.
	waiting = 64
	// A message costs four rate tokens, a candidate one.
	costMessage, costCandidate = 4, 1
	// Bounds of the ping interval a client may choose.
	minPing, maxPing = time.Second, time.Minute
	// maxLate bounds what is kept between the end of a socket and its Detach; it is
	// above what a connection may miss, so reaching it ends the connection there.
	maxLate = 8192
	// pongPatience is how long a browser that has just sent a ping waits for our
	// answer before it gives the socket up.
	pongPatience = 5 * time.Second
	// missedPings of the interval close the socket.
	missedPings = 3
)

// began is the origin of monotonic times kept as integers.
var began = time.Now()

// socket is one browser's WebSocket and the Peer of its connection.
type socket struct {
	h         *Handler
	conn      jsonrpc.Conn
	log       *slog.Logger
	ip, user  string
	privateID atomic.Pointer[string]
	limiter   *rate.Limiter
	requests  chan *jsonrpc.Request
	joinTimer *time.Timer
	watchdog  *time.Timer
	interval  time.Duration // reader only

	// The working goroutine's, and after it the reader's.
	room *openvidu.Connection // nil before joinRoom and after leaveRoom
	used bool                 // a connection was bound once

	mu     sync.Mutex // leaf
	finish *time.Timer
	ended  bool

	// heard is when the last frame came, in nanoseconds since the process began.
	heard atomic.Int64

	// The session's goroutine, once it has the socket as a Peer: late are
	// notifications that came when the socket was closed already, slow says that
	// the socket was closed for not keeping up.
	late [][]byte
	slow bool
}

func newSocket(h *Handler, conn jsonrpc.Conn, ip, user string) *socket {
	s := &socket{
		h: h, conn: conn, ip: ip, user: user, log: h.opts.Log,
		limiter:  rate.NewLimiter(rate.Limit(h.opts.RatePerSecond*costMessage), h.opts.RateBurst*costMessage),
		requests: make(chan *jsonrpc.Request, waiting),
		interval: h.opts.PingInterval,
	}
	id := auth.NewPrivateID()
	s.privateID.Store(&id)
	return s
}

// serve reads until the socket ends, then gives its connection the reconnection
// window.
func (s *socket) serve() {
	s.joinTimer = time.AfterFunc(s.h.opts.JoinTimeout, func() { s.conn.Abort(jsonrpc.ClosePolicy, "no joinRoom in time") })
	s.watchdog = time.AfterFunc(missedPings*s.interval, s.silent)
	s.conn.Alive(pongPatience)
	ctx, cancel := context.WithCancel(context.Background())
	var worker sync.WaitGroup
	worker.Go(func() { s.work(ctx) })
	s.read()
	close(s.requests)
	cancel()
	worker.Wait()
	s.joinTimer.Stop()
	s.watchdog.Stop()
	s.mu.Lock()
	s.ended = true
	if s.finish != nil {
		s.finish.Stop()
	}
	s.mu.Unlock()
	s.conn.Close(jsonrpc.CloseNormal, "") // waits for the writer; Unsent is complete then
	if s.room != nil {
		s.room.Detach(s, s.undelivered)
	}
}

func (s *socket) silent() { s.conn.Abort(jsonrpc.ClosePolicy, "no ping for 3 intervals") }

// Notify implements openvidu.Peer.
func (s *socket) Notify(n *openvidu.Notification) {
	err := s.conn.WriteJSON(n.Frame())
	s.slow = s.slow || errors.Is(err, jsonrpc.ErrSlow)
	if err != nil && len(s.late) < maxLate {
		s.late = append(s.late, n.Frame())
	}
}

// Replace implements openvidu.Peer.
func (s *socket) Replace() [][]byte {
	undelivered := s.undelivered()
	s.conn.Abort(jsonrpc.CloseNormal, "replaced by a new socket")
	return undelivered
}

// Finish implements openvidu.Peer.
func (s *socket) Finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && s.finish == nil {
		s.finish = time.AfterFunc(s.h.opts.FinishTimeout, func() { s.conn.Abort(jsonrpc.CloseNormal, "connection has ended") })
	}
}

// undelivered gives the notifications the browser did not get, oldest first; it
// runs on the session's goroutine. What the system took and is not known to be
// delivered counts as such, except when the browser was merely slow: then it is
// alive and will still read that.
func (s *socket) undelivered() [][]byte {
	alive := time.Since(began)-time.Duration(s.heard.Load()) < 2*s.h.opts.PingInterval
	var out [][]byte
	for _, f := range s.conn.Unsent(!s.slow || !alive) {
		if bytes.HasPrefix(f, []byte(`{"method":`)) { // replies are lost with their request
			out = append(out, f)
		}
	}
	return append(out, s.late...)
}

// read takes frames until the socket ends.
func (s *socket) read() {
	defer obs.Guard(s.log, "signal.read", func() { s.conn.Abort(jsonrpc.CloseInternal, "") })
	unparsable, tooMany := 0, 0
	for {
		frame, err := s.conn.ReadFrame()
		if errors.Is(err, jsonrpc.ErrTooBig) {
			s.conn.Close(jsonrpc.CloseTooBig, "message too big")
			return
		} else if err != nil {
			if !errors.Is(err, io.EOF) {
				s.log.Debug("socket ended", obs.AttrErr, err)
			}
			return
		}
		s.heard.Store(int64(time.Since(began)))
		req, bad := jsonrpc.ParseRequest(frame)
		cost := costMessage
		if bad == nil && req.Method == "onIceCandidate" {
			cost = costCandidate
		}
		if !s.limiter.AllowN(time.Now(), cost) {
			if tooMany++; tooMany >= tooManyInRow {
				s.fail(req, codeTooMany, "too many requests")
				s.conn.Close(jsonrpc.ClosePolicy, "too many requests")
				return
			}
			s.fail(req, codeTooMany, "too many requests")
			continue
		}
		tooMany = 0
		if bad != nil && bad.Code == jsonrpc.CodeParse {
			unparsable++
		} else {
			unparsable = 0
		}
		if bad != nil {
			s.write(jsonrpc.Failure(nil, bad))
			if unparsable >= unparsableInRow {
				s.conn.Close(jsonrpc.ClosePolicy, "not JSON")
				return
			}
			continue
		}
		if s.atOnce(req) {
			continue
		}
		select {
		case s.requests <- req:
		case <-s.conn.Done():
			return
		}
	}
}

// atOnce answers, on the reading goroutine, what must not wait behind a slow
// request: signs of life.
func (s *socket) atOnce(req *jsonrpc.Request) bool {
	switch req.Method {
	case "ping":
		var p struct {
			Interval *float64 `json:"interval"`
		}
		if json.Unmarshal(orEmpty(req.Params), &p) == nil && p.Interval != nil {
			s.interval = min(max(time.Duration(*p.Interval*float64(time.Millisecond)), minPing), maxPing)
		}
		s.watchdog.Reset(missedPings * s.interval)
		s.conn.Alive(min(s.interval, pongPatience))
		s.reply(req, struct {
			Value string `json:"value"`
		}{"pong"})
	case "echo":
		s.reply(req, openvidu.Empty{})
	default:
		return false
	}
	return true
}

func orEmpty(params json.RawMessage) json.RawMessage {
	if params == nil {
		return json.RawMessage("{}")
	}
	return params
}

// work answers the requests in order until the reader has ended.
func (s *socket) work(ctx context.Context) {
	for req := range s.requests {
		select {
		case <-s.conn.Done():
			continue // nobody would read the answer
		default:
			s.handle(ctx, req)
		}
	}
}

func (s *socket) handle(ctx context.Context, req *jsonrpc.Request) {
	defer obs.Guard(s.log, "signal.handle", func() {
		s.fail(req, jsonrpc.CodeInternal, "internal error")
		s.conn.Close(jsonrpc.CloseInternal, "internal error")
	})
	if err := s.dispatch(ctx, req); err != nil {
		s.refuse(req, err)
	}
}

// refuse answers with the code of a refusal; what is no refusal is our fault and
// is logged under an incident id.
func (s *socket) refuse(req *jsonrpc.Request, err error) {
	var own *openvidu.Error
	var wire *jsonrpc.Error
	switch {
	case errors.As(err, &own):
		// Not the text: it may hold what the browser took for a token.
		s.log.Debug("request refused", obs.Remote("method", req.Method), "code", int(own.Code))
		s.failWith(req, int(own.Code), own.Text, hint(own))
	case errors.As(err, &wire):
		s.fail(req, wire.Code, wire.Message)
	case errors.Is(err, context.Canceled):
	default:
		incident := rand.Text()[:12]
		s.log.Error("request failed", obs.Remote("method", req.Method), obs.AttrRequest, incident, obs.AttrErr, err)
		s.fail(req, jsonrpc.CodeInternal, "internal error, incident "+incident)
	}
}

// reply writes a result with the sessionId every result carries.
func (s *socket) reply(req *jsonrpc.Request, result any) {
	if req.ID == nil {
		return
	}
	body, err := jsonrpc.Marshal(result)
	if err != nil {
		s.log.Error("result not marshalled", obs.Remote("method", req.Method), obs.AttrErr, err)
		s.fail(req, jsonrpc.CodeInternal, "internal error")
		return
	}
	id, out := *s.privateID.Load(), body[:len(body)-1]
	if len(out) > 1 {
		out = append(out, ',')
	}
	out = append(out, `"sessionId":"`+id+`"}`...)
	s.write(jsonrpc.Result(req.ID, json.RawMessage(out)))
}

// fail writes an error; requests without id get none. req is nil when there was
// no envelope.
func (s *socket) fail(req *jsonrpc.Request, code int, message string) {
	s.failWith(req, code, message, nil)
}

// hint is the data of an error after which the same request may be granted.
func hint(e *openvidu.Error) any {
	if e.RetryAfter <= 0 {
		return nil
	}
	return fmt.Sprintf(`{"retryAfter":%d}`, max(1, int(e.RetryAfter/time.Second)))
}

// failWith is fail with the error's data, nil for none.
func (s *socket) failWith(req *jsonrpc.Request, code int, message string, data any) {
	var id json.RawMessage
	if req != nil {
		if id = req.ID; id == nil {
			return
		}
	}
	s.write(jsonrpc.Failure(id, &jsonrpc.Error{Code: code, Message: message, Data: data}))
}

func (s *socket) write(v any) {
	if err := s.conn.WriteJSON(v); err != nil && !errors.Is(err, jsonrpc.ErrClosed) {
		s.log.Info("answer not written", obs.AttrErr, err)
	}
}
