package congestion

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// link is a modelled path: a bottleneck with a queue, then a delay.
type link struct {
	rate    func(at time.Duration) float64 // bps
	queue   time.Duration                  // of the bottleneck, at its rate; 0: 500 ms
	delay   time.Duration                  // one way
	loss    float64                        // at random, behind the bottleneck
	jitter  time.Duration                  // ± this, in order unless reorder
	reorder bool
	free    time.Duration // when the bottleneck is free
	latest  time.Duration
	random  *rand.Rand
}

// send tells when a packet of size bytes that is sent at a time arrives.
func (l *link) send(at time.Duration, size int) (time.Duration, bool) {
	begin := max(at, l.free)
	limit := l.queue
	if limit == 0 {
		limit = 500 * time.Millisecond
	}
	if begin-at > limit {
		return 0, false
	}
	l.free = begin + time.Duration(float64(size*8)/l.rate(begin)*1e9)
	if l.random.Float64() < l.loss {
		return 0, false
	}
	arrival := l.free + l.delay
	if l.jitter > 0 {
		arrival += time.Duration((l.random.Float64()*2 - 1) * float64(l.jitter))
	}
	if !l.reorder {
		arrival = max(arrival, l.latest)
	}
	l.latest = max(l.latest, arrival)
	return arrival, true
}

// world runs events in the order of their times.
type world struct {
	at     time.Duration
	events events
	count  int
}

type event struct {
	at time.Duration
	n  int
	do func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].n < e[j].n
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	x := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return x
}

func (w *world) when(at time.Duration, do func()) {
	w.count++
	heap.Push(&w.events, event{max(at, w.at), w.count, do})
}

func (w *world) each(pause time.Duration, do func()) {
	var again func()
	again = func() {
		do()
		w.when(w.at+pause, again)
	}
	w.when(w.at+pause, again)
}

func (w *world) run(until time.Duration) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.at = e.at
		e.do()
	}
	w.at = until
}

// call is a server that sends audio and video to one peer over a link, as the
// Estimator allows.
type call struct {
	world
	link     link
	est      Estimator
	pacer    Pacer
	queue    []int // sizes that the pacer holds back
	rec      Recorder
	layers   []int // bps of video that can be chosen; nil: an encoder that obeys
	wish     int   // of video
	tick     time.Duration
	interval time.Duration // of feedback; 0: as Recorder says
	old      bool          // the peer sends no transport-wide feedback
	nopad    bool          // the server has nothing to send for probes
	seq      uint16
	lost     int
	sent     int
	trace    []int           // targets, each 20 ms
	layer    []int           // bps of the layer, the same
	audio    []time.Duration // arrivals
	slowest  time.Duration   // in the bottleneck
	silent   bool            // feedback does not come back
	cameN    int             // since the latest report of an old peer
	high     uint16
	highOld  uint16
}

var dawn = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (c *call) now() time.Time { return dawn.Add(c.at) }

const audioBps = 50 * 8 * 120

// start fills in what is not given and schedules everybody.
func (c *call) start(seed uint64) *call {
	c.link.random = rand.New(rand.NewPCG(seed, 7))
	if c.tick == 0 {
		c.tick = 20 * time.Millisecond
	}
	c.est.Wish(c.wish + audioBps)
	c.each(20*time.Millisecond, func() {
		c.pacer.Spend(120, c.now())
		c.packet(120, func() { c.audio = append(c.audio, c.at) })
		c.trace = append(c.trace, c.est.Target(c.now()))
		c.layer = append(c.layer, c.video())
	})
	last := 0
	c.each(time.Second/30, func() {
		bps := c.video()
		size := bps / 8 / 30
		if c.layers != nil && bps != last {
			size *= 4 // a keyframe
		}
		last = bps
		for ; size > 0; size -= 1200 {
			c.queue = append(c.queue, min(size, 1200)+40)
		}
		c.drain()
	})
	c.each(c.tick, func() {
		c.pacer.Rate(c.est.Target(c.now()), c.now())
		if c.nopad {
			return
		}
		if n, ok := c.est.Probe(c.now()); ok {
			for ; n > 0; n -= 1240 {
				c.pacer.Spend(1240, c.now())
				c.packet(1240, nil)
			}
		}
	})
	if c.old {
		c.reports()
		return c
	}
	pause := c.interval
	if pause == 0 {
		pause = 10 * time.Millisecond
	}
	c.each(pause, func() {
		if c.interval == 0 && !c.rec.Due(c.now()) {
			return
		}
		for b := c.rec.Build(nil, 1, 2, c.now()); len(b) > 0; {
			n := 4 * (int(b[2])<<8 + int(b[3]) + 1)
			one := b[:n]
			b = b[n:]
			if c.silent {
				continue
			}
			c.when(c.at+c.link.delay, func() {
				if err := c.est.Feedback(one, c.now()); err != nil {
					panic(err)
				}
			})
		}
	})
	return c
}

// reports are receiver reports of an old peer, each second.
func (c *call) reports() {
	c.each(time.Second, func() {
		expected := int(c.high - c.highOld)
		fraction := 0.0
		if expected > 0 {
			fraction = max(0, 1-float64(c.cameN)/float64(expected))
		}
		c.highOld, c.cameN = c.high, 0
		c.when(c.at+c.link.delay, func() { c.est.Loss(fraction, 2*c.link.delay, c.now()) })
	})
}

// video is the bitrate that is sent.
func (c *call) video() int {
	room := min(c.est.Target(c.now())-audioBps, c.wish)
	if c.layers == nil {
		return max(room, 0)
	}
	best := 0
	for _, l := range c.layers {
		if l <= room {
			best = l
		}
	}
	return best
}

// drain sends what the pacer lets go.
func (c *call) drain() {
	for len(c.queue) > 0 && c.pacer.Allow(c.queue[0], c.now()) {
		c.packet(c.queue[0], nil)
		c.queue = c.queue[1:]
	}
	if len(c.queue) > 0 {
		c.when(c.at+c.pacer.When(c.now()), c.drain)
	}
}

func (c *call) packet(size int, came func()) {
	seq := c.seq
	c.seq++
	c.sent++
	if c.old {
		c.est.Count(size)
	} else {
		c.est.Sent(seq, size, c.now())
	}
	at, ok := c.link.send(c.at, size)
	c.slowest = max(c.slowest, c.link.free-c.at)
	if !ok {
		c.lost++
		return
	}
	c.when(at, func() {
		c.rec.Record(seq, c.now())
		c.cameN++
		if int16(seq-c.high) > 0 {
			c.high = seq
		}
		if came != nil {
			came()
		}
	})
}

// between are the targets from one time to another.
func (c *call) between(from, to time.Duration) []int {
	const step = 20 * time.Millisecond
	return c.trace[min(int(from/step), len(c.trace)):min(int(to/step), len(c.trace))]
}

// after is when a target first holds, from a time on; a minute if never.
func (c *call) after(from time.Duration, holds func(int) bool) time.Duration {
	for i, t := range c.between(from, time.Hour) {
		if holds(t) {
			return time.Duration(i) * 20 * time.Millisecond
		}
	}
	return time.Minute
}

func steady(bps float64) func(time.Duration) float64 {
	return func(time.Duration) float64 { return bps }
}

// dip is high, low from one time to another, and high again.
func dip(high, low float64, from, to time.Duration) func(time.Duration) float64 {
	return func(at time.Duration) float64 {
		if at >= from && at < to {
			return low
		}
		return high
	}
}

func mean(list []int) float64 {
	sum := 0.0
	for _, x := range list {
		sum += float64(x)
	}
	return sum / float64(max(len(list), 1))
}
