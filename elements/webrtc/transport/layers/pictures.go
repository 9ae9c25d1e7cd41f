package layers

import (
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// pictures keeps the counters of pictures unbroken, for decoders that follow them:
// picture ids, TL0PICIDX and KEYIDX of VP8 and VP9, frame numbers of the dependency
// descriptor. As long as there is one source, and VP8 is not cut, nothing is
// written.
type pictures struct {
	name    codec.Name
	shifted bool // something is added
	hasID   bool
	hasTL0  bool
	hasKey  bool
	counted bool // there are frame numbers

	idAdd, frameAdd uint16
	tl0Add, keyAdd  uint8

	lastID, lastFrame uint16 // as they left
	lastTL0, lastKey  uint8
	skipped           uint16 // picture id of the latest picture that was dropped
	skipping          bool
}

// begin starts a source or an encoding with its first packet.
func (c *pictures) begin(f *pipeline.Format, info *Info) {
	name := codec.Name("")
	if f != nil {
		name = f.Codec
	}
	if name != c.name || info == nil {
		*c = pictures{name: name}
	}
	if info == nil {
		return
	}
	c.idAdd, c.tl0Add, c.keyAdd, c.frameAdd, c.skipping = 0, 0, 0, 0, false
	if c.hasID && info.hasID {
		c.idAdd = (c.lastID + 1 - info.id) & info.mask()
	}
	if c.hasTL0 && info.tl0At != 0 {
		c.tl0Add = c.lastTL0 + 1 - info.tl0
	}
	if c.hasKey && info.keyAt != 0 {
		c.keyAdd = (c.lastKey + 1 - info.keyIdx) & 0x1f
	}
	if c.counted && info.numbered {
		c.frameAdd = c.lastFrame + 1 - info.number
	}
	c.hasID, c.hasTL0, c.hasKey, c.counted = info.hasID, info.tl0At != 0, info.keyAt != 0, info.numbered
	c.shift()
}

func (c *pictures) shift() {
	c.shifted = c.idAdd != 0 || c.tl0Add != 0 || c.keyAdd != 0 || c.frameAdd != 0
}

// note remembers the counters of the newest frame.
func (c *pictures) note(info *Info) {
	if info.hasID {
		c.lastID = info.id + c.idAdd
	}
	c.lastTL0, c.lastKey = info.tl0+c.tl0Add, info.keyIdx+c.keyAdd
	c.lastFrame = info.number + c.frameAdd
	c.skipping = false
}

// skip takes a dropped picture out of the count of VP8, whose receivers take a
// missing id for a lost picture. VP9's ids refer to pictures by distance and to the
// pattern of layers: they stay.
func (c *pictures) skip(info *Info) {
	if c.name != codec.VP8 || !info.hasID || c.skipping && c.skipped == info.id {
		return
	}
	c.skipping, c.skipped = true, info.id
	c.idAdd = (c.idAdd - 1) & info.mask()
	c.shift()
}

func (i *Info) mask() uint16 {
	if i.wide {
		return 0x7fff
	}
	return 0x7f
}

// patch writes the counters of a packet in line into out.
func (c *pictures) patch(payload []byte, info *Info, idAdd uint16, out *Out) {
	if info.numbered {
		out.FrameAdd = c.frameAdd
	}
	at, n := int(info.at), int(info.n)
	if n == 0 || n > 4 || at+n > len(payload) {
		return
	}
	var b uint32
	for _, x := range payload[at : at+n] {
		b = b<<8 | uint32(x)
	}
	b <<= 8 * (4 - n)
	if info.hasID {
		id := uint32((info.id + idAdd) & info.mask())
		if info.wide {
			b = b&0x0000ffff | (0x8000|id)<<16
		} else {
			b = b&0x00ffffff | id<<24
		}
	}
	if info.tl0At != 0 {
		shift := 24 - 8*(int(info.tl0At)-at)
		b = b&^(0xff<<shift) | uint32(info.tl0+c.tl0Add)<<shift
	}
	if info.keyAt != 0 {
		shift := 24 - 8*(int(info.keyAt)-at)
		b = b&^(0x1f<<shift) | uint32((info.keyIdx+c.keyAdd)&0x1f)<<shift
	}
	out.Patch, out.PatchAt, out.PatchLen = b, info.at, info.n
}
