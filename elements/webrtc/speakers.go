package webrtc

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/speaker"
	"github.com/govidu/govidu/pipeline"
)

const (
	// levelExtension is the header extension that carries the audio level on links
	// (RFC 6464), the only one that packets keep there.
	levelExtension = 1
	// maxMeters bounds the endpoints that one ActiveSpeakers listens to.
	maxMeters = 10000
)

type speakersParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
}

type speakersEndpointParams struct {
	Endpoint *Endpoint `json:"endpoint"`
}

// ActiveSpeaker is an endpoint whose peer talks, and its level in −dBov: 0 is the
// loudest, 127 silence (RFC 6464).
type ActiveSpeaker struct {
	Endpoint string `json:"endpoint"`
	Level    int    `json:"level"`
}

type speakersFields struct {
	Speakers []ActiveSpeaker `json:"speakers"`
}

// ActiveSpeakers listens to the audio levels that endpoints' peers declare and
// tells who talks. Its one goroutine ends with Close.
type ActiveSpeakers struct {
	elements.MediaObject
	stop chan struct{}
	done chan struct{}
	once sync.Once

	mu     sync.Mutex // the order is mu, then meter.mu
	meters map[string]*meter
	podium speaker.Podium
	told   []ActiveSpeaker
}

func newActiveSpeakers(_ context.Context, env elements.Env, _ speakersParams) (*ActiveSpeakers, error) {
	a := &ActiveSpeakers{stop: make(chan struct{}), done: make(chan struct{}), meters: map[string]*meter{}}
	a.Init(env)
	go a.run()
	return a, nil
}

// Close ends the listening and waits for the goroutine.
func (a *ActiveSpeakers) Close() error {
	a.once.Do(func() { close(a.stop) })
	<-a.done
	a.mu.Lock()
	meters := a.meters
	a.meters = map[string]*meter{}
	a.mu.Unlock()
	for _, m := range meters {
		m.out.Disconnect(m.link)
	}
	return nil
}

// Input implements pipeline.Element, so that the object closes with its graph.
func (a *ActiveSpeakers) Input(kind pipeline.Kind, label string) (pipeline.Input, error) {
	return nil, fmt.Errorf("input %s %s of %s: %w", kind, label, a.ID(), kerr.UnsupportedMediaType)
}

// Output implements pipeline.Element; see Input.
func (a *ActiveSpeakers) Output(kind pipeline.Kind, label string) (*pipeline.Output, error) {
	return nil, fmt.Errorf("output %s %s of %s: %w", kind, label, a.ID(), kerr.UnsupportedMediaType)
}

// Add begins to listen to an endpoint of the same pipeline; twice is once. It is
// over with Remove or when the endpoint is released. kerr.MediaObjectIllegalParam
// for one of another pipeline.
func (a *ActiveSpeakers) Add(_ context.Context, p speakersEndpointParams) (elements.None, error) {
	if p.Endpoint.PipelineObject() != a.PipelineObject() {
		return elements.None{}, kerr.New(kerr.MediaObjectIllegalParam, "Media elements do not share pipeline")
	}
	out, err := p.Endpoint.Output(pipeline.Audio, elements.DefaultDescription)
	if err != nil {
		return elements.None{}, err
	}
	id := p.Endpoint.ID()
	m := &meter{out: out}
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.stop:
		return elements.None{}, kerr.New(kerr.MediaObjectNotFound, "Object '%s' not found", a.ID())
	default:
	}
	if a.meters[id] != nil {
		return elements.None{}, nil
	}
	if len(a.meters) >= maxMeters {
		return elements.None{}, kerr.New(kerr.NotEnoughResources, "%d endpoints are listened to already", maxMeters)
	}
	if m.link, err = out.Connect(m); err != nil {
		return elements.None{}, err
	}
	a.meters[id] = m
	return elements.None{}, nil
}

// Remove ends the listening to an endpoint; one that is not listened to is no error.
func (a *ActiveSpeakers) Remove(_ context.Context, p speakersEndpointParams) (elements.None, error) {
	id := p.Endpoint.ID()
	a.mu.Lock()
	m := a.meters[id]
	delete(a.meters, id)
	a.podium.Forget(id)
	a.mu.Unlock()
	if m != nil {
		m.out.Disconnect(m.link)
	}
	return elements.None{}, nil
}

// Speakers lists who talks: the main speaker first, then who began last.
func (a *ActiveSpeakers) Speakers() []ActiveSpeaker {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]ActiveSpeaker{}, a.told...)
}

func (a *ActiveSpeakers) run() {
	defer close(a.done)
	tick := time.NewTicker(time.Second / speaker.PerSecond)
	defer tick.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-tick.C:
			a.report()
		}
	}
}

// report takes the levels since the last one and tells who talks if that changed.
func (a *ActiveSpeakers) report() {
	defer obs.Guard(a.Log(), "webrtc.speakers", nil)
	a.mu.Lock()
	levels := make(map[string]int, len(a.meters))
	for id, m := range a.meters {
		level, gone := m.take()
		if gone {
			delete(a.meters, id)
			a.podium.Forget(id)
			continue
		}
		if level < speaker.Silence {
			levels[id] = level
		}
	}
	a.podium.Hear(levels)
	now := []ActiveSpeaker{}
	for _, t := range a.podium.Talkers() {
		now = append(now, ActiveSpeaker{t.ID, t.Level})
	}
	same := slices.EqualFunc(a.told, now, func(x, y ActiveSpeaker) bool { return x.Endpoint == y.Endpoint })
	a.told = now
	a.mu.Unlock()
	if !same {
		a.Emit("ActiveSpeakersChanged", speakersFields{now})
	}
}

// meter is the Input that reads the level of one endpoint's sound.
type meter struct {
	out  *pipeline.Output
	link *pipeline.Link

	mu     sync.Mutex // leaf
	energy float64    // of the packets since the last report, 1 for each at 0 dBov
	count  int
	gone   bool
}

// Accepts implements pipeline.Input: any sound, as it comes.
func (*meter) Accepts() []pipeline.Format {
	return []pipeline.Format{{Kind: pipeline.Audio, Framing: pipeline.RTP}}
}

// Push implements pipeline.Input. A packet without a level counts as silence.
func (m *meter) Push(p *pipeline.Packet) {
	level := speaker.Silence
	if p.Header.Extension {
		if b := p.Header.GetExtension(levelExtension); len(b) == 1 {
			level = int(b[0] & 0x7f)
		}
	}
	m.mu.Lock()
	m.energy += energy[level]
	m.count++
	m.mu.Unlock()
}

// Attached implements pipeline.Attachable.
func (*meter) Attached(*pipeline.Link) {}

// Detached implements pipeline.Attachable: the endpoint is released.
func (m *meter) Detached(*pipeline.Link) {
	m.mu.Lock()
	m.gone = true
	m.mu.Unlock()
}

// take gives the mean level since the last call.
func (m *meter) take() (level int, gone bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	level = speaker.Silence
	if m.count > 0 && m.energy > 0 {
		level = min(max(int(math.Round(-10*math.Log10(m.energy/float64(m.count)))), 0), speaker.Silence)
	}
	m.energy, m.count = 0, 0
	return level, m.gone
}

// energy is that of each level, so that Push needs no arithmetic.
var energy = func() (e [speaker.Silence + 1]float64) {
	for i := range e {
		e[i] = math.Pow(10, -float64(i)/10)
	}
	return e
}()
