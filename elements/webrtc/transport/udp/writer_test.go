package udp

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

// ways are how a Linux kernel may be sent to; elsewhere they are all the same.
var ways = []struct {
	name      string
	gso, many bool
}{{"segmented", true, true}, {"many", false, true}, {"one by one", false, false}, {"segmented, one by one", true, false}}

// eachWay runs a test for both families and all ways.
func eachWay(t *testing.T, f func(t *testing.T, s *Socket, addr string)) {
	each(t, func(t *testing.T, addr string) {
		for _, c := range ways {
			t.Run(c.name, func(t *testing.T) {
				s := listen(t, addr, false)
				s.gso.Store(s.gso.Load() && c.gso)
				s.many.Store(s.many.Load() && c.many)
				f(t, s, addr)
			})
		}
	})
}

// TestSizes: every size alone, then runs of equal, falling, rising and random
// sizes, to two peers in turns and in runs. All arrive whole and in order.
func TestSizes(t *testing.T) {
	eachWay(t, func(t *testing.T, s *Socket, addr string) {
		w := NewWriter(16)
		var peers [2]*collector
		var paths [2]*Path
		for i := range peers {
			peers[i] = collect(t, listen(t, addr, false))
			paths[i] = NewPath(s, peers[i].s.LocalAddr(), uint8(i)*0xb8)
		}
		sum := 0
		check := func(name string, sizes []int, run int) {
			t.Helper()
			for i, n := range sizes {
				put(w, paths[i/run%2], n, byte(i))
			}
			w.Flush()
			sum += len(sizes)
			for i, n := range sizes {
				if got := peers[i/run%2].next(t); !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, n)) {
					t.Fatalf("%s, datagram %d of %d bytes comes as %d: %+v", name, i, n, len(got), w.Stats())
				}
			}
		}
		for n := 1; n <= SlotSize; n += 1 + n/50 {
			check("alone", []int{n}, 1)
		}
		var equal, falling, rising, random []int
		for i := range 300 {
			equal, falling, rising = append(equal, 100), append(falling, 1500-i*5), append(rising, 1+i*5)
			random = append(random, 1+rand.IntN(SlotSize))
		}
		for _, run := range []int{1, 2, 5, 70, 1000} {
			for _, c := range []struct {
				name  string
				sizes []int
			}{{"equal", equal}, {"falling", falling}, {"rising", rising}, {"random", random}} {
				check(fmt.Sprintf("%s in runs of %d", c.name, run), c.sizes, run)
			}
		}
		stats := w.Stats()
		if stats.Packets != uint64(sum) || stats.Full+stats.Unreachable+stats.TooBig+stats.Closed+stats.Failed != 0 {
			t.Errorf("after %d datagrams: %+v", sum, stats)
		}
		if stats.GSO != s.gso.Load() || stats.GSO && stats.Messages == stats.Packets || !stats.GSO && stats.Messages != stats.Packets {
			t.Errorf("segmentation %v: %+v", s.gso.Load(), stats)
		}
		if many := s.many.Load(); !many && stats.Calls != stats.Messages || many && stats.Calls >= stats.Messages {
			t.Errorf("many messages in a call %v: %+v", many, stats)
		}
	})
}

// TestFrame: a picture of four full packets and a shorter one for each of many
// subscribers is one message for each.
func TestFrame(t *testing.T) {
	s, peer := listen(t, "127.0.0.1:0", false), listen(t, "127.0.0.1:0", false)
	c := collect(t, peer)
	w := NewWriter(128)
	for range 20 {
		p := NewPath(s, peer.LocalAddr(), 0)
		for i := range 5 {
			put(w, p, 1200-i/4*300, byte(i))
		}
	}
	if w.Len() != 100 || w.Flush() != 100 || w.Len() != 0 {
		t.Errorf("%+v, %d left", w.Stats(), w.Len())
	}
	for i := range 100 {
		if got := c.next(t); got[0] != byte(i%5) {
			t.Fatalf("datagram %d is %d", i, got[0])
		}
	}
	stats := w.Stats()
	if stats.Bytes != 20*(4*1200+900) {
		t.Errorf("%d bytes", stats.Bytes)
	}
	if s.gso.Load() && (stats.Messages != 20 || stats.Calls != 1) {
		t.Errorf("%d messages in %d calls", stats.Messages, stats.Calls)
	}
	if w.Flush() != 0 || w.Stats() != stats {
		t.Error("an empty flush does something")
	}
}

