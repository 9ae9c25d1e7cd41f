package jsonrpc

import (
	"slices"
	"sync"
)

// queue is a bounded list of messages between writers and the one goroutine
// that sends them. A message always fits an empty queue, however big.
type queue struct {
	mu       sync.Mutex // leaf
	items    [][]byte
	current  []byte // taken by pop, until the next pop or sent
	bytes    int
	maxItems int
	maxBytes int
	closed   bool
	drop     bool // do not send what is left
	wake     chan struct{}
}

func newQueue(maxItems, maxBytes int) *queue {
	return &queue{maxItems: maxItems, maxBytes: maxBytes, wake: make(chan struct{}, 1)}
}

func (q *queue) push(b []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	if len(q.items) > 0 && (len(q.items) >= q.maxItems || q.bytes+len(b) > q.maxBytes) {
		return ErrSlow
	}
	q.items = append(q.items, b)
	q.bytes += len(b)
	q.signal()
	return nil
}

// pop waits for the next message; false when the queue is closed and sent.
func (q *queue) pop() ([]byte, bool) {
	for {
		q.mu.Lock()
		if len(q.items) > 0 && !q.drop {
			b := q.items[0]
			q.items[0] = nil
			q.items = q.items[1:]
			q.bytes -= len(b)
			q.current = b
			q.mu.Unlock()
			return b, true
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return nil, false
		}
		<-q.wake
	}
}

// sent says that what pop gave has been written.
func (q *queue) sent() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.current = nil
}

// unsent gives what has not been written: what pop gave last, and what waits.
func (q *queue) unsent() [][]byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.current == nil {
		return slices.Clone(q.items)
	}
	return append([][]byte{q.current}, q.items...)
}

// close refuses further messages; with drop those waiting are not sent. It
// reports whether it was the first call.
func (q *queue) close(drop bool) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	first := !q.closed
	q.closed = true
	q.drop = q.drop || drop
	q.signal()
	return first
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
