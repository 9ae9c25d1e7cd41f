package elements

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// FlowInterval is how often the monitor of a pipeline looks at the counters of
// its ports: no cost per packet, and FLOWING at most this late.
const FlowInterval = 200 * time.Millisecond

// FlowWindow is how long a port stays FLOWING without a packet.
const FlowWindow = 2 * time.Second

// MediaFlowState is FLOWING or NOT_FLOWING.
type MediaFlowState string

// Values implements the enumeration.
func (MediaFlowState) Values() []string { return []string{"FLOWING", "NOT_FLOWING"} }

// MediaTranscodingState is TRANSCODING or NOT_TRANSCODING.
type MediaTranscodingState string

// Values implements the enumeration.
func (MediaTranscodingState) Values() []string { return []string{"TRANSCODING", "NOT_TRANSCODING"} }

const (
	transcoding    MediaTranscodingState = "TRANSCODING"
	notTranscoding MediaTranscodingState = "NOT_TRANSCODING"
)

// FlowFields are the fields of MediaFlowInStateChanged and MediaFlowOutStateChanged.
type FlowFields struct {
	State     MediaFlowState `json:"state"`
	PadName   string         `json:"padName"`
	MediaType MediaType      `json:"mediaType"`
}

// TranscodingFields are the fields of MediaTranscodingStateChanged.
type TranscodingFields struct {
	State     MediaTranscodingState `json:"state"`
	BinName   string                `json:"binName"`
	MediaType MediaType             `json:"mediaType"`
}

// flow is a port's state: written by the monitor alone, flowing under the
// element's portMu.
type flow struct {
	packets uint64
	last    time.Time
	flowing bool
	// transcoding is what was told of an output, "" before the first receiver.
	// It goes back only with the element, as in the original.
	transcoding MediaTranscodingState
}

// monitor watches the ports of one pipeline's elements.
type monitor struct {
	ctx context.Context

	mu       sync.Mutex // leaf
	elements []*MediaElement
	running  bool
	done     chan struct{}
}

func (m *monitor) watch(e *MediaElement) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() != nil || slices.Contains(m.elements, e) {
		return
	}
	m.elements = append(m.elements, e)
	if !m.running {
		m.running = true
		m.done = make(chan struct{})
		go m.run()
	}
}

func (m *monitor) forget(e *MediaElement) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.elements = slices.DeleteFunc(m.elements, func(x *MediaElement) bool { return x == e })
}

// wait returns when the goroutine has ended; the context must be done.
func (m *monitor) wait() {
	m.mu.Lock()
	done := m.done
	m.mu.Unlock()
	if done != nil {
		<-done
	}
}

func (m *monitor) run() {
	defer close(m.done)
	t := time.NewTicker(FlowInterval)
	defer t.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case now := <-t.C:
			m.mu.Lock()
			list := slices.Clone(m.elements)
			m.mu.Unlock()
			for _, e := range list {
				e.pollFlow(now)
			}
		}
	}
}

// pollFlow compares counters and raises what changed, outputs first.
func (e *MediaElement) pollFlow(now time.Time) {
	type change struct {
		event  string
		fields any
	}
	var changes []change
	e.portMu.Lock()
	outputs, inputs, closed := e.outputs, e.inputs, e.closed // only ever appended to
	e.portMu.Unlock()
	if closed {
		return
	}
	// Counters belong to the families and may take their locks: ours is not held then.
	look := func(event string, p *port) {
		if p.counter == nil || p.kind == pipeline.Data {
			return
		}
		n, _ := p.counter.Counters()
		e.portMu.Lock()
		defer e.portMu.Unlock()
		was := p.flow.flowing
		switch {
		case n != p.flow.packets:
			p.flow.packets, p.flow.last, p.flow.flowing = n, now, true
		case was && now.Sub(p.flow.last) >= FlowWindow:
			p.flow.flowing = false
		}
		if p.flow.flowing != was {
			state := MediaFlowState("NOT_FLOWING")
			if p.flow.flowing {
				state = "FLOWING"
			}
			changes = append(changes, change{event, FlowFields{state, p.label, MediaTypeOf(p.kind)}})
		}
	}
	for _, p := range outputs {
		look("MediaFlowOutStateChanged", p)
		if state := p.transcodes(); state != p.flow.transcoding {
			e.portMu.Lock()
			p.flow.transcoding = state
			e.portMu.Unlock()
			changes = append(changes, change{"MediaTranscodingStateChanged", TranscodingFields{state, p.binName(), MediaTypeOf(p.kind)}})
		}
	}
	for _, p := range inputs {
		look("MediaFlowInStateChanged", p)
	}
	for _, c := range changes {
		e.Emit(c.event, c.fields)
		e.Emit(strings.TrimSuffix(c.event, "d"), c.fields) // the 6.x name, for who subscribed to it
	}
}

// binName stands for the name of the original's agnostic bin, of which there is
// one per output.
func (p *port) binName() string { return "agnosticbin_" + p.kind.String() }

// transcodes is the state of a flowing output with receivers.
func (p *port) transcodes() MediaTranscodingState {
	if p.kind == pipeline.Data || !p.flow.flowing || p.flow.transcoding == transcoding || p.out.Links() == 0 {
		return p.flow.transcoding
	}
	if p.out.Transcoding() {
		return transcoding
	}
	return notTranscoding
}

type flowInParams struct {
	MediaType   MediaType `json:"mediaType"`
	Description string    `json:"sinkMediaDescription" default:"default"`
}

type flowOutParams struct {
	MediaType   MediaType `json:"mediaType"`
	Description string    `json:"sourceMediaDescription" default:"default"`
}

type transcodingParams struct {
	MediaType MediaType `json:"mediaType"`
	BinName   string    `json:"binName" default:"default"`
}

func (e *MediaElement) isMediaFlowingIn(_ context.Context, p flowInParams) (bool, error) {
	return e.flowing(p.MediaType, p.Description, false)
}

func (e *MediaElement) isMediaFlowingOut(_ context.Context, p flowOutParams) (bool, error) {
	return e.flowing(p.MediaType, p.Description, true)
}

func (e *MediaElement) flowing(t MediaType, label string, out bool) (bool, error) {
	if t == DataType {
		return false, kerr.New(kerr.MediaObjectIllegalParam, "Media type DATA not supported")
	}
	p := e.port(t.Kind(), label, out)
	if p == nil {
		return false, nil
	}
	e.portMu.Lock()
	defer e.portMu.Unlock()
	return p.flow.flowing, nil
}

// isMediaTranscoding tells of the bin of that name, or of any when it is
// "default". Of each kind there is one.
func (e *MediaElement) isMediaTranscoding(_ context.Context, p transcodingParams) (bool, error) {
	if p.MediaType == DataType {
		return false, kerr.New(kerr.MediaObjectIllegalParam, "Media type DATA not supported")
	}
	e.portMu.Lock()
	defer e.portMu.Unlock()
	return slices.ContainsFunc(e.outputs, func(o *port) bool {
		return o.kind == p.MediaType.Kind() && (p.BinName == DefaultDescription || p.BinName == o.binName()) && o.flow.transcoding == transcoding
	}), nil
}
