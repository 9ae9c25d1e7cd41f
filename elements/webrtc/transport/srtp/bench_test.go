package srtp

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// TestNothingIsAllocated: per packet, in either direction, good or bad.
func TestNothingIsAllocated(t *testing.T) {
	each(t, func(t *testing.T, p Profile) {
		s, o := pair(t, p)
		plain := packet(0, 1, 1200, true)
		hdr := HeaderLen(plain)
		dst, control := make([]byte, 1500), make([]byte, 200)
		rr, index := receiverReport(1), uint64(0)
		next := func() []byte {
			index++
			copy(dst, plain[:hdr])
			binary.BigEndian.PutUint16(dst[2:], uint16(index))
			return s.Seal(dst, hdr, plain[hdr:], 1, uint16(index), uint32(index>>16))
		}
		check := func(name string, f func()) {
			t.Helper()
			if n := testing.AllocsPerRun(200, f); n != 0 {
				t.Errorf("%s allocates %v times", name, n)
			}
		}
		if _, err := o.Open(next(), hdr); err != nil {
			t.Fatal(err)
		}
		if _, err := o.OpenRTCP(s.SealRTCP(control, rr)); err != nil {
			t.Fatal(err)
		}
		check("Seal", func() { next() })
		check("Open", func() {
			if _, err := o.Open(next(), hdr); err != nil {
				t.Fatal(err)
			}
		})
		check("Open of a forgery", func() {
			b := next()
			b[30] ^= 1
			if _, err := o.Open(b, hdr); err == nil {
				t.Fatal("a forgery is opened")
			}
		})
		check("SealRTCP and OpenRTCP", func() {
			if _, err := o.OpenRTCP(s.SealRTCP(control, rr)); err != nil {
				t.Fatal(err)
			}
		})
		check("a packet without room", func() { s.Seal(dst[:0:20], 12, plain, 1, 1, 0) })
		check("a short packet", func() { _, _ = o.Open(dst[:13], 12) })
	})
}

func BenchmarkSeal(b *testing.B) {
	for _, p := range profiles {
		b.Run(p.String(), func(b *testing.B) {
			s, _ := pair(b, p)
			dst, plain := packet(0, 1, 1500, false), make([]byte, 1200)
			index := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				index++
				s.Seal(dst, 12, plain, 1, uint16(index), uint32(index>>16))
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, p := range profiles {
		b.Run(p.String(), func(b *testing.B) {
			s, o := pair(b, p)
			sealed := seal(b, s, packet(0, 1, 1200, false), 0)
			dst := bytes.Clone(sealed)
			if _, err := o.Open(dst, 12); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				copy(dst, sealed)
				clear(o.rtp[0].seen)
				if _, err := o.Open(dst, 12); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNew(b *testing.B) {
	for _, p := range profiles {
		b.Run(p.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pair(b, p)
			}
		})
	}
}
