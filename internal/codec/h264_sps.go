package codec

// spsFacts is what we need of a sequence parameter set. Parsing stops before
// the VUI: nothing there is needed, and its counts are an attacker's to choose.
type spsFacts struct {
	width, height                  int
	chroma, depthLuma, depthChroma uint32 // chroma_format_idc, bit_depth_*_minus8
}

// bitReader reads an RBSP from a NAL unit, skipping emulation prevention bytes
// (ITU-T H.264 §7.3.1.1). After the end every read gives 0 and bad is set.
type bitReader struct {
	b     []byte
	pos   int // in bits
	zeros int
	bad   bool
}

func (r *bitReader) bit() uint32 {
	i := r.pos >> 3
	if r.pos&7 == 0 {
		if i < len(r.b) && r.zeros >= 2 && r.b[i] == 3 {
			r.pos += 8
			i++
			r.zeros = 0
		}
		if i < len(r.b) {
			if r.b[i] == 0 {
				r.zeros++
			} else {
				r.zeros = 0
			}
		}
	}
	if i >= len(r.b) {
		r.bad = true
		return 0
	}
	v := r.b[i] >> (7 - r.pos&7) & 1
	r.pos++
	return uint32(v)
}

func (r *bitReader) bits(n int) (v uint32) {
	for range n {
		v = v<<1 | r.bit()
	}
	return v
}

// ue reads an Exp-Golomb code (§9.1).
func (r *bitReader) ue() uint32 {
	n := 0
	for r.bit() == 0 {
		if n++; n > 31 || r.bad {
			r.bad = true
			return 0
		}
	}
	return 1<<n - 1 + r.bits(n)
}

func (r *bitReader) se() int32 {
	v := r.ue()
	if v&1 == 1 {
		return int32(v/2 + 1)
	}
	return -int32(v / 2)
}

func parseSPS(sps []byte) (f spsFacts, ok bool) {
	if len(sps) < 4 {
		return f, false
	}
	r := &bitReader{b: sps[1:]}
	profile := r.bits(8)
	r.bits(16) // constraint flags and level
	r.ue()     // seq_parameter_set_id
	f.chroma = 1
	separate := uint32(0)
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		f.chroma = r.ue()
		if f.chroma == 3 {
			separate = r.bit()
		}
		f.depthLuma, f.depthChroma = r.ue(), r.ue()
		r.bit() // qpprime_y_zero_transform_bypass_flag
		if r.bit() == 1 {
			lists := 8
			if f.chroma == 3 {
				lists = 12
			}
			for i := range lists {
				if r.bit() == 1 {
					r.scalingList(i)
				}
			}
		}
	}
	r.ue() // log2_max_frame_num_minus4
	switch r.ue() {
	case 0:
		r.ue()
	case 1:
		r.bit()
		r.se()
		r.se()
		n := r.ue()
		if n > 255 {
			return f, false
		}
		for range n {
			r.se()
		}
	}
	r.ue() // max_num_ref_frames
	r.bit()
	w, h := r.ue()+1, r.ue()+1
	frameOnly := r.bit()
	if frameOnly == 0 {
		r.bit()
	}
	r.bit() // direct_8x8_inference_flag
	var left, right, top, bottom uint32
	if r.bit() == 1 {
		left, right, top, bottom = r.ue(), r.ue(), r.ue(), r.ue()
	}
	if r.bad || f.chroma > 3 || f.depthLuma > 6 || f.depthChroma > 6 || w > 1024 || h > 1024 ||
		max(left, right, top, bottom) > 1<<14 {
		return f, false
	}
	unitX, unitY := uint32(1), 2-frameOnly
	if separate == 0 && (f.chroma == 1 || f.chroma == 2) {
		unitX = 2
	}
	if separate == 0 && f.chroma == 1 {
		unitY *= 2
	}
	f.width = int(w*16) - int((left+right)*unitX)
	f.height = int(h*16*(2-frameOnly)) - int((top+bottom)*unitY)
	return f, f.width > 0 && f.height > 0
}

// scalingList skips one (§7.3.2.1.1.1).
func (r *bitReader) scalingList(i int) {
	size := 16
	if i >= 6 {
		size = 64
	}
	last, next := int32(8), int32(8)
	for range size {
		if next != 0 {
			next = (last + r.se()) & 0xff
		}
		if next != 0 {
			last = next
		}
	}
}
