package dtls

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// maxInbound is how many records wait for the Stream's reader.
const maxInbound = 512

// stream is the application data of a Conn: one Write or Read for a record.
type stream struct {
	conn *Conn

	// Guarded by the Conn's mu.
	ready    sync.Cond
	queue    [][]byte // encrypted
	done     bool
	deadline time.Time
	timer    *time.Timer

	writing sync.Mutex
	buf     []byte
}

// Stream gives the application data of a connected Conn, record by record, for
// SCTP: Read fails with io.ErrShortBuffer when a record does not fit, and with
// io.EOF at the end. Records that came before it wait, up to sixteen, unless
// Retire was called. Closing a Stream ends it alone, not the Conn.
func (c *Conn) Stream() (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.phase != connected:
		return nil, ErrNotConnected
	case c.stream != nil:
		return nil, ErrStreamOpen
	}
	s := &stream{conn: c, queue: c.early}
	s.ready.L = &c.mu
	c.stream, c.early, c.deaf = s, nil, false
	return s, nil
}

func (s *stream) push(raw []byte) {
	if len(s.queue) < maxInbound {
		s.queue = append(s.queue, raw)
		s.ready.Signal()
	}
}

// end wakes who reads; mu is held.
func (s *stream) end() {
	s.done = true
	s.ready.Broadcast()
}

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	for {
		for len(s.queue) > 0 {
			raw := s.queue[0]
			s.queue[0] = nil
			if s.queue = s.queue[1:]; len(s.queue) == 0 {
				s.queue = nil
			}
			b, ok := s.conn.open(raw)
			switch {
			case !ok:
			case len(b) > len(p):
				return 0, io.ErrShortBuffer
			default:
				return copy(p, b), nil
			}
		}
		switch {
		case s.done:
			return 0, io.EOF
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		s.ready.Wait()
	}
}

// Write implements net.Conn: p goes out as one record, at most 16 KiB.
func (s *stream) Write(p []byte) (int, error) {
	if len(p) > maxPlain {
		return 0, io.ErrShortBuffer
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.conn.mu.Lock()
	if s.done {
		s.conn.mu.Unlock()
		return 0, net.ErrClosed
	}
	b, err := s.conn.seal(s.buf[:0], typeData, p)
	s.conn.mu.Unlock()
	if err != nil {
		return 0, err
	}
	s.buf = b
	if err := s.conn.cfg.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close implements net.Conn.
func (s *stream) Close() error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.end()
	s.queue = nil
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.conn.stream == s {
		s.conn.stream = nil
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *stream) SetReadDeadline(t time.Time) error {
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	s.deadline = t
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if !t.IsZero() {
		s.timer = time.AfterFunc(time.Until(t), func() {
			s.conn.mu.Lock()
			defer s.conn.mu.Unlock()
			s.ready.Broadcast()
		})
	}
	s.ready.Broadcast()
	return nil
}

// SetWriteDeadline implements net.Conn: a Write does not wait.
func (s *stream) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (s *stream) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// LocalAddr implements net.Conn.
func (s *stream) LocalAddr() net.Addr { return somewhere{} }

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return somewhere{} }
