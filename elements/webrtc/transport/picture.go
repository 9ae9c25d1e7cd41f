package transport

import (
	"slices"

	"github.com/govidu/govidu/internal/codec"
)

// pictureAt is where the counters of pictures are in the payload descriptor of
// VP8 (RFC 7741 §4.2) or VP9 (RFC 9628 §4.2).
type pictureAt struct {
	id     uint16
	idAt   int // index of the first byte, 0 when there is no id
	wide   bool
	tl0    uint8 // TL0PICIDX
	tl0At  int   // 0 when there is none
	parsed bool
}

func (a pictureAt) mask() uint16 {
	if a.wide {
		return 0x7fff
	}
	return 0x7f
}

// locate finds the counters; parsed is false for what has none.
func locate(name codec.Name, p []byte) pictureAt {
	switch name {
	case codec.VP8:
		if len(p) < 3 || p[0]&0x80 == 0 {
			return pictureAt{}
		}
		return locateFrom(p, 2, p[1]&0x80 != 0, func(int) int { return 0 }, p[1]&0x40 != 0)
	case codec.VP9:
		if len(p) < 2 {
			return pictureAt{}
		}
		// The layer byte lies between; TL0PICIDX follows it in non-flexible mode.
		layers := p[0]&0x20 != 0
		skip := func(int) int {
			if layers {
				return 1
			}
			return 0
		}
		return locateFrom(p, 1, p[0]&0x80 != 0, skip, layers && p[0]&0x10 == 0)
	}
	return pictureAt{}
}

func locateFrom(p []byte, n int, hasID bool, between func(int) int, hasTL0 bool) pictureAt {
	a := pictureAt{parsed: hasID || hasTL0}
	if hasID {
		if n >= len(p) {
			return pictureAt{}
		}
		a.idAt, a.wide, a.id = n, p[n]&0x80 != 0, uint16(p[n]&0x7f)
		n++
		if a.wide {
			if n >= len(p) {
				return pictureAt{}
			}
			a.id = a.id<<8 | uint16(p[n])
			n++
		}
	}
	n += between(n)
	if hasTL0 {
		if n >= len(p) {
			return pictureAt{}
		}
		a.tl0At, a.tl0 = n, p[n]
	}
	return a
}

// pictures keeps the counters of pictures unbroken over the sources of a Sender,
// for decoders that follow them. As long as there was one source nothing is
// looked at and nothing is copied. Not safe for concurrent use.
type pictures struct {
	name   codec.Name
	last   []byte // payload of the latest packet as it left
	idAdd  uint16
	tl0Add uint8
	slab   []byte
}

// begin starts a source whose first payload this is.
func (p *pictures) begin(name codec.Name, payload []byte) {
	before := pictureAt{}
	if p.name == name {
		before = locate(name, p.last)
	}
	first := locate(name, payload)
	p.name, p.idAdd, p.tl0Add = name, 0, 0
	if before.idAt != 0 && first.idAt != 0 {
		p.idAdd = (before.id + 1 - first.id) & first.mask()
	}
	if before.tl0At != 0 && first.tl0At != 0 {
		p.tl0Add = before.tl0 + 1 - first.tl0
	}
}

// pass gives the payload with its counters in line: the same bytes, or a copy.
func (p *pictures) pass(payload []byte) []byte {
	if p.idAdd != 0 || p.tl0Add != 0 {
		if at := locate(p.name, payload); at.parsed {
			payload = p.rewrite(payload, at)
		}
	}
	p.last = payload
	return payload
}

// rewrite copies the payload into memory of its own: others share the original,
// and the copy may have to be sent again.
func (p *pictures) rewrite(payload []byte, at pictureAt) []byte {
	if len(p.slab) < len(payload) {
		p.slab = make([]byte, max(slabSize, len(payload)))
	}
	out := slices.Clip(p.slab[:copy(p.slab, payload)])
	p.slab = p.slab[len(out):]
	if at.idAt != 0 {
		id := (at.id + p.idAdd) & at.mask()
		if at.wide {
			out[at.idAt], out[at.idAt+1] = 0x80|byte(id>>8), byte(id)
		} else {
			out[at.idAt] = byte(id)
		}
	}
	if at.tl0At != 0 {
		out[at.tl0At] += p.tl0Add
	}
	return out
}
