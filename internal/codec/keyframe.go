package codec

// KeyFrameRTP tells whether a decoder can start at the frame this RTP payload
// begins: it is true only for the first packet of a keyframe (for H264 also for
// the packets that carry its parameter sets or begin its IDR slices). Audio can
// start anywhere. Hostile bytes give false.
func KeyFrameRTP(n Name, payload []byte) bool {
	if len(payload) == 0 {
		return false
	}
	switch n {
	case VP8:
		return vp8KeyRTP(payload)
	case VP9:
		return vp9KeyRTP(payload)
	case H264:
		return h264KeyRTP(payload)
	case AV1:
		return av1KeyRTP(payload)
	case H265:
		return false
	}
	return true
}

// KeyFrameUnit tells whether a decoder can start at this access unit
// (pipeline.Unit framing). Audio can start anywhere. Hostile bytes give false.
func KeyFrameUnit(n Name, unit []byte) bool {
	if len(unit) == 0 {
		return false
	}
	switch n {
	case VP8:
		return vp8Key(unit)
	case VP9:
		return vp9Key(unit)
	case H264:
		return h264Key(unit)
	case AV1:
		return av1Key(unit)
	case H265:
		return false
	}
	return true
}

// SizeOfUnit is the picture size in pixels that a keyframe unit declares; ok is
// false for other units, for audio and for bytes that do not parse.
func SizeOfUnit(n Name, unit []byte) (w, h int, ok bool) {
	switch n {
	case VP8:
		return vp8Size(unit)
	case VP9:
		return vp9Size(unit)
	case H264:
		return h264Size(unit)
	case AV1:
		return av1Size(unit)
	}
	return 0, 0, false
}

// FrameStartRTP tells whether this RTP payload begins a frame (or, for H264, a
// NAL unit), so that nothing of it was lost before.
func FrameStartRTP(n Name, payload []byte) bool {
	if len(payload) == 0 {
		return false
	}
	switch n {
	case VP8:
		return payload[0]&0x10 != 0 && payload[0]&0x07 == 0
	case VP9:
		return payload[0]&0x08 != 0
	case H264:
		return h264StartRTP(payload)
	case AV1:
		return payload[0]&0x80 == 0
	}
	return true
}
