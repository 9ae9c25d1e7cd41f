package pipeline_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/govidu/govidu/pipeline"
)

const ms = time.Millisecond

// sender is a simulated one. Its clock is ahead of ours by skew, and its tracks
// take their own time to arrive.
type sender struct {
	t     *testing.T
	epoch time.Time
	skew  time.Duration
	*pipeline.SenderClock
}

func newSender(t *testing.T) *sender {
	epoch := time.Now()
	return &sender{t, epoch, 3700 * ms, pipeline.NewSenderClock(epoch)}
}

// track of a sender.
type track struct {
	s     *sender
	rate  uint32
	base  uint32
	delay time.Duration
	ppm   float64 // how much too fast its timestamps are
	*pipeline.Clock
	last time.Duration
	fix  *pipeline.Fix
}

func (s *sender) track(rate, base uint32, delay time.Duration) *track {
	return &track{s: s, rate: rate, base: base, delay: delay, Clock: s.Track(rate), last: -1}
}

func (k *track) stamp(at time.Duration) uint32 {
	at += time.Duration(float64(at) * k.ppm / 1e6)
	return k.base + uint32(int64(at)*int64(k.rate)/int64(time.Second))
}

// packet is captured at an instant of our time line; later is more delay.
func (k *track) packet(at, later time.Duration) time.Duration {
	k.s.t.Helper()
	pts := k.PTS(k.stamp(at), k.s.epoch.Add(at+k.delay+later))
	if f := k.Fix(); k.fix == nil || f != nil {
		k.fix = f
	}
	if later == 0 {
		if pts <= k.last {
			k.s.t.Fatalf("PTS goes from %v to %v", k.last, pts)
		}
		k.last = pts
	}
	return pts
}

func (k *track) report(at time.Duration) {
	k.Report(k.stamp(at), k.s.epoch.Add(at+k.s.skew).Round(0), k.s.epoch.Add(at+20*ms))
}

func near(t *testing.T, what string, got, want, slack time.Duration) {
	t.Helper()
	if (got - want).Abs() > slack {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func TestClock(t *testing.T) {
	epoch := time.Now()
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	t.Run("wraps at 2^32", func(t *testing.T) {
		c := pipeline.NewSenderClock(epoch).Track(90000)
		start := uint32(1<<32 - 90000)
		c.PTS(start, at(time.Second))
		if got := c.PTS(start+180000, at(3*time.Second)); got != 3*time.Second {
			t.Fatalf("PTS 2 s past the wrap is %v, want 3s", got)
		}
		if got := c.PTS(start+90000-900, at(3*time.Second)); got != 2*time.Second-10*ms {
			t.Fatalf("late packet from before the wrap is at %v, want 1.99s", got)
		}
	})
	t.Run("jitter of arrival does not move PTS", func(t *testing.T) {
		c := pipeline.NewSenderClock(epoch).Track(48000)
		c.PTS(0, at(0))
		if got := c.PTS(48000, at(1300*ms)); got != time.Second {
			t.Fatalf("PTS %v, want 1s", got)
		}
	})
}

// TestSenderClockAligns: whichever track is late, the other is moved forward to
// it once both have a report, and what was guessed before can be mended.
func TestSenderClockAligns(t *testing.T) {
	for name, delay := range map[string][2]time.Duration{"picture late": {20 * ms, 200 * ms}, "sound late": {200 * ms, 20 * ms}, "alike": {20 * ms, 20 * ms}} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t)
			a, v := s.track(48000, 1<<32-1000, delay[0]), s.track(90000, 1<<32-40000, delay[1])
			slow := max(delay[0], delay[1])
			var guessA, guessV time.Duration
			for at := time.Duration(0); at < 400*ms; at += 20 * ms {
				guessA = a.packet(at, 0) - at
				if at%(40*ms) == 0 {
					guessV = v.packet(at, 0) - at
				}
			}
			if a.fix.Known() || v.fix.Known() || !a.Waits() {
				t.Fatal("a correction is known before there is a report")
			}
			v.report(400 * ms)
			if v.fix.Known() {
				t.Fatal("one track settles while the other says nothing")
			}
			a.report(500 * ms)
			if !a.fix.Known() || !v.fix.Known() || a.Waits() {
				t.Fatal("no correction is known after both reports")
			}
			near(t, "sound, mended", guessA+a.fix.By(), slow, ms)
			near(t, "picture, mended", guessV+v.fix.By(), slow, ms)
			near(t, "sound", a.packet(500*ms, 0), 500*ms+slow, ms)
			near(t, "picture", v.packet(520*ms, 0), 520*ms+slow, ms)
			if a.Clock.Fix() != nil || v.Clock.Fix() != nil {
				t.Error("packets still carry a correction")
			}
		})
	}
}

