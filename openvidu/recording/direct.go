package recording

import (
	"context"
	"errors"
	"time"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/openvidu/studio"
)

// Refusals of the director's calls.
var (
	// ErrNotComposed: the recording has no picture of everybody.
	ErrNotComposed = errors.New("recording is not composed")
	// ErrNotRunning: it has not started yet, or has been stopped.
	ErrNotRunning = errors.New("recording is not running")
	// ErrPaused and ErrNotPaused refuse a second pause and a second resume.
	ErrPaused    = errors.New("recording is paused already")
	ErrNotPaused = errors.New("recording is not paused")
	// ErrNoLayout: it is drawn by a web page, which has no layout of ours.
	ErrNoLayout = errors.New("recording is drawn by a web page")
)

// LayoutState is the layout of a running composed recording and where it puts
// everybody now.
type LayoutState struct {
	Layout layout.Spec   `json:"layout"`
	Tiles  []studio.Tile `json:"tiles"`
}

// change is one entry of a composed recording's log: what was done to it when, in
// ms since 1970.
type change struct {
	At   int64  `json:"at"`
	Type string `json:"type"` // pause, resume, layout
	// Layout is the new layout.
	Layout *layout.Spec `json:"layout,omitempty"`
}

// maxChanges bounds the log; later changes are counted only.
const maxChanges = 1000

// running gives the composite of a recording that is in progress.
func (s *Service) running(id string) (*active, *composite, error) {
	if !idForm.MatchString(id) {
		return nil, nil, ErrNotFound
	}
	a := s.lookup(id)
	if a == nil {
		if _, err := s.store.readMeta(id); err != nil {
			return nil, nil, ErrNotFound
		}
		return nil, nil, ErrNotRunning
	}
	m := a.snapshot()
	switch {
	case m.Status != Started:
		return nil, nil, ErrNotRunning
	case a.whole() == nil:
		return nil, nil, ErrNotComposed
	}
	return a, a.whole(), nil
}

// Layout gives the layout of a running composed recording: ErrNotFound,
// ErrNotRunning, ErrNotComposed, ErrNoLayout, *studio.Error.
func (s *Service) Layout(ctx context.Context, id string) (LayoutState, error) {
	_, c, err := s.running(id)
	if err != nil {
		return LayoutState{}, err
	}
	if c.view == nil {
		return LayoutState{}, ErrNoLayout
	}
	tiles, err := c.view.Tiles(ctx)
	return LayoutState{c.view.Layout(), tiles}, err
}

// SetLayout changes the layout of a running composed recording from one picture to
// the next. Errors are those of Layout; the old layout stays then.
func (s *Service) SetLayout(ctx context.Context, id string, spec layout.Spec) (LayoutState, error) {
	a, c, err := s.running(id)
	if err != nil {
		return LayoutState{}, err
	}
	if c.view == nil {
		return LayoutState{}, ErrNoLayout
	}
	err = c.take(ctx, func(ctx context.Context) error {
		if err := c.view.SetLayout(ctx, spec); err != nil {
			return err
		}
		a.noteChange(change{At: time.Now().UnixMilli(), Type: "layout", Layout: slim(spec)})
		return nil
	})
	if err != nil {
		return LayoutState{}, err
	}
	return s.Layout(ctx, id)
}

// slim is a layout for the log: images that are in it whole would swell it.
func slim(spec layout.Spec) *layout.Spec {
	const most = 256
	if b := spec.Background; b != nil && len(b.Image) > most {
		spec.Background = &layout.Background{Color: b.Color, Image: b.Image[:most]}
	}
	if l := spec.Logo; l != nil && len(l.Image) > most {
		logo := *l
		logo.Image = l.Image[:most]
		spec.Logo = &logo
	}
	return &spec
}

// Pause cuts what follows out of a running composed recording, until Resume or the
// stop; the file stays one. ErrNotFound, ErrNotRunning, ErrNotComposed, ErrPaused.
func (s *Service) Pause(ctx context.Context, id string) (Recording, error) {
	return s.toggle(ctx, id, true)
}

// Resume goes on in the same file: ErrNotFound, ErrNotRunning, ErrNotComposed,
// ErrNotPaused.
func (s *Service) Resume(ctx context.Context, id string) (Recording, error) {
	return s.toggle(ctx, id, false)
}

func (s *Service) toggle(ctx context.Context, id string, pause bool) (Recording, error) {
	a, c, err := s.running(id)
	if err != nil {
		return Recording{}, err
	}
	op, what, refusal := "record", "resume", ErrNotPaused
	if pause {
		op, what, refusal = "pause", "pause", ErrPaused
	}
	err = c.take(ctx, func(ctx context.Context) error {
		if c.isPaused() == pause {
			return refusal
		}
		if err := c.studio.Media().Invoke(ctx, c.rec, op, nil, nil); err != nil {
			return err
		}
		c.mu.Lock()
		c.paused = pause
		c.mu.Unlock()
		a.noteChange(change{At: time.Now().UnixMilli(), Type: what})
		return nil
	})
	if err != nil {
		return Recording{}, err
	}
	m := a.snapshot()
	return m.shown(), nil
}

// take runs one change of a composite after another; ErrNotRunning once it stops.
func (c *composite) take(ctx context.Context, f func(ctx context.Context) error) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-c.ended:
		return ErrNotRunning
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over {
		return ErrNotRunning
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.active.service.opts.StopTimeout)
	defer cancel()
	if err := f(ctx); err != nil {
		if c.studio.Lost() {
			return ErrNotRunning
		}
		return err
	}
	if err := c.active.save(); err != nil {
		c.active.log.Warn("metadata could not be written", obs.AttrErr, err)
	}
	return nil
}

func (c *composite) isPaused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused
}

// noteChange adds to the recording's log.
func (a *active) noteChange(c change) {
	a.happened(proof.Event{At: c.At, Event: map[string]string{"pause": "paused", "resume": "resumed", "layout": "layoutChanged"}[c.Type]})
	a.update(func(m *metadata) {
		if len(m.Changes) >= maxChanges {
			m.ChangesLeftOut++
			return
		}
		m.Changes = append(m.Changes, c)
	})
}
