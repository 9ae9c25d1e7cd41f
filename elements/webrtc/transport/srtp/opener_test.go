package srtp

import (
	"bytes"
	"errors"
	"testing"
)

func open(o *Opener, sealed []byte) ([]byte, error) {
	b := bytes.Clone(sealed)
	return o.Open(b, HeaderLen(b))
}

func TestKeysAreChecked(t *testing.T) {
	for _, c := range []struct {
		p         Profile
		key, salt int
		want      error
	}{
		{2, 16, 14, ErrProfile}, {0, 0, 0, ErrProfile}, {AEADAES128GCM, 15, 12, ErrKey}, {AEADAES128GCM, 16, 14, ErrKey},
		{AEADAES256GCM, 16, 12, ErrKey}, {AES128CMHMACSHA180, 16, 12, ErrKey}, {AES128CMHMACSHA180, 0, 14, ErrKey},
	} {
		if _, err := NewSealer(c.p, make([]byte, c.key), make([]byte, c.salt)); !errors.Is(err, c.want) {
			t.Errorf("NewSealer(%v, %d, %d): %v, want %v", c.p, c.key, c.salt, err, c.want)
		}
		if _, err := NewOpener(c.p, make([]byte, c.key), make([]byte, c.salt), 1024); !errors.Is(err, c.want) {
			t.Errorf("NewOpener(%v, %d, %d): %v, want %v", c.p, c.key, c.salt, err, c.want)
		}
	}
	if p := Profile(2); p.Supported() || p.SaltLen() != 0 || p.String() != "0x0002" {
		t.Errorf("an unknown profile: %v, %v, %d", p.Supported(), p, p.SaltLen())
	}
}

func TestEveryBitIsAuthenticated(t *testing.T) {
	each(t, func(t *testing.T, p Profile) {
		s, o := pair(t, p)
		sealed := seal(t, s, packet(100, 7, 20, true), 0)
		if _, err := open(o, sealed); err != nil {
			t.Fatal(err)
		}
		sealed = seal(t, s, packet(101, 7, 20, true), 0)
		for i := range len(sealed) * 8 {
			b := bytes.Clone(sealed)
			b[i/8] ^= 1 << (i % 8)
			if hdr := HeaderLen(b); hdr != 0 {
				if _, err := o.Open(b, hdr); err == nil {
					t.Errorf("bit %d is changed and nobody minds", i)
				}
			}
		}
		if _, err := open(o, sealed); err != nil {
			t.Errorf("after all the forgeries: %v", err)
		}
		plain := receiverReport(8)
		control := bytes.Clone(s.SealRTCP(make([]byte, 100), plain))
		for i := range len(control) * 8 {
			b := bytes.Clone(control)
			b[i/8] ^= 1 << (i % 8)
			if _, err := o.OpenRTCP(b); err == nil {
				t.Errorf("control: bit %d is changed and nobody minds", i)
			}
		}
		if got, err := o.OpenRTCP(control); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("control, after all the forgeries: %v", err)
		}
	})
}

func TestReplay(t *testing.T) {
	each(t, func(t *testing.T, p Profile) {
		s, o := pair(t, p)
		take := func(index int, want error) {
			t.Helper()
			if _, err := open(o, seal(t, s, packet(uint16(index), 1, 10, false), uint32(index>>16))); !errors.Is(err, want) {
				t.Errorf("packet %d: %v, want %v", index, err, want)
			}
		}
		take(60000, nil)
		take(60000, ErrReplay)
		take(59999, nil) // late, before the first that came
		take(60000-1023, nil)
		take(60000-1024, ErrReplay) // behind the window
		take(65535, nil)
		take(65537, nil) // rolled over, one missing
		take(65536, nil)
		take(65536, ErrReplay)
		take(65534, nil) // late across the rollover
		take(65535, ErrReplay)
		take(65537+20000, nil) // a jump clears the window
		take(65537+20000-1023, nil)
		take(65537, ErrReplay)
		take(65537+20000+33000, ErrReplay) // looks like a packet of long ago
		control := s.SealRTCP(make([]byte, 100), receiverReport(1))
		first := bytes.Clone(control)
		for i := range 200 {
			b := bytes.Clone(control)
			if _, err := o.OpenRTCP(b); err != nil {
				t.Fatalf("control %d: %v", i, err)
			}
			if _, err := o.OpenRTCP(bytes.Clone(control)); !errors.Is(err, ErrReplay) {
				t.Fatalf("control %d again: %v", i, err)
			}
			control = s.SealRTCP(make([]byte, 100), receiverReport(1))
		}
		if _, err := o.OpenRTCP(first); !errors.Is(err, ErrReplay) {
			t.Errorf("the first control packet again: %v", err)
		}
	})
}

