package codec

// vp8Descriptor is the length of the payload descriptor (RFC 7741 §4.2), and
// the picture id with its width in bits (0 when absent).
func vp8Descriptor(p []byte) (n int, pictureID uint16, bits int, ok bool) {
	if len(p) < 1 {
		return 0, 0, 0, false
	}
	n = 1
	if p[0]&0x80 == 0 {
		return n, 0, 0, n < len(p)
	}
	if len(p) < 2 {
		return 0, 0, 0, false
	}
	ext := p[1]
	n = 2
	if ext&0x80 != 0 {
		if len(p) <= n {
			return 0, 0, 0, false
		}
		if p[n]&0x80 == 0 {
			pictureID, bits = uint16(p[n]), 7
			n++
		} else {
			if len(p) <= n+1 {
				return 0, 0, 0, false
			}
			pictureID, bits = uint16(p[n]&0x7f)<<8|uint16(p[n+1]), 15
			n += 2
		}
	}
	if ext&0x40 != 0 {
		n++
	}
	if ext&0x30 != 0 {
		n++
	}
	return n, pictureID, bits, n < len(p)
}

func vp8KeyRTP(p []byte) bool {
	if !FrameStartRTP(VP8, p) {
		return false
	}
	n, _, _, ok := vp8Descriptor(p)
	return ok && p[n]&0x01 == 0
}

// vp8Key reads the frame tag (RFC 6386 §9.1): bit 0 clear and the start code.
func vp8Key(u []byte) bool {
	return len(u) >= 10 && u[0]&0x01 == 0 && u[3] == 0x9d && u[4] == 0x01 && u[5] == 0x2a
}

func vp8Size(u []byte) (w, h int, ok bool) {
	if !vp8Key(u) {
		return 0, 0, false
	}
	w = (int(u[6]) | int(u[7])<<8) & 0x3fff
	h = (int(u[8]) | int(u[9])<<8) & 0x3fff
	return w, h, w > 0 && h > 0
}

// PictureID is the frame counter in the payload descriptor of VP8 and VP9, with
// its width in bits (7 or 15). ok is false when the sender does not count.
func PictureID(n Name, payload []byte) (id uint16, bits int, ok bool) {
	switch n {
	case VP8:
		_, id, bits, ok = vp8Descriptor(payload)
	case VP9:
		id, bits, ok = vp9PictureID(payload)
	}
	return id, bits, ok && bits > 0
}
