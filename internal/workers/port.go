package workers

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

// tickEvery is how often an Output hears that raw media flows.
const tickEvery = 100 * time.Millisecond

// port is a place in the worker with raw media. Guarded by Job.mu.
type port struct {
	origin  *origin
	out     *pipeline.Output // nil while unbound
	format  *pipeline.Format // the same for the port's life: sizes do not matter to encoders
	flowing bool
}

// origin makes encodings of a port.
type origin struct {
	job  *Job
	name string
	kind pipeline.Kind
}

// Encodes implements pipeline.Origin.
func (o *origin) Encodes(to pipeline.Format) bool { return o.job.pool.encodes(o.kind, &to) }

// Encode implements pipeline.Origin.
func (o *origin) Encode(ctx context.Context, to pipeline.Format, out *pipeline.Output) (io.Closer, error) {
	if !o.Encodes(to) {
		return nil, fmt.Errorf("encode %s: %w", to.Codec, kerr.UnsupportedMediaType)
	}
	return o.job.encode(ctx, o.name, to, out)
}

// usual are the encoders to expect before a worker has told what it has.
var usual = []codec.Name{codec.VP8, codec.VP9, codec.H264, codec.Opus, codec.PCMU, codec.PCMA}

func (p *Pool) encodes(kind pipeline.Kind, to *pipeline.Format) bool {
	if to.Framing != pipeline.Unit || to.Kind != kind {
		return false
	}
	if r := p.platform.Load(); r != nil {
		return slices.ContainsFunc(r.Encoders, func(n string) bool { return codec.Parse(n) == to.Codec })
	}
	return slices.Contains(usual, to.Codec)
}

// port gives the port of that name, made when it is new. The caller holds j.mu.
func (j *Job) port(name string) *port {
	p := j.ports[name]
	if p == nil {
		p = &port{}
		j.ports[name] = p
	}
	return p
}

// Bind makes out the Output of a raw port: while media flows there, out hears of
// it each 100 ms with a packet without payload, and receivers' encodings are made
// in the worker on demand. Raw media is of out's kind.
func (j *Job) Bind(name string, out *pipeline.Output) { j.bind(name, out) }

// bind gives the raw format besides.
func (j *Job) bind(name string, out *pipeline.Output) pipeline.Format {
	j.mu.Lock()
	p := j.port(name)
	p.out = out
	if p.origin == nil || p.origin.kind != out.Kind() {
		p.origin = &origin{job: j, name: name, kind: out.Kind()}
		p.format = &pipeline.Format{Kind: out.Kind(), Codec: pipeline.RawCodec, Framing: pipeline.Raw, Origin: p.origin}
	}
	f := *p.format
	j.mu.Unlock()
	j.wakeTick()
	return f
}

// Unbind ends Bind; encodings go on until their closers are called.
func (j *Job) Unbind(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p := j.ports[name]; p != nil {
		p.out = nil
		if !p.flowing {
			delete(j.ports, name)
		}
	}
}

// maxPorts bounds what a worker may name.
const maxPorts = 256

// flow notes whether media flows on a port.
func (j *Job) flow(d wire.FlowData) {
	j.mu.Lock()
	p := j.ports[d.Port]
	switch {
	case p == nil && (!d.Flowing || len(j.ports) >= maxPorts):
		j.mu.Unlock()
		return
	case p != nil && p.out == nil && !d.Flowing:
		delete(j.ports, d.Port) // views come and go, and their ports with them
	default:
		j.port(d.Port).flowing = d.Flowing
	}
	j.mu.Unlock()
	j.wakeTick()
}

func (j *Job) wakeTick() {
	select {
	case j.flowed <- struct{}{}:
	default:
	}
}

// tick tells the bound Outputs that media flows, until Close.
func (j *Job) tick() {
	defer j.pool.wg.Done()
	defer close(j.ticked)
	t := time.NewTimer(tickEvery)
	defer t.Stop()
	for {
		var rest <-chan time.Time
		if j.tickOnce() {
			t.Reset(tickEvery)
			rest = t.C
		}
		select {
		case <-rest:
		case <-j.flowed:
		case <-j.ctx.Done():
			return
		}
	}
}

// tickOnce tells whether any port flows.
func (j *Job) tickOnce() bool {
	type due struct {
		out    *pipeline.Output
		format *pipeline.Format
	}
	var all []due
	j.mu.Lock()
	for _, p := range j.ports {
		if p.flowing && p.out != nil {
			all = append(all, due{p.out, p.format})
		}
	}
	j.mu.Unlock()
	now := time.Now()
	for _, d := range all {
		j.pushTick(d.out, &pipeline.Packet{Format: d.format, PTS: j.pts(monotonic()), Arrival: now})
	}
	return len(all) > 0
}

// pushTick guards the rest of the ports: receivers are opened within Push.
func (j *Job) pushTick(out *pipeline.Output, p *pipeline.Packet) {
	defer func() {
		if r := recover(); r != nil {
			j.log.Error("panic caught", "where", "worker.tick", "err", fmt.Sprint(r), "stack", string(debug.Stack()))
			j.Unbind(p.Format.Origin.(*origin).name)
		}
	}()
	out.Push(p)
}
