package dtls

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"
)

// datagrams cuts fuzzed bytes into datagrams, by a length before each.
func datagrams(b []byte) (list [][]byte) {
	for len(b) > 2 && len(list) < 64 {
		n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
		list = append(list, b[2:2+n])
		b = b[2+n:]
	}
	return list
}

// joined is the contrary of datagrams.
func joined(list ...[]byte) (b []byte) {
	for _, x := range list {
		b = binary.BigEndian.AppendUint16(b, uint16(len(x)))
		b = append(b, x...)
	}
	return b
}

// FuzzDTLSFirstFlight sends datagrams of a stranger before a handshake. A good
// one works after it, and so do its records.
func FuzzDTLSFirstFlight(f *testing.F) {
	for _, b := range hostile() {
		if len(b) < 4096 {
			f.Add(joined(b))
		}
	}
	f.Add(joined(clientHello(1, []uint16{0xc02b}, []uint16{7}), inRecord(1, fragment(16, 1, 3, 0, []byte{2, 1, 1})), inRecord(2, fragment(15, 2, 4, 0, []byte{4, 3, 0, 0}))))
	ours()
	theirs()
	f.Fuzz(func(t *testing.T, b []byte) {
		// On a clock of its own, so that a busy machine changes nothing.
		synctest.Test(t, func(t *testing.T) { afterStranger(t, datagrams(b)) })
	})
}

// afterStranger has a good peer shake hands after a stranger sent the datagrams.
func afterStranger(t *testing.T, list [][]byte) {
	p := newParty(t, nil)
	for _, x := range list {
		p.Handle(x)
	}
	p.Start()
	for _, x := range list {
		p.Handle(x)
	}
	p.mu.Lock()
	spoilt := p.attempt.later || p.tries >= maxAttempts // a stranger who goes on is the peer, as far as one can see
	p.mu.Unlock()
	if spoilt {
		return
	}
	synctest.Wait()
	p.wire.empty() // its answer goes to the one who asked
	c, err := p.peer(t, true)
	if err != nil {
		t.Fatal(err)
	}
	if o := p.await(t); o.err != nil {
		t.Fatal(o.err)
	}
	for _, x := range list {
		p.Handle(x)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.closed:
	case <-time.After(10 * time.Second):
		t.Fatal("close_notify was not heard")
	}
}

// FuzzScreen sends handshake records of epoch 0 through the screen. What comes
// out is whole and bounded, and can be read.
func FuzzScreen(f *testing.F) {
	for _, b := range hostile() {
		if len(b) < 4096 {
			f.Add(joined(b))
		}
	}
	f.Add(joined(inRecord(1, fragment(1, 0, 4, 2, []byte{1, 2}), fragment(1, 0, 4, 0, []byte{1, 2}))))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, client := range []bool{false, true} {
			s := screen{client: client, answered: true}
			for _, d := range datagrams(b) {
				for r, rest, ok := nextRecord(d); ok; r, rest, ok = nextRecord(rest) {
					v := s.plain(r)
					if v.out == nil {
						continue
					}
					if len(v.out) > maxDatagram || len(s.partial) > maxPartial {
						t.Fatalf("%d bytes, %d partial", len(v.out), len(s.partial))
					}
					for m := v.out[headerSize:]; len(m) > 0; {
						n := messageSize + uint24(m[9:])
						if uint24(m[1:]) != uint24(m[9:]) || uint24(m[6:]) != 0 {
							t.Fatalf("a fragment passed: %x", m[:messageSize])
						}
						if _, err := decode(m[:n]); err != nil {
							t.Fatal(err)
						}
						m = m[n:]
					}
				}
			}
		}
	})
}
