package jsonrpc

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/govidu/govidu/internal/obs"
)

// SocketOptions bound one WebSocket.
type SocketOptions struct {
	MaxMessage    int64         // largest incoming message in bytes; 0 is 1 MiB
	QueueMessages int           // outgoing messages waiting; 0 is 512
	QueueBytes    int           // outgoing bytes waiting; 0 is 1 MiB
	WriteTimeout  time.Duration // one write; 0 is 10 s
	// TrackDelivery lets Unsent tell what was written and is not known to be
	// delivered, where the system can (Linux, TCP): a peer whose cable was cut did
	// not get what its socket still took in. It needs Alive to be called.
	TrackDelivery bool
	Log           *slog.Logger
}

// closeWait is how long the peer gets to answer our close frame.
const closeWait = time.Second

type socket struct {
	ws    *websocket.Conn
	opts  SocketOptions
	queue *queue
	// delivery is nil when it is not tracked.
	delivery *delivery
	limit    atomic.Int64
	done     chan struct{} // closed when the connection is over
	ended    chan struct{} // closed when the writer has ended
	reading  chan struct{} // closed when ReadFrame has failed
	tooBig   atomic.Bool   // the reader gave up in the middle of a message
	endRead  sync.Once
	endConn  sync.Once

	mu     sync.Mutex // leaf: code, reason
	code   int
	reason string
}

// NewSocket takes over an upgraded or dialled WebSocket and starts its writer.
// Overflow of the queue, or a write that takes longer than the timeout, closes
// it with 1008 "slow consumer".
func NewSocket(ws *websocket.Conn, opts SocketOptions) Conn {
	if opts.MaxMessage == 0 {
		opts.MaxMessage = 1 << 20
	}
	if opts.QueueMessages == 0 {
		opts.QueueMessages = 512
	}
	if opts.QueueBytes == 0 {
		opts.QueueBytes = 1 << 20
	}
	if opts.WriteTimeout == 0 {
		opts.WriteTimeout = 10 * time.Second
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &socket{
		ws: ws, opts: opts, queue: newQueue(opts.QueueMessages, opts.QueueBytes),
		done: make(chan struct{}), ended: make(chan struct{}), reading: make(chan struct{}),
	}
	s.limit.Store(opts.MaxMessage)
	if opts.TrackDelivery {
		s.delivery = newDelivery(ws.NetConn())
	}
	go s.write()
	return s
}

func (s *socket) write() {
	defer close(s.ended)
	defer s.over()
	defer s.ws.Close()
	defer s.delivery.finish()
	defer obs.Guard(s.opts.Log, "jsonrpc.write", nil)
	for {
		b, ok := s.queue.pop()
		if !ok {
			break
		}
		s.ws.SetWriteDeadline(time.Now().Add(s.opts.WriteTimeout))
		if err := s.ws.WriteMessage(websocket.TextMessage, b); err != nil {
			s.queue.close(true)
			return
		}
		s.delivery.wrote(b)
		s.queue.sent()
	}
	s.over()
	s.mu.Lock()
	code, reason := s.code, s.reason
	s.mu.Unlock()
	if code == 0 {
		return // the peer is gone
	}
	if err := s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(closeWait)); err != nil {
		return
	}
	// The peer answers with its own close frame, which ends the reader; closing
	// at once could reset the connection before ours is read.
	if s.tooBig.Load() {
		s.ws.SetReadDeadline(time.Now().Add(closeWait))
		for {
			_, r, err := s.ws.NextReader()
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				return
			}
		}
	}
	select {
	case <-s.reading:
	case <-time.After(closeWait):
	}
}

func (s *socket) over() { s.endConn.Do(func() { close(s.done) }) }

// ReadFrame implements Conn.
func (s *socket) ReadFrame() ([]byte, error) {
	b, err := s.read()
	if err != nil {
		s.endRead.Do(func() { close(s.reading) })
		var closed *websocket.CloseError
		switch {
		case errors.Is(err, ErrTooBig):
			return nil, err // the caller may still answer
		case errors.As(err, &closed) && (closed.Code == CloseNormal || closed.Code == CloseGoingAway || closed.Code == websocket.CloseNoStatusReceived):
			err = io.EOF
		}
		s.queue.close(true)
		return nil, err
	}
	return b, nil
}

func (s *socket) read() ([]byte, error) {
	kind, r, err := s.ws.NextReader()
	if err != nil {
		return nil, err
	}
	if kind != websocket.TextMessage {
		s.Abort(CloseUnsupported, reasonBinary)
		return nil, ErrClosed
	}
	limit := s.limit.Load()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(b)) > limit:
		s.tooBig.Store(true)
		return nil, ErrTooBig
	case !utf8.Valid(b):
		s.Abort(CloseInvalidUTF8, reasonInvalidUTF8)
		return nil, ErrClosed
	}
	return b, nil
}

// WriteJSON implements Conn.
func (s *socket) WriteJSON(v any) error {
	b, err := Marshal(v)
	if err != nil {
		return err
	}
	err = s.queue.push(b)
	if errors.Is(err, ErrSlow) {
		s.Abort(ClosePolicy, reasonSlow)
	}
	return err
}

// Close implements Conn.
func (s *socket) Close(code int, reason string) error {
	s.end(code, reason, false)
	<-s.ended
	return nil
}

// Abort implements Conn. A write under way is cut short, so that a peer that
// does not read cannot hold the writer.
func (s *socket) Abort(code int, reason string) { s.end(code, reason, true) }

func (s *socket) end(code int, reason string, drop bool) {
	s.mu.Lock()
	if s.code == 0 {
		s.code, s.reason = code, reason
	}
	s.mu.Unlock()
	s.queue.close(drop)
	if drop {
		s.ws.UnderlyingConn().SetWriteDeadline(time.Now().Add(closeWait))
	}
}

// Unsent implements Conn.
func (s *socket) Unsent(undelivered bool) [][]byte {
	waiting := s.queue.unsent()
	if !undelivered {
		return waiting
	}
	out := s.delivery.undelivered()
	if n := len(out); n > 0 && len(waiting) > 0 && &out[n-1][0] == &waiting[0][0] {
		waiting = waiting[1:] // written between the two looks
	}
	return append(out, waiting...)
}

// Alive implements Conn.
func (s *socket) Alive(d time.Duration) { s.delivery.alive(d) }

// Done implements Conn.
func (s *socket) Done() <-chan struct{} { return s.done }

// SetReadLimit implements Conn.
func (s *socket) SetReadLimit(n int64) { s.limit.Store(n) }

// RemoteAddr implements Conn.
func (s *socket) RemoteAddr() string { return s.ws.RemoteAddr().String() }
