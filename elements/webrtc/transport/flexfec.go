package transport

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
)

// FlexFEC as browsers speak it is the third draft of what became RFC 8627
// (draft-ietf-payload-flexible-fec-scheme-03), with one protected stream and any
// mask. The RFC's own format is another.
const (
	fecName = "flexfec-03"
	fecRate = 90000

	rtpFixed  = 12
	fecLeast  = 20  // bytes of the smallest header
	fecSpan   = 109 // packets that one repair packet can speak of
	fecMask1  = 15  // of them in the first part of the mask
	fecMask2  = 46  // in the first two
	fecPacket = MaxDatagram
)

// fecMask tells packets by their distance from a first.
type fecMask [2]uint64

func (m *fecMask) set(i uint16)      { m[i/64] |= 1 << (i % 64) }
func (m *fecMask) has(i uint16) bool { return i < fecSpan && m[i/64]>>(i%64)&1 != 0 }
func (m *fecMask) clear(i uint16)    { m[i/64] &^= 1 << (i % 64) }
func (m *fecMask) count() int        { return bits.OnesCount64(m[0]) + bits.OnesCount64(m[1]) }

// first is the lowest that is set, -1 without.
func (m *fecMask) first() int {
	switch {
	case m[0] != 0:
		return bits.TrailingZeros64(m[0])
	case m[1] != 0:
		return 64 + bits.TrailingZeros64(m[1])
	}
	return -1
}

// last is the highest that is set, -1 without.
func (m *fecMask) last() int {
	if m[1] != 0 {
		return 127 - bits.LeadingZeros64(m[1])
	}
	return 63 - bits.LeadingZeros64(m[0])
}

// part is n bits from one on, the first of them the highest.
func (m *fecMask) part(from, n int) (v uint64) {
	for i := range n {
		if m.has(uint16(from + i)) {
			v |= 1 << (n - 1 - i)
		}
	}
	return v
}

func (m *fecMask) setPart(from, n int, v uint64) {
	for i := range n {
		if v>>(n-1-i)&1 != 0 {
			m.set(uint16(from + i))
		}
	}
}

// fecXOR is what of packets goes into their repair packet, all of them over each
// other: the first eight bytes of the header with the length of what follows it in
// the place of the sequence number, and what follows the header's fixed part.
type fecXOR struct {
	head [8]byte
	body [fecPacket - rtpFixed]byte
	size int // bytes of body in use
}

func (x *fecXOR) reset() {
	x.head = [8]byte{}
	clear(x.body[:x.size])
	x.size = 0
}

// add puts one packet over the others: its header's first twelve bytes, and the rest
// of it in two pieces. False: it is too large.
func (x *fecXOR) add(fixed, ext, payload []byte) bool {
	n := len(ext) + len(payload)
	if n > len(x.body) {
		return false
	}
	x.head[0] ^= fixed[0]
	x.head[1] ^= fixed[1]
	x.head[2] ^= byte(n >> 8)
	x.head[3] ^= byte(n)
	subtle.XORBytes(x.head[4:8], x.head[4:8], fixed[4:8])
	subtle.XORBytes(x.body[:], x.body[:], ext)
	subtle.XORBytes(x.body[len(ext):], x.body[len(ext):], payload)
	x.size = max(x.size, n)
	return true
}

// fecHeader is what a repair packet says besides its parity.
type fecHeader struct {
	ssrc uint32 // of what is protected
	base uint16
	mask fecMask
	size int // bytes, of the header itself
}

// readFEC reads the header of a repair packet's payload; false when it is
// malformed, or of a kind that browsers do not send.
func readFEC(b []byte) (h fecHeader, ok bool) {
	if len(b) < fecLeast || b[0]&0xc0 != 0 || b[8] != 1 { // retransmission, fixed mask, more streams
		return h, false
	}
	h.ssrc, h.base = binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint16(b[16:])
	first := binary.BigEndian.Uint16(b[18:])
	h.mask.setPart(0, fecMask1, uint64(first&0x7fff))
	h.size = fecLeast
	if first>>15 == 0 {
		if len(b) < h.size+4 {
			return h, false
		}
		second := binary.BigEndian.Uint32(b[h.size:])
		h.mask.setPart(fecMask1, fecMask2-fecMask1, uint64(second&0x7fffffff))
		h.size += 4
		if second>>31 == 0 {
			if len(b) < h.size+8 {
				return h, false
			}
			third := binary.BigEndian.Uint64(b[h.size:])
			if third>>63 == 0 {
				return h, false
			}
			h.mask.setPart(fecMask2, fecSpan-fecMask2, third)
			h.size += 8
		}
	}
	return h, h.mask.count() > 0 && len(b) > h.size
}

// writeFEC writes the payload of the repair packet for what lies in x; 0 when it
// does not fit.
func writeFEC(dst []byte, ssrc uint32, base uint16, mask *fecMask, x *fecXOR) int {
	n := fecLeast
	last := mask.last()
	if last >= fecMask1 {
		n += 4
	}
	if last >= fecMask2 {
		n += 8
	}
	if last < 0 || n+x.size > len(dst) {
		return 0
	}
	copy(dst, x.head[:])
	dst[0] &= 0x3f
	copy(dst[8:12], []byte{1, 0, 0, 0})
	binary.BigEndian.PutUint32(dst[12:], ssrc)
	binary.BigEndian.PutUint16(dst[16:], base)
	first := uint16(mask.part(0, fecMask1))
	if last < fecMask1 {
		first |= 1 << 15
	}
	binary.BigEndian.PutUint16(dst[18:], first)
	if last >= fecMask1 {
		second := uint32(mask.part(fecMask1, fecMask2-fecMask1))
		if last < fecMask2 {
			second |= 1 << 31
		}
		binary.BigEndian.PutUint32(dst[20:], second)
	}
	if last >= fecMask2 {
		binary.BigEndian.PutUint64(dst[24:], mask.part(fecMask2, fecSpan-fecMask2)|1<<63)
	}
	return n + copy(dst[n:], x.body[:x.size])
}

// clearMutable makes nothing of the extensions that change on the way out, after
// parity was made: when the packet left, and its transport-wide number. b is
// the extension block of a packet's header with its four bytes of head.
func clearMutable(b []byte, ids *extIDs) {
	if len(b) < 4 {
		return
	}
	profile := binary.BigEndian.Uint16(b)
	long := profile>>4 == 0x100
	if !long && profile != 0xbede {
		return
	}
	for b = b[4:]; len(b) > 0; {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		id, n, head := b[0]>>4, int(b[0]&15)+1, 1
		if long {
			if len(b) < 2 {
				return
			}
			id, n, head = b[0], int(b[1]), 2
		} else if id == 15 {
			return
		}
		if head+n > len(b) {
			return
		}
		if id == ids.twcc || id == ids.sendTime {
			clear(b[head : head+n])
		}
		b = b[head+n:]
	}
}
