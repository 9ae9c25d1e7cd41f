package workers

import (
	"context"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

// encodingKey is what makes two encodings one.
type encodingKey struct {
	port          string
	codec         codec.Name
	width, height int
	clockRate     uint32
	channels      uint16
}

// encoding is one encoder in the worker and those who take its units.
type encoding struct {
	job    *Job
	key    encodingKey
	to     pipeline.Format
	stream uint16
	rate   rate
	asked  bool // of some process; guarded by job.mu

	takers atomic.Pointer[[]*taker] // written under job.mu

	mu       sync.Mutex // of the keyframe wishes
	closed   bool
	keyLast  time.Time
	keyTimer *time.Timer
}

// taker is one Output that gets the units. It is the Closer of Origin.Encode and
// the Producer of the Output.
type taker struct {
	e      *encoding
	out    *pipeline.Output
	format *pipeline.Format // of the deliverer alone
	closed atomic.Bool
	stop   func() bool // forgets the context
}

// encode opens an encoding, or takes part in one that runs already. It may be
// called under the lock of Outputs, so it must not call out.
func (j *Job) encode(ctx context.Context, name string, to pipeline.Format, out *pipeline.Output) (io.Closer, error) {
	whole := pipeline.UnitOf(to.Kind, to.Codec)
	if to.ClockRate == 0 {
		to.ClockRate = whole.ClockRate
	}
	if to.Channels == 0 {
		to.Channels = whole.Channels
	}
	key := encodingKey{name, to.Codec, to.Width, to.Height, to.ClockRate, to.Channels}
	want := pipeline.Encoding{}
	if to.Kind == pipeline.Video { // what elements are told is of pictures (kmd: "target video bitrate")
		want = out.Encoding()
	}
	x := &taker{out: out}
	j.mu.Lock()
	if j.dead != nil {
		j.mu.Unlock()
		return nil, j.dead
	}
	e := j.encodings[key]
	fresh := e == nil
	if fresh {
		e = &encoding{job: j, key: key, to: to, stream: j.ids.take()}
		e.takers.Store(&[]*taker{})
		if to.Kind == pipeline.Video {
			e.rate.usual = usualVideo
		}
		j.encodings[key] = e
	}
	x.e = e
	e.rate.want(x, want)
	takers := append(slices.Clone(*e.takers.Load()), x)
	e.takers.Store(&takers)
	out.SetProducer(x)
	if fresh && j.live != nil {
		j.live.output(e)
	}
	j.mu.Unlock()
	if !fresh {
		e.askKey()
		e.sendRate()
	}
	x.stop = context.AfterFunc(ctx, x.end)
	return x, nil
}

// Close ends this taker, and the encoder with the last one. It does not wait: a
// unit on its way may still arrive.
func (x *taker) Close() error {
	x.stop()
	x.end()
	return nil
}

func (x *taker) end() {
	if x.closed.Swap(true) {
		return
	}
	e, j := x.e, x.e.job
	j.mu.Lock()
	left := slices.DeleteFunc(slices.Clone(*e.takers.Load()), func(y *taker) bool { return y == x })
	e.takers.Store(&left)
	e.rate.forget(x)
	last := len(left) == 0
	if last {
		delete(j.encodings, e.key)
		j.ids.free(e.stream)
		if j.live != nil {
			j.live.unregister(e.stream)
			_ = j.live.control.ask(wire.MethodNoOutput, wire.IDParams{Stream: e.stream}, -1, false, nil)
		}
	}
	j.mu.Unlock()
	if last {
		e.close()
	} else {
		e.sendRate()
	}
}

func (e *encoding) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	if e.keyTimer != nil {
		e.keyTimer.Stop()
	}
}

// deliver hands a unit to every taker, each from a keyframe on. It runs on the
// media reader's goroutine.
func (e *encoding) deliver(p *pipeline.Packet) {
	for _, x := range *e.takers.Load() {
		if x.closed.Load() {
			continue
		}
		if x.format == nil {
			if !p.Key {
				continue
			}
			f := e.to
			if w, h, ok := codec.SizeOfUnit(f.Codec, p.Payload); ok {
				f.Width, f.Height = w, h
			}
			x.format = &f
		}
		q := *p
		q.Format = x.format
		x.out.Push(&q)
	}
}

