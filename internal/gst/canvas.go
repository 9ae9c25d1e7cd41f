//go:build gst

package gst

/*
#include <stdlib.h>
#include "canvas.h"
*/
import "C"

import (
	"image"
	"runtime"
	"time"
	"unsafe"
)

// Image is an image ready to be drawn on canvases: I420 with alpha, freed when
// nobody holds it.
type Image struct{ p *C.gv_image }

// NewImage converts an image (premultiplied, as image/draw makes it) to BT.601
// video range. Sides that are odd lose their last line; nil when nothing is left.
func NewImage(m *image.RGBA) *Image {
	w, h := m.Rect.Dx()&^1, m.Rect.Dy()&^1
	if w < 2 || h < 2 {
		return nil
	}
	y, a := make([]byte, w*h), make([]byte, w*h)
	u, v, ac := make([]byte, w*h/4), make([]byte, w*h/4), make([]byte, w*h/4)
	opaque := true
	for j := 0; j < h; j += 2 {
		for i := 0; i < w; i += 2 {
			var red, green, blue, alpha int // sums of four
			for k := range 4 {
				x, line := i+k&1, j+k>>1
				p := m.Pix[line*m.Stride+4*x:]
				r, g, b, o := int(p[0]), int(p[1]), int(p[2]), int(p[3])
				red, green, blue, alpha = red+r, green+g, blue+b, alpha+o
				a[line*w+x] = byte(o)
				if o == 0 {
					opaque = false
					continue
				}
				if o < 255 {
					opaque = false
					r, g, b = min(r*255/o, 255), min(g*255/o, 255), min(b*255/o, 255)
				}
				y[line*w+x] = byte((66*r+129*g+25*b+128)>>8 + 16)
			}
			at := j/2*(w/2) + i/2
			ac[at] = byte((alpha + 2) / 4)
			u[at], v[at] = 128, 128
			if alpha > 0 {
				r, g, b := min(red*255/alpha, 255), min(green*255/alpha, 255), min(blue*255/alpha, 255)
				u[at] = byte((-38*r-74*g+112*b+128)>>8 + 128)
				v[at] = byte((112*r-94*g-18*b+128)>>8 + 128)
			}
		}
	}
	first := func(b []byte) unsafe.Pointer { return unsafe.Pointer(&b[0]) }
	var pa, pac unsafe.Pointer
	if !opaque {
		pa, pac = first(a), first(ac)
	}
	out := &Image{C.gv_image_new(C.int(w), C.int(h), first(y), first(u), first(v), pa, pac)}
	runtime.AddCleanup(out, func(p *C.gv_image) { C.gv_image_unref(p) }, out.p)
	return out
}

// Layer is something drawn on a canvas: the frames of a store, scaled to its
// place, or an image, in its own size. All numbers are even; an image lies within
// the canvas, W and H say nothing of it.
type Layer struct {
	Frames     *FrameStore
	Image      *Image
	X, Y, W, H int
	// Cover fills the place with the frame's middle; otherwise all of the frame is
	// shown in the middle of the place.
	Cover bool
}

// Canvas draws layers into pictures and pushes them into an appsrc. Draw belongs
// to one goroutine, or drawing to a thread of the canvas (Start); Set to any.
//
// Every layer is scaled, or copied, right into its place of the picture; where
// nothing is covered twice, each pixel is written once. A picture in which
// nothing is new is the one before, and a frame that fills the canvas in its own
// size is the picture: neither is copied.
type Canvas struct{ c *C.gv_canvas }

// NewCanvas makes one of that size (even) and rate, and sets the appsrc's caps:
// I420, BT.601.
func NewCanvas(appsrc *Element, width, height, rate int) *Canvas {
	defer runtime.KeepAlive(appsrc)
	return &Canvas{C.gv_canvas_new(appsrc.ptr(), C.int(width), C.int(height), C.int(rate))}
}

// Set replaces what is drawn, from the next picture on, the first layer lowest.
// base has the canvas's size and is seen where nothing else is; it must be
// without alpha.
func (c *Canvas) Set(base *Image, layers []Layer) {
	defer runtime.KeepAlive(layers)
	defer runtime.KeepAlive(base)
	if len(layers) == 0 {
		C.gv_canvas_set(c.c, base.p, nil, 0)
		return
	}
	list := (*C.gv_layer)(C.calloc(C.size_t(len(layers)), C.size_t(unsafe.Sizeof(C.gv_layer{}))))
	defer C.free(unsafe.Pointer(list))
	for i, l := range layers {
		q := &unsafe.Slice(list, len(layers))[i]
		q.x, q.y, q.w, q.h = C.int(l.X), C.int(l.Y), C.int(l.W), C.int(l.H)
		if l.Cover {
			q.cover = 1
		}
		if l.Image != nil {
			q.image = l.Image.p
		} else {
			q.store = l.Frames.s
		}
	}
	C.gv_canvas_set(c.c, base.p, list, C.int(len(layers)))
}

// Draw makes the picture for a running time and pushes it, unless limit pictures
// wait in the appsrc. interval is the distance of pictures. It tells whether the
// picture went out.
func (c *Canvas) Draw(pts, interval time.Duration, limit int) bool {
	return C.gv_canvas_draw(c.c, C.guint64(pts), C.guint64(interval), C.guint64(limit)) == 0
}

// Start draws each interval, latency after a picture's PTS, until Close; running
// time zero is at base on CLOCK_MONOTONIC. limit is as for Draw, which must not be
// called any more. What is late is made all the same, up to a second.
func (c *Canvas) Start(base, latency time.Duration, limit int) {
	C.gv_canvas_start(c.c, C.guint64(base), C.guint64(latency), C.guint64(limit))
}

// Busy tells whether somebody wants the pictures that Start has made; if not, as at
// the beginning, there are two a second.
func (c *Canvas) Busy(is bool) {
	n := C.int(0)
	if is {
		n = 1
	}
	C.gv_canvas_busy(c.c, n)
}

// Drawings count the pictures of a canvas: drawn, the same as before, passed on as
// they came, and not made since too many waited.
type Drawings struct{ Drawn, Repeated, Passed, Refused uint64 }

// Counts so far.
func (c *Canvas) Counts() Drawings {
	var n C.gv_drawings
	C.gv_canvas_counts(c.c, &n)
	return Drawings{uint64(n.drawn), uint64(n.repeated), uint64(n.passed), uint64(n.refused)}
}

// Close ends the drawing that Start began, waits for it, and frees all; nobody may
// draw any more.
func (c *Canvas) Close() { C.gv_canvas_free(c.c) }
