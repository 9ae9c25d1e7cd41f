package udp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestListenErrors(t *testing.T) {
	if _, err := Listen(netip.AddrPort{}, false); err == nil {
		t.Error("no address is bound")
	}
	s := listen(t, "127.0.0.1:0", false)
	if other, err := Listen(s.LocalAddr(), false); err == nil {
		other.Close()
		t.Error("a port is bound twice")
	}
	if mapped, err := Listen(netip.MustParseAddrPort("[::ffff:127.0.0.1]:0"), false); err != nil || !mapped.LocalAddr().Addr().Is4() {
		t.Errorf("an IPv4 address in IPv6 clothes: %v", err)
	} else {
		mapped.Close()
	}
}

func TestSend(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		a, b := listen(t, addr, false), listen(t, addr, false)
		c := collect(t, b)
		for n := range 1473 {
			data := bytes.Repeat([]byte{byte(n)}, n)
			if err := a.Send(data, b.LocalAddr(), uint8(n)&0xfc); err != nil {
				t.Fatal(err)
			}
			if got := c.next(t); !bytes.Equal(got, data) {
				t.Fatalf("%d bytes come as %d", n, len(got))
			}
			if from := <-c.from; from != a.LocalAddr() {
				t.Fatalf("from %v, want %v", from, a.LocalAddr())
			}
		}
	})
}

func TestSendErrors(t *testing.T) {
	a := listen(t, "127.0.0.1:0", false)
	if err := a.Send([]byte{1}, netip.MustParseAddrPort("[::1]:9"), 0); !errors.Is(err, ErrFamily) {
		t.Errorf("IPv6 from an IPv4 socket: %v", err)
	}
	if err := a.Send([]byte{1}, netip.AddrPort{}, 0); !errors.Is(err, ErrFamily) {
		t.Errorf("to nobody: %v", err)
	}
	if err := a.Send(make([]byte, 70000), a.LocalAddr(), 0); err == nil {
		t.Error("70000 bytes are a datagram")
	}
	for range 2 {
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Send([]byte{1}, a.LocalAddr(), 0); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestReadBatchTakesAll(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		a, b := listen(t, addr, false), listen(t, addr, false)
		for i := range 100 {
			if err := a.Send([]byte{byte(i)}, b.LocalAddr(), 0); err != nil {
				t.Fatal(err)
			}
		}
		batch, calls := NewBatch(64, 1500), 0
		for next := 0; next < 100; calls++ {
			n, err := b.ReadBatch(batch)
			if err != nil || n < 1 || n > 64 {
				t.Fatalf("%d datagrams, %v", n, err)
			}
			for i := range n {
				data, from, truncated := batch.Datagram(i)
				if len(data) != 1 || data[0] != byte(next) || from != a.LocalAddr() || truncated {
					t.Fatalf("datagram %d: %v from %v, truncated %v", next, data, from, truncated)
				}
				next++
			}
		}
		t.Logf("100 datagrams in %d calls", calls)
	})
}

