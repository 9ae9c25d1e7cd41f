//go:build gst

package gst

/*
#include "gst.h"
*/
import "C"

import (
	"errors"
	"runtime"
	"runtime/cgo"
	"time"
	"unsafe"
)

// Sample is a coded frame that an appsink got. Data is valid until the callback
// returns, and must not be written.
type Sample struct {
	Data              []byte
	Running, Duration time.Duration // running time; Never when unknown
	Key               bool          // no delta unit
	Discont, Header   bool
}

// Errors of Push.
var (
	ErrFull  = errors.New("the queue is full")
	ErrEnded = errors.New("the pipeline takes no more frames")
)

// Frame is what Push takes. PTS and Duration are running time; Never is unknown.
type Frame struct {
	Data          []byte
	PTS, Duration time.Duration
	Key, Discont  bool
}

// Push copies a frame into an appsrc, unless limit frames are waiting there
// already (0 is no limit). It never blocks.
func (e *Element) Push(f Frame, limit int) error {
	if len(f.Data) == 0 {
		return nil
	}
	defer runtime.KeepAlive(e)
	flags := 0
	if f.Key {
		flags |= C.GV_KEY
	}
	if f.Discont {
		flags |= C.GV_DISCONT
	}
	switch C.gv_push(e.ptr(), unsafe.Pointer(&f.Data[0]), C.gsize(len(f.Data)), toClock(f.PTS), toClock(f.Duration), C.int(flags), C.guint64(limit)) {
	case 0:
		return nil
	case 1:
		return ErrFull
	}
	return ErrEnded
}

// Gap tells, in order with the frames pushed, that nothing comes for a while: a
// decoder of sound conceals it.
func (e *Element) Gap(pts, duration time.Duration) bool {
	defer runtime.KeepAlive(e)
	return C.gv_gap(e.ptr(), toClock(pts), toClock(duration)) != 0
}

// SetCaps sets the property caps of an appsrc or a capsfilter.
func (e *Element) SetCaps(caps string) {
	defer runtime.KeepAlive(e)
	with(caps, func(s *C.char) { C.gv_set_caps(e.ptr(), s) })
}

// OnSample calls f with every frame that reaches an appsink, on the thread that
// brought it. f must not hold on to e.
func (e *Element) OnSample(f func(Sample)) {
	defer runtime.KeepAlive(e)
	C.gv_on_sample(e.ptr(), C.uintptr_t(cgo.NewHandle(f)))
}

// Pull gives f the next frame that waits in an appsink without OnSample, without
// waiting; false when there is none.
func (e *Element) Pull(f func(Sample)) bool {
	defer runtime.KeepAlive(e)
	h := cgo.NewHandle(f)
	defer h.Delete()
	return C.gv_pull(e.ptr(), C.uintptr_t(h)) >= 0
}

// Counts tell what passed a Tap.
type Counts struct {
	Buffers, Bytes                uint64
	Last                          time.Duration // CLOCK_MONOTONIC of the latest buffer
	Lateness                      time.Duration // of the latest: how long after its PTS it passed
	Width, Height, Rate, Channels int
}

// Tap counts what passes a pad, at no cost worth speaking of.
type Tap struct{ t *C.gv_tap }

// Tap begins to count. base is the pipeline's (Pipeline.Base). first, which may be
// nil, is called from the streaming thread with the first buffer, with the first
// of another size, and with the first after each Arm.
func (p *Pad) Tap(base time.Duration, first func()) *Tap {
	defer runtime.KeepAlive(p)
	var h C.uintptr_t
	if first != nil {
		h = C.uintptr_t(cgo.NewHandle(first))
	}
	return &Tap{C.gv_tap_new(C.gpointer(p.p.Unsafe()), C.guint64(base), h)}
}

// Counts so far.
func (t *Tap) Counts() Counts {
	var c C.gv_counts
	C.gv_tap_read(t.t, &c)
	return Counts{Buffers: uint64(c.buffers), Bytes: uint64(c.bytes), Last: time.Duration(c.last), Lateness: time.Duration(c.lateness),
		Width: int(c.width), Height: int(c.height), Rate: int(c.rate), Channels: int(c.channels)}
}

// Arm has first called with the next buffer.
func (t *Tap) Arm() { C.gv_tap_arm(t.t) }

// Close ends counting; the Tap must not be used after.
func (t *Tap) Close() { C.gv_tap_free(t.t) }
