//go:build !portable

package udp

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// refusing makes a Writer whose kernel answers as told before it works again.
func refusing(w *Writer, answers ...unix.Errno) {
	next := func() (e unix.Errno) {
		if len(answers) > 0 {
			e, answers = answers[0], answers[1:]
		}
		return e
	}
	w.kernel.sendmmsg = func(fd uintptr, first *mmsghdr, n int) (int, unix.Errno) {
		if e := next(); e != 0 {
			return 0, e
		}
		return linux.sendmmsg(fd, first, n)
	}
	w.kernel.sendmsg = func(fd uintptr, m *unix.Msghdr) unix.Errno {
		if e := next(); e != 0 {
			return e
		}
		return linux.sendmsg(fd, m)
	}
}

// TestRefusals: what a kernel may answer, and what becomes of five datagrams to
// one peer and one to another.
func TestRefusals(t *testing.T) {
	none := WriterStats{}
	for _, c := range []struct {
		name    string
		answers []unix.Errno
		sent    int
		lost    WriterStats
		whole   bool // the first path takes no segments afterwards
	}{
		{"no refusal", nil, 6, none, false},
		{"interrupted", []unix.Errno{unix.EINTR, unix.EINTR}, 6, none, false},
		{"full, then room", []unix.Errno{unix.EAGAIN}, 6, none, false},
		{"device queue full, then room", []unix.Errno{unix.ENOBUFS}, 6, none, false},
		{"full twice", []unix.Errno{unix.EAGAIN, unix.EAGAIN}, 0, WriterStats{Full: 6}, false},
		{"no checksums", []unix.Errno{unix.EIO}, 6, none, true},
		{"small MTU", []unix.Errno{unix.EINVAL}, 6, none, true},
		{"small MTU, newer kernel", []unix.Errno{unix.EMSGSIZE}, 6, none, true},
		{"small MTU, interrupted", []unix.Errno{unix.EINVAL, unix.EINTR}, 6, none, true},
		{"small MTU, datagrams too big", []unix.Errno{unix.EINVAL, unix.EMSGSIZE, unix.EMSGSIZE}, 4, WriterStats{TooBig: 2}, true},
		{"small MTU, full, then room", []unix.Errno{unix.EINVAL, 0, unix.EAGAIN}, 6, none, true},
		{"small MTU, full", []unix.Errno{unix.EINVAL, 0, unix.EAGAIN, unix.EAGAIN}, 1, WriterStats{Full: 5}, true},
		{"no sendmmsg", []unix.Errno{unix.ENOSYS}, 6, none, false},
		{"no route", []unix.Errno{unix.ENETUNREACH}, 1, WriterStats{Unreachable: 5}, false},
		{"forbidden", []unix.Errno{unix.EPERM}, 1, WriterStats{Unreachable: 5}, false},
		{"bad descriptor", []unix.Errno{unix.EBADF}, 1, WriterStats{Closed: 5}, false},
		{"something else", []unix.Errno{unix.EPROTO}, 1, WriterStats{Failed: 5}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := listen(t, "127.0.0.1:0", false)
			if !s.gso.Load() {
				t.Skip("this kernel does not segment")
			}
			one, two := collect(t, listen(t, "127.0.0.1:0", false)), collect(t, listen(t, "127.0.0.1:0", false))
			p, q := NewPath(s, one.s.LocalAddr(), 0), NewPath(s, two.s.LocalAddr(), 0)
			w := NewWriter(16)
			refusing(w, c.answers...)
			send := func() int {
				for i := range 5 {
					put(w, p, 1200-i/4*100, byte(i))
				}
				put(w, q, 1200, 9)
				return w.Flush()
			}
			if sent := send(); sent != c.sent {
				t.Errorf("%d of 6 are sent, want %d", sent, c.sent)
			}
			got := w.Stats()
			lost := WriterStats{Full: got.Full, Unreachable: got.Unreachable, TooBig: got.TooBig, Closed: got.Closed, Failed: got.Failed}
			if lost != c.lost {
				t.Errorf("lost %+v, want %+v", lost, c.lost)
			}
			if p.segments() == c.whole || !q.segments() {
				t.Errorf("segments: %v and %v", p.segments(), q.segments())
			}
			for range c.sent {
				select {
				case <-one.came:
				case <-two.came:
				}
			}
			// Nothing is left of it at the next flush.
			if sent := send(); sent != 6 {
				t.Errorf("the next time %d of 6 are sent", sent)
			}
			for i := range 5 {
				if b := one.next(t); len(b) != 1200-i/4*100 || b[0] != byte(i) {
					t.Errorf("datagram %d is %d with %d bytes", i, b[0], len(b))
				}
			}
			if b := two.next(t); b[0] != 9 {
				t.Errorf("the other peer gets %d", b[0])
			}
		})
	}
}