func TestSlots(t *testing.T) {
	s, peer := listen(t, "127.0.0.1:0", false), listen(t, "127.0.0.1:0", false)
	c := collect(t, peer)
	p := NewPath(s, peer.LocalAddr(), 0)
	if p.Socket() != s || p.To() != peer.LocalAddr() || p.TOS() != 0 {
		t.Errorf("%v %v %v", p.Socket(), p.To(), p.TOS())
	}
	w := NewWriter(2)
	if a, b := w.Slot(), w.Slot(); len(a) != SlotSize || cap(a) != SlotSize || &a[0] != &b[0] {
		t.Error("a slot that was not committed is not given again")
	}
	// Full by bytes: the third slot sends the first two.
	put(w, p, 1500, 1)
	put(w, p, 1500, 2)
	if w.Len() != 2 || w.Stats().Packets != 0 {
		t.Errorf("sent too early: %+v", w.Stats())
	}
	w.Slot()
	if w.Len() != 0 || w.Stats().Packets != 2 {
		t.Errorf("not sent: %+v", w.Stats())
	}
	// Full by messages.
	for i := range 5 {
		put(w, NewPath(s, peer.LocalAddr(), 0), 10, byte(3+i))
	}
	if w.Stats().Packets != 6 || w.Len() != 1 || w.Flush() != 1 {
		t.Errorf("four messages are room for five: %+v", w.Stats())
	}
	for i := range 7 {
		if got := c.next(t); got[0] != byte(1+i) {
			t.Fatalf("datagram %d is %d", i, got[0])
		}
	}
	before := w.Stats()
	w.Commit(0, p)
	w.Commit(-1, p)
	w.Commit(SlotSize+1, p)
	if got := w.Stats(); w.Flush() != 0 || got.Failed != before.Failed+3 {
		t.Errorf("datagrams that cannot be: %+v", got)
	}
}

func TestOtherFamily(t *testing.T) {
	s := listen(t, "127.0.0.1:0", false)
	w := NewWriter(4)
	for _, to := range []netip.AddrPort{netip.MustParseAddrPort("[::1]:9"), {}} {
		put(w, NewPath(s, to, 0), 10, 1)
	}
	if w.Flush() != 0 || w.Stats().Unreachable != 2 {
		t.Errorf("%+v", w.Stats())
	}
}

// TestSeveralSockets: one Writer serves all local addresses.
func TestSeveralSockets(t *testing.T) {
	w := NewWriter(16)
	peer := listen(t, "127.0.0.1:0", false)
	c := collect(t, peer)
	var paths []*Path
	for range 3 {
		paths = append(paths, NewPath(listen(t, "127.0.0.1:0", false), peer.LocalAddr(), 0))
	}
	if err := paths[1].Socket().Close(); err != nil {
		t.Fatal(err)
	}
	for i := range 9 {
		put(w, paths[i/3], 50, byte(i))
	}
	if w.Flush() != 6 || w.Stats().Closed != 3 {
		t.Errorf("one of three sockets is closed: %+v", w.Stats())
	}
	for _, want := range []byte{0, 1, 2, 6, 7, 8} {
		if got := c.next(t); got[0] != want {
			t.Errorf("datagram %d comes, want %d", got[0], want)
		}
		if from := <-c.from; from != paths[want/3].Socket().LocalAddr() {
			t.Errorf("datagram %d from %v", want, from)
		}
	}
}
