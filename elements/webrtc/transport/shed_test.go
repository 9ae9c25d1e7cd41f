package transport

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/pipeline"
)

// TestShedder follows the load of each second.
func TestShedder(t *testing.T) {
	x := &shedder{limit: 0.9}
	now := time.Unix(1000, 0)
	run := func(load float64, seconds int) (steps []int) {
		for range seconds {
			steps = append(steps, x.judge(load, now))
			now = now.Add(time.Second)
		}
		return steps
	}
	last := func(load float64, seconds int) int {
		list := run(load, seconds)
		return list[len(list)-1]
	}
	for i, c := range []struct {
		load    float64
		seconds int
		want    int
	}{
		{0.5, 10, 0},
		{0.95, 3, 0}, {0.5, 1, 0}, {0.95, 3, 0}, // bursts
		{0.85, 1, 0}, {0.95, 3, 0}, // what lies between ends a burst
		{0.95, 1, 1},               // for three seconds
		{0.95, 4, 1}, {0.95, 1, 2}, // one after the other
		{0.85, 60, 2},              // neither here nor there
		{0.95, 3, 2}, {0.95, 1, 3}, // and again
		{1, 100, shedSteps},
		{0.79, 10, shedSteps}, {0.79, 1, shedSteps - 1}, // the first comes back after ten seconds
		{0.79, 10, shedSteps - 2}, {0.85, 1, shedSteps - 2}, {0.79, 10, shedSteps - 2}, {0.79, 1, shedSteps - 3},
		{0.79, 10, 0},
	} {
		if got := last(c.load, c.seconds); got != c.want {
			t.Fatalf("row %d: step %d after %d s of %v, want %d", i, got, c.seconds, c.load, c.want)
		}
	}
	// What comes back at once is given back later each time, within a bound.
	for range 10 {
		last(0.95, 4)
		last(0.1, int(liftMost/time.Second)+1)
	}
	last(0.95, 4)
	if got := last(0.1, 11); got != 1 {
		t.Errorf("step %d: given back at once though it never lasted", got)
	}
	if got := last(0.1, int(liftMost/time.Second)); got != 0 {
		t.Errorf("step %d: not given back within the bound", got)
	}
	if never := (&shedder{}); never.judge(1, now) != 0 || never.judge(1, now.Add(time.Minute)) != 0 {
		t.Error("without a limit something is shed")
	}
}

// TestShedBound wants the biggest lowered first, and what has no layers left alone.
func TestShedBound(t *testing.T) {
	var x shed
	for step, want := range []layerWish{
		anyLayer, {1, Best, 0, 0}, {0, Best, 0, 0}, {0, 1, 0, 0}, {0, 0, 0, 0},
	} {
		x.now.Store(int32(step))
		if got := x.bound(anyLayer, true); got != want {
			t.Errorf("step %d: %+v, want %+v", step, got, want)
		}
		if got := x.bound(anyLayer, false); got != anyLayer {
			t.Errorf("step %d: without layers %+v", step, got)
		}
		if own := (layerWish{0, 0, 10, 10}); x.bound(own, true) != own {
			t.Errorf("step %d: a lower wish became %+v", step, x.bound(own, true))
		}
	}
}

// lines is a log that may be read.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