// TestReadWithin: nobody waits longer than told for what does not come, nor for what
// has come or is about to.
func TestReadWithin(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0", false), listen(t, "127.0.0.1:0", false)
	batch := NewBatch(4, 100)
	send := func() {
		if err := a.Send([]byte{7}, b.LocalAddr(), 0); err != nil {
			t.Error(err)
		}
	}
	one := func(n int, err error) {
		t.Helper()
		if err != nil || n != 1 {
			t.Fatal(n, err)
		}
		if data, from, _ := batch.Datagram(0); len(data) != 1 || data[0] != 7 || from != a.LocalAddr() {
			t.Fatalf("%v from %v", data, from)
		}
	}
	if n, err := b.ReadWithin(batch, time.Millisecond); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	send()
	one(b.ReadWithin(batch, time.Millisecond))
	send()
	one(b.ReadWithin(batch, 0))
	go send()
	for n, err := 0, error(nil); ; {
		if n, err = b.ReadWithin(batch, time.Hour); n > 0 || err != nil { // an hour is a millisecond
			one(n, err)
			break
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.ReadWithin(batch, time.Millisecond); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestTruncation(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0", false), listen(t, "127.0.0.1:0", false)
	batch := NewBatch(4, 100)
	for _, n := range []int{99, 100, 101, 1400, 1} {
		if err := a.Send(bytes.Repeat([]byte{7}, n), b.LocalAddr(), 0); err != nil {
			t.Fatal(err)
		}
		if got, err := b.ReadBatch(batch); got != 1 || err != nil {
			t.Fatal(got, err)
		}
		data, _, truncated := batch.Datagram(0)
		if len(data) != min(n, 100) || truncated != (n > 100) {
			t.Errorf("%d bytes in a buffer of 100: %d, truncated %v", n, len(data), truncated)
		}
	}
}

func TestSwap(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0", false), listen(t, "127.0.0.1:0", false)
	batch := NewBatch(2, 100)
	var kept [][]byte
	for i := range 20 {
		if err := a.Send(bytes.Repeat([]byte{byte(i)}, 50), b.LocalAddr(), 0); err != nil {
			t.Fatal(err)
		}
		if n, err := b.ReadBatch(batch); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		data, _, _ := batch.Datagram(0)
		if batch.Swap(0, make([]byte, 99)) != nil {
			t.Fatal("a buffer that is too short is taken")
		}
		whole := batch.Swap(0, make([]byte, 150))
		if len(whole) != 100 || &whole[0] != &data[0] {
			t.Fatalf("another buffer of %d bytes comes out", len(whole))
		}
		kept = append(kept, data)
	}
	for i, data := range kept {
		if !bytes.Equal(data, bytes.Repeat([]byte{byte(i)}, 50)) {
			t.Errorf("datagram %d was written over", i)
		}
	}
}

func TestCloseEndsReading(t *testing.T) {
	s := listen(t, "127.0.0.1:0", false)
	started, ended := make(chan struct{}), make(chan error)
	go func() {
		b := NewBatch(1, 100)
		close(started)
		_, err := s.ReadBatch(b)
		ended <- err
	}()
	<-started
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading ends with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("reading does not end")
	}
	if _, err := s.ReadBatch(NewBatch(1, 100)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("reading after Close: %v", err)
	}
}

// TestNobodyListens: what the network reports about datagrams to a closed port
// does not disturb reading.
func TestNobodyListens(t *testing.T) {
	each(t, func(t *testing.T, addr string) {
		a, b, gone := listen(t, addr, false), listen(t, addr, false), listen(t, addr, false)
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		c := collect(t, a)
		w := NewWriter(8)
		for range 10 {
			_ = a.Send([]byte{1}, gone.LocalAddr(), 0)
			put(w, NewPath(a, gone.LocalAddr(), 0), 10, 1)
			w.Flush()
		}
		if err := b.Send([]byte("here"), a.LocalAddr(), 0); err != nil {
			t.Fatal(err)
		}
		if got := c.next(t); string(got) != "here" {
			t.Errorf("%q comes", got)
		}
	})
}

func TestScope(t *testing.T) {
	if scope("") != 0 || scope("17") != 17 || scope("no such interface") != 0 {
		t.Error("zones are numbered wrongly")
	}
	list, err := net.Interfaces()
	if err != nil || len(list) == 0 {
		t.Skip("no interfaces")
	}
	b := NewBatch(1, 1)
	if name := b.zone(uint32(list[0].Index)); name != list[0].Name || scope(name) != uint32(list[0].Index) {
		t.Errorf("interface %d is %q", list[0].Index, name)
	}
	for i := range uint32(100) {
		if b.zone(1e6+i) == "" {
			t.Error("an unknown interface has no name")
		}
	}
	if len(b.zones) > maxZones {
		t.Errorf("%d zones are remembered", len(b.zones))
	}
}