// TestBegunBeforeRollover: all packets before the rollover were lost.
func TestBegunBeforeRollover(t *testing.T) {
	each(t, func(t *testing.T, p Profile) {
		s, o := pair(t, p)
		plain := packet(3, 1, 500, true)
		if got, err := open(o, seal(t, s, plain, 1)); err != nil || !bytes.Equal(got, plain[HeaderLen(plain):]) {
			t.Fatalf("first packet with a rollover counter of 1: %v", err)
		}
		if _, err := open(o, seal(t, s, packet(65530, 1, 10, false), 0)); err != nil {
			t.Errorf("a late one: %v", err)
		}
		if roc, ok := o.ROC(1); !ok || roc != 1 {
			t.Errorf("rollover counter %d, %v", roc, ok)
		}
		// Nothing lies before the first index.
		if _, err := open(o, seal(t, s, packet(3, 2, 10, false), 0)); err != nil {
			t.Fatal(err)
		}
		if _, err := open(o, seal(t, s, packet(65530, 2, 10, false), 0xffffffff)); !errors.Is(err, ErrReplay) {
			t.Errorf("an index below zero: %v", err)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, p Profile) {
		s, o := pair(t, p)
		forged := seal(t, s, packet(1, 1000, 10, false), 0)
		forged[20] ^= 1
		for range 100 {
			if _, err := open(o, forged); !errors.Is(err, ErrAuth) {
				t.Fatal(err)
			}
		}
		for i := range uint32(64) {
			if _, err := open(o, seal(t, s, packet(1, i, 10, false), 0)); err != nil {
				t.Fatalf("source %d: %v", i, err)
			}
			if _, err := o.OpenRTCP(s.SealRTCP(make([]byte, 100), receiverReport(i))); err != nil {
				t.Fatalf("source %d: %v", i, err)
			}
		}
		one := seal(t, s, packet(1, 64, 10, false), 0)
		if _, err := open(o, one); !errors.Is(err, ErrTooManyStreams) {
			t.Errorf("source 65: %v", err)
		}
		if _, err := o.OpenRTCP(s.SealRTCP(make([]byte, 100), receiverReport(64))); !errors.Is(err, ErrTooManyStreams) {
			t.Errorf("control of source 65: %v", err)
		}
		o.Forget(3)
		o.Forget(3)
		if _, err := open(o, one); err != nil {
			t.Errorf("source 65 after one left: %v", err)
		}
		if _, err := open(o, seal(t, s, packet(2, 63, 10, false), 0)); err != nil {
			t.Errorf("a source that stayed: %v", err)
		}
		if _, err := o.OpenRTCP(s.SealRTCP(make([]byte, 100), receiverReport(64))); err != nil {
			t.Errorf("control of source 65 after one left: %v", err)
		}
	})
}

func TestShortPackets(t *testing.T) {
	each(t, func(t *testing.T, p Profile) {
		s, o := pair(t, p)
		whole := seal(t, s, packet(1, 1, 0, false), 0)
		for n := range whole {
			want := ErrShort
			if n < 12 {
				want = ErrHeader
			}
			if _, err := o.Open(whole[:n:n], 12); !errors.Is(err, want) {
				t.Errorf("%d bytes: %v, want %v", n, err, want)
			}
		}
		if _, err := o.Open(whole, 11); !errors.Is(err, ErrHeader) {
			t.Errorf("a header of 11 bytes: %v", err)
		}
		if _, err := o.Open(whole, 0); !errors.Is(err, ErrHeader) {
			t.Errorf("no header: %v", err)
		}
		if got, err := o.Open(whole, 12); err != nil || len(got) != 0 {
			t.Errorf("an empty payload: %v", err)
		}
		control := s.SealRTCP(make([]byte, 100), receiverReport(1)[:8])
		for n := range control {
			if _, err := o.OpenRTCP(control[:n:n]); !errors.Is(err, ErrShort) {
				t.Errorf("control of %d bytes: %v", n, err)
			}
		}
		clear(control[8:])
		if _, err := o.OpenRTCP(control); !errors.Is(err, ErrNotEncrypted) {
			t.Errorf("control without the E bit: %v", err)
		}
	})
}

func TestNoRoom(t *testing.T) {
	each(t, func(t *testing.T, p Profile) {
		s, _ := pair(t, p)
		need := 12 + 100 + s.Overhead()
		plain := make([]byte, 100)
		for _, c := range []struct {
			room, hdr int
			ok        bool
		}{{need, 12, true}, {need - 1, 12, false}, {12, 12, false}, {0, 12, false}, {need, 11, false}, {need, -1, false}, {need, need + 1, false}} {
			if got := s.Seal(make([]byte, c.room), c.hdr, plain, 1, 1, 0); (got != nil) != c.ok {
				t.Errorf("room for %d, header of %d: %v", c.room, c.hdr, got != nil)
			}
		}
		rr := receiverReport(1)
		if s.SealRTCP(make([]byte, len(rr)+s.OverheadRTCP()-1), rr) != nil || s.SealRTCP(make([]byte, 100), rr[:7]) != nil {
			t.Error("control is sealed without room, or without a sender")
		}
		s.index = lastIndex
		if s.SealRTCP(make([]byte, 100), rr) == nil {
			t.Error("the last index is not used")
		}
		if s.SealRTCP(make([]byte, 100), rr) != nil {
			t.Error("an index is used twice")
		}
	})
}
