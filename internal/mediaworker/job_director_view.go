//go:build gst

package mediaworker

import (
	"cmp"
	"slices"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/workers/wire"
)

// viewQueue bounds the pictures that wait behind a view.
const viewQueue = 25

// view is a composed picture, all of it the owner's.
type view struct {
	d    *director
	name string
	is   wire.View

	port   *port
	bin    *gst.Element
	canvas *gst.Canvas // nil without a picture
	drawn  map[drawingKey]*gst.Image
	ended  bool
}

// open makes the picture's part of the pipeline and begins to draw.
func (v *view) open() error {
	w := v.d.w
	var err error
	if v.port, err = w.newPort(wire.VideoPort(v.name), "video"); err != nil {
		return err
	}
	v.port.deep = true
	if v.bin, err = w.addBin("appsrc name=pictures format=time is-live=true max-bytes=0 max-buffers=0 max-time=0"); err != nil {
		v.port.close()
		return err
	}
	v.canvas = gst.NewCanvas(v.bin.Find("pictures"), v.is.Width, v.is.Height, v.is.Framerate)
	if err = v.bin.Pad("src").Link(v.port.sink); err == nil {
		err = v.bin.SyncState()
	}
	if err != nil {
		v.canvas.Close()
		w.dropBin(v.bin)
		v.port.close()
		return err
	}
	v.canvas.Start(w.pipe.Base(), v.d.latency, viewQueue)
	return nil
}

// stop ends drawing and waits for it.
func (v *view) stop() {
	if v.canvas == nil || v.ended {
		return
	}
	v.ended = true
	v.canvas.Close()
}

// close ends the view. Its sound is the mix's.
func (v *view) close() {
	if v.canvas == nil {
		return
	}
	v.stop()
	v.d.w.dropBin(v.bin)
	v.port.close()
}

// shows tells whether an input has a tile.
func (v *view) shows(input string) bool {
	return slices.ContainsFunc(v.is.Tiles, func(t wire.Tile) bool { return t.Input == input })
}

// uses tells whether a picture is seen.
func (v *view) uses(picture string) bool {
	return v.is.Backdrop == picture || slices.ContainsFunc(v.is.Tiles, func(t wire.Tile) bool { return t.Picture == picture }) ||
		slices.ContainsFunc(v.is.Overlays, func(o wire.Overlay) bool { return o.Picture == picture })
}

// arrange gives the canvas what the view shows now.
func (d *director) arrange(v *view) {
	if v.canvas == nil {
		return
	}
	old := v.drawn
	v.drawn = map[drawingKey]*gst.Image{}
	image := func(k drawingKey) *gst.Image {
		m := old[k]
		if m == nil {
			m = k.draw(v.is.Width, v.is.Height)
		}
		if m != nil {
			v.drawn[k] = m
		}
		return m
	}
	color, _ := colorOf(v.is.Color) // checked before
	base := image(drawingKey{source: d.pictures[v.is.Backdrop], color: color, base: true})
	tiles := slices.Clone(v.is.Tiles)
	slices.SortStableFunc(tiles, func(a, b wire.Tile) int { return cmp.Compare(a.Z, b.Z) })
	var layers []gst.Layer
	for _, t := range tiles {
		if t.Input != "" {
			layers = append(layers, gst.Layer{Frames: d.store(t.Input), X: t.X, Y: t.Y, W: t.Width, H: t.Height, Cover: t.Cover})
			continue
		}
		k := drawingKey{source: d.pictures[t.Picture], x: t.X, y: t.Y, w: t.Width, h: t.Height, fit: contain}
		if t.Cover {
			k.fit = cover
		}
		if m := image(k); m != nil {
			layers = append(layers, k.layer(m, v.is.Width, v.is.Height))
		}
	}
	for _, o := range v.is.Overlays {
		k := drawingKey{source: d.pictures[o.Picture], x: o.X, y: o.Y, w: o.Width, h: o.Height}
		if m := image(k); m != nil {
			layers = append(layers, k.layer(m, v.is.Width, v.is.Height))
		}
	}
	v.canvas.Set(base, layers)
}
