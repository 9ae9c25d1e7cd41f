//go:build gst

package mediaworker

import (
	"bytes"
	"cmp"
	"encoding/json"
	"image"
	"image/draw"
	_ "image/jpeg" // the server sends either
	_ "image/png"
	"maps"
	"slices"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
)

// maxPictures bounds what one filter draws.
const maxPictures = 64

// pictureParams place a picture: in fractions of the frame, or of a face's box.
// Without an image the slot is emptied.
type pictureParams struct {
	Slot   int     `json:"slot"`
	Order  int     `json:"order"`
	Image  []byte  `json:"image"` // PNG or JPEG, made by the server
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
	Keep   bool    `json:"keep"`
	Center bool    `json:"center"`
}

// drawing is a placed picture.
type drawing struct {
	order int
	place gst.Place
}

func (p pictureParams) load() (drawing, error) {
	m, _, err := image.Decode(bytes.NewReader(p.Image))
	if err != nil {
		return drawing{}, kerr.New(kerr.MarshallError, "Image cannot be read: %v", err)
	}
	flat, ok := m.(*image.NRGBA)
	if !ok || flat.Rect.Min != (image.Point{}) {
		flat = image.NewNRGBA(image.Rect(0, 0, m.Bounds().Dx(), m.Bounds().Dy()))
		draw.Draw(flat, flat.Rect, m, m.Bounds().Min, draw.Src)
	}
	pic := gst.NewPicture(flat)
	if pic == nil {
		return drawing{}, kerr.New(kerr.MarshallError, "Image is empty")
	}
	return drawing{p.Order, gst.Place{Picture: pic, X: p.X, Y: p.Y, W: p.Width, H: p.Height, KeepAspect: p.Keep, Center: p.Center}}, nil
}

// imagesEffect draws pictures at fixed places.
type imagesEffect struct {
	painter *gst.Painter
	slots   map[int]drawing
}

func newImagesEffect(j *filterJob) (effect, error) {
	var err error
	if j.out, err = j.w.newPort("out", "video"); err != nil {
		return nil, err
	}
	j.entry = j.out.sink
	return &imagesEffect{j.out.sink.Paint(), map[int]drawing{}}, nil
}

func (e *imagesEffect) call(method string, raw json.RawMessage) (any, error) {
	if method != "image" {
		return nil, errMethod(method)
	}
	var p pictureParams
	if err := decodeParams(raw, &p); err != nil {
		return nil, err
	}
	if p.Slot < 0 || p.Slot >= maxPictures {
		return nil, kerr.New(kerr.MediaObjectIllegalParam, "There is no slot %d", p.Slot)
	}
	delete(e.slots, p.Slot)
	if len(p.Image) > 0 {
		pic, err := p.load()
		if err != nil {
			return nil, err
		}
		e.slots[p.Slot] = pic
	}
	var places []gst.Place
	for _, pic := range slices.SortedFunc(maps.Values(e.slots), func(a, b drawing) int { return cmp.Compare(a.order, b.order) }) {
		places = append(places, pic.place)
	}
	e.painter.Set(places)
	return nil, nil
}

func (e *imagesEffect) message(gst.Message) bool { return false }

func (e *imagesEffect) close() { e.painter.Close() }