// TestSenderClockLater: a track that begins later and is slower takes the other along.
func TestSenderClockLater(t *testing.T) {
	s := newSender(t)
	a, v := s.track(48000, 5, 20*ms), s.track(90000, 6, 200*ms)
	for at := time.Duration(0); at < 5*time.Second; at += 20 * ms {
		a.packet(at, 0)
		if at == 2*time.Second {
			a.report(at)
		}
		if at >= 3*time.Second && at%(40*ms) == 0 {
			v.packet(at, 0)
		}
		if at == 3200*ms {
			v.report(at)
		}
	}
	near(t, "sound", a.packet(5*time.Second, 0), 5200*ms, ms)
	near(t, "picture", v.packet(5*time.Second, 0), 5200*ms, ms)
}

// TestSenderClockDrift: over three hours with jitter, reports lost and clocks
// that run unlike, tracks stay together and near their arrival.
func TestSenderClockDrift(t *testing.T) {
	for _, ppm := range []float64{-100, 100} {
		s := newSender(t)
		rnd := rand.New(rand.NewPCG(1, 2))
		a, v := s.track(48000, 1<<31, 20*ms), s.track(90000, 77, 200*ms)
		a.ppm = ppm                                                                                     // the microphone
		drift := func(at time.Duration) time.Duration { return time.Duration(float64(at) * ppm / 1e6) } // the whole machine, too
		report := func(k *track, at time.Duration) {
			if rnd.IntN(10) > 0 {
				noise := time.Duration(rnd.IntN(8)-4) * ms
				k.Report(k.stamp(at), s.epoch.Add(at+s.skew+drift(at)+noise).Round(0), s.epoch.Add(at+20*ms))
			}
		}
		var worst, early, tardy time.Duration
		for at := time.Duration(0); at < 3*time.Hour; at += 40 * ms {
			jitter := time.Duration(1+rnd.IntN(30)) * ms
			pa, pv := a.packet(at, 0), v.packet(at, 0)
			a.packet(at+20*ms, 0)
			v.packet(at, jitter)
			if at%time.Second == 0 {
				report(v, at)
			}
			if at%(5*time.Second) == 0 {
				report(a, at)
			}
			if at > 20*time.Second {
				worst = max(worst, (pa - pv).Abs())
				early, tardy = max(early, pv-at-v.delay), max(tardy, at+v.delay-pv)
			}
		}
		if worst > 22*ms {
			t.Errorf("%v ppm: tracks part by %v", ppm, worst)
		}
		if early > 45*ms || tardy > 45*ms {
			t.Errorf("%v ppm: PTS is up to %v before and %v after arrival", ppm, tardy, early)
		}
	}
}

// TestSenderClockSilent: without any report, arrival counts.
func TestSenderClockSilent(t *testing.T) {
	s := newSender(t)
	a, v := s.track(48000, 9, 20*ms), s.track(90000, 8, 20*ms)
	for at := time.Duration(0); at < 20*time.Second; at += 40 * ms {
		a.packet(at, 0)
		v.packet(at, 0)
		a.packet(at+20*ms, 0)
	}
	near(t, "sound", a.last, 20*time.Second, ms)
	near(t, "picture", v.last, 20*time.Second-20*ms, ms)
}

