//go:build gst

package mediaworker

import (
	"bytes"
	"image"
	"image/color"
	_ "image/jpeg" // pictures come in these formats
	_ "image/png"

	"golang.org/x/image/draw"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

const (
	maxImages     = 256
	maxImageBytes = 2 << 20
	maxImageSide  = 4096
)

// sourceImage is a picture as the server sent it.
type sourceImage struct{ m image.Image }

// fit says how a picture fills its place: stretched, whole, or wholly.
type fit int

const (
	stretch fit = iota
	contain
	cover
)

// drawingKey says all there is about a picture as it is drawn in a view.
type drawingKey struct {
	source     *sourceImage // nil: not there
	x, y, w, h int
	fit        fit
	base       bool // the background, of that color where the picture is not
	color      [3]uint8
}

// setPicture takes a picture, or another one of that name.
func (d *director) setPicture(p wire.Picture) error {
	if p.Name == "" || len(p.Name) > 200 {
		return kerr.New(kerr.MediaObjectIllegalParam, "A picture needs a name")
	}
	if d.pictures[p.Name] == nil && len(d.pictures) >= maxImages {
		return kerr.New(kerr.MediaObjectIllegalParam, "There are %d pictures already", maxImages)
	}
	if len(p.Image) > maxImageBytes {
		return kerr.New(kerr.MediaObjectIllegalParam, "Picture '%s' has more than 2 MiB", p.Name)
	}
	c, _, err := image.DecodeConfig(bytes.NewReader(p.Image))
	if err != nil || c.Width < 1 || c.Height < 1 || c.Width > maxImageSide || c.Height > maxImageSide {
		return kerr.New(kerr.MarshallError, "Picture '%s' is no PNG or JPEG of at most %d pixels a side", p.Name, maxImageSide)
	}
	m, _, err := image.Decode(bytes.NewReader(p.Image))
	if err != nil {
		return kerr.New(kerr.MarshallError, "Picture '%s' cannot be read: %v", p.Name, err)
	}
	d.pictures[p.Name] = &sourceImage{m}
	d.redraw(p.Name)
	return nil
}

func (d *director) dropPicture(name string) {
	if d.pictures[name] != nil {
		delete(d.pictures, name)
		d.redraw(name)
	}
}

func (d *director) redraw(picture string) {
	for _, v := range d.views {
		if v.uses(picture) {
			d.arrange(v)
		}
	}
}

// place is where on the canvas the picture lies, and what of it is drawn there.
func (k drawingKey) place() (to, from image.Rectangle) {
	from = k.source.m.Bounds()
	to = image.Rect(k.x, k.y, k.x+k.w, k.y+k.h)
	switch k.fit {
	case contain:
		if from.Dx()*k.h >= from.Dy()*k.w { // borders above and below
			h := min(max((from.Dy()*k.w/from.Dx()+1)&^1, 2), k.h)
			y := k.y + (k.h-h)/2&^1
			to = image.Rect(k.x, y, k.x+k.w, y+h)
		} else {
			w := min(max((from.Dx()*k.h/from.Dy()+1)&^1, 2), k.w)
			x := k.x + (k.w-w)/2&^1
			to = image.Rect(x, k.y, x+w, k.y+k.h)
		}
	case cover:
		if from.Dx()*k.h >= from.Dy()*k.w {
			w := max(from.Dy()*k.w/k.h, 1)
			from.Min.X += (from.Dx() - w) / 2
			from.Max.X = from.Min.X + w
		} else {
			h := max(from.Dx()*k.h/k.w, 1)
			from.Min.Y += (from.Dy() - h) / 2
			from.Max.Y = from.Min.Y + h
		}
	}
	return to, from
}

// bounds is to, even and within the canvas; empty when nothing is left of it.
func bounds(to image.Rectangle, width, height int) image.Rectangle {
	to.Min.X, to.Min.Y, to.Max.X, to.Max.Y = to.Min.X&^1, to.Min.Y&^1, (to.Max.X+1)&^1, (to.Max.Y+1)&^1
	return to.Intersect(image.Rect(0, 0, width, height))
}

// draw scales the picture for a canvas of that size; nil when there is none.
func (k drawingKey) draw(width, height int) *gst.Image {
	if k.base {
		m := image.NewRGBA(image.Rect(0, 0, width, height))
		draw.Draw(m, m.Rect, image.NewUniform(color.RGBA{k.color[0], k.color[1], k.color[2], 255}), image.Point{}, draw.Src)
		if k.source != nil {
			_, from := drawingKey{source: k.source, w: width, h: height, fit: cover}.place()
			draw.BiLinear.Scale(m, m.Rect, k.source.m, from, draw.Over, nil)
		}
		return gst.NewImage(m)
	}
	if k.source == nil {
		return nil
	}
	to, from := k.place()
	on := bounds(to, width, height)
	if on.Empty() {
		return nil
	}
	m := image.NewRGBA(image.Rect(0, 0, on.Dx(), on.Dy()))
	draw.BiLinear.Scale(m, to.Sub(on.Min), k.source.m, from, draw.Src, nil)
	return gst.NewImage(m)
}

// layer puts the drawn picture to its place.
func (k drawingKey) layer(m *gst.Image, width, height int) gst.Layer {
	to, _ := k.place()
	on := bounds(to, width, height)
	return gst.Layer{Image: m, X: on.Min.X, Y: on.Min.Y, W: on.Dx(), H: on.Dy()}
}
