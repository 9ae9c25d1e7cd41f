package congestion

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// claim is feedback with these chunks and deltas, padded with zeros.
func claim(base, count uint16, reference uint32, chunks []uint16, deltas ...byte) []byte {
	b := []byte{0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2}
	b = binary.BigEndian.AppendUint16(b, base)
	b = binary.BigEndian.AppendUint16(b, count)
	b = binary.BigEndian.AppendUint32(b, reference<<8)
	for _, c := range chunks {
		b = binary.BigEndian.AppendUint16(b, c)
	}
	b = append(b, deltas...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1))
	return b
}

// listen reads feedback with our own reader.
func listen(b []byte) (told, error) {
	f, err := readFeedback(b)
	if err != nil {
		return nil, err
	}
	out, at := told{}, time.Duration(f.reference)*64*ms
	for s, ok := f.next(); ok; s, ok = f.next() {
		at += time.Duration(s.delta) * 250 * time.Microsecond
		for i := range s.n {
			if out[s.seq+uint16(i)] = -1; s.came {
				out[s.seq+uint16(i)] = at
			}
		}
	}
	return out, nil
}

// TestFeedbackReader wants what is read to be what another implementation reads.
func TestFeedbackReader(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		var r Recorder
		now, seq := dawn, uint16(random.Uint32())
		for range 1 + random.IntN(300) {
			if random.IntN(10) > 2 {
				r.Record(seq, now)
			}
			seq++
			now = now.Add(time.Duration(random.ExpFloat64() * float64(10*ms)))
		}
		b := r.Build(nil, 1, 2, now)
		for len(b) > 0 {
			n := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
			var p rtcp.TransportLayerCC
			if err := p.Unmarshal(b[:n]); err != nil {
				t.Fatal(err)
			}
			got, err := listen(b[:n])
			if err != nil {
				t.Fatal(err)
			}
			want := read(&p)
			if len(got) != len(want) {
				t.Fatalf("%d packets, want %d", len(got), len(want))
			}
			for seq, at := range want {
				if got[seq] != at {
					t.Fatalf("packet %d at %v, want %v", seq, got[seq], at)
				}
			}
			b = b[n:]
		}
	}
}

func TestFeedbackMalformed(t *testing.T) {
	good := claim(10, 3, 5, []uint16{1<<13 | 3}, 1, 2, 3)
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	for _, tc := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"good", good, true},
		{"followed by others", append(bytes.Clone(good), 1, 2, 3, 4), true},
		{"nothing came, no deltas", claim(10, 3, 5, []uint16{3, 0}), true},
		{"two-bit vector", claim(10, 7, 5, []uint16{3<<14 | 1<<12 | 2<<10}, 9, 0xff, 0xfe), true},
		{"bits past the count", claim(10, 2, 5, []uint16{2<<14 | 0x3fff}, 1, 2), true},
		{"a run past the count", claim(10, 2, 5, []uint16{1<<13 | 8191}, 1, 2), true},
		{"empty", nil, false},
		{"short", good[:20], false},
		{"longer than it is", change(func(b []byte) { b[3] = 60 }), false},
		{"length 0", change(func(b []byte) { b[2], b[3] = 0, 0 }), false},
		{"version 1", change(func(b []byte) { b[0] = 0x4f }), false},
		{"another format", change(func(b []byte) { b[0] = 0x81 }), false},
		{"another type", change(func(b []byte) { b[1] = 206 }), false},
		{"padding of 0", change(func(b []byte) { b[0] |= 0x20; b[len(b)-1] = 0 }), false},
		{"padding of 255", change(func(b []byte) { b[0] |= 0x20; b[len(b)-1] = 255 }), false},
		{"padding over the deltas", change(func(b []byte) { b[0] |= 0x20; b[len(b)-1] = 5 }), false},
		{"no packets", claim(10, 0, 5, []uint16{0x2000}), false},
		{"a run of none", claim(10, 3, 5, []uint16{1 << 13, 1 << 13}), false},
		{"a reserved symbol", claim(10, 3, 5, []uint16{3<<13 | 3}, 1, 2, 3), false},
		{"a reserved symbol in a vector", claim(10, 3, 5, []uint16{3<<14 | 3<<12}, 1, 2, 3), false},
		{"chunks missing", claim(10, 20, 5, []uint16{2 << 14, 0x8000}[:1]), false},
		{"deltas missing", claim(10, 9, 5, []uint16{2<<13 | 9}, 1, 2, 3), false},
		{"all there are", claim(10, 65535, 5, []uint16{8191, 8191, 8191, 8191, 8191, 8191, 8191, 8191, 7}), true},
		{"65535 that came", claim(10, 65535, 5, []uint16{0x3fff, 0x3fff, 0x3fff, 0x3fff, 0x3fff, 0x3fff, 0x3fff, 0x3fff, 0x2007}, 1, 2, 3), false},
	} {
		var e Estimator
		err := e.Feedback(tc.b, dawn)
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrFeedback) {
			t.Errorf("%s: %v", tc.name, err)
		}
		if e.Active() != tc.ok {
			t.Errorf("%s: active %v", tc.name, e.Active())
		}
	}
}

