package netem

import (
	"math/rand/v2"
	"testing"
	"time"
)

func datagram(n int) []byte {
	b := make([]byte, ipHeader+udpHeader+n)
	b[0], b[9] = 0x45, 17
	return b
}

// pass sends n datagrams of 972 bytes (1,000 with headers), one each ms, and tells
// when each that came did.
func pass(p Profile, n int) (*way, []time.Duration) {
	w := &way{p: p, random: rand.New(rand.NewPCG(1, 2))}
	begin := time.Unix(0, 0)
	var came []time.Duration
	for i := range n + 5000 {
		now := begin.Add(time.Duration(i) * time.Millisecond)
		if i < n {
			w.take(datagram(972), now)
		}
		for {
			b, _ := w.due(now)
			if b == nil {
				break
			}
			came = append(came, now.Sub(begin))
		}
	}
	return w, came
}

func TestProfile(t *testing.T) {
	const n = 10_000
	for name, c := range map[string]struct {
		p           Profile
		least, most int
		first       time.Duration
	}{
		"perfect":   {Profile{}, n, n, 0},
		"loss":      {Profile{Loss: 0.1}, 8800, 9200, 0},
		"delay":     {Profile{Delay: 40 * time.Millisecond}, n, n, 40 * time.Millisecond},
		"duplicate": {Profile{Duplicate: 0.1}, 10_800, 11_200, 0},
		"down":      {Profile{Down: true}, 0, 0, 0},
		// 8 Mbit/s come, 4 leave; the queue holds 200 ms of it.
		"rate": {Profile{Rate: 4_000_000}, 5000, 5200, 2 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			w, came := pass(c.p, n)
			if len(came) < c.least || len(came) > c.most {
				t.Errorf("%d of %d came: %+v", len(came), n, w.counters)
			}
			if len(came) > 0 && came[0] != c.first && c.p.Loss == 0 {
				t.Errorf("the first came after %v, want %v", came[0], c.first)
			}
			if got := w.counters; got.Forwarded != int64(len(came)) || got.Forwarded-got.Duplicated+got.Lost+got.Overflowed != n {
				t.Errorf("%d came, counters are %+v", len(came), got)
			}
		})
	}
}

func TestOrder(t *testing.T) {
	for name, c := range map[string]struct {
		p       Profile
		ordered bool
	}{
		"jitter keeps the order": {Profile{Delay: 50 * time.Millisecond, Jitter: 30 * time.Millisecond}, true},
		"reordering does not":    {Profile{Delay: 50 * time.Millisecond, Reorder: 0.05}, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := &way{p: c.p, random: rand.New(rand.NewPCG(3, 4))}
			now, last, ordered := time.Unix(0, 0), -1, true
			for i := range 2000 {
				b := datagram(2)
				b[ipHeader+udpHeader], b[ipHeader+udpHeader+1] = byte(i>>8), byte(i)
				w.take(b, now)
				now = now.Add(time.Millisecond)
				for b, _ := w.due(now); b != nil; b, _ = w.due(now) {
					at := int(b[ipHeader+udpHeader])<<8 | int(b[ipHeader+udpHeader+1])
					ordered = ordered && at > last
					last = at
				}
			}
			if ordered != c.ordered {
				t.Errorf("in order: %v", ordered)
			}
		})
	}
}

func TestCorrupt(t *testing.T) {
	w := &way{p: Profile{Corrupt: 1, Loss: 0}, random: rand.New(rand.NewPCG(5, 6))}
	now := time.Unix(0, 0)
	clean := datagram(100)
	w.take(clean, now)
	got, _ := w.due(now)
	differ := 0
	for i := range got {
		if got[i] != clean[i] {
			differ++
		}
	}
	if differ != 1 {
		t.Errorf("%d bytes differ", differ)
	}
	tcp := datagram(100)
	tcp[9] = 6
	w.p.Loss = 1
	w.take(tcp, now)
	if got, _ := w.due(now); got == nil || string(got) != string(tcp) {
		t.Error("TCP is touched")
	}
}
