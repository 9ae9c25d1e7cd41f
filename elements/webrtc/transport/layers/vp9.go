package layers

import (
	"encoding/binary"

	"github.com/govidu/govidu/internal/codec"
)

// readVP9 reads the payload descriptor (RFC 9628 §4.2).
func (r *Parser) readVP9(p []byte, info *Info) {
	var x Info
	first := p[0]
	n := 1
	if first&0x80 != 0 {
		if n = readPictureID(p, n, &x); n == 0 {
			return
		}
	}
	layered := first&0x20 != 0
	if layered {
		if n >= len(p) {
			return
		}
		x.Temporal, x.Spatial = int8(p[n]>>5), int8(p[n]>>1&0x07)
		if p[n]&0x10 != 0 {
			x.upward = true
		}
		n++
		if first&0x10 == 0 {
			if n >= len(p) {
				return
			}
			x.tl0At, x.tl0 = uint8(n), p[n]
			n++
		}
	}
	end := n
	if first&0x50 == 0x50 { // reference indices, in flexible mode
		for i := range 4 {
			if n >= len(p) || i == 3 {
				return
			}
			n++
			if p[n-1]&0x01 == 0 {
				break
			}
		}
	}
	x.Begin, x.End, x.intra = first&0x08 != 0, first&0x04 != 0, first&0x40 == 0
	x.End = x.End || info.End && !layered
	x.Discardable = false
	x.number, x.numbered = info.number, info.numbered
	if x.hasID || x.tl0At != 0 {
		x.at, x.n = 1, uint8(end-1)
	}
	if first&0x02 != 0 {
		if n = r.readStructureVP9(p, n); n == 0 {
			return
		}
	}
	x.top = r.top
	*info = x
	if !info.Begin || !info.intra {
		return
	}
	info.Key = info.Spatial == 0
	info.entry = info.Key
	s := r.sizes[min(int(info.Spatial), MaxSpatial-1)]
	if s.width == 0 && info.Key {
		if w, h, ok := codec.SizeOfUnit(codec.VP9, p[n:]); ok {
			s = size{uint16(w), uint16(h)}
		}
	}
	info.Width, info.Height = s.width, s.height
}

// readStructureVP9 reads the scalability structure at n and gives the index after
// it, 0 when it is cut off.
func (r *Parser) readStructureVP9(p []byte, n int) int {
	if n >= len(p) {
		return 0
	}
	head := p[n]
	n++
	top := int(head >> 5)
	var sizes [MaxSpatial]size
	if head&0x10 != 0 {
		if len(p) < n+4*(top+1) {
			return 0
		}
		for i := range top + 1 {
			sizes[min(i, MaxSpatial-1)] = size{binary.BigEndian.Uint16(p[n:]), binary.BigEndian.Uint16(p[n+2:])}
			n += 4
		}
	}
	if head&0x08 != 0 { // the pictures of a group
		if n >= len(p) {
			return 0
		}
		pictures := int(p[n])
		n++
		for range pictures {
			if n >= len(p) {
				return 0
			}
			n += 1 + int(p[n]>>2&0x03)
		}
	}
	if n > len(p) {
		return 0
	}
	r.top, r.sizes = int8(min(top, MaxSpatial-1)), sizes
	return n
}
