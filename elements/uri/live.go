package uri

import (
	"context"
	"sync"
	"time"

	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
)

const (
	// liveSpan and liveBytes bound what a live output has still to send: a
	// receiver that is further behind than this gets the present instead.
	liveSpan  = 4 * time.Second
	liveBytes = 8 << 20
	// liveOrder is how long a unit waits for one of the other kind that belongs
	// before it; liveSilent is when a kind that sends nothing is not waited for.
	liveOrder  = 150 * time.Millisecond
	liveSilent = time.Second
)

// liveQueue holds what a live output has still to send and gives it in order of
// time. Push never blocks: when the bounds are reached all of it is dropped, and
// the picture goes on with a keyframe. Safe for concurrent use.
type liveQueue struct {
	onDrop func() // called without a lock when units were dropped

	mu      sync.Mutex // leaf
	rows    [2]liveRow // sound, picture
	bytes   int
	open    bool // units are kept
	waitKey bool
	drops   uint64
	wake    chan struct{}
}

type liveRow struct {
	units []liveUnit
	last  time.Time // when the latest came
}

type liveUnit struct {
	*pipeline.Packet
	at time.Time // when it came
}

func newLiveQueue() *liveQueue { return &liveQueue{wake: make(chan struct{}, 1)} }

func liveIndex(k pipeline.Kind) int {
	if k == pipeline.Video {
		return 1
	}
	return 0
}

// Open begins to keep units, the picture from a keyframe on.
func (q *liveQueue) Open() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clear()
	q.open = true
}

// Shut drops everything until Open.
func (q *liveQueue) Shut() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clear()
	q.open = false
}

// clear empties the queue. The caller holds q.mu.
func (q *liveQueue) clear() {
	for i := range q.rows {
		q.rows[i].units = nil
	}
	q.bytes, q.waitKey = 0, true
}

// Drops is how many units were dropped because of the bounds.
func (q *liveQueue) Drops() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.drops
}

// Push appends p or drops it.
func (q *liveQueue) Push(p *pipeline.Packet) {
	now := time.Now()
	q.mu.Lock()
	dropped := false
	if q.open && len(p.Payload) > 0 {
		if q.full(len(p.Payload), now) {
			dropped = true
			q.drops += uint64(len(q.rows[0].units) + len(q.rows[1].units))
			q.clear()
		}
		q.keep(p, now)
	}
	q.mu.Unlock()
	if dropped && q.onDrop != nil {
		q.onDrop()
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// full tells whether n bytes more are too much. The caller holds q.mu.
func (q *liveQueue) full(n int, now time.Time) bool {
	if q.bytes > 0 && q.bytes+n > liveBytes {
		return true
	}
	for _, r := range q.rows {
		if len(r.units) > 0 && now.Sub(r.units[0].at) > liveSpan {
			return true
		}
	}
	return false
}

// keep appends a unit that can be used. The caller holds q.mu.
func (q *liveQueue) keep(p *pipeline.Packet, now time.Time) {
	r := &q.rows[liveIndex(p.Format.Kind)]
	r.last = now
	if p.Format.Kind == pipeline.Video {
		if q.waitKey && !p.Key {
			return
		}
		q.waitKey = false
	}
	r.units = append(r.units, liveUnit{p, now})
	q.bytes += len(p.Payload)
}

// Pop takes the unit with the lowest PTS, waiting for one; false when ctx is done.
func (q *liveQueue) Pop(ctx context.Context) (*pipeline.Packet, bool) {
	for {
		p, wait := q.take(time.Now())
		if p != nil {
			return p, ctx.Err() == nil
		}
		if wait <= 0 {
			select {
			case <-q.wake:
			case <-ctx.Done():
				return nil, false
			}
			continue
		}
		late := time.NewTimer(wait)
		select {
		case <-q.wake:
		case <-late.C:
		case <-ctx.Done():
			late.Stop()
			return nil, false
		}
		late.Stop()
	}
}

// take is the next unit, or how long to wait for one of the other kind; 0 is for
// any unit.
func (q *liveQueue) take(now time.Time) (p *pipeline.Packet, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	pick := -1
	for i := range q.rows {
		if len(q.rows[i].units) > 0 && (pick < 0 || q.rows[i].units[0].PTS < q.rows[pick].units[0].PTS) {
			pick = i
		}
	}
	if pick < 0 {
		return nil, 0
	}
	r, other := &q.rows[pick], &q.rows[1-pick]
	if len(other.units) == 0 && now.Sub(other.last) < liveSilent {
		if wait := liveOrder - now.Sub(r.units[0].at); wait > 0 {
			return nil, wait
		}
	}
	p = r.units[0].Packet
	r.units[0] = liveUnit{}
	r.units = r.units[1:]
	q.bytes -= len(p.Payload)
	return p, 0
}

// liveInput receives one kind of media for a live output: H264 or AAC.
type liveInput struct {
	*input
	queue *liveQueue
}

// liveInputs makes the two inputs of an output.
func liveInputs(q *liveQueue) (sound, picture *liveInput) {
	sound = &liveInput{newInput(pipeline.Audio, recorder.FLV), q}
	picture = &liveInput{newInput(pipeline.Video, recorder.FLV), q}
	q.onDrop = picture.askKeyFrame
	return sound, picture
}

// Push implements pipeline.Input.
func (in *liveInput) Push(p *pipeline.Packet) {
	in.input.Push(p) // counts
	in.queue.Push(p)
}

// keyAsker asks the picture's source for keyframes, which nobody else does: when
// one is missing, and when the latest is older than every.
type keyAsker struct {
	in    *liveInput
	every time.Duration
	last  time.Time // when the latest keyframe came
	asked time.Time
}

// need asks at once.
func (k *keyAsker) need() {
	k.asked = time.Now()
	k.in.askKeyFrame()
}

// seen notes that a unit of any kind is sent.
func (k *keyAsker) seen(p *pipeline.Packet) {
	now := time.Now()
	if p.Format.Kind == pipeline.Video && p.Key {
		k.last = now
	}
	if now.Sub(k.last) >= k.every && now.Sub(k.asked) >= min(keyFrameRetry, k.every) {
		k.need()
	}
}
