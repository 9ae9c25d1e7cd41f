package elements

import (
	"fmt"
	"slices"
	"sync"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// Element is an Object that embeds MediaElement.
type Element interface {
	Node
	pipeline.Element
	// Base is the embedded base.
	Base() *MediaElement
}

// Counter is a port that counts what passed through it, whatever way it took
// (spliced links included). Both are since birth; it must be cheap and safe
// for concurrent use.
type Counter interface {
	Counters() (packets, bytes uint64)
}

// MediaElement is the base of every type with media ports. A type embeds it,
// calls Init(env), then AddInput and AddOutput for what it has (at once or when
// negotiation tells), and, if it owns more than ports, overrides Close: end your
// own goroutines and then call CloseBase.
//
// Connections are logical first: they exist, with their events, before ports
// and media do, and become links as soon as both ports are there.
type MediaElement struct {
	MediaObject

	// connectMu is held during one connect or disconnect with this element as
	// sink (docs/locks.md), and while its ports come and go.
	connectMu sync.Mutex
	shut      bool // guarded by connectMu: no new source

	portMu  sync.Mutex // leaf
	inputs  []*port
	outputs []*port
	feeds   []*connection // where this element is the source
	fedBy   []*connection // where this element is the sink
	closed  bool          // guarded by portMu: no new sink
	stats   StatsFunc
	forced  map[pipeline.Kind]*pipeline.Format // by setAudioFormat, setVideoFormat

	encoder encoderRates
}

// port is one input or output with its flow state.
type port struct {
	kind    pipeline.Kind
	label   string
	in      pipeline.Input
	out     *pipeline.Output
	counter Counter // nil: cannot be watched
	flow    flow
}

// Init binds the base to its environment. Call it once, before anything else.
func (e *MediaElement) Init(env Env) {
	e.MediaObject.Init(env)
	e.encoder.init()
}

// Base implements Element.
func (e *MediaElement) Base() *MediaElement { return e }

// AddInput gives the element a port that receives kind. An input that
// implements Counter feeds the flow-in monitor. Connections that waited for the
// port become links; call it without holding a lock.
func (e *MediaElement) AddInput(kind pipeline.Kind, in pipeline.Input) {
	c, _ := in.(Counter)
	e.AddCountedInput(kind, in, c)
}

// AddCountedInput is AddInput with the count of another object than the input.
func (e *MediaElement) AddCountedInput(kind pipeline.Kind, in pipeline.Input, c Counter) {
	e.addPort(&port{kind: kind, label: DefaultDescription, in: in, counter: c})
	e.connectMu.Lock()
	defer e.connectMu.Unlock()
	for _, c := range e.connections(false) {
		c.realise()
	}
}

// AddOutput gives the element a port that sends; its kind is the Output's. Make
// the Output with Graph().NewOutput so that it converts. Connections that
// waited for the port become links; call it without holding a lock.
func (e *MediaElement) AddOutput(out *pipeline.Output) { e.AddCountedOutput(out, out) }

// AddCountedOutput is AddOutput with another count of what the element sends,
// for a source that forwards spliced links without Push.
func (e *MediaElement) AddCountedOutput(out *pipeline.Output, c Counter) {
	out.OnLinkError(e.linkFailed)
	out.OnEncoding(e.encoding)
	e.portMu.Lock()
	forced := e.forced[out.Kind()]
	e.portMu.Unlock()
	if forced != nil {
		out.Force(forced)
	}
	if mp := e.PipelineObject(); mp != nil && mp.LatencyStats() {
		out.MeasureLatency(true)
	}
	e.addPort(&port{kind: out.Kind(), label: DefaultDescription, out: out, counter: c})
	for _, c := range e.connections(true) {
		c.sink.connectMu.Lock()
		c.realise()
		c.sink.connectMu.Unlock()
	}
}

func (e *MediaElement) addPort(p *port) {
	e.portMu.Lock()
	if p.out != nil {
		e.outputs = append(e.outputs, p)
	} else {
		e.inputs = append(e.inputs, p)
	}
	closed := e.closed
	e.portMu.Unlock()
	if closed {
		if p.out != nil {
			p.out.Close()
		}
		return
	}
	if mp := e.PipelineObject(); mp != nil && p.counter != nil {
		mp.monitor.watch(e)
	}
}

// Input implements pipeline.Element; label "" is the default one.
func (e *MediaElement) Input(kind pipeline.Kind, label string) (pipeline.Input, error) {
	if p := e.port(kind, label, false); p != nil {
		return p.in, nil
	}
	return nil, fmt.Errorf("input %s %s of %s: %w", kind, label, e.ID(), kerr.UnsupportedMediaType)
}

// Output implements pipeline.Element; label "" is the default one.
func (e *MediaElement) Output(kind pipeline.Kind, label string) (*pipeline.Output, error) {
	if p := e.port(kind, label, true); p != nil {
		return p.out, nil
	}
	return nil, fmt.Errorf("output %s %s of %s: %w", kind, label, e.ID(), kerr.UnsupportedMediaType)
}

func (e *MediaElement) port(kind pipeline.Kind, label string, out bool) *port {
	if label == "" {
		label = DefaultDescription
	}
	e.portMu.Lock()
	defer e.portMu.Unlock()
	ports := e.inputs
	if out {
		ports = e.outputs
	}
	for _, p := range ports {
		if p.kind == kind && p.label == label {
			return p
		}
	}
	return nil
}

// measureLatency begins or ends measuring at all outputs.
func (e *MediaElement) measureLatency(on bool) {
	e.portMu.Lock()
	outputs := slices.Clone(e.outputs)
	e.portMu.Unlock()
	for _, p := range outputs {
		p.out.MeasureLatency(on)
	}
}

// connections copies the list of those this element feeds, or is fed by.
func (e *MediaElement) connections(feeds bool) []*connection {
	e.portMu.Lock()
	defer e.portMu.Unlock()
	if feeds {
		return slices.Clone(e.feeds)
	}
	return slices.Clone(e.fedBy)
}

// Close implements Object for types that own nothing but ports.
func (e *MediaElement) Close() error { return e.CloseBase() }

// CloseBase disconnects the element on both sides, with the neighbours' events,
// and closes its outputs. Idempotent; call it last in Close.
func (e *MediaElement) CloseBase() error {
	e.portMu.Lock()
	first := !e.closed
	e.closed = true
	e.portMu.Unlock()
	if !first {
		return nil
	}
	for _, c := range e.connections(true) {
		c.sink.connectMu.Lock()
		c.drop()
		c.sink.connectMu.Unlock()
	}
	e.connectMu.Lock()
	e.shut = true
	for _, c := range e.connections(false) {
		c.drop()
	}
	e.connectMu.Unlock()
	if mp := e.PipelineObject(); mp != nil {
		mp.monitor.forget(e)
	}
	e.portMu.Lock()
	outputs := slices.Clone(e.outputs)
	e.portMu.Unlock()
	for _, p := range outputs {
		p.out.Close()
	}
	if self, ok := e.Self().(pipeline.Element); ok && e.Graph() != nil {
		e.Graph().Remove(self)
	}
	return nil
}
