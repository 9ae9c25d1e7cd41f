package srtp

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/pion/rtp"
	pion "github.com/pion/srtp/v3"
)

// each runs a test for every profile.
func each(t *testing.T, f func(*testing.T, Profile)) {
	for _, p := range profiles {
		t.Run(p.String(), func(t *testing.T) { f(t, p) })
	}
}

// TestReferenceOpensOurs: over two rollovers, with and without extension, from no
// payload to a full datagram, from two sources.
func TestReferenceOpensOurs(t *testing.T) {
	each(t, func(t *testing.T, p Profile) {
		s, _ := pair(t, p)
		ref := reference(t, p)
		for i, roc := 0, uint32(0); roc < 3; i++ {
			index := 65000 + i*97
			roc = uint32(index >> 16)
			for ssrc := uint32(1); ssrc <= 2; ssrc++ {
				plain := packet(uint16(index), ssrc, i%1400, i%3 == 0)
				got, err := ref.DecryptRTP(nil, seal(t, s, plain, roc), nil)
				if err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("packet %d of %d: %v", index, ssrc, err)
				}
			}
		}
	})
}

func TestWeOpenReferences(t *testing.T) {
	each(t, func(t *testing.T, p Profile) {
		_, o := pair(t, p)
		ref := reference(t, p)
		for i := range 1500 {
			plain := packet(uint16(65000+i*97), uint32(i%2), i%1400, i%3 == 0)
			sealed, err := ref.EncryptRTP(nil, plain, nil)
			if err != nil {
				t.Fatal(err)
			}
			hdr := HeaderLen(sealed)
			got, err := o.Open(sealed, hdr)
			if err != nil || !bytes.Equal(got, plain[hdr:]) || !bytes.Equal(sealed[:hdr], plain[:hdr]) {
				t.Fatalf("packet %d: %v", i, err)
			}
		}
		if roc, ok := o.ROC(1); !ok || roc != 3 {
			t.Errorf("the rollover counter is %d, %v, want 3", roc, ok)
		}
	})
}

func TestControlInterop(t *testing.T) {
	each(t, func(t *testing.T, p Profile) {
		s, o := pair(t, p)
		ref := reference(t, p)
		other, err := pion.CreateContext(keysOf(p), saltOf(p), pion.ProtectionProfile(p))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			plain := receiverReport(uint32(i % 3))
			for range i % 50 {
				plain = append(plain, 0x80, 201, 0, 1, 9, 9, 9, byte(i))
			}
			dst := make([]byte, len(plain)+MaxOverheadRTCP)
			sealed := s.SealRTCP(dst, plain)
			if len(sealed) != len(plain)+s.OverheadRTCP() {
				t.Fatalf("%d bytes are sealed to %d", len(plain), len(sealed))
			}
			if got, err := ref.DecryptRTCP(nil, sealed, nil); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("ours, packet %d: %v", i, err)
			}
			theirs, err := other.EncryptRTCP(nil, plain, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := o.OpenRTCP(theirs); err != nil || !bytes.Equal(got, plain) {
				t.Fatalf("theirs, packet %d: %v", i, err)
			}
		}
	})
}

func keysOf(p Profile) []byte { k, _ := keys(p, 1); return k }
func saltOf(p Profile) []byte { _, s := keys(p, 1); return s }

// TestSealInPlace: payload behind its header in one buffer, compound too.
func TestSealInPlace(t *testing.T) {
	each(t, func(t *testing.T, p Profile) {
		s, o := pair(t, p)
		for n := range 300 {
			plain := packet(uint16(n), 5, n, n%2 == 0)
			b := make([]byte, len(plain)+MaxOverhead)
			copy(b, plain)
			hdr := HeaderLen(plain)
			sealed := s.Seal(b, hdr, b[hdr:len(plain)], 5, uint16(n), 0)
			if got, err := o.Open(sealed, hdr); err != nil || !bytes.Equal(got, plain[hdr:]) {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
		plain := receiverReport(4)
		b := append(make([]byte, 0, 100), plain...)
		if got, err := o.OpenRTCP(s.SealRTCP(b, b)); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("control: %v", err)
		}
	})
}

// FuzzHeaderLen: what we call a header, pion's parser calls a header of the same
// length.
func FuzzHeaderLen(f *testing.F) {
	f.Add(packet(1, 2, 30, true))
	f.Add(packet(1, 2, 0, false))
	f.Add([]byte{0x9f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(append(packet(1, 2, 0, false)[:12:12], 0xbe, 0xde, 0xff, 0xff))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := HeaderLen(b)
		if n != 0 && (n < 12 || n > len(b) || n%4 != 0) {
			t.Fatalf("a header of %d bytes in a packet of %d", n, len(b))
		}
		var h rtp.Header
		if got, err := h.Unmarshal(b); err == nil && h.Version == 2 && !(h.Extension && malformedExtension(b)) && got != n {
			t.Fatalf("pion reads %d bytes of header, we read %d", got, n)
		}
	})
}

// malformedExtension: pion looks into extensions and ends where they do.
func malformedExtension(b []byte) bool {
	at := 12 + 4*int(b[0]&15)
	profile := binary.BigEndian.Uint16(b[at:])
	return profile == 0xbede || profile == 0x1000
}
