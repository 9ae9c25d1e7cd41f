package filters

import (
	"context"
	"sync"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

const (
	// maxImages bounds the images of one filter.
	maxImages = 32
	// maxImageBox bounds sizes and offsets, in frames.
	maxImageBox = 10
)

type pipelineParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
}

// ImageOverlayFilter draws images over the video, at fractions of the frame.
type ImageOverlayFilter struct {
	filter

	imageMu sync.Mutex // held over set: the worker hears of changes in their order
	slots   [maxImages]string
	used    [maxImages]bool
	order   int
}

func newImageOverlay(d Deps) func(context.Context, elements.Env, pipelineParams) (*ImageOverlayFilter, error) {
	return func(_ context.Context, env elements.Env, _ pipelineParams) (*ImageOverlayFilter, error) {
		if err := d.available(); err != nil {
			return nil, err
		}
		f := &ImageOverlayFilter{}
		f.init(env, d, pipeline.Video, jobParams{Effect: "images"}, 0.05, nil)
		f.addPorts()
		return f, nil
	}
}

type imageParams struct {
	ID              string  `json:"id"`
	URI             string  `json:"uri"`
	OffsetXPercent  float64 `json:"offsetXPercent"`
	OffsetYPercent  float64 `json:"offsetYPercent"`
	WidthPercent    float64 `json:"widthPercent"`
	HeightPercent   float64 `json:"heightPercent"`
	KeepAspectRatio bool    `json:"keepAspectRatio"`
	Center          bool    `json:"center"`
}

// placed is one image as the worker gets it. Slots are drawn by Order, the
// lowest first; Image "" empties the slot.
type placed struct {
	Slot   int     `json:"slot"`
	Order  int     `json:"order"`
	Image  string  `json:"image,omitempty"` // base64 of PNG or JPEG
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
	Keep   bool    `json:"keep,omitempty"`
	Center bool    `json:"center,omitempty"`
}

// slotKey is the key of a slot among the worker's settings: there are as many keys as slots,
// however many ids a caller uses in a filter's life.
func slotKey(slot int) string { return "image:" + string(rune('A'+slot)) }

// AddImage draws an image, in place of one with the same id. The image is
// opened and read before the call returns: 40600 when the URI cannot be opened,
// 40001 when it is no picture or a parameter is out of range.
func (f *ImageOverlayFilter) AddImage(ctx context.Context, p imageParams) (elements.None, error) {
	if err := box(p.OffsetXPercent, p.OffsetYPercent, p.WidthPercent, p.HeightPercent, maxImageBox); err != nil {
		return elements.None{}, err
	}
	if len(p.ID) > maxString {
		return elements.None{}, kerr.New(kerr.MarshallError, "'id' parameter is longer than %d bytes", maxString)
	}
	image, err := loadImage(ctx, f.deps.Images, p.URI)
	if err != nil {
		return elements.None{}, err
	}
	f.imageMu.Lock()
	defer f.imageMu.Unlock()
	slot := f.slot(p.ID)
	for i := 0; slot < 0 && i < maxImages; i++ {
		if !f.used[i] {
			slot = i
		}
	}
	if slot < 0 {
		return elements.None{}, kerr.New(kerr.NotEnoughResources, "A filter draws at most %d images", maxImages)
	}
	f.order++
	f.slots[slot], f.used[slot] = p.ID, true
	f.set(slotKey(slot), "image", placed{
		Slot: slot, Order: f.order, Image: image, X: p.OffsetXPercent, Y: p.OffsetYPercent, Width: p.WidthPercent, Height: p.HeightPercent,
		Keep: p.KeepAspectRatio, Center: p.Center,
	})
	return elements.None{}, nil
}

type imageIDParams struct {
	ID string `json:"id"`
}

// RemoveImage takes an image away; an id that is not there is no error.
func (f *ImageOverlayFilter) RemoveImage(_ context.Context, p imageIDParams) (elements.None, error) {
	f.imageMu.Lock()
	defer f.imageMu.Unlock()
	if slot := f.slot(p.ID); slot >= 0 {
		f.used[slot] = false
		f.set(slotKey(slot), "image", placed{Slot: slot})
	}
	return elements.None{}, nil
}

func (f *ImageOverlayFilter) slot(id string) int {
	for i := range f.slots {
		if f.used[i] && f.slots[i] == id {
			return i
		}
	}
	return -1
}
