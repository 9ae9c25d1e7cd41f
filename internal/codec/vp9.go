package codec

import "github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"

// vp9KeyRTP reads the payload descriptor (RFC 9628 §4.2): a frame begins (B)
// that depends on no earlier picture (P clear), in the lowest spatial layer.
func vp9KeyRTP(p []byte) bool {
	if p[0]&0x08 == 0 || p[0]&0x40 != 0 {
		return false
	}
	if p[0]&0x20 == 0 {
		return true
	}
	n := 1
	if p[0]&0x80 != 0 {
		_, bits, ok := vp9PictureID(p)
		if !ok {
			return false
		}
		n += (bits + 1) / 8
	}
	return len(p) > n && (p[n]>>1)&0x07 == 0
}

func vp9PictureID(p []byte) (id uint16, bits int, ok bool) {
	if len(p) < 2 || p[0]&0x80 == 0 {
		return 0, 0, false
	}
	if p[1]&0x80 == 0 {
		return uint16(p[1]), 7, true
	}
	if len(p) < 3 {
		return 0, 0, false
	}
	return uint16(p[1]&0x7f)<<8 | uint16(p[2]), 15, true
}

func vp9Header(u []byte) (h vp9.Header, ok bool) {
	return h, h.Unmarshal(u) == nil
}

func vp9Key(u []byte) bool {
	h, ok := vp9Header(u)
	return ok && !h.ShowExistingFrame && !h.NonKeyFrame
}

func vp9Size(u []byte) (w, h int, ok bool) {
	hd, ok := vp9Header(u)
	if !ok || hd.ShowExistingFrame || hd.NonKeyFrame {
		return 0, 0, false
	}
	if w, h, ok = vp9TopSize(u); ok {
		return w, h, true
	}
	return hd.Width(), hd.Height(), true
}

// AppendVP9Superframe joins the frames of one picture (one per spatial layer)
// into a superframe with its index (VP9 bitstream specification, Annex B), so
// that a decoder can tell them apart. One frame is returned as it is.
func AppendVP9Superframe(frames [][]byte) []byte {
	if len(frames) == 1 {
		return frames[0]
	}
	var unit []byte
	for _, f := range frames {
		unit = append(unit, f...)
	}
	if len(frames) == 0 || len(frames) > 8 {
		return unit
	}
	const bytesPerSize = 4
	marker := byte(0xc0 | (bytesPerSize-1)<<3 | (len(frames) - 1))
	unit = append(unit, marker)
	for _, f := range frames {
		n := len(f)
		unit = append(unit, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	return append(unit, marker)
}
