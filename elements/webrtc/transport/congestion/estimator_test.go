package congestion

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"
)

const (
	ms = time.Millisecond
	s  = time.Second
)

// seeds runs a test over several courses of chance.
func seeds(t *testing.T, run func(t *testing.T, seed uint64)) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { run(t, seed) })
	}
}

// within wants all targets between from and to inside bounds, and their mean too.
func within(t *testing.T, c *call, from, to time.Duration, low, high, meanLow, meanHigh float64) {
	t.Helper()
	w := c.between(from, to)
	if len(w) == 0 {
		t.Fatal("no targets")
	}
	if l, h, m := float64(slices.Min(w)), float64(slices.Max(w)), mean(w); l < low || h > high || m < meanLow || m > meanHigh {
		t.Errorf("%v to %v: targets %.0f to %.0f, mean %.0f; want %.0f to %.0f, mean %.0f to %.0f", from, to, l, h, m, low, high, meanLow, meanHigh)
	}
}

// audible wants audio at least each pause.
func audible(t *testing.T, c *call, pause time.Duration) {
	t.Helper()
	for i := 1; i < len(c.audio); i++ {
		if gap := c.audio[i] - c.audio[i-1]; gap > pause {
			t.Errorf("no audio for %v at %v", gap, c.audio[i-1])
		}
	}
}

func TestSteadyLink(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		for _, rtt := range []time.Duration{10 * ms, 80 * ms, 300 * ms} {
			c := call{link: link{rate: steady(2e6), delay: rtt / 2}, wish: 3e6, seq: 60_000}
			c.start(seed).run(60 * s)
			if up := c.after(0, func(bps int) bool { return bps > 1_500_000 }); up > 3*s {
				t.Errorf("round trip %v: up after %v", rtt, up)
			}
			within(t, &c, 5*s, 60*s, 1.4e6, 2.2e6, 1.7e6, 2.0e6)
			if c.slowest > 400*ms || c.lost > 0 {
				t.Errorf("round trip %v: queue of %v, %d lost", rtt, c.slowest, c.lost)
			}
		}
	})
}

// TestDrop wants a narrow moment seen at once, and its end found by probes: an
// encoder that obeys, and layers of which one is chosen.
func TestDrop(t *testing.T) {
	for _, layers := range [][]int{nil, {150_000, 500_000, 1_500_000}} {
		for _, tick := range []time.Duration{20 * ms, 50 * ms} {
			for phase := range 6 {
				end := 40*s + 2*time.Duration(phase)*s
				c := call{link: link{rate: dip(2e6, 3e5, 20*s, end), delay: 20 * ms}, wish: 3e6, layers: layers, tick: tick}
				if layers != nil {
					c.wish = 1_500_000
				}
				c.start(uint64(phase)).run(25 * s)
				c.slowest = 0
				c.run(end)
				if c.slowest > 300*ms {
					t.Errorf("layers %v, ticks of %v: queue of %v 5 s after the drop", layers, tick, c.slowest)
				}
				c.run(80 * s)
				if down := c.after(20*s, func(bps int) bool { return bps < 350_000 }); down > 2*s {
					t.Errorf("layers %v, ticks of %v: down after %v", layers, tick, down)
				}
				within(t, &c, 22*s, end, 30e3, 400e3, 200e3, 340e3)
				if up := c.after(end, func(bps int) bool { return bps > 1_500_000 }); up > 15*s {
					t.Errorf("layers %v, ticks of %v, end at %v: up after %v", layers, tick, end, up)
				}
				within(t, &c, end+16*s, 80*s, 1.2e6, 2.5e6, 1.5e6, 2.5e6)
				audible(t, &c, 700*ms)
			}
		}
	}
}

