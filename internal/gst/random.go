//go:build gst

package gst

/*
#include "random.h"
*/
import "C"

import (
	"errors"
	"io"
	"runtime"
	"runtime/cgo"
	"time"
	"unsafe"
)

// ServeFrom makes an appsrc a file of size bytes that is read from r wherever
// the demuxer wants. Reads come on the source's own thread, which they may
// block; to end one under way, make r fail. Call it before the source runs.
func (e *Element) ServeFrom(r io.ReaderAt, size int64) {
	defer runtime.KeepAlive(e)
	C.gv_serve(e.ptr(), C.guint64(size), C.uintptr_t(cgo.NewHandle(r)))
}

//export goRead
func goRead(handle C.uintptr_t, offset C.guint64, data unsafe.Pointer, size C.gsize) (n C.gint64) {
	n = -1 // also after a panic
	defer guard()
	got, err := cgo.Handle(handle).Value().(io.ReaderAt).ReadAt(unsafe.Slice((*byte)(data), int(size)), int64(offset))
	if err != nil && !errors.Is(err, io.EOF) {
		return -1
	}
	return C.gint64(got)
}

// BaseTime is the CLOCK_MONOTONIC of running time zero now; it moves when the
// pipeline pauses or seeks, unless its base was fixed.
func (p *Pipeline) BaseTime() time.Duration {
	defer runtime.KeepAlive(p)
	return time.Duration(C.gv_base_time(p.ptr()))
}

// Settled tells whether the element and all inside it have reached a state and
// nothing is under way: in Paused, that every sink has its first frame.
func (e *Element) Settled(s State) bool {
	defer runtime.KeepAlive(e)
	return C.gv_settled(e.ptr(), C.int(s)) != 0
}

// PTSFromDTS gives buffers that pass without a PTS their DTS for one, as those of
// AVI files need.
func (p *Pad) PTSFromDTS() {
	defer runtime.KeepAlive(p)
	C.gv_pts_from_dts(C.gpointer(p.p.Unsafe()))
}

// NoAddresses takes from this process every element that opens addresses by
// itself (files, network) or follows lists of them (HLS, DASH, SDP), fdsrc and
// appsrc left out: a file from a stranger must not make GStreamer open another.
func NoAddresses() { C.gv_no_addresses() }
