package hubs

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/internal/speaker"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

const (
	// directorSettle is how long what happens to ports is gathered before views
	// hear of it. Layouts do not wait.
	directorSettle = 15 * time.Millisecond
	// baseCores is the estimate of a Director without views and sources;
	// decodeCores that of a pixel to be decoded. Sizes are not known at the
	// beginning: usualPixels are of 640x360.
	baseCores   = 0.1
	decodeCores = 5e-9
	usualRate   = 30
	usualPixels = 640 * 360
	// maxLatency in ms: what is behind further is no live picture.
	maxLatency = 5000
	// maxSourceText and maxSourceName bound texts of a source, in bytes and runes.
	maxSourceText = 256
	maxSourceName = 64
)

type directorParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	LatencyMs     int                     `json:"latencyMs" default:"300"`
}

// Director decodes what enters its ports once and shows it in any number of
// views, each with a layout and a mix of its own. Its ports send nothing.
type Director struct {
	hub
	stage   stage
	deps    Deps
	latency time.Duration

	// telling is held during one change of what the worker is told (docs/locks.md).
	telling sync.Mutex
	views   []*View // in order of birth; guarded by telling
	named   int     // views so far; guarded by telling
	shutOff bool    // no new views; guarded by telling
	album   album   // guarded by telling

	mu     sync.Mutex // leaf
	seats  map[*HubPort]*seat
	podium speaker.Podium
}

// seat is a port of a Director. Guarded by Director.mu.
type seat struct {
	video, audio *cell
	about        Source
	described    bool
	flowing      bool          // the worker has pictures of it
	lost         time.Time     // when the last worker that had ended; zero when none did
	absent       time.Duration // for how long the picture then had none of it
	width        int           // of the pictures
	height       int
}

// Source says whose media enters a port of a Director.
type Source struct {
	StreamID     string `json:"streamId"`
	ConnectionID string `json:"connectionId" default:""`
	// TypeOfVideo is CAMERA, SCREEN, CUSTOM or IPCAM.
	TypeOfVideo string `json:"typeOfVideo" default:"CAMERA"`
	// Name is shown in the tile; more than 64 characters are cut.
	Name string `json:"name" default:""`
	// Big streams are shown large, as OpenVidu's OV_big.
	Big bool `json:"big" default:"false"`
	// VideoActive false shows an avatar; AudioActive false is not mixed.
	VideoActive bool `json:"videoActive" default:"true"`
	AudioActive bool `json:"audioActive" default:"true"`
}

// KurentoType implements elements.Named.
func (Source) KurentoType() string { return "DirectorSource" }

func newDirector(d Deps) func(context.Context, elements.Env, directorParams) (*Director, error) {
	return func(ctx context.Context, env elements.Env, p directorParams) (*Director, error) {
		if p.LatencyMs < 0 || p.LatencyMs > maxLatency {
			return nil, kerr.New(kerr.MediaObjectIllegalParam, "A latency of %d ms is not possible: 0 to %d", p.LatencyMs, maxLatency)
		}
		x := &Director{deps: d, latency: time.Duration(p.LatencyMs) * time.Millisecond, seats: map[*HubPort]*seat{}}
		x.init(env, x)
		x.stage.send, x.stage.wait = x.tell, directorSettle
		x.stage.event, x.stage.crash, x.stage.fail = x.heard, x.lost, x.fail
		x.telling.Lock() // the worker may fail before the stage is set up
		defer x.telling.Unlock()
		if err := x.stage.open(ctx, d, &x.hub, wire.KindDirector, wire.DirectorParams{LatencyMs: p.LatencyMs}, baseCores, nil); err != nil {
			return nil, err
		}
		x.album.job = x.stage.job
		return x, nil
	}
}

type describePortParams struct {
	Port   *HubPort `json:"port"`
	Source Source   `json:"source"`
}

// DescribePort tells whose media enters a port; it may be repeated when
// something of it changes. Ports of another hub: 40004.
func (d *Director) DescribePort(_ context.Context, p describePortParams) (elements.None, error) {
	if err := d.own("The port does not belong to this director", p.Port); err != nil {
		return elements.None{}, err
	}
	s := p.Source
	for _, text := range []string{s.StreamID, s.ConnectionID, s.TypeOfVideo} {
		if len(text) > maxSourceText {
			return elements.None{}, kerr.New(kerr.MediaObjectIllegalParam, "A text of the source is longer than %d bytes", maxSourceText)
		}
	}
	if s.StreamID == "" {
		return elements.None{}, kerr.New(kerr.MediaObjectIllegalParam, "The source has no streamId")
	}
	s.Name = cut(strings.TrimSpace(s.Name), maxSourceName)
	d.mu.Lock()
	seat := d.seats[p.Port]
	if seat != nil {
		seat.about, seat.described = s, true
	}
	d.mu.Unlock()
	d.stage.changed()
	return elements.None{}, nil
}

