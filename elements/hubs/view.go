package hubs

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

// Bounds of a view: sides in pixels, pictures per second, bits per second.
const (
	minViewSide      = 16
	maxViewFramerate = wire.MaxFramerate
	viewFramerate    = 25
	maxViewBitrate   = 100_000_000
)

type viewParams struct {
	Director     *Director       `json:"director"`
	Width        int             `json:"width" default:"1280"`
	Height       int             `json:"height" default:"720"`
	Framerate    int             `json:"framerate" default:"25"`
	HasAudio     bool            `json:"hasAudio" default:"true"`
	HasVideo     bool            `json:"hasVideo" default:"true"`
	Layout       json.RawMessage `json:"layout" optional:"true"`
	VideoBitrate int             `json:"videoBitrate" default:"0"`
}

// View is one composed picture and one mix of what enters a Director. Its
// outputs are raw: receivers have them encoded as they need it, and receivers of
// one codec share an encoder.
type View struct {
	elements.MediaElement
	director           *Director
	name               string // in the worker; set once by Director.add
	width, height      int
	framerate          int
	hasAudio, hasVideo bool

	// Guarded by Director.telling.
	told []byte          // what the worker knows
	uses map[string]bool // names of pictures in it

	mu             sync.Mutex // leaf
	layout         layout.Spec
	speaker        string
	backdrop, logo *picture
	tiles          []ViewTile

	once sync.Once
}

// ViewTile is a place in a view as it is filled now, in pixels.
type ViewTile struct {
	StreamID     string `json:"streamId"`
	ConnectionID string `json:"connectionId"`
	X            int    `json:"x"`
	Y            int    `json:"y"`
	Width        int    `json:"width"`
	Height       int    `json:"height"`
	Z            int    `json:"z"`
	// Avatar is true while there is no picture to show.
	Avatar bool `json:"avatar"`
	// Name is the name that is shown, "" when none is.
	Name string `json:"name"`
	// AbsentMs is for how long after the last worker's end the composed picture
	// does not show this one; -1 while it is away, 0 when it was not.
	AbsentMs int `json:"absentMs"`
}

func newView(ctx context.Context, env elements.Env, p viewParams) (*View, error) {
	if p.Framerate == 0 {
		p.Framerate = viewFramerate
	}
	switch {
	case !p.HasAudio && !p.HasVideo:
		return nil, kerr.New(kerr.MediaObjectIllegalParam, "A view without audio and without video is not possible")
	case p.HasVideo && (p.Width < minViewSide || p.Width > maxSide || p.Height < minViewSide || p.Height > maxSide || p.Framerate < 1 || p.Framerate > maxViewFramerate):
		return nil, kerr.New(kerr.MediaObjectIllegalParam,
			"View of %dx%d at %d pictures per second is not possible: sides are %d to %d, the rate 1 to %d",
			p.Width, p.Height, p.Framerate, minViewSide, maxSide, maxViewFramerate)
	case p.VideoBitrate < 0 || p.VideoBitrate > maxViewBitrate:
		return nil, kerr.New(kerr.MediaObjectIllegalParam, "A bitrate of %d bps is not possible: 0 to %d", p.VideoBitrate, maxViewBitrate)
	}
	// Coded pictures have even sides (4:2:0).
	v := &View{director: p.Director, width: p.Width &^ 1, height: p.Height &^ 1, framerate: p.Framerate, hasAudio: p.HasAudio, hasVideo: p.HasVideo}
	v.Init(env)
	if p.VideoBitrate == 0 {
		p.VideoBitrate = usualBitrate(v.width, v.height, v.framerate)
	}
	v.SetEncoderBitrate(p.VideoBitrate)
	l, err := v.prepare(ctx, p.Layout)
	if err != nil {
		return nil, err
	}
	v.apply(l)
	if err := p.Director.add(v); err != nil {
		return nil, err
	}
	job := p.Director.stage.job
	if v.hasAudio {
		out := v.Graph().NewOutput(pipeline.Audio, elements.DefaultDescription, nil)
		v.AddOutput(out)
		job.Bind(wire.AudioPort(v.name), out)
	}
	if v.hasVideo {
		out := v.Graph().NewOutput(pipeline.Video, elements.DefaultDescription, nil)
		v.AddOutput(out)
		job.Bind(wire.VideoPort(v.name), out)
	}
	v.tell()
	return v, nil
}

