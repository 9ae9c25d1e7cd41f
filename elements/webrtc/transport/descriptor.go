package transport

import (
	"encoding/binary"

	"github.com/govidu/govidu/elements/webrtc/transport/layers"
)

const (
	shortElement = 16 // the most bytes of an element with one byte of header (RFC 8285 §4.2)
	longProfile  = 0x1000
)

// describe adds the dependency descriptor to a header of n bytes, the last of its
// extensions; it gives the new length. A long one makes all elements have two bytes
// of header, which the peer has agreed to.
func (s *Sender) describe(dst []byte, n int, descriptor []byte, out *layers.Out) int {
	var value [layers.MaxDescriptor]byte
	size := out.Describe(value[:], descriptor)
	if size == 0 {
		return n
	}
	if n == 12 {
		n = 16
		dst[0] |= 0x10
		dst[12], dst[13] = 0xbe, 0xde
	}
	if size <= shortElement {
		dst[n] = s.ext.descriptor<<4 | byte(size-1)
		n += 1 + copy(dst[n+1:], value[:size])
	} else {
		n = lengthen(dst, n)
		dst[n], dst[n+1] = s.ext.descriptor, byte(size)
		n += 2 + copy(dst[n+2:], value[:size])
	}
	for n%4 != 0 {
		dst[n] = 0
		n++
	}
	binary.BigEndian.PutUint16(dst[14:], uint16(n-16)/4)
	return n
}

// lengthen gives the elements of a header of n bytes two bytes of header each.
func lengthen(dst []byte, n int) int {
	var short [64]byte
	from := short[:copy(short[:], dst[16:n])]
	binary.BigEndian.PutUint16(dst[12:], longProfile)
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
	return n
}
