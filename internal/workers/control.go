package workers

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// maxQueued is how many control lines may wait for a worker that does not read.
const maxQueued = 1024

var errWorkerGone = errors.New("the media worker is gone")

// control is our end of one worker's control socket.
type control struct {
	conn  *net.UnixConn
	log   *slog.Logger
	lines chan line
	dead  chan struct{} // closed by close
	event func(*wire.Message)
	hung  func(error) // the worker does not listen: it is to be killed

	mu      sync.Mutex
	last    uint64
	pending map[uint64]request
	closed  bool
}

type line struct {
	text []byte
	fd   int // goes with it, and is then closed; below 0 none
}

type request struct {
	method string
	at     time.Time
	// patient requests have somebody who waits and gives up; of the others a late
	// answer means that the worker hangs.
	patient bool
	done    func(json.RawMessage, error)
}

func newControl(conn *net.UnixConn, log *slog.Logger, event func(*wire.Message), hung func(error)) *control {
	return &control{
		conn: conn, log: log, lines: make(chan line, maxQueued), dead: make(chan struct{}),
		event: event, hung: hung, pending: map[uint64]request{},
	}
}

// ask sends a request without waiting. done, if not nil, is called once on the
// reader's goroutine or on that of close, with the answer or when the worker is
// gone; when ask fails nothing was sent and done is not called. fd below 0 is
// none; a descriptor given is closed here.
func (c *control) ask(method string, params any, fd int, patient bool, done func(json.RawMessage, error)) error {
	if done == nil {
		done = func(json.RawMessage, error) {}
	}
	err := c.enqueue(method, params, fd, request{method: method, at: time.Now(), patient: patient, done: done})
	if err != nil && fd >= 0 {
		closeFD(fd)
	}
	return err
}

func (c *control) enqueue(method string, params any, fd int, r request) error {
	var raw json.RawMessage
	if params != nil {
		var err error
		if raw, err = json.Marshal(params); err != nil {
			return fmt.Errorf("write %s: %w: %w", method, err, kerr.MarshallError)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errWorkerGone
	}
	text, err := json.Marshal(wire.Message{ID: c.last + 1, Method: method, Params: raw})
	if err != nil {
		return fmt.Errorf("write %s: %w: %w", method, err, kerr.MarshallError)
	}
	if len(text) >= wire.MaxLine {
		return kerr.New(kerr.MediaObjectIllegalParam, "The parameters of %s are too long", method)
	}
	// Under the lock, so that lines go in the order of their ids.
	select {
	case c.lines <- line{append(text, '\n'), fd}:
		c.last++
		c.pending[c.last] = r
		return nil
	default:
		c.hung(errors.New("the media worker does not read its control socket"))
		return errWorkerGone
	}
}

// late gives the oldest request that nobody waits for and that has had no answer
// for too long.
func (c *control) late(patience time.Duration) (method string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.pending {
		if !r.patient && time.Since(r.at) > patience {
			return r.method, true
		}
	}
	return "", false
}

// write sends lines until close.
func (c *control) write() {
	for {
		select {
		case <-c.dead:
			for {
				select {
				case l := <-c.lines:
					if l.fd >= 0 {
						closeFD(l.fd)
					}
				default:
					return
				}
			}
		case l := <-c.lines:
			if err := c.send(l); err != nil {
				c.hung(fmt.Errorf("write to the media worker: %w", err))
				<-c.dead
			}
		}
	}
}

func (c *control) send(l line) error {
	text := l.text
	if l.fd >= 0 {
		n, _, err := c.conn.WriteMsgUnix(text, rights(l.fd), nil)
		closeFD(l.fd)
		if err != nil {
			return err
		}
		text = text[n:]
	}
	_, err := c.conn.Write(text)
	return err
}

// read takes lines until the socket ends, which it returns nil for.
func (c *control) read() error {
	s := bufio.NewScanner(c.conn)
	s.Buffer(make([]byte, 0, 4<<10), wire.MaxLine)
	for s.Scan() {
		var m wire.Message
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			return fmt.Errorf("the media worker speaks nonsense: %w", err)
		}
		if m.Event != "" {
			c.event(&m)
			continue
		}
		c.mu.Lock()
		r, ok := c.pending[m.ID]
		delete(c.pending, m.ID)
		c.mu.Unlock()
		if !ok {
			c.log.Warn("answer to nothing from media worker", "id", m.ID)
			continue
		}
		if m.Error != nil {
			r.done(nil, refusal(r.method, m.Error))
		} else {
			r.done(m.Result, nil)
		}
	}
	if err := s.Err(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("read from the media worker: %w", err)
	}
	return nil
}

// refusal is a worker's error as one of ours.
func refusal(method string, e *wire.Error) error {
	code := kerr.Code(e.Code)
	if code == 0 {
		code = kerr.UnexpectedError
	}
	if e.Text == "" {
		return kerr.New(code, "The media worker refuses %s", method)
	}
	return kerr.New(code, "%s", e.Text)
}

// close ends the socket and answers what is pending.
func (c *control) close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	pending := c.pending
	c.pending = nil
	c.mu.Unlock()
	close(c.dead)
	c.conn.Close()
	for _, r := range pending {
		r.done(nil, errWorkerGone)
	}
}
