//go:build gst

package gst

/*
#cgo pkg-config: gstreamer-video-1.0
#include <stdlib.h>
#include "picture.h"
*/
import "C"

import (
	"image"
	"runtime"
	"unsafe"
)

// Picture is an image that painters can use, freed when nobody holds it.
type Picture struct{ b C.gpointer }

// NewPicture copies an image with straight alpha; nil when it is empty.
func NewPicture(m *image.NRGBA) *Picture {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	if w < 1 || h < 1 {
		return nil
	}
	bgra := make([]byte, w*h*4)
	for y := range h {
		from, to := m.Pix[y*m.Stride:], bgra[y*w*4:]
		for x := 0; x < w*4; x += 4 {
			to[x], to[x+1], to[x+2], to[x+3] = from[x+2], from[x+1], from[x], from[x+3]
		}
	}
	b := C.gv_picture_new(unsafe.Pointer(&bgra[0]), C.int(w), C.int(h))
	if b == nil {
		return nil
	}
	p := &Picture{b}
	runtime.AddCleanup(p, func(b C.gpointer) { C.gv_picture_free(b) }, b)
	return p
}

// Place is a picture and the box it is drawn to, in fractions of the frame.
// KeepAspect fits the picture into the box, at its upper left corner or, with
// Center, in its middle. What lies outside the frame is cut off.
type Place struct {
	Picture            *Picture
	X, Y, W, H         float64
	KeepAspect, Center bool
}

// Painter draws pictures into the raw frames that pass a pad.
type Painter struct{ p *C.gv_painter }

// Paint puts a painter, without pictures yet, on a pad.
func (p *Pad) Paint() *Painter {
	defer runtime.KeepAlive(p)
	return &Painter{C.gv_painter_new(C.gpointer(p.p.Unsafe()))}
}

// Set replaces the pictures, the first lowest, from the next frame on.
func (p *Painter) Set(places []Place) {
	if len(places) == 0 {
		C.gv_painter_set(p.p, nil, 0)
		return
	}
	size := C.size_t(unsafe.Sizeof(C.gv_place{}))
	list := (*C.gv_place)(C.calloc(C.size_t(len(places)), size))
	defer C.free(unsafe.Pointer(list))
	flag := func(b bool) C.int {
		if b {
			return 1
		}
		return 0
	}
	for i, q := range places {
		unsafe.Slice(list, len(places))[i] = C.gv_place{picture: q.Picture.b, x: C.double(q.X), y: C.double(q.Y), w: C.double(q.W), h: C.double(q.H), keep: flag(q.KeepAspect), center: flag(q.Center)}
	}
	C.gv_painter_set(p.p, list, C.int(len(places)))
	runtime.KeepAlive(places)
}

// Close takes the painter off its pad; it must not be used after.
func (p *Painter) Close() { C.gv_painter_free(p.p) }
