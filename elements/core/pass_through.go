// Package core is the family of types without a network or a file: PassThrough.
// It starts no goroutines.
package core

import (
	"context"
	"sync/atomic"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
)

// Types are the types of this family.
func Types() []elements.Type {
	return []elements.Type{{
		Name: "PassThrough", Extends: "MediaElement", Module: "core",
		Doc: "Passes each kind of media on unchanged: a stable joint, to change what feeds many viewers by one reconnect.",
		New: elements.New(newPassThrough),
	}}
}

type passThroughParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
}

// PassThrough forwards what it receives.
type PassThrough struct{ elements.MediaElement }

func newPassThrough(_ context.Context, env elements.Env, _ passThroughParams) (*PassThrough, error) {
	p := &PassThrough{}
	p.Init(env)
	for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video, pipeline.Data} {
		in := &joint{}
		in.out = env.Pipeline.NewOutput(kind, elements.DefaultDescription, in)
		p.AddInput(kind, in)
		p.AddOutput(in.out)
	}
	return p, nil
}

// joint is the input of one kind and the producer of its output: packets go
// down, wishes go up to whatever feeds it.
type joint struct {
	out     *pipeline.Output
	up      atomic.Pointer[pipeline.Link]
	packets atomic.Uint64
	bytes   atomic.Uint64
	pushing atomic.Int32
	asking  atomic.Int32
}

// maxDepth bounds how often one joint may be inside itself. Joints can be
// connected in a ring; such a ring has no source, but a packet or a wish that
// was under way when the ring closed would circle in it for ever.
const maxDepth = 64

// Accepts implements pipeline.Input: anything.
func (j *joint) Accepts() []pipeline.Format { return nil }

// Push implements pipeline.Input.
func (j *joint) Push(p *pipeline.Packet) {
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

// Counters implements elements.Counter.
func (j *joint) Counters() (packets, bytes uint64) { return j.packets.Load(), j.bytes.Load() }

// Attached implements pipeline.Attachable. What is behind starts at a keyframe.
func (j *joint) Attached(l *pipeline.Link) { j.up.Store(l) }

// Detached implements pipeline.Attachable.
func (j *joint) Detached(l *pipeline.Link) { j.up.CompareAndSwap(l, nil) }

// Feedback implements pipeline.Producer.
func (j *joint) Feedback(f pipeline.Feedback) {
	defer j.asking.Add(-1)
	if j.asking.Add(1) > maxDepth {
		return
	}
	if l := j.up.Load(); l != nil && l.From() != j.out {
		l.Feedback(f)
	}
}
