package pipeline

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/govidu/govidu/internal/codec"
)

// payloader cuts an access unit into RTP payloads of at most maxPayload bytes;
// none when the unit does not parse. The result is new memory, except audio's,
// which is the unit itself.
type payloader interface{ payloads(unit []byte) [][]byte }

// payloaders make a payloader per RTP stream.
var payloaders = map[codec.Name]func() payloader{
	codec.VP8:  func() payloader { return &vp8Payloader{id: uint16(rand.Uint32())} },
	codec.VP9:  func() payloader { return &vp9Payloader{id: uint16(rand.Uint32())} },
	codec.H264: func() payloader { return h264Payloader{} },
	codec.AV1:  func() payloader { return av1Payloader{} },
	codec.Opus: func() payloader { return opusPayloader{} },
	codec.PCMU: func() payloader { return pcmPayloader{} },
	codec.PCMA: func() payloader { return pcmPayloader{} },
}

// opusPayloader: a packet is a payload (RFC 7587 §4.2) and cannot be cut.
type opusPayloader struct{}

func (opusPayloader) payloads(unit []byte) [][]byte {
	if len(unit) == 0 {
		return nil
	}
	return [][]byte{unit}
}

// pcmPayloader cuts samples anywhere (RFC 3551 §4.5.14), here at an even count
// for two channels.
type pcmPayloader struct{}

func (pcmPayloader) payloads(unit []byte) (out [][]byte) {
	for len(unit) > 0 {
		n := min(len(unit), maxPayload&^1)
		out = append(out, unit[:n:n])
		unit = unit[n:]
	}
	return out
}

// chunks cuts data into payloads of at most maxPayload bytes, each behind a
// header that head writes.
func chunks(data []byte, header int, head func(b []byte, first, last bool)) [][]byte {
	n := maxPayload - header
	count := (len(data) + n - 1) / n
	out := make([][]byte, 0, count)
	buf := make([]byte, len(data)+count*header)
	for first := true; len(data) > 0; first = false {
		k := min(len(data), n)
		b := buf[: header+k : header+k]
		buf = buf[header+k:]
		copy(b[header:], data[:k])
		data = data[k:]
		head(b, first, len(data) == 0)
		out = append(out, b)
	}
	return out
}

// vp8Payloader writes a descriptor with a 15-bit picture id (RFC 7741 §4.2), so
// that receivers can tell a lost frame from lost padding.
type vp8Payloader struct{ id uint16 }

func (v *vp8Payloader) payloads(unit []byte) [][]byte {
	v.id++
	return chunks(unit, 4, func(b []byte, first, _ bool) {
		b[0], b[1] = 0x80, 0x80 // X; I
		if first {
			b[0] |= 0x10 // S, of partition 0
		}
		binary.BigEndian.PutUint16(b[2:], 0x8000|v.id)
	})
}

// vp9Payloader writes a descriptor without layers (RFC 9628 §4.2): a picture is
// one layer frame. A superframe goes as it is.
type vp9Payloader struct{ id uint16 }

func (v *vp9Payloader) payloads(unit []byte) [][]byte {
	v.id++
	predicted := !codec.KeyFrameUnit(codec.VP9, unit)
	w, h, sized := codec.SizeOfUnit(codec.VP9, unit)
	var structure []byte
	if sized && w <= 0xffff && h <= 0xffff {
		// N_S 0, Y: one spatial layer of this size.
		structure = []byte{0x10, byte(w >> 8), byte(w), byte(h >> 8), byte(h)}
	}
	// The scalability structure is on the first packet alone; the room for it is
	// kept free on all, which is few bytes on a keyframe.
	out := chunks(unit, 3+len(structure), func(b []byte, first, last bool) {
		b[0] = 0x80 // I
		if predicted {
			b[0] |= 0x40 // P
		}
		if first {
			b[0] |= 0x08 // B
		}
		if last {
			b[0] |= 0x04 // E
		}
		if first && structure != nil {
			b[0] |= 0x02 // V
			copy(b[3:], structure)
		}
	})
	for i, b := range out {
		if i > 0 && structure != nil {
			// Without a structure the header is shorter.
			b[len(structure)] = b[0]
			b = b[len(structure):]
			out[i] = b
		}
		binary.BigEndian.PutUint16(b[1:], 0x8000|v.id)
	}
	return out
}

// h264Payloader makes single NAL unit packets, STAP-A of what comes before the
// slices, and FU-A (RFC 6184 §5.6, §5.7.1, §5.8). Delimiters and filler stay out.
type h264Payloader struct{}

const (
	nalSlice, nalIDR, nalAUD, nalFiller, nalSTAPA, nalFUA = 1, 5, 9, 12, 24, 28
	nriMask                                               = 0x60
)

func (h264Payloader) payloads(unit []byte) (out [][]byte) {
	var head [][]byte // small NAL units waiting for one packet
	size := 1
	flush := func() {
		if len(head) > 0 {
			out = append(out, stapA(head, size))
		}
		head, size = head[:0], 1
	}
	for nal := range codec.NALUnits(unit) {
		if len(nal) == 0 {
			continue
		}
		switch t := nal[0] & 0x1f; {
		case t == nalAUD || t == nalFiller || t == 0 || t >= nalSTAPA:
			continue
		case t < nalSlice || t > nalIDR: // parameter sets, SEI
			if 1+2+len(nal) <= maxPayload {
				if size+2+len(nal) > maxPayload {
					flush()
				}
				head = append(head, nal)
				size += 2 + len(nal)
				continue
			}
		}
		flush()
		if len(nal) <= maxPayload {
			out = append(out, append(make([]byte, 0, len(nal)), nal...))
			continue
		}
		indicator, kind := nal[0]&0xe0|nalFUA, nal[0]&0x1f
		out = append(out, chunks(nal[1:], 2, func(b []byte, first, last bool) {
			b[0], b[1] = indicator, kind
			if first {
				b[1] |= 0x80 // S
			}
			if last {
				b[1] |= 0x40 // E
			}
		})...)
	}
	flush()
	return out
}

// stapA joins NAL units; one alone goes as it is.
func stapA(nals [][]byte, size int) []byte {
	if len(nals) == 1 {
		return append(make([]byte, 0, len(nals[0])), nals[0]...)
	}
	b := make([]byte, 1, size)
	for _, n := range nals {
		// F is the or of all, NRI the highest (§5.7.1).
		b[0] |= n[0] & 0x80
		b[0] = b[0]&^nriMask | max(b[0]&nriMask, n[0]&nriMask)
		b = binary.BigEndian.AppendUint16(b, uint16(len(n)))
		b = append(b, n...)
	}
	b[0] |= nalSTAPA
	return b
}