// fail tells the takers that there is no such encoder.
func (e *encoding) fail(err error) {
	for _, x := range *e.takers.Load() {
		if !x.closed.Load() {
			x.out.Fail(err)
		}
	}
}

// Feedback implements pipeline.Producer: it asks the encoder.
func (x *taker) Feedback(f pipeline.Feedback) {
	if x.closed.Load() {
		return
	}
	switch f.Wish {
	case pipeline.WishKeyFrame:
		x.e.askKey()
	case pipeline.WishBitrate:
		x.e.rate.receive(x, f.BitrateBps, x.out.Encoding())
		x.e.sendRate()
	}
}

// askKey asks for a keyframe, at most one per pipeline.KeyFrameInterval; what
// comes between is merged into one at its end.
func (e *encoding) askKey() {
	if e.mayAsk() {
		e.send(wire.MethodKeyFrame, wire.IDParams{Stream: e.stream})
	}
}

// mayAsk tells whether now is the time, and else comes back later.
func (e *encoding) mayAsk() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.keyTimer != nil {
		return false
	}
	if wait := pipeline.KeyFrameInterval - time.Since(e.keyLast); wait > 0 {
		e.keyTimer = time.AfterFunc(wait, func() {
			e.mu.Lock()
			e.keyTimer = nil
			e.mu.Unlock()
			e.askKey()
		})
		return false
	}
	e.keyLast = time.Now()
	return true
}

func (e *encoding) sendRate() {
	if bps, news := e.rate.news(); news {
		e.send(wire.MethodBitrate, wire.BitrateParams{Stream: e.stream, Bitrate: bps})
	}
}

// send asks the running process, if there is one, without waiting.
func (e *encoding) send(method string, params any) {
	e.job.mu.Lock()
	defer e.job.mu.Unlock()
	if e.job.live != nil && e.job.encodings[e.key] == e {
		_ = e.job.live.control.ask(method, params, -1, false, nil)
	}
}

// rate finds one bitrate for all takers: the least of what receivers can take,
// within the bounds of elements.
type rate struct {
	mu    sync.Mutex
	wants map[*taker]pipeline.Encoding
	takes map[*taker]int
	told  int
	usual int // bps; 0 for sound, which has no bounds
}

// usualVideo is about what an encoder of pictures makes when nobody says.
const usualVideo = 1_000_000

func (r *rate) want(x *taker, e pipeline.Encoding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wants == nil {
		r.wants, r.takes = map[*taker]pipeline.Encoding{}, map[*taker]int{}
	}
	r.wants[x] = e
}

func (r *rate) forget(x *taker) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.wants, x)
	delete(r.takes, x)
}

// receive notes what a taker's receivers can take, in bps, and its element wants.
func (r *rate) receive(x *taker, bps int, e pipeline.Encoding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.wants[x]; ok && bps > 0 {
		r.wants[x], r.takes[x] = e, bps
	}
}

// target is the encoder's bitrate in bps, which it is told now; 0 leaves it to
// the worker.
func (r *rate) target() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = r.least()
	return r.told
}

// news is the bitrate when it is another than the encoder was told.
func (r *rate) news() (bps int, news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	bps = r.least()
	if bps == 0 || bps == r.told {
		return bps, false
	}
	r.told = bps
	return bps, true
}

// least works out the target. The caller holds r.mu.
func (r *rate) least() int {
	best := 0
	for x, w := range r.wants {
		bps := w.BitrateBps
		if bps == 0 && (w.MinBps > 0 || w.MaxBps > 0) {
			bps = r.usual // of an encoder left to itself, brought within the bounds
		}
		if t, ok := r.takes[x]; ok {
			bps = t
		}
		if bps == 0 {
			continue
		}
		if r.usual > 0 {
			bps = max(bps, w.MinBps)
		}
		if r.usual > 0 && w.MaxBps > 0 {
			bps = min(bps, w.MaxBps)
		}
		if best == 0 || bps < best {
			best = bps
		}
	}
	return best
}
