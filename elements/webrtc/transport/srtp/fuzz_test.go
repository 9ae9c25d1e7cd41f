package srtp

import (
	"bytes"
	"errors"
	"testing"
)

// known are the errors that bytes from the network may cause.
var known = []error{ErrAuth, ErrReplay, ErrShort, ErrHeader, ErrTooManyStreams, ErrNotEncrypted}

func knownError(err error) bool {
	for _, k := range known {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// FuzzOpen: no packet that was not sealed is opened, whatever it does to the
// state, and a good one is opened after it.
func FuzzOpen(f *testing.F) {
	f.Add(byte(1), uint16(1), []byte{0x80})
	f.Add(byte(0), uint16(65535), packet(1, 1, 50, true))
	f.Add(byte(2), uint16(7), packet(9, 9, 50, false))
	f.Fuzz(func(t *testing.T, which byte, seq uint16, b []byte) {
		p := profiles[int(which)%len(profiles)]
		s, o := pair(t, p)
		if _, err := open(o, seal(t, s, packet(seq, 1, 10, false), 0)); err != nil {
			t.Fatal(err)
		}
		for _, hdr := range []int{HeaderLen(b), 12, len(b)} {
			if _, err := o.Open(bytes.Clone(b), hdr); !knownError(err) {
				t.Fatalf("bytes from nowhere: %v", err)
			}
		}
		if len(o.rtp) != 1 {
			t.Fatalf("%d sources after a forgery", len(o.rtp))
		}
		plain := packet(seq+1, 1, len(b)%1400, len(b)%2 == 0)
		roc := uint32(0)
		if seq == 65535 {
			roc = 1
		}
		if got, err := open(o, seal(t, s, plain, roc)); err != nil || !bytes.Equal(got, plain[HeaderLen(plain):]) {
			t.Fatalf("a good packet after it: %v", err)
		}
	})
}

// FuzzOpenRTCP is FuzzOpen for control packets.
func FuzzOpenRTCP(f *testing.F) {
	f.Add(byte(1), []byte{0x80, 201})
	f.Add(byte(0), append(receiverReport(1), make([]byte, 14)...))
	f.Add(byte(2), append(receiverReport(1), 0x80, 0, 0, 1))
	f.Fuzz(func(t *testing.T, which byte, b []byte) {
		p := profiles[int(which)%len(profiles)]
		s, o := pair(t, p)
		if _, err := o.OpenRTCP(bytes.Clone(b)); !knownError(err) {
			t.Fatalf("bytes from nowhere: %v", err)
		}
		if len(o.rtcp) != 0 {
			t.Fatal("a forgery takes a place")
		}
		plain := receiverReport(uint32(len(b)))
		if got, err := o.OpenRTCP(s.SealRTCP(make([]byte, 100), plain)); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("a good packet after it: %v", err)
		}
	})
}