// TestNoRoomIsWaitedForOnce: a socket whose buffer stays full delays a Flush once,
// however many messages there are.
func TestNoRoomIsWaitedForOnce(t *testing.T) {
	s := listen(t, "127.0.0.1:0", false)
	w := NewWriter(8)
	waits := 0
	w.kernel.sendmmsg = func(uintptr, *mmsghdr, int) (int, unix.Errno) { return 0, unix.EAGAIN }
	w.kernel.wait = func(uintptr) bool { waits++; return false }
	for flush := 1; flush <= 3; flush++ {
		for i := range 4 {
			put(w, NewPath(s, s.LocalAddr(), 0), 100, byte(i))
		}
		if w.Flush() != 0 || waits != flush || w.Stats().Full != uint64(4*flush) {
			t.Errorf("flush %d: waited %d times, %+v", flush, waits, w.Stats())
		}
	}
}

// TestMark reads the marks as the network would: TOS or traffic class of every
// datagram, segmented or not.
func TestMark(t *testing.T) {
	eachWay(t, func(t *testing.T, s *Socket, addr string) {
		peer := listen(t, addr, false)
		level, kind, option := unix.IPPROTO_IP, unix.IP_TOS, unix.IP_RECVTOS
		if peer.LocalAddr().Addr().Is6() {
			level, kind, option = unix.IPPROTO_IPV6, unix.IPV6_TCLASS, unix.IPV6_RECVTCLASS
		}
		if err := peer.raw.Control(func(fd uintptr) {
			if err := unix.SetsockoptInt(int(fd), level, option, 1); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		w := NewWriter(16)
		for _, tos := range []uint8{0, 0xb8, 0x88} {
			p := NewPath(s, peer.LocalAddr(), tos)
			for range 3 {
				put(w, p, 500, tos)
			}
			w.Flush()
			if err := s.Send([]byte{tos}, peer.LocalAddr(), tos); err != nil {
				t.Fatal(err)
			}
			for i := range 4 {
				b, oob := make([]byte, 1500), make([]byte, 128)
				n, oobn, err := readMessage(peer, b, oob)
				if err != nil {
					t.Fatal(err)
				}
				msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
				if err != nil || len(msgs) != 1 {
					t.Fatalf("control messages %v, %v", msgs, err)
				}
				if m := msgs[0]; int(m.Header.Level) != level || int(m.Header.Type) != kind || m.Data[0] != tos || b[0] != tos {
					t.Errorf("datagram %d of %d bytes carries mark %#x, want %#x", i, n, m.Data[0], tos)
				}
			}
		}
	})
}

// readMessage waits for a datagram with its control messages.
func readMessage(s *Socket, b, oob []byte) (n, oobn int, err error) {
	closed := s.waiting.Read(func(uintptr) bool {
		_ = s.raw.Control(func(fd uintptr) { n, oobn, _, _, err = unix.Recvmsg(int(fd), b, oob, unix.MSG_DONTWAIT) })
		return !errors.Is(err, unix.EAGAIN)
	})
	return n, oobn, errors.Join(closed, err)
}

// TestSharedPort: what peers send to a shared port comes to one of its sockets,
// and always to the same.
func TestSharedPort(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		a := listen(t, addr, true)
		b := listen(t, a.LocalAddr().String(), true)
		if other, err := Listen(a.LocalAddr(), false); err == nil {
			other.Close()
			t.Error("a shared port is bound without sharing")
		}
		ca, cb := collect(t, a), collect(t, b)
		counts := [2]int{}
		for i := range 64 {
			peer := listen(t, addr, false)
			home := -1
			for range 3 {
				if err := peer.Send([]byte{byte(i)}, a.LocalAddr(), 0); err != nil {
					t.Fatal(err)
				}
				var got []byte
				at := 0
				select {
				case got = <-ca.came:
				case got = <-cb.came:
					at = 1
				}
				if got[0] != byte(i) || home >= 0 && at != home {
					t.Fatalf("peer %d comes to socket %d, was %d", i, at, home)
				}
				home = at
			}
			counts[home]++
		}
		if counts[0] == 0 || counts[1] == 0 {
			t.Errorf("64 peers are spread %v", counts)
		}
	})
}

// TestNothingIsAllocated: per batch, in either direction.
func TestNothingIsAllocated(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		s, peer := listen(t, addr, false), listen(t, addr, false)
		p := NewPath(s, peer.LocalAddr(), 0xb8)
		w, b := NewWriter(16), NewBatch(16, 1500)
		if n := testing.AllocsPerRun(100, func() {
			for i := range 8 {
				w.Slot()[0] = byte(i)
				w.Commit(100+i%2, p)
			}
			if w.Flush() != 8 {
				t.Fatal("not sent")
			}
			for got := 0; got < 8; {
				n, err := peer.ReadBatch(b)
				if err != nil {
					t.Fatal(err)
				}
				for i := range n {
					if data, from, _ := b.Datagram(i); len(data) < 100 || from != s.LocalAddr() {
						t.Fatal(len(data), from)
					}
				}
				got += n
			}
		}); n != 0 {
			t.Errorf("eight datagrams out and in allocate %v times", n)
		}
	})
}
