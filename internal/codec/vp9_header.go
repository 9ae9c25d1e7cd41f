package codec

// vp9Slots are the picture sizes of the eight reference slots (VP9 bitstream
// specification §7.2, RefFrameWidth and RefFrameHeight): inter frames may take their
// size from one.
type vp9Slots [8]struct{ w, h int }

// vp9Frame is what the uncompressed header of one frame says (§6.2), as far as
// showing it goes.
type vp9Frame struct {
	key, existing, show, resilient bool
	w, h                           int
	showAt                         int // index of the bit show_frame
	end                            int // bits before the alignment
}

// vp9Bits reads bits, the highest of each byte first; past the end it gives zeros
// and notes it.
type vp9Bits struct {
	b     []byte
	at    int
	short bool
}

func (r *vp9Bits) f(n int) (v int) {
	for range n {
		v <<= 1
		if r.at>>3 >= len(r.b) {
			r.short = true
			continue
		}
		v |= int(r.b[r.at>>3]>>(7-r.at&7)) & 1
		r.at++
	}
	return v
}

func (r *vp9Bits) flag() bool { return r.f(1) == 1 }

// read reads an uncompressed header and writes down in slots what the frame
// leaves there. ok is false for what is none, and for a size taken from a slot that
// holds none.
func (s *vp9Slots) read(b []byte) (x vp9Frame, ok bool) {
	r := &vp9Bits{b: b}
	if r.f(2) != 2 {
		return x, false
	}
	profile := r.f(1) | r.f(1)<<1
	if profile == 3 && r.flag() {
		return x, false
	}
	if x.existing = r.flag(); x.existing {
		i := r.f(3)
		x.show, x.w, x.h = true, s[i].w, s[i].h
		return x, !r.short && x.w > 0
	}
	x.key = !r.flag()
	x.showAt = r.at
	x.show, x.resilient = r.flag(), r.flag()
	intra, refresh := x.key, 0xff
	if !x.key {
		intra = !x.show && r.flag()
		if !x.resilient {
			r.f(2) // reset_frame_context
		}
	}
	if intra {
		if r.f(24) != 0x498342 {
			return x, false
		}
		if x.key || profile > 0 {
			r.colours(profile)
		}
		if !x.key {
			refresh = r.f(8)
		}
		x.w, x.h = r.f(16)+1, r.f(16)+1
	} else {
		refresh = r.f(8)
		var refs [3]int
		for i := range refs {
			refs[i] = r.f(3)
			r.f(1) // ref_frame_sign_bias
		}
		found := false
		for _, i := range refs {
			if found = r.flag(); found {
				x.w, x.h = s[i].w, s[i].h
				break
			}
		}
		if !found {
			x.w, x.h = r.f(16)+1, r.f(16)+1
		}
	}
	if r.flag() { // render_and_frame_size_different
		r.f(32)
	}
	if !intra {
		r.f(1) // allow_high_precision_mv
		if !r.flag() {
			r.f(2) // raw_interpolation_filter
		}
	}
	if !x.resilient {
		r.f(2) // refresh_frame_context, frame_parallel_decoding_mode
	}
	r.f(2) // frame_context_idx
	r.filters()
	r.tiles(x.w)
	r.f(16) // header_size_in_bytes
	x.end = r.at
	if r.short || x.w == 0 {
		return x, false
	}
	for i := range s {
		if refresh>>i&1 == 1 {
			s[i].w, s[i].h = x.w, x.h
		}
	}
	return x, true
}

// colours skips color_config.
func (r *vp9Bits) colours(profile int) {
	if profile >= 2 {
		r.f(1) // ten_or_twelve_bit
	}
	switch rgb := r.f(3) == 7; {
	case !rgb && profile&1 == 1:
		r.f(4)
	case !rgb || profile&1 == 1:
		r.f(1)
	}
}

// filters skips loop_filter_params, quantization_params and segmentation_params.
func (r *vp9Bits) filters() {
	r.f(9)                                        // loop_filter_level, loop_filter_sharpness
	if enabled := r.flag(); enabled && r.flag() { // loop_filter_delta_enabled, loop_filter_delta_update
		for range 4 + 2 {
			if r.flag() {
				r.f(7)
			}
		}
	}
	r.f(8) // base_q_idx
	for range 3 {
		if r.flag() {
			r.f(5)
		}
	}
	if !r.flag() { // segmentation_enabled
		return
	}
	if r.flag() { // segmentation_update_map
		for range 7 {
			if r.flag() {
				r.f(8)
			}
		}
		if r.flag() { // segmentation_temporal_update
			for range 3 {
				if r.flag() {
					r.f(8)
				}
			}
		}
	}
	if !r.flag() { // segmentation_update_data
		return
	}
	r.f(1) // segmentation_abs_or_delta_update
	for range 8 {
		for _, bits := range [...]int{8 + 1, 6 + 1, 2, 0} { // with the signs
			if r.flag() {
				r.f(bits)
			}
		}
	}
}

// tiles skips tile_info of a picture w pixels wide.
func (r *vp9Bits) tiles(w int) {
	columns := ((w+7)>>3 + 7) >> 3
	least, most := 0, 1
	for 64<<least < columns {
		least++
	}
	for columns>>most >= 4 {
		most++
	}
	for most--; least < most && r.flag(); {
		least++
	}
	if r.flag() {
		r.f(1)
	}
}

// hide gives the frame b, whose header is x, with show_frame 0: in an inter frame
// that adds the bit intra_only, so that what follows moves.
func (x vp9Frame) hide(b []byte) []byte {
	out := make([]byte, 0, len(b)+1)
	if x.key {
		out = append(out, b...)
		out[x.showAt>>3] &^= 0x80 >> (x.showAt & 7)
		return out
	}
	r := vp9Bits{b: b}
	var sum, n int
	put := func(bit int) {
		if sum, n = sum<<1|bit, n+1; n == 8 {
			out = append(out, byte(sum))
			sum, n = 0, 0
		}
	}
	for r.at < x.end {
		at := r.at
		bit := r.f(1)
		switch at {
		case x.showAt:
			put(0)
		case x.showAt + 1: // error_resilient_mode
			put(bit)
			put(0) // intra_only
		default:
			put(bit)
		}
	}
	for n != 0 {
		put(0)
	}
	return append(out, b[(x.end+7)>>3:]...)
}
