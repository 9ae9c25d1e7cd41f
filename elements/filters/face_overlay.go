package filters

import (
	"context"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// maxFaceBox bounds sizes and offsets, in faces.
const maxFaceBox = 20

// detector is the GStreamer element that finds faces.
const detector = "facedetect"

// FaceOverlayFilter draws an image over each face.
type FaceOverlayFilter struct{ filter }

func newFaceOverlay(d Deps) func(context.Context, elements.Env, pipelineParams) (*FaceOverlayFilter, error) {
	return func(ctx context.Context, env elements.Env, _ pipelineParams) (*FaceOverlayFilter, error) {
		if err := d.available(); err != nil {
			return nil, err
		}
		f := &FaceOverlayFilter{}
		f.init(env, d, pipeline.Video, jobParams{Effect: "faces"}, 0.2, nil)
		if err := f.check(ctx); err != nil {
			f.Close()
			return nil, err
		}
		f.addPorts()
		return f, nil
	}
}

// check finds out whether the platform can find faces. Before the first worker
// of this process ran nobody knows: then this filter's own starts at once.
func (f *FaceOverlayFilter) check(ctx context.Context) error {
	missing := kerr.New(kerr.MediaObjectNotAvailable, "FaceOverlayFilter needs GStreamer's element %s and OpenCV's face data: install gstreamer1.0-opencv and opencv-data", detector)
	if ready, known := f.deps.Pool.Platform(); known {
		if len(ready.Elements) > 0 && !f.deps.has(detector) {
			return missing
		}
		return nil
	}
	job, err := f.deps.Pool.Start(ctx, f.spec)
	if err != nil {
		return err
	}
	defer job.Close()
	if err := job.Call(ctx, "check", nil, nil); err != nil {
		if code, _ := kerr.Of(err); code == kerr.MediaObjectNotAvailable {
			return missing
		}
		return kerr.New(kerr.MediaObjectNotAvailable, "FaceOverlayFilter cannot run here: %v", err)
	}
	return nil
}

type faceParams struct {
	URI            string  `json:"uri"`
	OffsetXPercent float64 `json:"offsetXPercent"`
	OffsetYPercent float64 `json:"offsetYPercent"`
	WidthPercent   float64 `json:"widthPercent"`
	HeightPercent  float64 `json:"heightPercent"`
}

const faceKey = "face"

// SetOverlayedImage draws an image over each face: offsets and sizes in
// fractions of the face's box, offsets from its upper left corner, to the right
// and down. The image is opened and read before the call returns: 40600 when the
// URI cannot be opened, 40001 when it is no picture or a parameter is out of
// range.
func (f *FaceOverlayFilter) SetOverlayedImage(ctx context.Context, p faceParams) (elements.None, error) {
	if err := box(p.OffsetXPercent, p.OffsetYPercent, p.WidthPercent, p.HeightPercent, maxFaceBox); err != nil {
		return elements.None{}, err
	}
	image, err := loadImage(ctx, f.deps.Images, p.URI)
	if err != nil {
		return elements.None{}, err
	}
	f.set(faceKey, "image", placed{Image: image, X: p.OffsetXPercent, Y: p.OffsetYPercent, Width: p.WidthPercent, Height: p.HeightPercent})
	return elements.None{}, nil
}

// UnsetOverlayedImage ends the drawing.
func (f *FaceOverlayFilter) UnsetOverlayedImage(context.Context, elements.None) (elements.None, error) {
	f.set(faceKey, "image", placed{})
	return elements.None{}, nil
}
