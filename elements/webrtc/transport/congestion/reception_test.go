package congestion

import (
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func TestReception(t *testing.T) {
	var r Reception
	now := dawn
	if r.Started() || r.Lost() != 0 {
		t.Error("begun before anything came")
	}
	empty := r.Block(9, now)
	if empty.TotalLost != 0 || empty.FractionLost != 0 || empty.SSRC != 9 {
		t.Errorf("%+v", empty)
	}
	send := func(seq uint16) {
		r.Came(seq, uint32(seq)*1800, 90000, now)
		now = now.Add(20 * ms)
	}
	for seq := uint16(65500); seq != 65516; seq++ {
		send(seq)
	}
	if b := r.Block(9, now); b.FractionLost != 0 || b.TotalLost != 0 || b.LastSequenceNumber != 65515 || b.Jitter != 0 || b.Delay != 0 {
		t.Errorf("%+v", b)
	}
	// A quarter is lost, over the wrap.
	for i := range 40 {
		if i%4 != 0 {
			send(uint16(65516 + i))
		} else {
			now = now.Add(20 * ms)
		}
	}
	if b := r.Block(9, now); b.FractionLost != 64 || b.TotalLost != 10 || b.LastSequenceNumber != 65536+19 || r.Fraction() != 0.25 || r.Lost() != 10 {
		t.Errorf("%+v", b)
	}
	// Late ones make up for it, more than that is below zero.
	for range 12 {
		r.Came(5, 5*1800, 90000, now)
	}
	b := r.Block(9, now)
	if b.FractionLost != 0 || b.TotalLost != 0xfffffe || r.Lost() != -2 {
		t.Errorf("%+v", b)
	}
	if _, err := (&rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{b}}).Marshal(); err != nil {
		t.Error(err)
	}
}

func TestReceptionRestart(t *testing.T) {
	var r Reception
	for seq := range uint16(10) {
		r.Came(seq, 0, 90000, dawn)
	}
	r.Came(40_000, 0, 90000, dawn) // one stray does nothing
	if b := r.Block(1, dawn); b.LastSequenceNumber != 9 || b.TotalLost != 0 {
		t.Errorf("%+v", b)
	}
	r.Came(10, 0, 90000, dawn)
	r.Came(50_000, 0, 90000, dawn)
	r.Came(50_001, 0, 90000, dawn)
	if b := r.Block(1, dawn); b.LastSequenceNumber != 50_001 || b.TotalLost != 0 || b.FractionLost != 0 || r.Packets() != 1 {
		t.Errorf("%+v, %d packets", b, r.Packets())
	}
}

func TestReceptionJitter(t *testing.T) {
	var r Reception
	now := dawn
	for i := range 500 {
		at := now
		if i%2 == 1 {
			at = at.Add(10 * ms)
		}
		r.Came(uint16(i), uint32(i)*1800, 90000, at)
		now = now.Add(20 * ms)
	}
	// Each packet is 10 ms off the one before: 900 ticks.
	if j := r.Jitter(); j < 880 || j > 910 {
		t.Errorf("jitter %d", j)
	}
	// A jump of the media clock, a rate of 0 and the largest there is do no harm.
	r.Came(500, 1<<31, 90000, now)
	r.Came(501, 0, 0, now)
	r.Came(502, 1<<30, 1<<32-1, now.Add(4*s))
	r.Came(503, 0, 90000, now.Add(-time.Hour))
	if j := r.Jitter(); j > 1000 {
		t.Errorf("jitter %d", j)
	}
}

func TestReceptionDelay(t *testing.T) {
	var r Reception
	r.Came(1, 1, 90000, dawn)
	r.Report(0x0123456789abcdef, dawn)
	b := r.Block(1, dawn.Add(1500*ms))
	if b.LastSenderReport != 0x456789ab || b.Delay != 3*65536/2 {
		t.Errorf("%x, delay %d", b.LastSenderReport, b.Delay)
	}
	if b := r.Block(1, dawn.Add(100*24*time.Hour)); b.Delay != 1<<32-1 {
		t.Errorf("delay %d", b.Delay)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, tc := range []struct {
		lsr, delay, now uint32
		want            time.Duration
		ok              bool
	}{
		{0, 5, 70, 0, false},
		{0xb710_8000, 0x0005_4000, 0xb710_8000 + 0x0005_4000 + 65536/4, 250 * ms, true},
		{0xffff_0000, 0, 0x0000_8000, 1500 * ms, true}, // wraps
		{100_000, 50, 100_040, 0, true},
		{100_000, 1 << 20, 200_000, 0, false},
		{1, 0, 1 << 30, 0, false},
	} {
		if got, ok := RoundTrip(tc.lsr, tc.delay, tc.now); got != tc.want || ok != tc.ok {
			t.Errorf("%+v: %v, %v", tc, got, ok)
		}
	}
}