// TestShallowQueue wants loss to do what delay cannot show.
func TestShallowQueue(t *testing.T) {
	c := call{link: link{rate: dip(2e6, 3e5, 20*s, 40*s), delay: 20 * ms, queue: 40 * ms}, wish: 3e6}
	c.start(1).run(60 * s)
	if down := c.after(20*s, func(bps int) bool { return bps < 350_000 }); down > 3*s {
		t.Errorf("down after %v", down)
	}
	within(t, &c, 24*s, 40*s, 100e3, 450e3, 200e3, 350e3)
	within(t, &c, 55*s, 60*s, 1e6, 2.3e6, 1.4e6, 2.2e6)
	// Loss of up to a tenth is lived with (draft-ietf-rmcat-gcc-02 §6).
	if part := float64(c.lost) / float64(c.sent); part > 0.15 {
		t.Errorf("%.2f lost", part)
	}
}

func TestRandomLoss(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		c := call{link: link{rate: steady(2e6), delay: 40 * ms, loss: 0.05}, wish: 3e6}
		c.start(seed).run(120 * s)
		within(t, &c, 10*s, 120*s, 1.2e6, 2.3e6, 1.6e6, 2.1e6)
		// A link that loses a fifth whatever is sent is not given up.
		c = call{link: link{rate: steady(2e6), delay: 40 * ms, loss: 0.2}, wish: 3e6}
		c.start(seed).run(120 * s)
		within(t, &c, 30*s, 120*s, 4e5, 2.4e6, 0.9e6, 2.1e6)
	})
}

func TestJitter(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		for _, reorder := range []bool{false, true} {
			c := call{link: link{rate: steady(2e6), delay: 50 * ms, jitter: 30 * ms, reorder: reorder}, wish: 3e6}
			c.start(seed).run(60 * s)
			within(t, &c, 10*s, 60*s, 1.1e6, 3.0e6, 1.5e6, 2.1e6)
		}
	})
}

// TestPaths wants the target near what each path takes, and little lost to queues
// that overflow.
func TestPaths(t *testing.T) {
	drop := dip(2e6, 3e5, 20*s, 40*s)
	layers := []int{150_000, 500_000, 1_500_000}
	for _, tc := range []struct {
		name      string
		c         call
		low, high float64 // mean of the targets from 10 to 20 s and from 50 to 60 s
		lost      float64
		switches  int // of layers, in a minute
	}{
		{"narrow", call{link: link{rate: steady(150e3), delay: 40 * ms}, wish: 3e6}, 110e3, 160e3, 0.02, 0},
		{"wide", call{link: link{rate: steady(18e6), delay: 20 * ms}, wish: 30e6}, 14e6, 18.5e6, 0.02, 0},
		{"a queue of 3 s", call{link: link{rate: drop, delay: 20 * ms, queue: 3 * s}, wish: 3e6}, 1.5e6, 2.1e6, 0.01, 0},
		{"loss and a drop", call{link: link{rate: drop, delay: 40 * ms, loss: 0.05}, wish: 3e6}, 1.4e6, 2.1e6, 0.09, 0},
		{"loss and layers", call{link: link{rate: steady(4e6), delay: 40 * ms, loss: 0.1}, wish: 15e5, layers: layers}, 1.2e6, 3e6, 0.12, 10},
		{"jitter and layers", call{link: link{rate: steady(4e6), delay: 40 * ms, jitter: 30 * ms}, wish: 15e5, layers: layers}, 1.5e6, 3e6, 0, 4},
		{"feedback each 250 ms", call{link: link{rate: drop, delay: 20 * ms}, wish: 3e6, interval: 250 * ms}, 1.5e6, 2.1e6, 0.03, 0},
		{"feedback each 50 ms", call{link: link{rate: drop, delay: 20 * ms}, wish: 3e6, interval: 50 * ms}, 1.5e6, 2.1e6, 0.03, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := tc.c
			c.start(1).run(60 * s)
			within(t, &c, 10*s, 20*s, tc.low/2, tc.high*1.2, tc.low, tc.high)
			within(t, &c, 50*s, 60*s, tc.low/2, tc.high*1.2, tc.low, tc.high)
			if part := float64(c.lost) / float64(c.sent); part > tc.lost {
				t.Errorf("%.3f lost", part)
			}
			switches := 0
			for i, l := range c.layer[1:] {
				if l != c.layer[i] {
					switches++
				}
			}
			if c.layers != nil && switches > tc.switches {
				t.Errorf("%d switches of layers", switches)
			}
		})
	}
}

