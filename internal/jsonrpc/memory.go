package jsonrpc

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// memoryQueue bounds each direction of a Pipe, in messages: both ends are ours,
// so the bound only stops a bug from eating the memory.
const memoryQueue = 1 << 16

type memory struct {
	in, out *queue
	limit   atomic.Int64
	done    chan struct{}
	end     *sync.Once
}

// Pipe makes two connected ends in memory. Closing one ends both; what was
// written before Close can still be read. It starts no goroutine.
func Pipe() (Conn, Conn) {
	a, b := newQueue(memoryQueue, 1<<30), newQueue(memoryQueue, 1<<30)
	done, end := make(chan struct{}), &sync.Once{}
	x := &memory{in: a, out: b, done: done, end: end}
	y := &memory{in: b, out: a, done: done, end: end}
	x.limit.Store(1 << 62)
	y.limit.Store(1 << 62)
	return x, y
}

// ReadFrame implements Conn.
func (m *memory) ReadFrame() ([]byte, error) {
	b, ok := m.in.pop()
	if !ok {
		return nil, io.EOF
	}
	if int64(len(b)) > m.limit.Load() {
		return nil, ErrTooBig
	}
	return b, nil
}

// WriteJSON implements Conn.
func (m *memory) WriteJSON(v any) error {
	b, err := Marshal(v)
	if err != nil {
		return err
	}
	err = m.out.push(b)
	if errors.Is(err, ErrSlow) {
		m.Abort(ClosePolicy, reasonSlow)
	}
	return err
}

// Close implements Conn.
func (m *memory) Close(int, string) error {
	m.in.close(false)
	m.out.close(false)
	m.end.Do(func() { close(m.done) })
	return nil
}

// Abort implements Conn.
func (m *memory) Abort(code int, reason string) { m.Close(code, reason) }

// Unsent implements Conn: the other end can still read what was written.
func (m *memory) Unsent(bool) [][]byte { return nil }

// Alive implements Conn.
func (m *memory) Alive(time.Duration) {}

// Done implements Conn.
func (m *memory) Done() <-chan struct{} { return m.done }

// SetReadLimit implements Conn.
func (m *memory) SetReadLimit(n int64) { m.limit.Store(n) }

// RemoteAddr implements Conn.
func (m *memory) RemoteAddr() string { return "memory" }
