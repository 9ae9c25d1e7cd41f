package rtmp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Watch makes writes to conn fail once the peer has acknowledged nothing for limit
// while something was on its way. Deadlines alone see a server that reads nothing
// only when the kernel's buffers are full, which takes a thin stream minutes. Where
// the system does not tell what is on its way, and for what is no TCP connection,
// conn is given back as it is. Below TLS, Watch goes below.
func Watch(conn net.Conn, limit time.Duration) net.Conn {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return conn
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return conn
	}
	if _, ok := unacknowledged(raw); !ok {
		return conn
	}
	return &watched{Conn: conn, raw: raw, limit: limit}
}

// watched is a connection under watch. Its Write is for one goroutine at a time.
type watched struct {
	net.Conn
	raw   syscall.RawConn
	limit time.Duration

	// The writer's: bytes sent, how many of them are known to be acknowledged, and
	// when that number grew or nothing was on its way.
	sent, taken uint64
	moved       time.Time

	mu       sync.Mutex // leaf
	deadline time.Time  // the caller's, for writes
}

// Write implements net.Conn.
func (w *watched) Write(b []byte) (n int, err error) {
	for {
		if err := w.look(); err != nil {
			return n, err
		}
		m, err := w.Conn.Write(b[n:])
		n += m
		w.sent += uint64(m)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || w.late() {
			return n, err
		}
	}
}

// look sees how far the peer has come and sets the deadline for what is written next.
func (w *watched) look() error {
	now := time.Now()
	waiting, ok := unacknowledged(w.raw)
	taken := w.sent - min(uint64(waiting), w.sent)
	if !ok || waiting == 0 || taken > w.taken {
		w.taken, w.moved = taken, now
	}
	end := w.moved.Add(w.limit)
	if !now.Before(end) {
		return fmt.Errorf("the server takes nothing for %v", w.limit)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.deadline.IsZero() && w.deadline.Before(end) {
		end = w.deadline
	}
	return w.Conn.SetWriteDeadline(end)
}

// late tells whether the caller's deadline is over.
func (w *watched) late() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.deadline.IsZero() && !time.Now().Before(w.deadline)
}

// SetWriteDeadline implements net.Conn.
func (w *watched) SetWriteDeadline(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	return w.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (w *watched) SetDeadline(t time.Time) error {
	if err := w.Conn.SetReadDeadline(t); err != nil {
		return err
	}
	return w.SetWriteDeadline(t)
}

// CloseWrite ends what is sent, where the connection can do that.
func (w *watched) CloseWrite() error {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
