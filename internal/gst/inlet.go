//go:build gst

package gst

/*
#include "inlet.h"
*/
import "C"

import (
	"runtime"
	"runtime/cgo"
	"time"
	"unsafe"
)

// Inlet reads the messages of a media socket (package wire) and pushes those that
// are whole frames, in order, into the appsrc of their stream without entering
// Go: waking Go's scheduler for each costs more than the rest of the way. All
// others are handed to Go.
type Inlet struct{ in *C.gv_inlet }

// NewInlet makes one without streams.
func NewInlet() *Inlet {
	i := &Inlet{C.gv_inlet_new()}
	runtime.AddCleanup(i, func(in *C.gv_inlet) { C.gv_inlet_free(in) }, i.in)
	return i
}

// RouteKind says what the frames of a Route are.
type RouteKind int

// Kinds of a Route. The duration of an Opus packet is read from it, that of a
// picture is the distance between pictures, unless they come out of order.
const (
	Sound RouteKind = iota
	OpusSound
	Pictures
	Reordered
)

// Row is where a row of frames stands.
type Row struct {
	// Straight: no frame is open and none is lost, so that the next one, with the
	// number after Frame, needs no look of Go's.
	Straight bool
	Waiting  bool // for a keyframe
	Frame    uint32
	Last     time.Duration // running time: of the latest picture, or behind the latest sound
	Step     time.Duration // between pictures
}

// Route is the way of one stream's frames into an appsrc.
type Route struct{ r *C.gv_route }

// NewRoute makes a way to src in a pipeline with that base. Frames are left to Go
// while limit of them wait there. Nothing goes it before the first Set.
func NewRoute(src *Element, base time.Duration, kind RouteKind, limit int) *Route {
	defer runtime.KeepAlive(src)
	r := &Route{C.gv_route_new(src.ptr(), C.guint64(base), C.int(kind), C.guint64(limit))}
	runtime.AddCleanup(r, func(c *C.gv_route) { C.gv_route_free(c) }, r.r)
	return r
}

// Row and Set belong to what runs in Run's handler, and to the owner of a Route
// that is in no Inlet.
func (r *Route) Row() Row {
	defer runtime.KeepAlive(r)
	var p C.gv_place_in_row
	C.gv_route_get(r.r, &p)
	return Row{p.straight != 0, p.waiting != 0, uint32(p.frame), time.Duration(p.last), time.Duration(p.step)}
}

// Set see Row.
func (r *Route) Set(s Row) {
	defer runtime.KeepAlive(r)
	flag := func(b bool) C.int {
		if b {
			return 1
		}
		return 0
	}
	C.gv_route_set(r.r, &C.gv_place_in_row{straight: flag(s.Straight), waiting: flag(s.Waiting), frame: C.guint32(s.Frame), last: C.gint64(s.Last), step: C.gint64(s.Step)})
}

// Add routes a stream. The caller keeps r until Remove.
func (i *Inlet) Add(stream uint16, r *Route) {
	defer runtime.KeepAlive(i)
	C.gv_inlet_add(i.in, C.guint(stream), r.r)
}

// Remove ends a stream's route; after it nothing more is pushed by Run itself.
func (i *Inlet) Remove(stream uint16) {
	defer runtime.KeepAlive(i)
	C.gv_inlet_remove(i.in, C.guint(stream))
}

// Pause has Run rest that long (in whole milliseconds) whenever it has taken what
// was there: who does not mind if frames come a little later saves the waking, of
// this thread and of the decoders' ones, for every single frame.
func (i *Inlet) Pause(d time.Duration) {
	defer runtime.KeepAlive(i)
	C.gv_inlet_pause(i.in, C.int(d.Milliseconds()))
}

// Run reads a SOCK_SEQPACKET socket until it ends, or until other, which gets
// every message that was not pushed, says false. The bytes are other's for the
// call.
func (i *Inlet) Run(fd int, other func(message []byte) bool) {
	h := cgo.NewHandle(other)
	defer h.Delete()
	defer runtime.KeepAlive(i)
	C.gv_inlet_run(i.in, C.int(fd), C.uintptr_t(h))
}

//export goMessage
func goMessage(handle C.uintptr_t, data unsafe.Pointer, size C.gsize) (more C.int) {
	defer guard()
	more = 1
	if !cgo.Handle(handle).Value().(func([]byte) bool)(unsafe.Slice((*byte)(data), int(size))) {
		more = 0
	}
	return more
}
