package congestion

import (
	"testing"
	"time"
)

// TestPacer wants a long burst spread over time at 2.5 times the target, and a
// usual frame not held back.
func TestPacer(t *testing.T) {
	var p Pacer
	now := dawn
	for range 1000 {
		if !p.Allow(1500, now) || p.When(now) != 0 {
			t.Fatal("held back without a rate")
		}
	}
	p.Spend(1e9, now)
	p.Rate(800_000, now) // 250 kB/s
	sent := 0
	for p.Allow(1000, now) {
		sent += 1000
	}
	if sent != 10_000 { // 40 ms of 250 kB/s
		t.Errorf("%d bytes pass at once", sent)
	}
	begin, sent := now, 0
	for sent < 100_000 {
		wait := p.When(now)
		if wait <= 0 || wait > 10*ms {
			t.Fatalf("wait of %v", wait)
		}
		if p.Allow(1000, now.Add(wait-5*time.Microsecond)) {
			t.Fatal("too early")
		}
		now = now.Add(wait + time.Microsecond)
		if !p.Allow(1000, now) {
			t.Fatal("not when it said")
		}
		sent += 1000
	}
	if took := now.Sub(begin); took < 390*ms || took > 410*ms {
		t.Errorf("100 kB in %v", took)
	}
	p.Rate(0, now)
	if !p.Allow(1500, now) {
		t.Error("held back without a rate")
	}
}

// TestPacerDebt wants what does not wait to count, but to stop video for 40 ms at
// most.
func TestPacerDebt(t *testing.T) {
	var p Pacer
	p.Rate(2_000_000, dawn)
	p.Spend(500_000, dawn)
	if p.Allow(1000, dawn) {
		t.Error("passes in debt")
	}
	if wait := p.When(dawn); wait < 35*ms || wait > 45*ms {
		t.Errorf("wait of %v", wait)
	}
	p.Rate(1, dawn)
	if p.When(dawn) <= 0 {
		t.Error("no wait at 1 bps")
	}
	p.Rate(-5, dawn)
	if p.When(dawn) != 0 {
		t.Error("a wait without a rate")
	}
}

// TestPacerTime wants neither a clock that goes back nor a long pause to give more
// than a bucket holds.
func TestPacerTime(t *testing.T) {
	var p Pacer
	p.Rate(800_000, dawn)
	for _, now := range []time.Time{dawn.Add(time.Hour), dawn.Add(-time.Hour), dawn.Add(2 * time.Hour)} {
		sent := 0
		for p.Allow(1000, now) {
			sent += 1000
		}
		if sent > 10_000 {
			t.Errorf("%d bytes", sent)
		}
	}
}

// TestBudget wants a storm of requests to get its share and the purse, no more.
func TestBudget(t *testing.T) {
	var b Budget
	again := func() (sum int) {
		for b.Spend(1000) {
			sum += 1000
		}
		return sum
	}
	if got := again(); got != budgetStart {
		t.Errorf("%d at the beginning", got)
	}
	sent, got := 0, 0
	for range 10_000 {
		b.Earn(1200)
		sent += 1200
		got += again()
	}
	if most := sent * budgetShare / 100; got > most || got < most-1000 {
		t.Errorf("%d again of %d", got, sent)
	}
	for range 1_000_000 {
		b.Earn(1200)
	}
	if got := again(); got < budgetPurse-1000 || got > budgetPurse {
		t.Errorf("%d saved up", got)
	}
	b.Earn(-1 << 40)
	if b.Spend(-1) || b.Spend(1<<40) || b.Spend(1<<62) {
		t.Error("what cannot be is granted")
	}
}
