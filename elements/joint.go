package elements

import (
	"sync/atomic"

	"github.com/govidu/govidu/pipeline"
)

// Joint is the input of one kind and the producer of an output: packets go
// down, wishes go up to whatever feeds it. It passes any format on unchanged and
// counts. Elements forward with it what they do not touch.
type Joint struct {
	out     *pipeline.Output
	up      atomic.Pointer[pipeline.Link]
	packets atomic.Uint64
	bytes   atomic.Uint64
	pushing atomic.Int32
	asking  atomic.Int32
}

// maxDepth bounds how often one Joint may be inside itself. Joints can be
// connected in a ring; such a ring has no source, but a packet or a wish that
// was under way when the ring closed would circle in it for ever.
const maxDepth = 64

// NewJoint makes a Joint with an Output of graph g.
func NewJoint(g *pipeline.Pipeline, kind pipeline.Kind) *Joint {
	j := &Joint{}
	j.out = g.NewOutput(kind, DefaultDescription, j)
	return j
}

// Output is where packets go on.
func (j *Joint) Output() *pipeline.Output { return j.out }

// Accepts implements pipeline.Input: anything.
func (j *Joint) Accepts() []pipeline.Format { return nil }

// Push implements pipeline.Input.
func (j *Joint) Push(p *pipeline.Packet) {
	if j.up.Load() == nil {
		return // raced with disconnect
	}
	defer j.pushing.Add(-1)
	if j.pushing.Add(1) > maxDepth {
		return
	}
	j.packets.Add(1)
	j.bytes.Add(uint64(len(p.Payload)))
	j.out.Push(p)
}

// End implements pipeline.Ender.
func (j *Joint) End() {
	defer j.asking.Add(-1)
	if j.asking.Add(1) <= maxDepth {
		j.out.End()
	}
}

// Counters implements Counter.
func (j *Joint) Counters() (packets, bytes uint64) { return j.packets.Load(), j.bytes.Load() }

// Attached implements pipeline.Attachable. What is behind starts at a keyframe.
func (j *Joint) Attached(l *pipeline.Link) { j.up.Store(l) }

// Detached implements pipeline.Attachable.
func (j *Joint) Detached(l *pipeline.Link) { j.up.CompareAndSwap(l, nil) }

// Feedback implements pipeline.Producer.
func (j *Joint) Feedback(f pipeline.Feedback) {
	defer j.asking.Add(-1)
	if j.asking.Add(1) > maxDepth {
		return
	}
	if l := j.up.Load(); l != nil && l.From() != j.out {
		l.Feedback(f)
	}
}
