package codec

import (
	"iter"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
)

// OBU types (AV1 bitstream specification §6.2.2).
const (
	obuSequenceHeader    = 1
	obuTemporalDelimiter = 2
	obuFrameHeader       = 3
	obuFrame             = 6
)

// leb128 reads an unsigned integer (AV1 specification §4.10.5).
func leb128(b []byte) (v uint64, n int, ok bool) {
	for i := 0; i < 8 && i < len(b); i++ {
		v |= uint64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return v, i + 1, v <= 1<<32-1
		}
	}
	return 0, 0, false
}

// av1KeyRTP reads the aggregation header (AOM AV1 RTP §4.4): N marks the first
// packet of a coded video sequence; without it, a sequence header tells.
func av1KeyRTP(p []byte) bool {
	if p[0]&0x80 != 0 {
		return false
	}
	if p[0]&0x08 != 0 {
		return true
	}
	count := int(p[0]>>4) & 3
	rest := p[1:]
	for i := 1; len(rest) > 0; i++ {
		element := rest
		if count == 0 || i < count {
			size, n, ok := leb128(rest)
			if !ok || uint64(len(rest)-n) < size {
				return false
			}
			element, rest = rest[n:n+int(size)], rest[n+int(size):]
		} else {
			rest = nil
		}
		if len(element) > 0 && (element[0]>>3)&0x0f == obuSequenceHeader {
			return true
		}
	}
	return false
}

// obus yields type, whole OBU and payload of each OBU of a temporal unit in the
// low-overhead format (all with sizes; the last may go without).
func obus(u []byte) iter.Seq2[int, [2][]byte] {
	return func(yield func(int, [2][]byte) bool) {
		for len(u) > 0 {
			n := 1
			if u[0]&0x04 != 0 {
				n = 2
			}
			if len(u) < n || u[0]&0x80 != 0 {
				return
			}
			end := len(u)
			if u[0]&0x02 != 0 {
				size, k, ok := leb128(u[n:])
				if !ok || uint64(len(u)-n-k) < size {
					return
				}
				n += k
				end = n + int(size)
			}
			if !yield(int(u[0]>>3)&0x0f, [2][]byte{u[:end], u[n:end]}) {
				return
			}
			u = u[end:]
		}
	}
}

// av1Key wants a sequence header and, where a frame header follows, a shown
// frame of type KEY_FRAME (§5.9.2).
func av1Key(u []byte) bool {
	seq := false
	for t, o := range obus(u) {
		switch t {
		case obuSequenceHeader:
			seq = true
		case obuFrame, obuFrameHeader:
			return seq && len(o[1]) > 0 && o[1][0]&0xe0 == 0
		}
	}
	return seq
}

func av1Sequence(u []byte) (whole []byte, s av1.SequenceHeader, ok bool) {
	for t, o := range obus(u) {
		if t == obuSequenceHeader {
			// Parsed as a bare OBU: header byte without extension and size, payload.
			bare := append([]byte{obuSequenceHeader << 3}, o[1]...)
			return o[0], s, s.Unmarshal(bare) == nil
		}
	}
	return nil, s, false
}

func av1Size(u []byte) (w, h int, ok bool) {
	_, s, ok := av1Sequence(u)
	if !ok {
		return 0, 0, false
	}
	return int(s.MaxFrameWidthMinus1) + 1, int(s.MaxFrameHeightMinus1) + 1, true
}

// AV1Config is the AV1CodecConfigurationRecord (av1C, AV1-ISOBMFF §2.3.3) of a
// temporal unit that has a sequence header; nil when it has none.
func AV1Config(unit []byte) []byte {
	whole, s, ok := av1Sequence(unit)
	if !ok || len(s.SeqLevelIdx) == 0 {
		return nil
	}
	bit := func(b bool, shift int) byte {
		if b {
			return 1 << shift
		}
		return 0
	}
	c := s.ColorConfig
	tier := len(s.SeqTier) > 0 && s.SeqTier[0]
	return append([]byte{
		0x81,
		s.SeqProfile<<5 | s.SeqLevelIdx[0]&0x1f,
		bit(tier, 7) | bit(c.HighBitDepth, 6) | bit(c.TwelveBit, 5) | bit(c.MonoChrome, 4) |
			bit(c.SubsamplingX, 3) | bit(c.SubsamplingY, 2) | byte(c.ChromaSamplePosition)&3,
		0,
	}, whole...)
}