// TestShed lowers a simulcast's subscriber under load, and neither sound nor who is
// sent a single picture.
func TestShed(t *testing.T) {
	var load atomic.Int64
	log := &lines{}
	e := newEngine(t, func(c *Config) {
		c.ShedLoad, c.haste = 0.9, 5
		c.CPU = func() float64 { return float64(load.Load()) / 100 }
		c.Log = slog.New(slog.NewTextHandler(log, nil))
	})
	pub, single := newSimulcaster(t, e), newPublisher(t, e, webrtctest.Options{}, "video/VP8")
	// Without helpers there is no estimate, which would choose layers, too.
	sub, other := newSubscriber(t, e, webrtctest.Options{NoNACK: true}), newSubscriber(t, e, webrtctest.Options{NoNACK: true})
	link(t, graph(pub.peer), sub.peer, true)
	link(t, graph(single.peer), other.peer, true)
	n, singles := 0, 0
	tick := func(what string, ok func() bool) {
		t.Helper()
		eventually(t, what, func() bool {
			pub.frame(n%10 == 0)
			single.Frame(n%10 == 0)
			n++
			singles++
			return ok()
		})
	}
	only := func(enc uint32) func() bool {
		return func() bool {
			got := encodingsOf(sub.Packets(videoKind), 20)
			return len(got) == 1 && got[enc] >= 19
		}
	}
	tick("the best", only(2))
	load.Store(97)
	tick("the middle one under load", only(1))
	if !log.has("level=WARN msg=\"overload: video in layers is sent smaller\"") {
		t.Errorf("the log says\n%s", log.b.String())
	}
	if c := e.Capacity(); c.ShedStep < 1 || c.Load < 0.97 {
		t.Errorf("step %d, load %v", c.ShedStep, c.Load)
	}
	tick("the smallest under load that goes on", only(0))
	load.Store(10)
	tick("a bigger one again", func() bool { return !only(0)() && e.Capacity().ShedStep < 2 })
	eventually(t, "everybody who gets one picture has all of it", func() bool {
		return len(other.Packets(videoKind)) >= singles-5 && len(other.Packets(audioKind)) >= singles-5
	})
	if got := other.peer.Stats(pipeline.Video).Outbound; len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestMeasure takes what was lost for want of time for a full load.
func TestMeasure(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.CPU = func() float64 { return 0.25 } })
	x, last := &shed{}, e.shards[len(e.shards)-1]
	now := time.Now()
	if got := x.measure(e, now); got != 0 {
		t.Errorf("%v before anything was measured", got)
	}
	now = now.Add(time.Second)
	if got := x.measure(e, now); got != 0.25 {
		t.Errorf("load %v, want the processors'", got)
	}
	last.busy.Add(int64(700 * time.Millisecond))
	now = now.Add(time.Second)
	if got := x.measure(e, now); got < 0.7 || got > 0.8 {
		t.Errorf("load %v, want the busiest shard's", got)
	}
	last.mu.Lock()
	for range 10 {
		last.tally.batch(batchSize)
	}
	last.mu.Unlock()
	last.busy.Add(int64(600 * time.Millisecond))
	now = now.Add(time.Second)
	if got := x.measure(e, now); got != 1 {
		t.Errorf("load %v of a shard that finds no end", got)
	}
	e.counters.lateMail.Add(1)
	now = now.Add(time.Second)
	if got := x.measure(e, now); got != 1 {
		t.Errorf("load %v when a batch was lost", got)
	}
	now = now.Add(time.Second)
	if got := x.measure(e, now); got != 0.25 {
		t.Errorf("load %v afterwards", got)
	}
}

// TestUnopened sorts what SRTP refuses.
func TestUnopened(t *testing.T) {
	var y tally
	for _, err := range []error{srtp.ErrAuth, srtp.ErrReplay, srtp.ErrReplay, srtp.ErrTooManyStreams, srtp.ErrShort} {
		y.unopened(err)
	}
	if want := [refusals]uint64{refusedAuth: 1, refusedReplay: 2, refusedStream: 1, refusedSecured: 1}; y.refused != want {
		t.Errorf("%v", y.refused)
	}
}

// TestFigures packs what a Peer shows of itself.
func TestFigures(t *testing.T) {
	for _, c := range []struct {
		bps     int
		layer   Layer
		layered bool
	}{{0, Layer{}, false}, {1_234_000, Layer{2, Best}, true}, {300_000, Layer{-1, -1}, true}, {20_000_000, Layer{3, 0}, true}} {
		f := newFigures(c.bps, c.layer, c.layered)
		layer, layered := f.layer()
		if f.estimate() != c.bps || layered != c.layered || layered && layer != c.layer {
			t.Errorf("%+v became %d %+v %v", c, f.estimate(), layer, layered)
		}
	}
}
