package codec

// VP9Pictures joins the frames of pictures to units for who decodes or stores them.
// It remembers what is needed from one picture to the next; zero is ready. Not safe
// for concurrent use.
type VP9Pictures struct{ slots vp9Slots }

// Join makes one unit of the frames of one picture, one per spatial layer and the
// lowest first: a superframe that shows the highest alone. Encoders mark each as
// shown, since receivers of layers (RFC 9628 §3) show the last that they get;
// a file has no such rule, and decoders differ. What does not parse, and layers whose
// decoding would change, are joined as they are. The frames are only read.
func (v *VP9Pictures) Join(frames [][]byte) []byte {
	if len(frames) > 8 {
		v.slots = vp9Slots{}
		return AppendVP9Superframe(frames)
	}
	var heads [8]vp9Frame
	for i, f := range frames {
		x, ok := v.slots.read(f)
		if !ok { // what follows is found by its key frame
			v.slots = vp9Slots{}
			return AppendVP9Superframe(frames)
		}
		heads[i] = x
	}
	top := len(frames) - 1
	for i := range top {
		x, next := heads[i], heads[i+1]
		// A frame predicts its motion from the one before it when that was shown and
		// has its size (§7.2, UsePrevFrameMvs), unless it is resilient or intra.
		if x.existing || !heads[top].show || x.show && !next.existing && !next.key && !next.resilient && x.w == next.w && x.h == next.h {
			return AppendVP9Superframe(frames)
		}
	}
	hidden := make([][]byte, len(frames))
	for i, f := range frames {
		if hidden[i] = f; i < top && heads[i].show {
			hidden[i] = heads[i].hide(f)
		}
	}
	return AppendVP9Superframe(hidden)
}

// vp9Superframe are the frames of a unit by its index (Annex B), nil when it has none.
func vp9Superframe(u []byte) (frames [][]byte) {
	if len(u) == 0 {
		return nil
	}
	marker := u[len(u)-1]
	n, bytes := int(marker&7)+1, int(marker>>3&3)+1
	end := len(u) - 2 - n*bytes
	if marker&0xe0 != 0xc0 || end <= 0 || u[end] != marker {
		return nil
	}
	index := u[end+1:]
	at := 0
	for range n {
		size := 0
		for k := range bytes {
			size |= int(index[k]) << (8 * k)
		}
		index = index[bytes:]
		if size <= 0 || size > end-at {
			return nil
		}
		frames = append(frames, u[at:at+size])
		at += size
	}
	return frames
}

// vp9TopSize is the size of the last frame of a superframe that begins with a key
// frame.
func vp9TopSize(u []byte) (w, h int, ok bool) {
	var slots vp9Slots
	frames := vp9Superframe(u)
	if len(frames) < 2 {
		return 0, 0, false
	}
	for _, f := range frames {
		x, ok := slots.read(f)
		if !ok {
			return 0, 0, false
		}
		w, h = x.w, x.h
	}
	return w, h, true
}
