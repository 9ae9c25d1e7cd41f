package congestion

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func TestNACKTracker(t *testing.T) {
	var n NACKTracker
	at := func(i int) time.Time { return dawn.Add(time.Duration(i) * ms) }
	ask := func(when int, want ...uint16) {
		t.Helper()
		if got := n.Missing(nil, at(when), 30*ms); !slices.Equal(got, want) {
			t.Errorf("at %d ms: asks for %v, want %v", when, got, want)
		}
	}
	came := func(when int, seq uint16, want Arrival) {
		t.Helper()
		if got := n.Came(seq, at(when)); got != want {
			t.Errorf("at %d ms: %d is %d, want %d", when, seq, got, want)
		}
	}
	if _, ok := n.Next(); ok {
		t.Error("something is missing before anything came")
	}
	came(0, 65533, Fresh)
	came(1, 65534, Fresh)
	ask(2)
	came(3, 2, Fresh)
	if next, ok := n.Next(); !ok || next.Sub(at(3)).Abs() > 2*ms {
		t.Errorf("next at %v, %v", next.Sub(dawn), ok)
	}
	ask(3, 65535, 0, 1) // at once
	ask(4)
	ask(36)
	ask(40, 65535, 0, 1) // after a round trip
	came(41, 0, Late)
	came(41, 0, Duplicate)
	came(41, 65534, Duplicate)
	if got := n.Recovered(65535, at(42)); got != Late {
		t.Errorf("recovered: %d", got)
	}
	if got := n.Recovered(65535, at(42)); got != Duplicate {
		t.Errorf("recovered twice: %d", got)
	}
	ask(80, 1)
	if n.Asked() != 7 {
		t.Errorf("%d asked", n.Asked())
	}
	for when := 90; when < 610; when += 10 {
		n.Missing(nil, at(when), 30*ms)
	}
	if got := n.GaveUp(); got != 1 {
		t.Errorf("%d given up", got)
	}
	if n.Asked() != 4+nackTimes { // of the others two each
		t.Errorf("%d asked, one packet at most %d times", n.Asked(), nackTimes)
	}
	if _, ok := n.Next(); ok {
		t.Error("something is missing still")
	}
	if n.GaveUp() != 0 {
		t.Error("given up twice")
	}
}

// TestNACKAge wants nothing asked for that is too old.
func TestNACKAge(t *testing.T) {
	var n NACKTracker
	n.Came(1, dawn)
	n.Came(3, dawn)
	if got := n.Missing(nil, dawn.Add(s), 0); len(got) != 0 || n.GaveUp() != 1 {
		t.Errorf("asks for %v", got)
	}
}

// TestNACKReordering wants packets that overtake each other by a little not asked
// for, once this has been seen.
func TestNACKReordering(t *testing.T) {
	var n NACKTracker
	at := func(i int) time.Time { return dawn.Add(time.Duration(i) * ms) }
	asked := 0
	for i := range 100 {
		now := i * 20
		n.Came(uint16(2*i+1), at(now))
		asked += len(n.Missing(nil, at(now), 50*ms))
		n.Came(uint16(2*i), at(now+5)) // overtaken by 5 ms
		asked += len(n.Missing(nil, at(now+6), 50*ms))
	}
	if asked > 2 {
		t.Errorf("asked %d times for packets that were on their way", asked)
	}
	// Real losses are asked for soon all the same, and at once again later.
	for i := range 300 {
		n.Came(uint16(1000+2*i), at(3000+20*i))
		n.Missing(nil, at(3000+20*i+19), 50*ms)
	}
	n.Came(2000, at(10_000))
	if got := n.Missing(nil, at(10_001), 50*ms); len(got) == 0 {
		t.Error("still waits though nothing is overtaken any more")
	}
}

func TestNACKBounds(t *testing.T) {
	var n NACKTracker
	n.Came(0, dawn)
	if got := n.Came(1000, dawn); got != Fresh {
		t.Errorf("%d", got)
	}
	got := n.Missing(nil, dawn, 0)
	if len(got) != nackMost || got[0] != 1000-nackMost || got[nackMost-1] != 999 || n.GaveUp() != 999-nackMost {
		t.Errorf("asks for %d", len(got))
	}
	if cap(n.missing) > nackMost {
		t.Errorf("room for %d", cap(n.missing))
	}
	for _, tc := range []struct {
		seq  uint16
		want Arrival
	}{{20_000, Restart}, {20_001, Fresh}, {19_999, Late}, {20_000 - 1024, Stale}} {
		if got := n.Came(tc.seq, dawn); got != tc.want {
			t.Errorf("%d: %d, want %d", tc.seq, got, tc.want)
		}
	}
	if n.GaveUp() == 0 || len(n.Missing(nil, dawn.Add(s), 0)) > 0 {
		t.Error("a new beginning is no loss, but asks for a keyframe")
	}
	n.Came(20_002, dawn)
	// Few strays change nothing, many are a new beginning.
	for i := range uint16(strays) {
		want := Stale
		if i == strays-1 {
			want = Restart
		}
		if got := n.Came(100+i, dawn); got != want {
			t.Errorf("stray %d: %d", i, got)
		}
	}
	// Retransmissions never begin a stream.
	if got := n.Recovered(30_000, dawn); got != Stale {
		t.Errorf("%d", got)
	}
	var fresh NACKTracker
	if got := fresh.Recovered(1, dawn); got != Stale {
		t.Errorf("%d", got)
	}
	// The last packet before a pause may come by retransmission only.
	if got := n.Recovered(100+strays, dawn); got != Fresh {
		t.Errorf("%d", got)
	}
}

// TestNACKTimeJumps wants a leap of the clock to end all waiting.
func TestNACKTimeJumps(t *testing.T) {
	var n NACKTracker
	n.Came(0, dawn)
	n.Came(5, dawn)
	n.Came(10, dawn.Add(-time.Hour))
	if got := n.Missing(nil, dawn.Add(-time.Hour), 0); len(got) != 8 {
		t.Errorf("asks for %v", got)
	}
	if got := n.Missing(nil, dawn.Add(50*24*time.Hour), 0); len(got) != 0 {
		t.Errorf("asks for %v", got)
	}
}

func TestAppendNACK(t *testing.T) {
	if b := AppendNACK(nil, 1, 2, nil); len(b) != 0 {
		t.Errorf("%x", b)
	}
	var many []uint16
	for i := range 600 {
		many = append(many, uint16(60_000+17*i))
	}
	for _, seqs := range [][]uint16{{7}, {65535, 0, 1}, {10, 11, 26, 27, 28, 100}, many} {
		packets, err := rtcp.Unmarshal(AppendNACK(nil, 1, 2, seqs))
		if err != nil {
			t.Fatal(err)
		}
		var got []uint16
		for _, p := range packets {
			p := p.(*rtcp.TransportLayerNack)
			if p.SenderSSRC != 1 || p.MediaSSRC != 2 || len(p.Nacks) > nackMost {
				t.Errorf("%+v", p)
			}
			for _, pair := range p.Nacks {
				got = append(got, pair.PacketList()...)
			}
		}
		if !slices.Equal(got, seqs) {
			t.Errorf("asks for %v, want %v", got, seqs)
		}
	}
}
