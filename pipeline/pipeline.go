package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/kerr"
)

// Pipeline owns elements: they are closed with it, youngest first. Its Epoch is
// the zero of every PTS in it.
type Pipeline struct {
	id      string
	epoch   time.Time
	ctx     context.Context
	cancel  context.CancelFunc
	planner *Planner

	mu       sync.Mutex
	elements []Element
	closed   bool
	done     chan struct{}
}

// New makes an empty pipeline whose links may be bridged by converters.
func New(id string, converters ...Converter) *Pipeline {
	ctx, cancel := context.WithCancel(context.Background())
	return &Pipeline{
		id: id, epoch: time.Now(), ctx: ctx, cancel: cancel,
		planner: NewPlanner(ctx, converters...), done: make(chan struct{}),
	}
}

// ID is the pipeline's id.
func (p *Pipeline) ID() string { return p.id }

// Epoch is the instant of PTS zero, with its monotonic reading.
func (p *Pipeline) Epoch() time.Time { return p.epoch }

// Context ends when the pipeline closes; elements live under it.
func (p *Pipeline) Context() context.Context { return p.ctx }

// Planner finds converters for the Outputs of this pipeline's elements.
func (p *Pipeline) Planner() *Planner { return p.planner }

// NewOutput makes an Output that converts by this pipeline's planner.
func (p *Pipeline) NewOutput(kind Kind, label string, producer Producer) *Output {
	return NewOutput(kind, label, producer, p.planner)
}

// Add takes an element in; it fails when the pipeline is closed.
func (p *Pipeline) Add(e Element) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("add %s to closed pipeline %s: %w", e.ID(), p.id, kerr.MediaObjectNotFound)
	}
	p.elements = append(p.elements, e)
	return nil
}

// Remove forgets an element that closes on its own; unknown ones are ignored.
func (p *Pipeline) Remove(e Element) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.elements = slices.DeleteFunc(p.elements, func(x Element) bool { return x == e })
}

// Elements lists the elements, oldest first.
func (p *Pipeline) Elements() []Element {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.elements)
}

// Close closes the elements in reverse order of birth and waits for them. A
// second call waits for the first.
func (p *Pipeline) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		<-p.done
		return nil
	}
	p.closed = true
	elements := p.elements
	p.elements = nil
	p.mu.Unlock()
	defer close(p.done)
	defer p.cancel()
	var errs []error
	for _, e := range slices.Backward(elements) {
		if err := e.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", e.ID(), err))
		}
	}
	return errors.Join(errs...)
}
