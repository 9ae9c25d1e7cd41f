package pipeline

import (
	"context"
	"sync"
)

// Queue is the bounded buffer of a receiver that has its own goroutine. Push
// never blocks: when it is full the video is dropped to the next keyframe, the
// audio packet by packet, and the first packet after the hole carries Gap.
type Queue struct {
	mu      sync.Mutex
	ring    []*Packet
	head, n int
	closed  bool
	waitKey bool
	gap     bool
	drops   uint64
	wake    chan struct{}
	// OnDrop is called, without a lock, when a drop begins; typically it asks
	// for a keyframe. Set it before the first Push.
	OnDrop func()
}

// NewQueue makes a queue of size packets.
func NewQueue(size int) *Queue {
	return &Queue{ring: make([]*Packet, size), wake: make(chan struct{}, 1)}
}

// Push appends p, or drops it. Safe for concurrent use.
func (q *Queue) Push(p *Packet) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	isVideo := p.Format != nil && p.Format.Kind == Video
	if q.waitKey && isVideo && !p.Key {
		q.drops++
		q.mu.Unlock()
		return
	}
	if q.n == len(q.ring) {
		q.drops++
		first := !q.gap
		q.gap = true
		q.waitKey = isVideo
		q.mu.Unlock()
		if first && q.OnDrop != nil {
			q.OnDrop()
		}
		return
	}
	if q.gap {
		c := *p
		c.Gap = true
		p = &c
		q.gap, q.waitKey = false, false
	}
	q.ring[(q.head+q.n)%len(q.ring)] = p
	q.n++
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Pop takes the oldest packet, waiting for one. It returns false when the queue
// is closed and empty, or ctx is done.
func (q *Queue) Pop(ctx context.Context) (*Packet, bool) {
	for {
		q.mu.Lock()
		if q.n > 0 {
			p := q.ring[q.head]
			q.ring[q.head] = nil
			q.head = (q.head + 1) % len(q.ring)
			q.n--
			q.mu.Unlock()
			return p, true
		}
		closed := q.closed
		q.mu.Unlock()
		if closed {
			return nil, false
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// Drops is the number of packets dropped since birth.
func (q *Queue) Drops() uint64 { q.mu.Lock(); defer q.mu.Unlock(); return q.drops }

// Len is the number of packets waiting.
func (q *Queue) Len() int { q.mu.Lock(); defer q.mu.Unlock(); return q.n }

// Close refuses further packets and wakes Pop; what is queued can still be popped.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
