package hubs

import (
	"context"
	"slices"
	"sync"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

type compositeParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	Width         int                     `json:"width" default:"800"`
	Height        int                     `json:"height" default:"600"`
	Framerate     int                     `json:"framerate" default:"15"`
}

// Bounds of a canvas in pixels and pictures per second; a framerate of 0 is
// the default.
const (
	maxSide          = 4096
	maxFramerate     = 60
	defaultFramerate = 15
)

// canvas are the parameters of the job "composite".
type canvas struct {
	Width     int `json:"width,omitempty"` // 0: that of the scene's master
	Height    int `json:"height,omitempty"`
	Framerate int `json:"framerate"`
}

// composed is what the hubs with a picture share: each port brings a video and
// an audio input, all ports send the same picture, each hears all others.
type composed struct {
	hub
	stage stage
	// paint adds to a scene the pictures of ports that have a source, in order of birth.
	paint func(sc *scene, ports []*HubPort)
	// picture is the worker's raw video; each port's output is a joint behind it.
	// So all ports share the worker's encoders, one per codec.
	picture *pipeline.Output
	cells   map[*HubPort]ends // guarded by hub.change
	videos  sync.Map          // *HubPort → *cell, for look
}

// ends are what a port has in a composing hub.
type ends struct {
	video, audio *cell
	picture      *pipeline.Link // into the port's output
}

func (c *composed) open(ctx context.Context, d Deps, env elements.Env, self director, cv canvas) error {
	c.init(env, self)
	c.cells = map[*HubPort]ends{}
	if err := c.stage.open(ctx, d, &c.hub, "composite", cv, 0.3, c.look); err != nil {
		return err
	}
	c.picture = pipeline.NewOutput(pipeline.Video, elements.DefaultDescription, nil, nil)
	c.stage.job.Bind(videoPort, c.picture)
	return nil
}

// look draws the scene: pictures of ports with a source, and who hears whom.
func (c *composed) look() scene {
	sc := scene{}
	ports := c.list()
	for _, p := range ports {
		sc.Minus = append(sc.Minus, audioName(p))
	}
	c.paint(&sc, slices.DeleteFunc(ports, func(p *HubPort) bool {
		v, ok := c.videos.Load(p)
		return !ok || !v.(*cell).fed()
	}))
	return sc
}

func (c *composed) attach(p *HubPort) error {
	e := ends{video: c.stage.input(videoName(p), pipeline.Video), audio: c.stage.input(audioName(p), pipeline.Audio)}
	video := elements.NewJoint(p.Graph(), pipeline.Video)
	var err error
	if e.picture, err = c.picture.Connect(video); err != nil {
		return err
	}
	sound := p.Graph().NewOutput(pipeline.Audio, elements.DefaultDescription, nil)
	c.cells[p] = e
	c.videos.Store(p, e.video)
	p.AddInput(pipeline.Audio, e.audio)
	p.AddInput(pipeline.Video, e.video)
	p.AddOutput(sound)
	p.AddOutput(video.Output())
	c.stage.job.Bind(audioName(p), sound)
	c.stage.changed()
	return nil
}

func (c *composed) detach(p *HubPort) {
	e := c.cells[p]
	delete(c.cells, p)
	c.videos.Delete(p)
	c.stage.job.Unbind(audioName(p))
	c.picture.Disconnect(e.picture)
	c.stage.job.RemoveInput(e.video.name)
	c.stage.job.RemoveInput(e.audio.name)
	c.stage.changed()
}

func (c *composed) shut() {
	c.stage.close()
	c.picture.Close()
}

func (c *composed) dot(ctx context.Context) (string, error) { return c.stage.dot(ctx) }

// Composite shows the pictures of all ports with a video source in one grid.
type Composite struct{ composed }

func newComposite(d Deps) func(context.Context, elements.Env, compositeParams) (*Composite, error) {
	return func(ctx context.Context, env elements.Env, p compositeParams) (*Composite, error) {
		if p.Framerate == 0 {
			p.Framerate = defaultFramerate
		}
		if p.Width < 1 || p.Width > maxSide || p.Height < 1 || p.Height > maxSide || p.Framerate < 1 || p.Framerate > maxFramerate {
			return nil, kerr.New(kerr.MediaObjectIllegalParam,
				"Composite of %dx%d at %d pictures per second is not possible: sides are 1 to %d, the rate 1 to %d",
				p.Width, p.Height, p.Framerate, maxSide, maxFramerate)
		}
		c := &Composite{}
		c.paint = func(sc *scene, ports []*HubPort) {
			for _, p := range ports {
				sc.Grid = append(sc.Grid, videoName(p))
			}
		}
		// Coded pictures have even sides (4:2:0).
		cv := canvas{Width: max(p.Width&^1, 2), Height: max(p.Height&^1, 2), Framerate: p.Framerate}
		if err := c.open(ctx, d, env, c, cv); err != nil {
			return nil, err
		}
		return c, nil
	}
}