// TestDrain wants a long queue gone long before a rate just below what the path
// takes would have emptied it.
func TestDrain(t *testing.T) {
	c := call{link: link{rate: dip(2e6, 3e5, 20*s, 40*s), delay: 20 * ms, queue: 3 * s}, wish: 3e6}
	c.start(1).run(28 * s)
	if c.slowest < 2*s {
		t.Fatalf("a queue of only %v", c.slowest)
	}
	c.slowest = 0
	c.run(40 * s)
	if c.slowest > 500*ms {
		t.Errorf("a queue of %v, 8 s later", c.slowest)
	}
}

func TestQueue(t *testing.T) {
	var q queue
	for i := range int64(2000) {
		sent := i * 10 * millisecond
		q.add(sent, sent+second+(i*37)%60*millisecond)
		if i > 300 && q.real() {
			t.Fatalf("jitter is taken for a queue of %d µs", q.delay())
		}
	}
	for i := range int64(100) {
		sent := 20*second + i*10*millisecond
		q.add(sent, sent+second+100*millisecond+(i*37)%60*millisecond)
	}
	if !q.real() || q.delay() < 95*millisecond || q.delay() > 120*millisecond {
		t.Errorf("a queue of 100 ms is one of %d µs, real %v", q.delay(), q.real())
	}
}

// TestReduce wants what is lost at random not taken for a lack of room.
func TestReduce(t *testing.T) {
	r := rate{bps: 2e6}
	r.step(over, 950e3, 950e3, 0.05, 50*millisecond, second)
	if want := 0.85 * 1e6; math.Abs(r.bps-want) > 1 {
		t.Errorf("%.0f bps, want %.0f", r.bps, want)
	}
}

// TestNoPadding wants a slow way up without probes.
func TestNoPadding(t *testing.T) {
	c := call{link: link{rate: steady(2e6), delay: 20 * ms}, wish: 3e6, nopad: true}
	c.start(1).run(60 * s)
	if up := c.after(0, func(bps int) bool { return bps > 1_500_000 }); up > 30*s {
		t.Errorf("up after %v", up)
	}
	within(t, &c, 35*s, 60*s, 1.4e6, 2.3e6, 1.7e6, 2.0e6)
}

// TestWish wants no more tried than is wished.
func TestWish(t *testing.T) {
	c := call{link: link{rate: steady(50e6), delay: 20 * ms}, wish: 1_000_000}
	c.start(1).run(10 * s)
	probes := c.est.Stats(c.now()).Probes
	if at := c.after(0, func(bps int) bool { return bps >= 1_000_000+audioBps }); at > s {
		t.Errorf("the wish is reached after %v", at)
	}
	c.run(60 * s)
	if n := c.est.Stats(c.now()).Probes; n != probes || n == 0 {
		t.Errorf("%d probes, then %d", probes, n)
	}
	c.est.Wish(0)
	for range 100 {
		c.run(c.at + c.tick)
		if n, ok := c.est.Probe(c.now()); ok {
			t.Fatalf("probe of %d without a wish", n)
		}
	}
}

