//go:build gst

package gst

/*
#include "gst.h"
*/
import "C"

import (
	"fmt"
	"runtime/cgo"
	"runtime/debug"
	"sync/atomic"
	"unsafe"
)

var panicked atomic.Pointer[func(error)]

// OnPanic sets who hears of a panic in a callback, with its stack as text.
// Without one the panic ends the process, as anywhere in Go.
func OnPanic(f func(error)) { panicked.Store(&f) }

// guard is deferred by everything that C calls: a panic must not unwind through C.
func guard() {
	f := panicked.Load()
	if f == nil {
		return
	}
	if v := recover(); v != nil {
		(*f)(fmt.Errorf("panic in a callback: %v\n%s", v, debug.Stack()))
	}
}

//export goSample
func goSample(handle C.uintptr_t, data unsafe.Pointer, size C.gsize, running, duration C.guint64, flags C.int) C.int {
	defer guard()
	s := Sample{Key: flags&C.GV_KEY != 0, Discont: flags&C.GV_DISCONT != 0, Header: flags&C.GV_HEADER != 0, Running: clock(running), Duration: clock(duration)}
	if size > 0 {
		s.Data = unsafe.Slice((*byte)(data), int(size))
	}
	cgo.Handle(handle).Value().(func(Sample))(s)
	return 1
}

//export goProbe
func goProbe(handle C.uintptr_t, p *C.gv_probe) (verdict C.int) {
	defer guard()
	q := Probe{Type: Mask(p._type), PTS: clock(p.pts), Duration: clock(p.duration), Key: p.key != 0}
	if p.name != nil {
		q.Event = C.GoString(p.name)
	}
	if p.detail != nil {
		q.Structure = C.GoString(p.detail)
	}
	verdict = C.GST_PAD_PROBE_OK
	return C.int(cgo.Handle(handle).Value().(func(Probe) Verdict)(q))
}

//export goObject
func goObject(handle C.uintptr_t, object unsafe.Pointer) {
	defer guard()
	cgo.Handle(handle).Value().(func(unsafe.Pointer))(object)
}

//export goTap
func goTap(handle C.uintptr_t) {
	defer guard()
	cgo.Handle(handle).Value().(func())()
}

//export goRelease
func goRelease(handle C.uintptr_t) { cgo.Handle(handle).Delete() }
