package congestion

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// uplink is a sender that obeys REMB, as far as it has something to send.
type uplink struct {
	world
	link  link
	in    Incoming
	wish  int
	remb  int
	trace []int // bps that is sent, each second
	fells int
	abs   bool // packets carry their time of sending
}

func (u *uplink) now() time.Time { return dawn.Add(u.at) }

func (u *uplink) start() *uplink {
	u.link.random = rand.New(rand.NewPCG(3, 7))
	sent := 0
	u.each(time.Second/30, func() {
		bps := u.wish
		if u.remb > 0 {
			bps = min(bps, u.remb)
		}
		picture := u.at
		for left := bps / 8 / 30; left > 0; left -= 1200 {
			size := min(left, 1200) + 40
			sent += size
			at, ok := u.link.send(u.at, size)
			if !ok {
				continue
			}
			stamp, unit, bits := uint32(4_294_000_000+uint64(picture)*9/100_000), 90_000, uint(32)
			if u.abs {
				stamp, unit, bits = uint32(uint64(u.at)*SendTimeRate/1e9)&(1<<24-1), SendTimeRate, SendTimeBits
			}
			u.when(at, func() {
				if u.in.Came(stamp, unit, bits, size, u.now()) {
					u.fells++
					u.tell()
				}
			})
		}
	})
	u.each(time.Second, func() {
		u.tell()
		u.trace = append(u.trace, sent*8)
		sent = 0
	})
	return u
}

// tell sends a REMB.
func (u *uplink) tell() {
	bps := u.in.Estimate(u.now())
	u.when(u.at+u.link.delay, func() { u.remb = bps })
}

// TestIncoming wants a sender to follow a way that becomes narrow and wide again, by
// either kind of time, and one in nobody's way not to be held back.
func TestIncoming(t *testing.T) {
	for name, abs := range map[string]bool{"abs-send-time": true, "timestamps": false} {
		u := (&uplink{wish: 1_500_000, abs: abs, link: link{
			rate: dip(2e6, 300e3, 20*time.Second, 60*time.Second), delay: 30 * ms, jitter: 4 * ms,
		}}).start()
		u.run(130 * time.Second)
		if got := u.trace[10]; got < 1_400_000 {
			t.Errorf("%s: %d bps where there is room", name, got)
		}
		for i, got := range u.trace[24:58] {
			if got > 380_000 {
				t.Errorf("%s: %d bps %d s after the way has become narrow", name, got, i+4)
				break
			}
		}
		if low := mean(u.trace[30:58]); low < 180_000 {
			t.Errorf("%s: only %.0f bps of 300 kbit/s are used", name, low)
		}
		if u.fells == 0 {
			t.Errorf("%s: no fall was told at once", name)
		}
		if got := u.trace[len(u.trace)-1]; got < 900_000 {
			t.Errorf("%s: %d bps a minute after the way is wide again", name, got)
		}
	}
}

// TestIncomingIsCalm wants nothing told before it is known, or of a stream that ended,
// and odd input to do no harm.
func TestIncomingIsCalm(t *testing.T) {
	var x Incoming
	if x.Estimate(dawn) != 0 {
		t.Error("an estimate of nothing")
	}
	now := dawn
	for i := range 3000 {
		now = now.Add(time.Millisecond)
		x.Came(rand.Uint32(), 90_000, 32, 1000, now)
		if i == 500 && x.Estimate(now) != 0 {
			t.Error("an estimate after half a second")
		}
	}
	if got := x.Estimate(now); got < DefaultMin || got > DefaultMax {
		t.Errorf("%d bps of random times", got)
	}
	if x.Estimate(now.Add(3*time.Second)) != 0 {
		t.Error("an estimate of a stream that ended")
	}
	x.Came(1, 0, 32, 1000, now)
	x.Came(1, 90_000, 0, 1000, now)
	x.Came(1, 90_000, 99, 1<<40, now)
}

// TestREMBDoesNoHarm takes what a peer must not say.
func TestREMBDoesNoHarm(t *testing.T) {
	for _, bps := range []float64{0, -1, 1 << 60, math.Inf(1), math.NaN()} {
		var e Estimator
		e.Set(0, 0, 0)
		before := e.Target(dawn)
		e.REMB(bps, dawn)
		if got := e.Target(dawn); got < DefaultMin || got > before {
			t.Errorf("REMB %v: target %d, was %d", bps, got, before)
		}
		if got := e.Target(dawn.Add(time.Minute)); got < before {
			t.Errorf("REMB %v counts for ever: %d", bps, got)
		}
	}
}
