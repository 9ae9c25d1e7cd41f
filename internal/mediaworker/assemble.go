package mediaworker

import "github.com/govidu/govidu/internal/workers/wire"

// frame is a coded frame put together from messages.
type frame struct {
	data []byte
	pts  int64
	key  bool
	// lost: the sender said so (wire.Gap), or a message of a frame before is
	// missing.
	lost bool
}

// assembler puts the frames of one stream together. The zero value is ready.
type assembler struct {
	began    bool
	open     bool // in the middle of a frame
	lost     bool // since the last frame that was given out
	frame    uint32
	fragment uint8
	flags    uint8
	pts      int64
	buf      []byte
}

// add takes a message and gives a frame when that completes one. A frame of one
// message is not copied: its data is valid as long as payload is; others until
// the next add.
func (a *assembler) add(h wire.Header, payload []byte) (frame, bool) {
	if h.Fragment == 0 && !(a.open && h.Frame == a.frame) {
		if a.open || a.began && h.Frame != a.frame+1 {
			a.lost = true
		}
		a.began, a.open, a.frame, a.fragment = true, true, h.Frame, 0
		a.flags, a.pts, a.buf = 0, h.PTS, a.buf[:0]
	} else if !a.open || h.Frame != a.frame || h.Fragment != a.fragment+1 || len(a.buf)+len(payload) > wire.MaxFrame {
		// A hole, or too long: what is left of the frame is worth nothing.
		if !a.began || h.Frame != a.frame || a.open {
			a.lost = true
		}
		a.began, a.open, a.frame = true, false, h.Frame
		return frame{}, false
	} else {
		a.fragment = h.Fragment
	}
	a.flags |= h.Flags &^ wire.More
	if h.Flags&wire.More != 0 {
		a.buf = append(a.buf, payload...)
		return frame{}, false
	}
	if len(a.buf) > 0 {
		a.buf = append(a.buf, payload...)
		payload = a.buf
	}
	a.open = false
	f := frame{data: payload, pts: a.pts, key: a.flags&wire.Key != 0, lost: a.lost || a.flags&wire.Gap != 0}
	a.lost = false
	return f, true
}
