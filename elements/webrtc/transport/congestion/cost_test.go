package congestion

import (
	"testing"
	"time"
	"unsafe"
)

// TestSizes bounds what each peer and stream costs.
func TestSizes(t *testing.T) {
	for _, tc := range []struct {
		name       string
		size, most uintptr
	}{
		{"Recorder", unsafe.Sizeof(Recorder{}), 2300},
		{"NACKTracker", unsafe.Sizeof(NACKTracker{}), 256},
		{"Reception", unsafe.Sizeof(Reception{}), 160},
		{"Estimator", unsafe.Sizeof(Estimator{}), 1536},
		{"Pacer", unsafe.Sizeof(Pacer{}), 80},
		{"Budget", unsafe.Sizeof(Budget{}), 16},
		{"history", historyMost * 6, 14 << 10},
	} {
		if tc.size > tc.most {
			t.Errorf("%s takes %d bytes, want %d at most", tc.name, tc.size, tc.most)
		}
	}
}

// TestAllocations wants none per packet.
func TestAllocations(t *testing.T) {
	now, seq := dawn, uint16(0)
	var rec Recorder
	var nack NACKTracker
	var got Reception
	var est Estimator
	var pacer Pacer
	var budget Budget
	est.Wish(1 << 22)
	buffer, wanted := make([]byte, 0, 4096), make([]uint16, 0, 512)
	round := func() {
		now = now.Add(2 * ms)
		seq++
		est.Sent(seq, 1200, now)
		pacer.Allow(1200, now)
		pacer.Rate(1_000_000, now)
		budget.Earn(1200)
		budget.Spend(12)
		got.Came(seq, uint32(seq)*90, 90000, now)
		if seq%50 == 0 {
			return
		}
		rec.Record(seq, now)
		nack.Came(seq, now)
		wanted = nack.Missing(wanted[:0], now, 50*ms)
		for _, missing := range wanted {
			nack.Recovered(missing, now)
		}
		if rec.Due(now) {
			buffer = rec.Build(buffer[:0], 1, 2, now)
			if err := est.Feedback(buffer, now); err != nil {
				t.Fatal(err)
			}
			got.Block(1, now)
		}
		est.Target(now)
		est.Probe(now)
		est.REMB(1e6, now)
	}
	for range 5000 {
		round()
	}
	if n := testing.AllocsPerRun(5000, round); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
}

// TestHistoryGrows wants the history as large as what is on its way, no larger.
func TestHistoryGrows(t *testing.T) {
	var e Estimator
	if err := e.Feedback(claim(1, 1, 0, []uint16{1<<13 | 1}, 0), dawn); err != nil {
		t.Fatal(err)
	}
	now := dawn
	for i := range 5000 { // 50 per second: what is old makes room
		now = now.Add(20 * ms)
		e.Sent(uint16(i), 100, now)
	}
	if n := len(e.history.info); n != historyLeast {
		t.Errorf("%d kept of a slow stream", n)
	}
	before := now.Add(20 * ms)
	for i := range 700 {
		now = now.Add(time.Millisecond)
		e.Sent(uint16(5000+i), 1000+i, now)
	}
	if n := len(e.history.info); n != 1024 {
		t.Errorf("%d kept, want room for 700", n)
	}
	for i := range 700 {
		sent, size, _, _, ok := e.history.came(uint16(5000+i), e.clock.at(now))
		if at := e.clock.time(sent).Sub(before); !ok || size != 1000+i || at != time.Duration(i-19)*ms {
			t.Fatalf("packet %d: sent at %v, %d bytes, %v", i, at, size, ok)
		}
	}
	for i := range 20_000 {
		e.Sent(uint16(5700+i), 1000, now)
	}
	if n := len(e.history.info); n != historyMost {
		t.Errorf("%d kept", n)
	}
}

func BenchmarkSent(b *testing.B) {
	var e Estimator
	if err := e.Feedback(claim(1, 1, 0, []uint16{1<<13 | 1}, 0), dawn); err != nil {
		b.Fatal(err)
	}
	now := dawn
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		e.Sent(uint16(i), 1200, now)
	}
}

// BenchmarkFeedback is about 20 packets each, with sending them.
func BenchmarkFeedback(b *testing.B) {
	var e Estimator
	var r Recorder
	now, seq, buffer := dawn, uint16(0), make([]byte, 0, 1500)
	b.ReportAllocs()
	for b.Loop() {
		e.credit = 0
		for range 20 {
			now = now.Add(5 * ms)
			e.Sent(seq, 1200, now)
			r.Record(seq, now)
			seq++
		}
		buffer = r.Build(buffer[:0], 1, 2, now)
		if err := e.Feedback(buffer, now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFeedbackWorst is the most work that 1200 bytes can make.
func BenchmarkFeedbackWorst(b *testing.B) {
	var e Estimator
	var chunks []uint16
	for range 580 {
		chunks = append(chunks, 2<<14) // each 14 that are missing
	}
	for left := 65535 - 580*vectorOne; left > 0; left -= maxRun {
		chunks = append(chunks, uint16(min(left, maxRun)))
	}
	p := claim(0, 65535, 0, chunks)
	now := dawn
	for i := range 3000 {
		e.Sent(uint16(i), 1200, now)
	}
	if err := e.Feedback(p, now); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.credit = 0
		if err := e.Feedback(p, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	var r Recorder
	now, buffer := dawn, make([]byte, 0, 1500)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		r.Record(uint16(i), now)
		if r.Due(now) {
			buffer = r.Build(buffer[:0], 1, 2, now)
		}
	}
}

func BenchmarkCame(b *testing.B) {
	var n NACKTracker
	var r Reception
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n.Came(uint16(i), dawn)
		r.Came(uint16(i), uint32(i), 90000, dawn)
	}
}
