package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// families are where tests bind.
var families = []struct{ name, addr string }{{"IPv4", "127.0.0.1:0"}, {"IPv6", "[::1]:0"}}

func listen(t testing.TB, addr string, reuse bool) *Socket {
	t.Helper()
	s, err := Listen(netip.MustParseAddrPort(addr), reuse)
	if err != nil && netip.MustParseAddrPort(addr).Addr().Is6() {
		t.Skipf("no IPv6 here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// each runs a test for both families.
func each(t *testing.T, f func(t *testing.T, addr string)) {
	for _, c := range families {
		t.Run(c.name, func(t *testing.T) { f(t, c.addr) })
	}
}

// collector reads a socket until told to stop.
type collector struct {
	s    *Socket
	came chan []byte
	from chan netip.AddrPort
	err  chan error
}

func collect(t testing.TB, s *Socket) *collector {
	t.Helper()
	c := &collector{s: s, came: make(chan []byte, 20000), from: make(chan netip.AddrPort, 20000), err: make(chan error, 1)}
	go func() {
		b := NewBatch(64, 2048)
		for {
			n, err := s.ReadBatch(b)
			if err != nil {
				c.err <- err
				return
			}
			for i := range n {
				data, from, _ := b.Datagram(i)
				c.came <- bytes.Clone(data)
				c.from <- from
			}
		}
	}()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-c.err; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a closed socket is read: %v", err)
		}
	})
	return c
}

func (c *collector) next(t testing.TB) []byte {
	t.Helper()
	select {
	case b := <-c.came:
		return b
	case <-time.After(20 * time.Second):
		t.Fatal("no datagram within 20 s")
		return nil
	}
}

// put commits one datagram of n bytes that all have the value v.
func put(w *Writer, p *Path, n int, v byte) {
	b := w.Slot()
	for i := range b[:n] {
		b[i] = v
	}
	w.Commit(n, p)
}
