package events

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/govidu/govidu/internal/obs"
)

// Log is a Sink that writes each event's name and fields at level Info, without
// what a Redactor hides.
type Log struct{ Logger *slog.Logger }

// Emit implements Sink.
func (l Log) Emit(ctx context.Context, e Event) error {
	if r, ok := e.Fields.(Redactor); ok {
		e.Fields = r.Redacted()
	}
	fields, err := json.Marshal(e.Fields)
	if err != nil {
		return err
	}
	l.Logger.LogAttrs(ctx, slog.LevelInfo, e.Name, slog.String(obs.AttrSession, e.SessionID), obs.Remote("fields", string(fields)))
	return nil
}

// Memory is a Sink that keeps the newest events, for tests and the dashboard.
// The zero value keeps nothing; Limit is the number kept.
type Memory struct {
	Limit int

	mu     sync.Mutex
	events []Event
}

// Emit implements Sink.
func (m *Memory) Emit(_ context.Context, e Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
	if over := len(m.events) - m.Limit; over > 0 {
		m.events = slices.Delete(m.events, 0, over)
	}
	return nil
}

// Events gives a copy of what is kept, oldest first.
func (m *Memory) Events() []Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.events)
}

// Fan is a Sink that hands each event to several, in turn; one that fails does
// not keep it from the rest.
type Fan []Sink

// Emit implements Sink; it joins the errors.
func (f Fan) Emit(ctx context.Context, e Event) error {
	var errs []error
	for _, s := range f {
		errs = append(errs, s.Emit(ctx, e))
	}
	return errors.Join(errs...)
}