// cut shortens a text to so many runes.
func cut(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// GetViews lists the living views, oldest first.
func (d *Director) GetViews(context.Context, elements.None) ([]string, error) {
	d.telling.Lock()
	defer d.telling.Unlock()
	ids := []string{}
	for _, v := range d.views {
		ids = append(ids, v.ID())
	}
	return ids, nil
}

func (d *Director) attach(p *HubPort) error {
	s := &seat{
		video: d.stage.input(videoName(p), pipeline.Video), audio: d.stage.input(audioName(p), pipeline.Audio),
		about: Source{StreamID: p.ID(), VideoActive: true, AudioActive: true},
	}
	d.mu.Lock()
	d.seats[p] = s
	d.mu.Unlock()
	p.AddInput(pipeline.Audio, s.audio)
	p.AddInput(pipeline.Video, s.video)
	return nil
}

func (d *Director) detach(p *HubPort) {
	d.mu.Lock()
	s := d.seats[p]
	delete(d.seats, p)
	d.mu.Unlock()
	d.stage.job.RemoveInput(s.video.name)
	d.stage.job.RemoveInput(s.audio.name)
	d.stage.changed()
}

func (d *Director) shut() { d.stage.close() }

func (d *Director) dot(ctx context.Context) (string, error) { return d.stage.dot(ctx) }

// Close closes the views, then the ports and the worker.
func (d *Director) Close() error {
	d.telling.Lock()
	d.shutOff = true
	views := slices.Clone(d.views)
	d.telling.Unlock()
	for _, v := range slices.Backward(views) {
		v.Close()
	}
	return d.hub.Close()
}

// heard takes the worker's events.
func (d *Director) heard(name string, raw json.RawMessage) {
	if name == wire.EventLevels {
		var l wire.LevelsData
		if json.Unmarshal(raw, &l) == nil {
			d.listen(l.Levels)
		}
		return
	}
	var in wire.InputData
	if name != wire.EventInput || json.Unmarshal(raw, &in) != nil {
		return
	}
	d.mu.Lock()
	for _, s := range d.seats {
		if s.video.name == in.Input {
			if in.Flowing && !s.flowing && !s.lost.IsZero() && s.absent == 0 {
				// The worker tells when it composes the picture, which is of a moment
				// before: what waits in it is as old as its latency.
				s.absent = max(time.Since(s.lost)-d.latency, time.Millisecond)
			}
			s.flowing = in.Flowing
			if in.Flowing {
				s.width, s.height = in.Width, in.Height
			}
		}
	}
	d.mu.Unlock()
	d.stage.changed()
}

// lost: the worker is gone, and the next one has no picture yet.
func (d *Director) lost() {
	d.mu.Lock()
	for _, s := range d.seats {
		if s.flowing {
			s.lost, s.absent = time.Now(), 0
		}
		s.flowing = false
	}
	d.mu.Unlock()
	d.stage.changed()
}

// fail raises the event Error on the hub, its ports and its views.
func (d *Director) fail(typ string, code int, text string) {
	d.hub.fail(typ, code, text)
	for _, c := range d.Children() {
		if v, ok := c.(*View); ok {
			v.EmitError(typ, code, text)
		}
	}
}

// guest is a connected source as views see it.
type guest struct {
	layout.Source
	video, audio   string // inputs; audio "" when it is not to be heard
	shown, audible bool   // has pictures now; has sound connected
	absentMs       int    // ViewTile.AbsentMs
}

// guests are the sources that are connected, in order of their ports. Of two
// with one stream id the later counts: the earlier is about to go.
func (d *Director) guests() []guest {
	ports := d.list()
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []guest
	for _, p := range ports {
		s := d.seats[p]
		if s == nil || !s.video.fed() && !s.audio.fed() {
			continue
		}
		g := guest{
			Source: layout.Source{
				ID: s.about.StreamID, ConnectionID: s.about.ConnectionID, TypeOfVideo: s.about.TypeOfVideo, Name: s.about.Name,
				Width: s.width, Height: s.height, Big: s.about.Big,
				Speaking: s.about.StreamID == d.podium.Speaker(),
			},
			video: s.video.name, shown: s.video.fed() && s.flowing && s.about.VideoActive, audible: s.audio.fed(),
		}
		if s.about.AudioActive {
			g.audio = s.audio.name
		}
		g.absentMs = int(s.absent.Milliseconds())
		if wanted := s.video.fed() && s.about.VideoActive; wanted && !s.flowing && !s.lost.IsZero() && s.absent == 0 {
			g.absentMs = -1
		}
		list = slices.DeleteFunc(list, func(x guest) bool { return x.ID == g.ID })
		list = append(list, g)
	}
	return list
}

// cores is what the sources that are connected and all views are expected to take.
func (d *Director) cores(views []*View) float64 {
	sum := baseCores
	d.mu.Lock()
	for _, s := range d.seats {
		if !s.video.fed() {
			continue
		}
		pixels := s.width * s.height
		if pixels == 0 {
			pixels = usualPixels
		}
		sum += decodeCores * usualRate * float64(pixels)
	}
	d.mu.Unlock()
	for _, v := range views {
		sum += v.cores()
	}
	return math.Round(sum*1000) / 1000
}

// add makes room for a view and shows it: 40009 when the machine is full.
func (d *Director) add(v *View) error {
	d.telling.Lock()
	defer d.telling.Unlock()
	if d.shutOff {
		return kerr.New(kerr.MediaObjectNotFound, "Object '%s' not found", d.ID())
	}
	views := append(slices.Clone(d.views), v)
	if err := d.stage.job.Expect(d.cores(views)); err != nil {
		return err
	}
	d.named++
	v.name = viewName(d.named)
	d.views = views
	return nil
}

// drop ends a view that was added.
func (d *Director) drop(v *View) {
	d.telling.Lock()
	defer d.telling.Unlock()
	i := slices.Index(d.views, v)
	if i < 0 {
		return
	}
	d.views = slices.Delete(slices.Clone(d.views), i, i+1)
	d.stage.job.Unset(v.key())
	d.stage.job.Set(v.key(), wire.MethodNoView, wire.NameParams{Name: v.name})
	d.stage.job.Unset(v.key())
	d.album.sweep(d.views)
	_ = d.stage.job.Expect(d.cores(d.views)) // less always fits
}
