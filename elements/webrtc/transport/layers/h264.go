package layers

import (
	"encoding/binary"
	"slices"

	"github.com/govidu/govidu/internal/codec"
)

// Types of NAL units (RFC 6184 §5.2, RFC 6190 §1.1.3).
const (
	nalSlice  = 1
	nalIDR    = 5
	nalSPS    = 7
	nalPrefix = 14
	nalSTAPA  = 24
	nalFUA    = 28
)

// readH264 finds temporal layers without the dependency descriptor: the prefix NAL
// units of SVC name them (RFC 6190 §1.1.3), and a slice with nal_ref_idc 0 is one
// that nothing needs (RFC 6184 §5.3), which makes two layers.
func (r *Parser) readH264(p []byte, fresh bool, info *Info) {
	info.Begin = fresh
	info.Key = codec.KeyFrameRTP(codec.H264, p)
	var sps []byte
	slice := false
	nal := func(u []byte) {
		switch u[0] & 0x1f {
		case nalSPS:
			sps = u
		case nalPrefix:
			if len(u) > 3 && u[1]&0x80 != 0 {
				r.frame.temporal = int8(u[3] >> 5)
			}
		case nalSlice, nalIDR:
			slice = true
			r.frame.spare = u[0]&0x60 == 0
		}
	}
	switch p[0] & 0x1f {
	case nalSTAPA:
		for u := p[1:]; len(u) > 2; {
			n := int(binary.BigEndian.Uint16(u))
			if n == 0 || n > len(u)-2 {
				break
			}
			nal(u[2 : 2+n])
			u = u[2+n:]
		}
	case nalFUA:
		if len(p) > 1 && (p[1]&0x1f == nalSlice || p[1]&0x1f == nalIDR) {
			slice = true
			r.frame.spare = p[0]&0x60 == 0
		}
	default:
		nal(p)
	}
	if slice && r.frame.spare && r.frame.temporal == 0 {
		r.frame.temporal = 1
	}
	info.Temporal = r.frame.temporal
	info.Discardable = r.frame.spare
	info.sync = r.frame.spare
	if sps != nil {
		r.sps = true
		unit := slices.Concat([]byte{0, 0, 0, 1}, sps)
		if w, h, ok := codec.SizeOfUnit(codec.H264, unit); ok {
			info.Width, info.Height = uint16(w), uint16(h)
		}
	}
	// A decoder of another encoding needs this one's parameter sets first.
	info.entry = info.Key && (sps != nil || !r.sps)
}
