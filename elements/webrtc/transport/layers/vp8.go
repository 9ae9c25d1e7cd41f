package layers

// readVP8 reads the payload descriptor (RFC 7741 §4.2).
func readVP8(p []byte, info *Info) {
	info.Begin = p[0]&0x10 != 0 && p[0]&0x07 == 0
	info.Discardable = p[0]&0x20 != 0
	n := 1
	if p[0]&0x80 != 0 {
		if len(p) < 2 {
			return
		}
		ext := p[1]
		n = 2
		var x Info
		if ext&0x80 != 0 {
			if n = readPictureID(p, n, &x); n == 0 {
				return
			}
		}
		if ext&0x40 != 0 {
			if n >= len(p) {
				return
			}
			x.tl0At, x.tl0 = uint8(n), p[n]
			n++
		}
		if ext&0x30 != 0 {
			if n >= len(p) {
				return
			}
			if ext&0x20 != 0 {
				x.Temporal = int8(p[n] >> 6)
				x.sync = x.Temporal > 0 && p[n]&0x20 != 0
			}
			if ext&0x10 != 0 {
				x.keyAt, x.keyIdx = uint8(n), p[n]&0x1f
			}
			n++
		}
		info.Temporal, info.sync = x.Temporal, x.sync
		info.hasID, info.wide, info.id = x.hasID, x.wide, x.id
		info.tl0At, info.tl0, info.keyAt, info.keyIdx = x.tl0At, x.tl0, x.keyAt, x.keyIdx
		if n > 2 {
			info.at, info.n = 2, uint8(n-2)
		}
	}
	// The frame header follows (RFC 6386 §9.1): its lowest bit is clear for a key.
	if !info.Begin || n >= len(p) || p[n]&0x01 != 0 {
		return
	}
	info.Key, info.entry = true, true
	if u := p[n:]; len(u) >= 10 && u[3] == 0x9d && u[4] == 0x01 && u[5] == 0x2a {
		info.Width = (uint16(u[6]) | uint16(u[7])<<8) & 0x3fff
		info.Height = (uint16(u[8]) | uint16(u[9])<<8) & 0x3fff
	}
}

// readPictureID reads a picture id of 7 or 15 bits at n, the same in VP8 and VP9,
// and gives the index after it; 0 when it is cut off.
func readPictureID(p []byte, n int, info *Info) int {
	if n >= len(p) {
		return 0
	}
	if p[n]&0x80 == 0 {
		info.hasID, info.id = true, uint16(p[n])
		return n + 1
	}
	if n+1 >= len(p) {
		return 0
	}
	info.hasID, info.wide = true, true
	info.id = uint16(p[n]&0x7f)<<8 | uint16(p[n+1])
	return n + 2
}
