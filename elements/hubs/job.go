package hubs

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

const (
	// settle is how long connecting and disconnecting may go on before the
	// worker is told: a replaced source is no leave and join.
	settle = 30 * time.Millisecond
	// graphTimeout bounds how long a worker may draw its graph.
	graphTimeout = 5 * time.Second
)

// Types of the event Error (kurento-elements §4).
const errorElement = "UNEXPECTED_ELEMENT_ERROR"

// scene is the whole of what a hub's worker shall do, sent at each change and
// to each replacement: pictures as a grid or as layers over a master, and what
// each audio port hears. Names are those of inputs and raw ports.
type scene struct {
	// Grid are the inputs to show, in order.
	Grid []string `json:"grid,omitempty"`
	// Master is the input whose size is the canvas; Layers are the inputs to
	// show, itself included, the lowest first.
	Master string  `json:"master,omitempty"`
	Layers []layer `json:"layers,omitempty"`
	// Minus are audio ports that hear every audio input but the one of the same name.
	Minus []string `json:"minus,omitempty"`
	// Mix are audio ports and the inputs they hear.
	Mix map[string][]string `json:"mix,omitempty"`
}

// layer is one picture's place in fractions of the canvas.
type layer struct {
	Input  string  `json:"input"`
	X      float64 `json:"x"`
	Y      float64 `json:"y"`
	Width  float64 `json:"width"`
	Height float64 `json:"height"`
}

// stage is a hub's worker and its scene.
type stage struct {
	hub *hub
	job *workers.Job
	// look draws the present scene; it is called without a lock.
	look func() scene
	// send, when set, tells the worker in place of look, at most wait after the
	// first change.
	send func()
	wait time.Duration
	// event, fail and crash, when set, hear of the worker besides, or in place of
	// the hub (fail).
	event func(name string, data json.RawMessage)
	fail  func(typ string, code int, text string)
	crash func()

	mu    sync.Mutex // leaf
	timer *time.Timer
	shut  bool
}

// open starts the hub's job: 40108 without a worker binary, 40009 when the
// machine is full.
func (s *stage) open(ctx context.Context, d Deps, h *hub, kind string, params any, cores float64, look func() scene) error {
	if err := d.available(); err != nil {
		return err
	}
	s.hub, s.look = h, look
	if s.fail == nil {
		s.fail = h.fail
	}
	if s.wait == 0 {
		s.wait = settle
	}
	job, err := d.Pool.Start(ctx, workers.Spec{
		Kind: kind, Params: params, Epoch: h.Graph().Epoch(), Cores: cores, Restart: true, Element: h.ID(),
		Handler: workers.Handler{Event: s.event, Error: s.failed, Crashed: s.crashed},
	})
	if err != nil {
		return err
	}
	s.job = job
	return nil
}

func (s *stage) failed(e wire.ErrorData) {
	s.hub.Log().Warn("hub's worker failed", "type", e.Type, "err", e.Text)
	s.fail(e.Type, e.Code, e.Text)
}

func (s *stage) crashed(err error, restarting bool) {
	if s.crash != nil {
		s.crash()
	}
	text := fmt.Sprintf("The media worker of hub %s ended: %v", s.hub.ID(), err)
	if restarting {
		text += "; another one takes over"
	}
	s.hub.Log().Error("hub's worker ended", "err", err, "restarting", restarting)
	s.fail(errorElement, int(kerr.UnexpectedError), text)
}

// changed lets the worker hear of the scene soon. It never blocks and may be
// called under any lock but s.mu.
func (s *stage) changed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.shut && s.timer == nil {
		s.timer = time.AfterFunc(s.wait, s.tell)
	}
}

func (s *stage) tell() {
	s.mu.Lock()
	shut := s.shut
	s.timer = nil
	s.mu.Unlock()
	switch {
	case shut:
	case s.send != nil:
		s.send()
	default:
		s.job.Set("scene", "scene", s.look())
	}
}

// close ends the job. Idempotent, and harmless on a stage that never opened.
func (s *stage) close() {
	s.mu.Lock()
	s.shut = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	if s.job != nil {
		s.job.Close()
	}
}

// dot is the worker's own graph.
func (s *stage) dot(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, graphTimeout)
	defer cancel()
	return s.job.Dot(ctx)
}

// cell is an input of a composing hub: the job's, and whether it has a source.
type cell struct {
	*workers.Input
	name  string
	stage *stage
	link  atomic.Pointer[pipeline.Link]
}

func (s *stage) input(name string, kind pipeline.Kind) *cell {
	return &cell{Input: s.job.Input(name, workers.UnitFormats(kind)), name: name, stage: s}
}

// fed tells whether a source is connected.
func (c *cell) fed() bool { return c != nil && c.link.Load() != nil }

// Attached implements pipeline.Attachable.
func (c *cell) Attached(l *pipeline.Link) {
	c.link.Store(l)
	c.Input.Attached(l)
	c.stage.changed()
}

// Detached implements pipeline.Attachable.
func (c *cell) Detached(l *pipeline.Link) {
	c.link.CompareAndSwap(l, nil)
	c.Input.Detached(l)
	c.stage.changed()
}

// Names of inputs and raw ports in the worker.
func videoName(p *HubPort) string { return fmt.Sprintf("video/%d", p.order) }
func audioName(p *HubPort) string { return fmt.Sprintf("audio/%d", p.order) }

// videoPort is the raw port that all HubPorts of a composing hub send.
const videoPort = "video"

// workerAudio is what decoders of audio in a worker take.
func workerAudio() []pipeline.Format { return workers.UnitFormats(pipeline.Audio) }
