package pipeline

import "github.com/govidu/govidu/internal/codec"

// OBU types that do not travel (AOM AV1 RTP §5), and bits of OBU headers (AV1
// specification §5.3.2).
const (
	obuDelimiter, obuTileList, obuPadding = 2, 8, 15
	obuHasExtension, obuHasSize           = 0x04, 0x02
)

// Bits of the aggregation header (AOM AV1 RTP §4.4).
const (
	av1Continues  = 0x80 // Z: the first element goes on from the packet before
	av1Unfinished = 0x40 // Y: the last element goes on in the next packet
	av1New        = 0x08 // N: first packet of a coded video sequence
)

// av1Payloader puts OBUs without their size fields into packets, each behind its
// length (W = 0), and cuts where a packet is full. OBUs of different layers do
// not share a packet (§5).
type av1Payloader struct{}

// obu is one OBU on its way: header without size, then payload.
type obu struct {
	header  [2]byte
	n       int // of header
	payload []byte
}

func (o *obu) layer() byte {
	if o.n == 2 {
		return o.header[1]
	}
	return 0
}

func (av1Payloader) payloads(unit []byte) [][]byte {
	list, total, ok := splitOBUs(unit)
	if !ok || len(list) == 0 {
		return nil
	}
	// Enough for all headers and lengths of full packets.
	buf := make([]byte, 0, total+(total/(maxPayload-8)+len(list)+1)*4)
	var out [][]byte
	begin := 0
	newPacket := func(flags byte) {
		begin = len(buf)
		buf = append(buf, flags)
	}
	end := func() { out = append(out, buf[begin:len(buf):len(buf)]) }
	newPacket(0)
	if codec.KeyFrameUnit(codec.AV1, unit) {
		buf[0] |= av1New
	}
	for i := range list {
		o := &list[i]
		if i > 0 && o.layer() != list[i-1].layer() && len(buf)-begin > 1 {
			end()
			newPacket(0)
		}
		head := o.header[:o.n]
		for rest := o.payload; ; {
			room := maxPayload - (len(buf) - begin)
			if room < 2+len(head)+1 && room < 2+len(head)+len(rest) {
				// Not even a byte of it fits.
				if len(head) < o.n {
					buf[begin] |= av1Unfinished
				}
				end()
				newPacket(0)
				if len(head) < o.n {
					buf[begin] |= av1Continues
				}
				continue
			}
			n := min(len(rest), room-2-len(head))
			buf = appendLEB128(buf, len(head)+n)
			buf = append(buf, head...)
			buf = append(buf, rest[:n]...)
			head, rest = nil, rest[n:]
			if len(rest) == 0 {
				break
			}
		}
	}
	end()
	return out
}

// splitOBUs takes a temporal unit apart; total is how many bytes travel.
func splitOBUs(unit []byte) (list []obu, total int, ok bool) {
	for len(unit) > 0 {
		if unit[0]&0x80 != 0 {
			return nil, 0, false
		}
		o := obu{header: [2]byte{unit[0] &^ obuHasSize}, n: 1}
		at := 1
		if unit[0]&obuHasExtension != 0 {
			if len(unit) < 2 {
				return nil, 0, false
			}
			o.header[1], o.n, at = unit[1], 2, 2
		}
		size := len(unit) - at
		if unit[0]&obuHasSize != 0 {
			n, k, ok := readLEB128(unit[at:])
			if !ok || n > len(unit)-at-k {
				return nil, 0, false
			}
			size, at = n, at+k
		}
		o.payload = unit[at : at+size]
		kind := unit[0] >> 3 & 0x0f
		unit = unit[at+size:]
		if kind != obuDelimiter && kind != obuTileList && kind != obuPadding {
			list = append(list, o)
			total += o.n + size
		}
	}
	return list, total, true
}

// readLEB128 reads a size (AV1 specification §4.10.5); k is its length.
func readLEB128(b []byte) (v, k int, ok bool) {
	for k = 0; k < len(b) && k < 5; k++ {
		v |= int(b[k]&0x7f) << (7 * k)
		if b[k]&0x80 == 0 {
			return v, k + 1, v <= maxUnitBytes
		}
	}
	return 0, 0, false
}

func appendLEB128(b []byte, v int) []byte {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}