// TestFeedbackLies wants lies to harm nobody but the liar, who gets no less than
// the least and no more than the most.
func TestFeedbackLies(t *testing.T) {
	everything := []uint16{8191, 8191, 8191, 8191, 8191, 8191, 8191, 8191, 7}
	var e Estimator
	now := dawn
	seq := uint16(0)
	e.Wish(5_000_000)
	for i := range 2000 {
		for range 5 {
			e.Sent(seq, 1000, now)
			seq++
		}
		var b []byte
		switch i % 5 {
		case 0:
			b = claim(seq, 65535, uint32(i*1e6), everything)
		case 1: // all came at one moment, again and again
			b = claim(seq-500, 500, uint32(i), []uint16{1<<13 | 500}, make([]byte, 500)...)
		case 2: // not yet sent
			b = claim(seq+10, 500, uint32(i), []uint16{1<<13 | 500}, make([]byte, 500)...)
		case 3: // backwards in time
			b = claim(seq-100, 100, 1<<24-1, []uint16{2<<13 | 100}, bytes.Repeat([]byte{0x80, 0}, 100)...)
		case 4:
			b = claim(seq-100, 100, 0, []uint16{2<<13 | 100}, bytes.Repeat([]byte{0x7f, 0xff}, 100)...)
		}
		if err := e.Feedback(b, now); err != nil {
			t.Fatal(err)
		}
		sane(t, &e, now)
		now = now.Add(20 * ms)
	}
	if n := len(e.history.info); n > historyMost {
		t.Errorf("%d packets kept", n)
	}
}

// TestFeedbackStorm wants a flood of feedback heard in part.
func TestFeedbackStorm(t *testing.T) {
	var e Estimator
	b := claim(1, 1, 0, []uint16{1<<13 | 1}, 0)
	for i := range 50_000 {
		if err := e.Feedback(b, dawn.Add(time.Duration(i)*20*time.Microsecond)); err != nil {
			t.Fatal(err)
		}
	}
	if n := e.Stats(dawn).Feedbacks; n < 250 || n > 400 {
		t.Errorf("%d heard in a second", n)
	}
}

func sane(t *testing.T, e *Estimator, now time.Time) {
	t.Helper()
	if bps := e.Target(now); bps < DefaultMin || bps > DefaultMax {
		t.Fatalf("target %d", bps)
	}
	if n, ok := e.Probe(now); ok && (n <= 0 || n > probeBytes) {
		t.Fatalf("probe of %d bytes", n)
	}
	for _, x := range []float64{e.rate.bps, e.rate.capacity, e.rate.variance, e.loss.ceiling, e.loss.inherent, e.trend.slope, e.trend.sum, e.trend.gamma, e.probe.rate} {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			t.Fatalf("%+v", e)
		}
	}
	if st := e.Stats(now); st.Acked < 0 || st.Sending < 0 || st.Loss < 0 || st.Loss > 1 || st.RTT < 0 || st.RTT > 11*s {
		t.Fatalf("%+v", st)
	}
}

// FuzzFeedback feeds arbitrary feedback to an Estimator that has sent packets, and
// to the reader alone: neither believes more than there can be.
func FuzzFeedback(f *testing.F) {
	f.Add(claim(10, 3, 5, []uint16{1<<13 | 3}, 1, 2, 3), uint16(9), int64(1000))
	f.Add(claim(10, 7, 5, []uint16{3<<14 | 1<<12 | 2<<10}, 9, 0xff, 0xfe), uint16(0), int64(-1))
	f.Add(claim(65530, 14, 0xffffff, []uint16{2<<14 | 0x2aaa}, 1, 2, 3, 4, 5, 6, 7), uint16(65000), int64(1<<40))
	f.Add(claim(10, 65535, 5, []uint16{8191, 8191, 8191, 8191, 8191, 8191, 8191, 8191, 7}), uint16(300), int64(0))
	var r Recorder
	for i := range 100 {
		r.Record(uint16(i+i/7), dawn.Add(time.Duration(i)*7*ms))
	}
	f.Add(r.Build(nil, 1, 2, dawn), uint16(0), int64(20_000))
	f.Fuzz(func(t *testing.T, b []byte, first uint16, jump int64) {
		if got, err := listen(b); err == nil && (len(got) == 0 || len(got) > 65535) {
			t.Fatalf("%d packets", len(got))
		}
		var e Estimator
		now := dawn
		e.Wish(3_000_000)
		if err := e.Feedback(claim(first-1, 1, 0, []uint16{1<<13 | 1}, 0), now); err != nil {
			t.Fatal(err)
		}
		for i := range 40 {
			for range 10 {
				e.Sent(first, 1100, now)
				first++
			}
			now = now.Add(25 * ms)
			if i > 20 {
				// As it is, and about what has just been sent.
				_ = e.Feedback(b, now)
				if len(b) >= feedbackFixed {
					c := bytes.Clone(b)
					binary.BigEndian.PutUint16(c[12:], first-uint16(i))
					_ = e.Feedback(c, now)
				}
			}
			sane(t, &e, now)
		}
		now = now.Add(time.Duration(jump) * time.Microsecond)
		_ = e.Feedback(b, now)
		sane(t, &e, now)
	})
}

