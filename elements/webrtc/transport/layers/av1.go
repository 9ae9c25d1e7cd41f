package layers

import "github.com/govidu/govidu/internal/codec"

// Types of OBUs (AV1 bitstream specification §6.2.2).
const (
	obuSequence  = 1
	obuDelimiter = 2
)

// readAV1 reads the aggregation header and the first OBU (RTP Payload Format For
// AV1 §4.4). Where layer frames end only the dependency descriptor tells, so that
// without one only temporal layers are told apart.
func (r *Parser) readAV1(p []byte, fresh, described bool, info *Info) {
	info.Begin = fresh && p[0]&0x80 == 0
	info.Key = codec.KeyFrameRTP(codec.AV1, p)
	info.entry = info.Key
	if described {
		return
	}
	if p[0]&0x80 == 0 {
		r.walkAV1(p, info)
	}
	info.Temporal = r.frame.temporal
}

// walkAV1 looks at the OBU elements until one tells its layer.
func (r *Parser) walkAV1(p []byte, info *Info) {
	count := int(p[0] >> 4 & 0x03)
	rest := p[1:]
	for i := 1; len(rest) > 0 && i <= 4; i++ {
		u := rest
		if count == 0 || i < count {
			n, k := leb128(rest)
			if k == 0 || n > len(rest)-k {
				return
			}
			u, rest = rest[k:k+n], rest[k+n:]
		} else {
			rest = nil
		}
		if len(u) == 0 {
			continue
		}
		switch kind := u[0] >> 3 & 0x0f; {
		case kind == obuSequence && info.Key:
			if w, h, ok := sequenceSize(u); ok {
				info.Width, info.Height = w, h
			}
		case kind == obuSequence || kind == obuDelimiter:
		case u[0]&0x04 != 0 && len(u) > 1:
			r.frame.temporal = int8(u[1] >> 5)
			return
		default:
			return
		}
	}
}

// sequenceSize reads a sequence header OBU as it is in RTP: without its size.
func sequenceSize(u []byte) (w, h uint16, ok bool) {
	if u[0]&0x02 == 0 {
		at := 1
		if u[0]&0x04 != 0 {
			at = 2
		}
		if len(u) < at || len(u)-at > 127 {
			return 0, 0, false
		}
		sized := append([]byte{u[0] | 0x02}, u[1:at]...)
		u = append(append(sized, byte(len(u)-at)), u[at:]...)
	}
	x, y, ok := codec.SizeOfUnit(codec.AV1, u)
	return uint16(x), uint16(y), ok && x <= 0xffff && y <= 0xffff
}

// leb128 reads a size (AV1 bitstream specification §4.10.5) and how many bytes it
// takes, 0 when it is none.
func leb128(b []byte) (v, n int) {
	for i := range min(len(b), 4) {
		v |= int(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return v, i + 1
		}
	}
	return 0, 0
}