// usualBitrate is what a picture of that size needs to look well, in bps: 0.085
// bits per pixel, and more for small ones.
func usualBitrate(width, height, framerate int) int {
	return max(int(0.085*float64(width)*float64(height)*float64(framerate)), 200_000)
}

// cores is about what a view takes, composing and one encoder.
func (v *View) cores() float64 {
	sum := 0.0
	if v.hasAudio {
		sum += 0.02
	}
	if v.hasVideo {
		sum += 1.2e-8 * float64(v.width) * float64(v.height) * float64(v.framerate)
	}
	return sum
}

// key is that of the worker's setting.
func (v *View) key() string { return "view/" + v.name }

func (v *View) tell() {
	v.director.telling.Lock()
	defer v.director.telling.Unlock()
	v.director.tellView(v)
}

// prepared is a layout whose images are there.
type prepared struct {
	spec           layout.Spec
	backdrop, logo *picture
}

// prepare reads a layout and loads its images; all errors are 40001.
func (v *View) prepare(ctx context.Context, text json.RawMessage) (prepared, error) {
	spec, err := layout.Parse(text)
	if err != nil {
		return prepared{}, kerr.New(kerr.MarshallError, "%s", err)
	}
	p := prepared{spec: spec}
	if !v.hasVideo {
		return p, nil
	}
	if b := spec.Background; b != nil && b.Image != "" {
		if p.backdrop, err = v.director.deps.backdrop(ctx, b.Image, b.Color, v.width, v.height); err != nil {
			return p, kerr.New(kerr.MarshallError, "background.image: %s", err)
		}
	}
	if l := spec.Logo; l != nil {
		if p.logo, err = v.director.deps.logo(ctx, l, v.width, v.height); err != nil {
			return p, kerr.New(kerr.MarshallError, "logo.image: %s", err)
		}
	}
	return p, nil
}

func (v *View) apply(p prepared) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.layout, v.backdrop, v.logo = p.spec, p.backdrop, p.logo
}

type layoutParams struct {
	Layout json.RawMessage `json:"layout"`
}

// SetLayout changes the layout from the next picture on; the change is on its
// way when the call returns. A layout that cannot be read, or whose images
// cannot, is 40001, and the view stays as it was.
func (v *View) SetLayout(ctx context.Context, p layoutParams) (elements.None, error) {
	l, err := v.prepare(ctx, p.Layout)
	if err != nil {
		return elements.None{}, err
	}
	v.director.telling.Lock()
	defer v.director.telling.Unlock()
	v.apply(l)
	v.director.tellView(v)
	return elements.None{}, nil
}

// GetLayout is the present layout as it was set.
func (v *View) GetLayout(context.Context, elements.None) (json.RawMessage, error) {
	v.mu.Lock()
	spec := v.layout
	v.mu.Unlock()
	if spec.Layout == "" {
		spec.Layout = layout.BestFit
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		return nil, kerr.New(kerr.UnexpectedError, "Layout cannot be written: %v", err)
	}
	return raw, nil
}

// GetTiles are the places as they are filled now, lower ones first.
func (v *View) GetTiles(context.Context, elements.None) ([]ViewTile, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]ViewTile{}, v.tiles...), nil
}

type speakerParams struct {
	StreamID string `json:"streamId"`
}

// SetSpeaker tells who speaks, for layout SPEAKER; "" leaves it to the director,
// which listens.
func (v *View) SetSpeaker(_ context.Context, p speakerParams) (elements.None, error) {
	v.mu.Lock()
	v.speaker = p.StreamID
	v.mu.Unlock()
	v.tell()
	return elements.None{}, nil
}

func (v *View) getWidth() int     { return v.width }
func (v *View) getHeight() int    { return v.height }
func (v *View) getFramerate() int { return v.framerate }

// Close ends the view's encoders and its picture.
func (v *View) Close() error {
	v.once.Do(func() {
		job := v.director.stage.job
		job.Unbind(wire.AudioPort(v.name))
		job.Unbind(wire.VideoPort(v.name))
		v.CloseBase()
		v.director.drop(v)
	})
	return nil
}