// TestSettled: what others overtook is there in the end, what never came is lost,
// and what lost feedback would have told is neither.
func TestSettled(t *testing.T) {
	for name, c := range map[string]struct {
		count      int
		late       func(seq int) bool // by 70 ms
		lost       func(seq int) bool
		deaf       func(seq int) bool // the feedback that is due with it is lost
		came, gone int
	}{
		"all":      {count: 400, came: 400},
		"late":     {count: 400, late: func(n int) bool { return n%3 == 0 }, came: 400},
		"lost":     {count: 400, lost: func(n int) bool { return n%10 == 5 }, came: 360, gone: 40},
		"both":     {count: 400, late: func(n int) bool { return n%7 == 0 }, lost: func(n int) bool { return n%10 == 5 }, came: 360, gone: 40},
		"feedback": {count: 400, deaf: func(n int) bool { return n > 100 && n < 300 }, came: 200},
		"many":     {count: 4000, lost: func(n int) bool { return n%10 == 5 }, came: 3600, gone: 400},
	} {
		t.Run(name, func(t *testing.T) {
			no := func(int) bool { return false }
			for _, f := range []*func(int) bool{&c.late, &c.lost, &c.deaf} {
				if *f == nil {
					*f = no
				}
			}
			var e Estimator
			var rec Recorder
			rec.Record(0, dawn)
			if err := e.Feedback(rec.Build(nil, 1, 2, dawn), dawn); err != nil {
				t.Fatal(err)
			}
			now := dawn
			behind := map[int]uint16{}
			var came, gone int
			for i := range c.count + 400 {
				now = now.Add(5 * ms)
				seq := uint16(65400 + i)
				if i < c.count {
					e.Sent(seq, 1000, now)
					switch {
					case c.lost(i):
					case c.late(i):
						behind[i+14] = seq
					default:
						rec.Record(seq, now)
					}
				} else if i%20 == 0 { // padding, so that there is feedback of the last
					rec.Record(seq, now)
				}
				if seq, ok := behind[i]; ok {
					rec.Record(seq, now)
				}
				if i%20 == 19 {
					if b := rec.Build(nil, 1, 2, now); !c.deaf(i) && len(b) > 0 {
						if err := e.Feedback(b, now); err != nil {
							t.Fatal(err)
						}
					}
				}
				if i%200 == 199 {
					n, m := e.Settled(now)
					came, gone = came+n, gone+m
				}
			}
			if slack := 20; came < c.came-slack || came > c.came+slack || gone != c.gone {
				t.Errorf("%d came and %d are lost, want %d and %d", came, gone, c.came, c.gone)
			}
			if n, m := e.Settled(now); n != 0 || m != 0 {
				t.Errorf("counted twice: %d, %d", n, m)
			}
		})
	}
}

// TestLost: what feedback tells to be missing is told once, and only to who asks.
func TestLost(t *testing.T) {
	var e Estimator
	var rec Recorder
	now := dawn
	tell := func() []uint16 {
		t.Helper()
		now = now.Add(100 * ms)
		if err := e.Feedback(rec.Build(nil, 1, 2, now), now); err != nil {
			t.Fatal(err)
		}
		return e.Lost()
	}
	send := func(first, n int, lost ...int) {
		for i := range n {
			now = now.Add(ms)
			e.Sent(uint16(first+i), 1000, now)
			if !slices.Contains(lost, first+i) {
				rec.Record(uint16(first+i), now)
			}
		}
	}
	rec.Record(65529, now)
	tell()
	send(65530, 4, 65532)
	if got := tell(); got != nil {
		t.Errorf("nobody asked: %v", got)
	}
	e.Follow(true)
	e.Follow(true)
	send(65534, 10, 65535, 65540)
	if got := tell(); !slices.Equal(got, []uint16{65535, 4}) {
		t.Errorf("told %v", got)
	}
	send(65544, 10)
	if got := tell(); len(got) != 0 {
		t.Errorf("nothing more was lost, told %v", got)
	}
	most := make([]int, 150)
	for i := range most {
		most[i] = 65555 + i
	}
	send(65554, 160, most...)
	if got := tell(); len(got) != historyNews || got[0] != 19 {
		t.Errorf("told %v", got)
	}
	e.Follow(false)
	if got := e.Lost(); got != nil {
		t.Errorf("nobody asks any more: %v", got)
	}
}
