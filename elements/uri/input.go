package uri

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
)

const (
	// queueUnits bounds what waits for the disk: about 17 s of a picture at 30
	// a second, 10 s of sound.
	queueUnits = 512
	// keyFrameRetry is how often a keyframe that does not come is asked for again.
	keyFrameRetry = time.Second
	// keyFrameEvery is the longest stretch without a keyframe, so that a player
	// can seek in the file.
	keyFrameEvery = 10 * time.Second
)

// input receives one kind of media for the file.
type input struct {
	kind    pipeline.Kind
	accepts []pipeline.Format
	queue   atomic.Pointer[pipeline.Queue] // nil while units are not for the file
	needKey atomic.Bool
	packets atomic.Uint64
	bytes   atomic.Uint64

	onEnd func() // when the source's media has ended; may be nil

	mu    sync.Mutex // leaf
	link  *pipeline.Link
	ended bool // of link
}

func newInput(kind pipeline.Kind, c recorder.Container) *input {
	in := &input{kind: kind}
	for _, name := range c.Codecs(kind) {
		in.accepts = append(in.accepts, pipeline.Format{Kind: kind, Codec: name, Framing: pipeline.Unit})
	}
	return in
}

// open begins a new row of units, from a keyframe on.
func (in *input) open() *pipeline.Queue {
	q := pipeline.NewQueue(queueUnits)
	q.OnDrop = in.askKeyFrame
	in.needKey.Store(in.kind == pipeline.Video)
	in.queue.Store(q)
	in.askKeyFrame()
	return q
}

// shut ends the present row; what is in it can still be taken.
func (in *input) shut() {
	if q := in.queue.Swap(nil); q != nil {
		q.Close()
	}
}

// Accepts implements pipeline.Input.
func (in *input) Accepts() []pipeline.Format { return in.accepts }

// Push implements pipeline.Input.
func (in *input) Push(p *pipeline.Packet) {
	in.packets.Add(1)
	in.bytes.Add(uint64(len(p.Payload)))
	if q := in.queue.Load(); q != nil {
		q.Push(p)
	}
}

// Steady implements pipeline.Steady: a viewer's network shall not be seen in the file.
func (in *input) Steady() bool { return in.kind == pipeline.Video }

// Counters implements elements.Counter.
func (in *input) Counters() (packets, bytes uint64) { return in.packets.Load(), in.bytes.Load() }

// Attached implements pipeline.Attachable.
func (in *input) Attached(l *pipeline.Link) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.link, in.ended = l, false
}

// Detached implements pipeline.Attachable.
func (in *input) Detached(l *pipeline.Link) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.link == l {
		in.link = nil
	}
}

func (in *input) source() *pipeline.Link {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.link
}

func (in *input) askKeyFrame() {
	if l := in.source(); l != nil && in.kind == pipeline.Video {
		l.Feedback(pipeline.Feedback{Wish: pipeline.WishKeyFrame})
	}
}

// End implements pipeline.Ender.
func (in *input) End() {
	in.mu.Lock()
	in.ended = true
	in.mu.Unlock()
	if in.onEnd != nil {
		in.onEnd()
	}
}

// goesOn tells whether there is a source that has not ended.
func (in *input) goesOn() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.link != nil && !in.ended
}
