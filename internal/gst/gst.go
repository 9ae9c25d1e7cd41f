//go:build gst

package gst

/*
#cgo pkg-config: gstreamer-1.0 gstreamer-app-1.0
#cgo CFLAGS: -Wno-deprecated-declarations
#include "gst.h"
*/
import "C"

import (
	"fmt"
	"sync"
	"time"
	"unsafe"

	gogst "github.com/go-gst/go-gst/gst"
)

// Never is a time that is not known: a buffer without PTS or duration.
const Never = time.Duration(-1)

func clock(t C.guint64) time.Duration {
	if t == ^C.guint64(0) {
		return Never
	}
	return time.Duration(t)
}

func toClock(d time.Duration) C.guint64 {
	if d < 0 {
		return ^C.guint64(0)
	}
	return C.guint64(d)
}

var initOnce sync.Once

// Init starts GStreamer, once. It reads the registry of plugins, which takes
// about 20 ms, and scans them when the registry is missing, which takes seconds.
func Init() { initOnce.Do(func() { gogst.Init(nil) }) }

// Version is GStreamer's, for example 1.22.0.
func Version() string {
	var a, b, c, d C.guint
	C.gst_version(&a, &b, &c, &d)
	return fmt.Sprintf("%d.%d.%d", a, b, c)
}

// Exists tells whether there is an element of that name. The plugin is not loaded.
func Exists(factory string) bool { return gogst.Find(factory) != nil }

// Now is CLOCK_MONOTONIC, the clock of every pipeline of this package.
func Now() time.Duration { return time.Duration(C.gv_now()) }

// take copies a C string that GLib allocated, and frees it; nil is "".
func take(s *C.char) string {
	if s == nil {
		return ""
	}
	defer C.g_free(C.gpointer(unsafe.Pointer(s)))
	return C.GoString(s)
}

// with gives a C copy of s for the time of f.
func with(s string, f func(*C.char)) {
	c := C.CString(s)
	defer C.free(unsafe.Pointer(c))
	f(c)
}