// TestProbesBecomeRare wants a narrow path left alone: probes each 5 to 10 s that
// hold up nothing for long.
func TestProbesBecomeRare(t *testing.T) {
	c := call{link: link{rate: steady(400e3), delay: 20 * ms}, wish: 3e6}
	c.start(1).run(20 * s)
	before, sent := c.est.Stats(c.now()).Probes, c.sent
	c.slowest = 0
	c.run(120 * s)
	if n := c.est.Stats(c.now()).Probes - before; n < 8 || n > 20 {
		t.Errorf("%d probes in 100 s", n)
	}
	if c.slowest > 500*ms {
		t.Errorf("queue of %v", c.slowest)
	}
	if c.lost > (c.sent-sent)/100 {
		t.Errorf("%d lost of %d", c.lost, c.sent)
	}
	audible(t, &c, 500*ms)
}

// TestSilence wants less and less sent to a peer that is not heard, and the way
// back found.
func TestSilence(t *testing.T) {
	c := call{link: link{rate: steady(2e6), delay: 20 * ms}, wish: 3e6}
	c.start(1).run(10 * s)
	c.silent = true
	c.run(20 * s)
	if bps := c.est.Target(c.now()); bps != DefaultMin {
		t.Errorf("%d bps into the dark", bps)
	}
	if _, ok := c.est.Probe(c.now()); ok {
		t.Error("probe into the dark")
	}
	c.silent = false
	c.est.probe.next = 1000 * second // whatever was planned before
	c.run(40 * s)
	if up := c.after(20*s, func(bps int) bool { return bps > 1_500_000 }); up > 15*s {
		t.Errorf("up after %v", up)
	}
}

// TestRestart wants a new path measured anew.
func TestRestart(t *testing.T) {
	c := call{link: link{rate: dip(2e6, 3e5, 10*s, time.Hour), delay: 20 * ms}, wish: 3e6}
	c.start(1).run(10 * s)
	c.est.Restart()
	if bps := c.est.Target(c.now()); bps != DefaultStart {
		t.Errorf("%d bps", bps)
	}
	c.run(30 * s)
	within(t, &c, 13*s, 30*s, 100e3, 450e3, 200e3, 340e3)
}

// TestOldPeer wants REMB obeyed, and loss where there is not even that.
func TestOldPeer(t *testing.T) {
	rate := dip(2e6, 3e5, 20*s, 40*s)
	c := call{link: link{rate: rate, delay: 20 * ms}, wish: 3e6, old: true}
	c.start(1)
	c.each(500*ms, func() { c.est.REMB(0.9*rate(c.at), c.now()) })
	c.run(60 * s)
	if up := c.after(0, func(bps int) bool { return bps > 1_700_000 }); up > 8*s {
		t.Errorf("up after %v", up)
	}
	if down := c.after(20*s, func(bps int) bool { return bps < 350_000 }); down > 2*s {
		t.Errorf("down after %v", down)
	}
	if up := c.after(40*s, func(bps int) bool { return bps > 1_500_000 }); up > 15*s {
		t.Errorf("up again after %v", up)
	}
	if c.est.Active() || c.est.history.info != nil {
		t.Error("a history for a peer that sends no feedback")
	}
	if c.est.probe.count > 0 {
		t.Error("probes to a peer that tells nothing of them")
	}
	c = call{link: link{rate: rate, delay: 20 * ms}, wish: 3e6, old: true}
	c.start(1).run(40 * s)
	if down := c.after(20*s, func(bps int) bool { return bps < 350_000 }); down > 8*s {
		t.Errorf("by loss: down after %v", down)
	}
	if bps := c.est.Target(c.now()); bps < 100_000 {
		t.Errorf("by loss: %d bps", bps)
	}
}

