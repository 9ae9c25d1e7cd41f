package client

import (
	"encoding/json"
	"sync"

	"github.com/govidu/govidu/internal/obs"
)

type event struct {
	topic topic
	data  json.RawMessage
}

// events hands events to subscribers one at a time, in order of arrival, on a
// goroutine of its own, so that a handler cannot hold up replies.
type events struct {
	mu     sync.Mutex // leaf
	queue  []event
	closed bool
	wake   chan struct{}
}

func newEvents() *events { return &events{wake: make(chan struct{}, 1)} }

// push is false when too many wait.
func (e *events) push(ev event) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) >= maxEvents {
		return false
	}
	e.queue = append(e.queue, ev)
	e.signal()
	return true
}

func (e *events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.signal()
}

func (e *events) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

func (e *events) run(c *Session) {
	for {
		e.mu.Lock()
		batch, closed := e.queue, e.closed
		e.queue = nil
		e.mu.Unlock()
		for _, ev := range batch {
			for _, h := range c.handlersOf(ev.topic) {
				e.deliver(c, h, ev)
			}
		}
		if len(batch) > 0 {
			continue
		}
		if closed {
			return
		}
		<-e.wake
	}
}

// deliver keeps one handler's panic from the others.
func (e *events) deliver(c *Session, h *handler, ev event) {
	defer obs.Guard(c.log, "kmsclient.event", nil)
	h.fn(ev.data)
}
