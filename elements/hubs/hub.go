package hubs

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// Hub is what every hub is to its ports and to the members of the class Hub.
type Hub interface {
	elements.Node
	core() *hub
}

// director is what a concrete hub does with its ports. All calls come under
// hub.change.
type director interface {
	// attach gives a new port its inputs and outputs.
	attach(p *HubPort) error
	// detach takes a port that closes out of every route; its outputs close after.
	detach(p *HubPort)
	// shut ends what the hub runs by itself; its ports are closed already.
	shut()
	// dot is the hub's graph in DOT.
	dot(ctx context.Context) (string, error)
}

// hub is the base of every hub: it owns the ports, in order of birth, which is
// also the order in which a grid shows them.
type hub struct {
	elements.MediaObject
	director director

	change sync.Mutex // one change of ports and routes at a time (docs/locks.md)

	mu     sync.Mutex // leaf: ports, born, closed
	ports  []*HubPort
	born   int
	closed bool

	once sync.Once
}

func (h *hub) init(env elements.Env, d director) {
	h.MediaObject.Init(env)
	h.director = d
}

func (h *hub) core() *hub { return h }

// Input implements pipeline.Element, so that the hub closes with its graph: a
// hub has no media ports but its HubPorts.
func (h *hub) Input(kind pipeline.Kind, label string) (pipeline.Input, error) {
	return nil, fmt.Errorf("input %s %s of hub %s: %w", kind, label, h.ID(), kerr.UnsupportedMediaType)
}

// Output implements pipeline.Element; see Input.
func (h *hub) Output(kind pipeline.Kind, label string) (*pipeline.Output, error) {
	return nil, fmt.Errorf("output %s %s of hub %s: %w", kind, label, h.ID(), kerr.UnsupportedMediaType)
}

// list copies the living ports, oldest first.
func (h *hub) list() []*HubPort {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ports)
}

// add takes a new port in and has the director wire it.
func (h *hub) add(p *HubPort) error {
	h.change.Lock()
	defer h.change.Unlock()
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return kerr.New(kerr.MediaObjectNotFound, "Object '%s' not found", h.ID())
	}
	h.born++
	p.order = h.born
	h.ports = append(h.ports, p)
	h.mu.Unlock()
	if err := h.director.attach(p); err != nil {
		h.forget(p)
		return err
	}
	return nil
}

// remove takes a port out that closes; a second call does nothing.
func (h *hub) remove(p *HubPort) {
	h.change.Lock()
	defer h.change.Unlock()
	if h.forget(p) {
		h.director.detach(p)
	}
}

func (h *hub) forget(p *HubPort) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.Index(h.ports, p)
	if i < 0 {
		return false
	}
	h.ports = slices.Delete(h.ports, i, i+1)
	return true
}

// own checks that ports are living ones of this hub: 40004 in the original's words.
func (h *hub) own(text string, ports ...*HubPort) error {
	list := h.list()
	for _, p := range ports {
		if !slices.Contains(list, p) {
			return kerr.New(kerr.ConnectError, "%s", text)
		}
	}
	return nil
}

// fail raises the event Error on the hub and on each of its ports.
func (h *hub) fail(typ string, code int, text string) {
	h.EmitError(typ, code, text)
	for _, p := range h.list() {
		p.EmitError(typ, code, text)
	}
}

// Close closes the ports, youngest first, then what the hub runs. A second call
// waits for the first.
func (h *hub) Close() error {
	h.once.Do(func() {
		h.mu.Lock()
		h.closed = true
		h.mu.Unlock()
		for _, p := range slices.Backward(h.list()) {
			p.Close()
		}
		h.change.Lock()
		h.director.shut()
		h.change.Unlock()
		if self, ok := h.Self().(pipeline.Element); ok && h.Graph() != nil {
			h.Graph().Remove(self)
		}
	})
	return nil
}

// portDot draws the hub's ports and what they are connected to.
func (h *hub) portDot() string {
	var list []pipeline.Element
	for _, p := range h.list() {
		list = append(list, p)
	}
	return elements.Dot(h.ID(), list)
}