func TestBounds(t *testing.T) {
	now := dawn
	for _, remb := range []float64{0, -1, 1 << 60, math.Inf(1), math.Inf(-1), math.NaN()} {
		var e Estimator
		e.Set(100_000, 500_000, 300_000)
		for i := range 20 {
			e.REMB(remb, now.Add(time.Duration(i)*s))
			e.Loss(0, 0, now.Add(time.Duration(i)*s))
			e.Count(100_000)
			bps := e.Target(now.Add(time.Duration(i) * s))
			if bps < 100_000 || bps > 500_000 {
				t.Errorf("REMB %v: target %d", remb, bps)
			}
		}
		if st := e.Stats(now); st.REMB < 0 {
			t.Errorf("REMB %v: %+v", remb, st)
		}
	}
	for _, loss := range []float64{1, 2, -1, math.NaN(), math.Inf(1)} {
		var e Estimator
		for i := range 100 {
			e.Loss(loss, -s, now.Add(time.Duration(i)*s))
			if bps := e.Target(now.Add(time.Duration(i) * s)); bps < DefaultMin || bps > DefaultMax {
				t.Errorf("loss %v: target %d", loss, bps)
			}
		}
	}
	for _, set := range []struct{ min, max, start, want int }{
		{0, 0, 0, DefaultStart}, {0, 100_000, 0, 100_000}, {400_000, 0, 0, 400_000},
		{500_000, 200_000, 0, 500_000}, {-5, -5, -5, DefaultStart}, {0, 0, 1_000_000, 1_000_000},
	} {
		var e Estimator
		e.Set(set.min, set.max, set.start)
		if bps := e.Target(now); bps != set.want {
			t.Errorf("%+v: %d", set, bps)
		}
	}
	// An old REMB does not count.
	var e Estimator
	e.Target(now)
	e.REMB(50_000, now)
	if bps := e.Target(now.Add(s)); bps != 50_000 {
		t.Errorf("%d bps", bps)
	}
	if bps := e.Target(now.Add(rembAge * time.Microsecond)); bps != DefaultStart {
		t.Errorf("%d bps after an old REMB", bps)
	}
}

// TestTimeJumps wants neither a jump of our clock nor of the peer's to harm for
// long.
func TestTimeJumps(t *testing.T) {
	c := call{link: link{rate: steady(2e6), delay: 20 * ms}, wish: 3e6}
	c.start(1)
	// The peer's 24 bits of time wrap at 15 s.
	c.rec.clock.epoch = dawn.Add(15*s - recorderTick<<32*time.Microsecond)
	c.run(20 * s)
	within(t, &c, 10*s, 20*s, 1.4e6, 2.2e6, 1.7e6, 2.0e6)
	// The peer's clock is set.
	for _, jump := range []time.Duration{time.Hour, -3 * time.Hour, 5 * s, 300 * time.Hour} {
		from := c.at
		c.rec.clock.epoch = c.rec.clock.epoch.Add(-jump)
		c.rec.clock.last = 0
		c.rec.told = 0
		c.run(from + 20*s)
		within(t, &c, from+15*s, from+20*s, 1e6, 2.3e6, 1.4e6, 2.1e6)
	}
	// Ours goes back an hour for a moment, and stops.
	back := c.now().Add(-time.Hour)
	for i := range 1000 {
		c.est.Sent(c.seq, 1000, back)
		c.seq++
		c.est.Target(back.Add(time.Duration(i)))
		c.est.Probe(back)
	}
	from := c.at
	c.run(from + 20*s)
	within(t, &c, from+15*s, from+20*s, 1e6, 2.3e6, 1.4e6, 2.1e6)
	// And leaps a day ahead.
	if bps := c.est.Target(c.now().Add(24 * time.Hour)); bps < DefaultMin || bps > DefaultMax {
		t.Errorf("%d bps", bps)
	}
}

func TestStats(t *testing.T) {
	c := call{link: link{rate: steady(2e6), delay: 40 * ms, loss: 0.03}, wish: 3e6}
	c.start(1).run(20 * s)
	st := c.est.Stats(c.now())
	if st.Acked < 1_200_000 || st.Sending < st.Acked*9/10 || st.RTT < 80*ms || st.RTT > 300*ms ||
		st.Feedbacks < 100 || st.Probes == 0 || st.Loss > 0.2 || st.Target < 1_200_000 || st.Usage == "" {
		t.Errorf("%+v", st)
	}
}
