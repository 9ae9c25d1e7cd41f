package transport

import (
	"encoding/binary"
	"slices"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/pipeline"
)

// Header extensions of a publisher that subscribers get as they are, under the ids
// that they have for them (RFC 8285). What speaks of one hop — transport-wide
// numbers, the time of sending, mid, rid — is not among them: those are
// ours. On a link they have ids of their own, from audioLevelID on.
const (
	captureID = audioLevelID + 1 + iota
	orientationID
	colorID
	contentID
	playoutID
	passedIDs = 5
)

const (
	shortMost   = 16 // bytes of an element with one byte of header (RFC 8285 §4.2)
	shortLast   = 14 // the highest id of such an element
	wideProfile = 0x1000
	// midTimes is how many packets say to which section a stream belongs (RFC 9143
	// §15.2), from when the connection is up: until reports must have come.
	midTimes = 64
	// elementRoom is what the headers of elements take more when one is added: 15 with
	// another byte, and what fills them up.
	elementRoom = 32
)

// passed lists the negotiated ids of what is passed on, in the order of the ids on
// links.
func (x *extIDs) passed() [passedIDs]uint8 {
	return [passedIDs]uint8{x.capture, x.orientation, x.color, x.content, x.playout}
}

// usesWide tells whether some id fits elements with two bytes of header only.
func (x *extIDs) usesWide() bool {
	return max(x.mid, x.twcc, x.sendTime, x.level, x.capture, x.orientation, x.color, x.content, x.playout, x.descriptor) > shortLast
}

// passOn keeps with a packet what its extensions say to its receivers.
func (r *Receiver) passOn(p *pipeline.Packet, in *rtpIn) {
	for b := in.ext; len(b) > 0; {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		id, head, size := b[0]>>4, 1, int(b[0]&15)+1
		if in.long {
			if len(b) < 2 {
				return
			}
			id, head, size = b[0], 2, int(b[1])
		} else if id == 15 {
			return
		}
		if head+size > len(b) {
			return
		}
		for i, x := range r.passing {
			if x != id {
				continue
			}
			if p.Header.ExtensionProfile == 0 { // else the first one decides what fits
				p.Header.Extension, p.Header.ExtensionProfile = true, wideProfile
				p.Header.Extensions = r.elements()
			}
			_ = p.Header.SetExtension(captureID+uint8(i), r.keep(b[head:head+size]))
		}
		b = b[head+size:]
	}
	p.Header.Extensions = slices.Clip(p.Header.Extensions) // the packet may be copied
}

// elements is room for the extensions that a packet keeps.
func (r *Receiver) elements() []rtp.Extension {
	if len(r.kept) == 0 {
		r.kept = make([]rtp.Extension, packetSlab*passedIDs)
	}
	room := r.kept[:0:passedIDs]
	r.kept = r.kept[passedIDs:]
	return room
}

// pass adds to a header of n bytes what the publisher's extensions say; it gives
// the new length.
func (s *Sender) pass(dst []byte, n int, from *rtp.Header) int {
	for i, id := range s.ext.passed() {
		if id == 0 || id == s.ext.playout && (s.playout != nil || s.resend.marks != nil) {
			continue // ours goes before; and what may be sent again must stay as it was
		}
		if b := from.GetExtension(captureID + uint8(i)); len(b) > 0 {
			n = s.element(dst, n, id, b)
		}
	}
	return n
}

// element adds one extension to a header of n bytes. When it does not fit elements
// with one byte of header, all get two, if the peer has agreed to such (a=extmap-allow-mixed);
// else it is left out.
func (s *Sender) element(dst []byte, n int, id uint8, value []byte) int {
	if n+len(value)+elementRoom > len(dst) {
		return n
	}
	wide := n > 12 && dst[12] == wideProfile>>8
	if !wide && (id > shortLast || len(value) > shortMost || len(value) == 0) {
		if !s.mixed {
			return n
		}
		n, wide = widen(dst, n), true
	}
	if n == 12 {
		dst[0] |= 0x10
		dst[12], dst[13] = 0xbe, 0xde
		n = 16
	}
	if wide {
		dst[n], dst[n+1] = id, byte(len(value))
		n += 2
	} else {
		dst[n] = id<<4 | byte(len(value)-1)
		n++
	}
	return fill(dst, n+copy(dst[n:], value))
}

// fill ends the extensions at n and writes their length.
func fill(dst []byte, n int) int {
	for n%4 != 0 {
		dst[n] = 0
		n++
	}
	binary.BigEndian.PutUint16(dst[14:], uint16(n-16)/4)
	return n
}

// widen gives the elements of a header of n bytes two bytes of header each
// (RFC 8285 §4.3).
func widen(dst []byte, n int) int {
	var short [256]byte // 14 ids with 16 bytes at most
	var from []byte
	if n > 12 {
		from = short[:copy(short[:], dst[16:n])]
	}
	dst[0] |= 0x10
	binary.BigEndian.PutUint16(dst[12:], wideProfile)
	n = 16
	for len(from) > 0 {
		if from[0] == 0 {
			from = from[1:]
			continue
		}
		size := int(from[0]&15) + 1
		dst[n], dst[n+1] = from[0]>>4, byte(size)
		n += 2 + copy(dst[n+2:], from[1:1+size])
		from = from[1+size:]
	}
	return fill(dst, n)
}

// extendWide is extend for a peer with ids above shortLast.
func (s *Sender) extendWide(t *turn, dst []byte, level int) int {
	n := 12
	var b [4]byte
	if id := s.ext.twcc; id != 0 {
		binary.BigEndian.PutUint16(b[:], s.leg.sendSeq)
		n = s.element(dst, n, id, b[:2])
	}
	if s.stamped {
		at := toNTP(t.now) >> 14
		b[0], b[1], b[2] = byte(at>>16), byte(at>>8), byte(at)
		n = s.element(dst, n, s.ext.sendTime, b[:3])
	}
	if s.playout != nil && s.ext.playout != 0 {
		describePlayout(b[:], 0, s.playout.units(t.now))
		n = s.element(dst, n, s.ext.playout, b[1:4])
	}
	if s.midLeft > 0 {
		s.midLeft--
		n = s.element(dst, n, s.ext.mid, []byte(*s.mid))
	}
	if level >= 0 {
		b[0] = byte(level)
		n = s.element(dst, n, s.ext.level, b[:1])
	}
	return n
}

// takeIDs takes the header extensions of a description. The caller holds the
// shard's lock.
func (s *Sender) takeIDs(m *media) {
	old, mixed := s.ext, s.mixed
	s.ext, s.mixed = m.ext, m.mixed
	if !m.mixed {
		s.ext.descriptor = 0 // some are too long for elements with one byte of header
	}
	s.stamped = s.stamped && s.ext.sendTime != 0
	if s.ext != old || s.mixed != mixed {
		s.resend.clear()
	}
	s.wide = s.ext.usesWide()
	s.mid = nil
	if s.ext.mid != 0 && len(m.mid) > 0 && len(m.mid) <= shortMost {
		mid := m.mid
		s.mid = &mid
	}
	s.sayMid()
}

// sayMid has the next packets say to which section they belong.
func (s *Sender) sayMid() {
	s.midLeft = 0
	if s.mid != nil {
		s.midLeft = midTimes
	}
}

func (r *Receiver) takeIDs(m *media) { r.ext, r.passing = m.ext, m.ext.passed() }