// TestSenderClockSlowStart: the first packets take longer than all others, which
// makes PTS too late; that is over soon, and PTS never goes back.
func TestSenderClockSlowStart(t *testing.T) {
	s := newSender(t)
	a, v := s.track(48000, 9, 20*ms), s.track(90000, 8, 20*ms)
	for at := time.Duration(0); at < 10*time.Second; at += 40 * ms {
		s.epoch = s.epoch.Add(max(0, 300*ms-at)) // these arrive later
		pa, pv := a.packet(at, 0), v.packet(at, 0)
		s.epoch = s.epoch.Add(-max(0, 300*ms-at))
		a.packet(at+20*ms, 0)
		if at%time.Second == 0 {
			a.report(at)
			v.report(at)
		}
		near(t, "sound against picture", pa-pv, 0, ms)
		switch {
		case at == 2*time.Second:
			near(t, "PTS at first", pv, at+320*ms, 5*ms)
		case at >= 9*time.Second:
			near(t, "PTS", pv, at+20*ms, 25*ms)
		}
	}
}

// TestSenderClockSets: the sender's clock is set, its timestamps begin anew, its
// timestamps stand still for a while: tracks stay together and never go back.
func TestSenderClockSets(t *testing.T) {
	run := func(t *testing.T, change func(s *sender, a, v *track, at time.Duration)) {
		s := newSender(t)
		a, v := s.track(48000, 1<<32-7, 20*ms), s.track(90000, 1<<32-9, 200*ms)
		for at := time.Duration(0); at < 30*time.Second; at += 40 * ms {
			change(s, a, v, at)
			a.packet(at, 0)
			v.packet(at, 0)
			a.packet(at+20*ms, 0)
			if at%time.Second == 0 {
				v.report(at)
			}
			if at%(3*time.Second) == 0 {
				a.report(at)
			}
		}
		near(t, "sound against picture", a.last-v.last, 20*ms, 2*ms)
		if late := 30*time.Second - 40*ms + v.delay - v.last; late > 25*ms || late < -250*ms {
			t.Errorf("the picture's PTS is %v before its arrival", late)
		}
	}
	t.Run("clock forward", func(t *testing.T) {
		run(t, func(s *sender, _, _ *track, at time.Duration) {
			if at == 10*time.Second {
				s.skew += time.Hour
			}
		})
	})
	t.Run("clock back", func(t *testing.T) {
		run(t, func(s *sender, _, _ *track, at time.Duration) {
			if at == 10*time.Second {
				s.skew -= 2 * time.Second
			}
		})
	})
	t.Run("timestamps of the picture", func(t *testing.T) {
		run(t, func(_ *sender, _, v *track, at time.Duration) {
			if at == 10*time.Second {
				v.base += 1 << 30
			}
		})
	})
	t.Run("a new stream of sound", func(t *testing.T) {
		run(t, func(_ *sender, a, _ *track, at time.Duration) {
			if at == 10*time.Second {
				a.base += 123456789
				a.Restart(48000)
			}
		})
	})
	t.Run("delay grows", func(t *testing.T) {
		run(t, func(_ *sender, a, v *track, at time.Duration) {
			if at == 10*time.Second {
				a.delay += 300 * ms
				v.delay += 300 * ms
			}
		})
	})
}

// TestSenderClockIgnores: reports that cannot be, before media, or of another age.
func TestSenderClockIgnores(t *testing.T) {
	s := newSender(t)
	a := s.track(48000, 1, 0)
	a.report(0)
	for at := time.Duration(0); at < 3*time.Second; at += 20 * ms {
		a.packet(at, 0)
		switch at {
		case time.Second:
			a.report(at)
		case 2 * time.Second:
			a.Report(a.stamp(at), time.Unix(1<<40, 0), s.epoch.Add(at))
		case 2200 * ms: // one stray report changes nothing
			a.Report(a.stamp(at), s.epoch.Add(at+s.skew+time.Minute), s.epoch.Add(at))
		}
	}
	near(t, "sound", a.last, 2980*ms, ms)
	if (*pipeline.Fix)(nil).By() != 0 || !(*pipeline.Fix)(nil).Known() {
		t.Error("no correction is one")
	}
}
