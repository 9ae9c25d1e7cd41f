package hubs

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// Mixer routes video between its ports, one source per sink, and lets a sink
// hear any number of others. What a sink hears of one port alone is forwarded;
// a worker starts when a sink first hears two.
type Mixer struct {
	hub
	deps Deps

	// Guarded by hub.change.
	hears  map[*HubPort][]*HubPort       // by sink, in order of connecting
	stage  *stage                        // nil until something is mixed
	inputs map[*HubPort]*pipeline.Link   // of sources that are mixed, into the job
	mixes  map[*HubPort]*pipeline.Output // of sinks that hear a mix, out of the job

	sceneMu sync.Mutex // leaf
	scene   scene
}

func newMixer(d Deps) func(context.Context, elements.Env, dispatcherParams) (*Mixer, error) {
	return func(_ context.Context, env elements.Env, _ dispatcherParams) (*Mixer, error) {
		m := &Mixer{deps: d, hears: map[*HubPort][]*HubPort{}, inputs: map[*HubPort]*pipeline.Link{}, mixes: map[*HubPort]*pipeline.Output{}}
		m.init(env, m)
		return m, nil
	}
}

type mixerParams struct {
	Media  elements.MediaType `json:"media"`
	Source *HubPort           `json:"source"`
	Sink   *HubPort           `json:"sink"`
}

// Connect lets sink get source's media of one kind: video replaces what it got,
// audio is added to it. DATA: 40005. Ports of another hub: 40004. The first
// sink that hears two sources needs a worker: 40108, 40009.
func (m *Mixer) Connect(ctx context.Context, p mixerParams) (elements.None, error) {
	m.change.Lock()
	defer m.change.Unlock()
	if p.Media == elements.DataType {
		return elements.None{}, kerr.New(kerr.UnsupportedMediaType, "Mixer does not mix media type DATA")
	}
	if err := m.own(cannotConnect, p.Source, p.Sink); err != nil {
		return elements.None{}, err
	}
	if p.Media == elements.VideoType {
		return elements.None{}, route(p.Source, p.Sink, pipeline.Video)
	}
	if slices.Contains(m.hears[p.Sink], p.Source) {
		return elements.None{}, nil
	}
	return elements.None{}, m.listen(ctx, p.Sink, append(slices.Clone(m.hears[p.Sink]), p.Source))
}

// Disconnect takes source out of what sink hears; when it was not there it is
// no error. VIDEO and DATA: 40005, as with the original.
func (m *Mixer) Disconnect(ctx context.Context, p mixerParams) (elements.None, error) {
	m.change.Lock()
	defer m.change.Unlock()
	if p.Media != elements.AudioType {
		return elements.None{}, kerr.New(kerr.UnsupportedMediaType, "Mixer does not disconnect media type %s", p.Media)
	}
	if err := m.own(cannotConnect, p.Source, p.Sink); err != nil {
		return elements.None{}, err
	}
	if !slices.Contains(m.hears[p.Sink], p.Source) {
		return elements.None{}, nil
	}
	return elements.None{}, m.listen(ctx, p.Sink, without(m.hears[p.Sink], p.Source))
}

func without(list []*HubPort, p *HubPort) []*HubPort {
	return slices.DeleteFunc(slices.Clone(list), func(x *HubPort) bool { return x == p })
}

// listen makes sources what sink hears. On an error it hears what it heard. The
// caller holds change.
func (m *Mixer) listen(ctx context.Context, sink *HubPort, sources []*HubPort) error {
	if len(sources) > 1 {
		if err := m.open(ctx); err != nil {
			return err
		}
	}
	m.hears[sink] = sources
	if len(sources) > 1 {
		m.mix(sink)
	} else {
		m.unmix(sink)
		if len(sources) == 1 {
			if err := route(sources[0], sink, pipeline.Audio); err != nil {
				return err
			}
		}
	}
	return m.refresh()
}

// open starts the worker when there is none yet.
func (m *Mixer) open(ctx context.Context) error {
	if m.stage != nil {
		return nil
	}
	s := &stage{}
	if err := s.open(ctx, m.deps, &m.hub, "mixer", nil, 0.1, m.look); err != nil {
		return err
	}
	m.stage = s
	return nil
}

// mix makes the worker's mix what feeds sink.
func (m *Mixer) mix(sink *HubPort) {
	if m.mixes[sink] != nil {
		return
	}
	unroute(sink, pipeline.Audio)
	out := pipeline.NewOutput(pipeline.Audio, elements.DefaultDescription, nil, nil)
	m.mixes[sink] = out
	l := sink.lanes[pipeline.Audio]
	if link, err := out.Connect(l.out); err == nil { // a new Output is not closed
		l.feed = link
	}
	m.stage.job.Bind(audioName(sink), out)
}

// unmix leaves sink without a source.
func (m *Mixer) unmix(sink *HubPort) {
	if out := m.mixes[sink]; out != nil {
		delete(m.mixes, sink)
		m.stage.job.Unbind(audioName(sink))
		unroute(sink, pipeline.Audio)
		out.Close()
		return
	}
	unroute(sink, pipeline.Audio)
}

// refresh connects to the worker the sources that are in a mix, and no others,
// and tells it who hears whom.
func (m *Mixer) refresh() error {
	if m.stage == nil {
		return nil
	}
	sc := scene{Mix: map[string][]string{}}
	need := map[*HubPort]bool{}
	for sink := range m.mixes {
		for _, source := range m.hears[sink] {
			need[source] = true
			sc.Mix[audioName(sink)] = append(sc.Mix[audioName(sink)], audioName(source))
		}
	}
	for source := range maps.Clone(m.inputs) {
		if !need[source] {
			m.silence(source)
		}
	}
	for source := range need {
		if m.inputs[source] == nil {
			in := m.stage.job.Input(audioName(source), workerAudio())
			link, err := source.lanes[pipeline.Audio].in.Output().Connect(in)
			if err != nil {
				return err
			}
			m.inputs[source] = link
		}
	}
	m.sceneMu.Lock()
	m.scene = sc
	m.sceneMu.Unlock()
	m.stage.changed()
	return nil
}

// silence takes a source out of the worker.
func (m *Mixer) silence(source *HubPort) {
	if link := m.inputs[source]; link != nil {
		delete(m.inputs, source)
		link.From().Disconnect(link)
		m.stage.job.RemoveInput(audioName(source))
	}
}

func (m *Mixer) look() scene {
	m.sceneMu.Lock()
	defer m.sceneMu.Unlock()
	return m.scene
}

func (m *Mixer) attach(p *HubPort) error { addLanes(p); return nil }

func (m *Mixer) detach(p *HubPort) {
	delete(m.hears, p)
	m.unmix(p)
	for _, sink := range m.list() {
		if slices.Contains(m.hears[sink], p) {
			// Fewer sources need no worker: this cannot fail but for a sink that closes too.
			if err := m.listen(context.Background(), sink, without(m.hears[sink], p)); err != nil {
				m.Log().Debug("mixer: sink of a closing port", "sink", sink.ID(), "err", err)
			}
		}
	}
	if m.stage != nil {
		m.silence(p)
	}
	dropLanes(p, m.list())
}

func (m *Mixer) shut() {
	if m.stage != nil {
		m.stage.close()
	}
}

// dot is the ports' graph, and the worker's when there is one.
func (m *Mixer) dot(ctx context.Context) (string, error) {
	m.change.Lock()
	s := m.stage
	m.change.Unlock()
	if s == nil {
		return m.portDot(), nil
	}
	return s.dot(ctx)
}
