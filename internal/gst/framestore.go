//go:build gst

package gst

/*
#include "framestore.h"
*/
import "C"

import (
	"runtime"
	"time"
)

// FrameStore holds the decoded pictures (I420) of one source, in order, from when
// they come until no canvas can want them. Many canvases may show them: each
// finds those that belong to its own pictures.
type FrameStore struct{ s *C.gv_store }

// NewFrameStore makes an empty one. base is the pipeline's; frames whose PTS is
// more than keep ago are let go of, but for the newest.
func NewFrameStore(base, keep time.Duration) *FrameStore {
	f := &FrameStore{C.gv_store_new(C.guint64(base), C.guint64(keep))}
	runtime.AddCleanup(f, func(s *C.gv_store) { C.gv_store_unref(s) }, f.s)
	return f
}

// Fill takes the pictures that come to an appsink from now on, on the decoder's
// thread, which never waits for anything.
func (f *FrameStore) Fill(appsink *Element) {
	defer runtime.KeepAlive(appsink)
	defer runtime.KeepAlive(f)
	C.gv_store_fill(f.s, appsink.ptr())
}

// SetOffset moves all frames in time: they are shown that much after their PTS.
func (f *FrameStore) SetOffset(d time.Duration) {
	defer runtime.KeepAlive(f)
	C.gv_store_offset(f.s, C.gint64(d))
}

// Held is how many frames are in it.
func (f *FrameStore) Held() int {
	defer runtime.KeepAlive(f)
	return int(C.gv_store_held(f.s))
}
