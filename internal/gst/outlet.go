//go:build gst

package gst

/*
#include "outlet.h"
*/
import "C"

import (
	"runtime"
	"runtime/cgo"
	"time"
	"unsafe"
)

// Outlet puts the frames of one stream on a media socket (package wire), numbered,
// in messages. It does not wait, but for a few milliseconds in the middle of a long
// frame: what finds no room is lost, and of video everything up to the next
// keyframe, which is asked for. What encoders make never enters Go: to wake its
// scheduler for each frame costs more than the rest of the way.
type Outlet struct{ o *C.gv_outlet }

// OutletConfig says what an Outlet sends.
type OutletConfig struct {
	FD     int // SOCK_SEQPACKET, open as long as anything sends
	Stream uint16
	Video  bool
	// Of frames from an appsink: PTS = Base + running time - Delay.
	Base, Delay time.Duration
	// After: numbers go on where that one's stood, which sends no more.
	After *Outlet
	// Again asks for a keyframe, on the thread that sends; may be nil.
	Again func()
}

// NewOutlet makes one.
func NewOutlet(c OutletConfig) *Outlet {
	var again C.uintptr_t
	if c.Again != nil {
		again = C.uintptr_t(cgo.NewHandle(c.Again))
	}
	var video C.int
	if c.Video {
		video = 1
	}
	o := &Outlet{C.gv_outlet_new(C.int(c.FD), C.guint(c.Stream), video, C.guint64(c.Base), C.guint64(c.Delay), again)}
	if c.After != nil {
		C.gv_outlet_follow(o.o, c.After.o)
		runtime.KeepAlive(c.After)
	}
	runtime.AddCleanup(o, func(o *C.gv_outlet) { C.gv_outlet_unref(o) }, o.o)
	return o
}

// Take sends what reaches an appsink from now on, on the thread that brings it.
func (o *Outlet) Take(appsink *Element) {
	defer runtime.KeepAlive(appsink)
	defer runtime.KeepAlive(o)
	C.gv_outlet_take(o.o, appsink.ptr())
}

// Send sends one frame. One thread at a time sends.
func (o *Outlet) Send(data []byte, pts time.Duration, key bool) {
	defer runtime.KeepAlive(o)
	var k C.int
	if key {
		k = 1
	}
	C.gv_outlet_send(o.o, unsafe.Pointer(unsafe.SliceData(data)), C.gsize(len(data)), C.guint64(pts), k)
}

// Begun tells whether there was a frame since the last call.
func (o *Outlet) Begun() bool {
	defer runtime.KeepAlive(o)
	return C.gv_outlet_begun(o.o) != 0
}

// Close ends it: what comes from now on is thrown away.
func (o *Outlet) Close() {
	defer runtime.KeepAlive(o)
	C.gv_outlet_close(o.o)
}
