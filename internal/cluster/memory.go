package cluster

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

// watchBuffer is how many changes a Watch may be behind before it gets an error.
const watchBuffer = 4096

// ErrLagging ends a Watch whose consumer fell too far behind.
var ErrLagging = errors.New("watch fell behind")

// Memory is the Store of one node: a map, gone with the process.
type Memory struct {
	mu       sync.Mutex
	last     Revision
	entries  map[string]*memoryEntry
	watchers map[*watcher]struct{}
	closed   bool
}

type memoryEntry struct {
	Entry
	ttl    time.Duration
	expiry *time.Timer
}

type watcher struct {
	prefix  string
	pending []Entry
	lagging bool
	closed  bool
	wake    chan struct{}
}

var _ Store = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{entries: map[string]*memoryEntry{}, watchers: map[*watcher]struct{}{}}
}

// Close drops everything and ends every Watch; later calls fail with ErrClosed.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	for _, e := range m.entries {
		e.stop()
	}
	m.entries = map[string]*memoryEntry{}
	for w := range m.watchers {
		w.closed = true
		w.signal()
	}
	return nil
}

// Get implements Store.
func (m *Memory) Get(ctx context.Context, key string) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := m.find(ctx, key)
	if err != nil {
		return Entry{}, err
	}
	return e.copied(), nil
}

// Create implements Store.
func (m *Memory) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch _, err := m.find(ctx, key); {
	case err == nil:
		return 0, ErrExists
	case !errors.Is(err, ErrNotFound):
		return 0, err
	}
	return m.put(key, value, ttl), nil
}

// Update implements Store.
func (m *Memory) Update(ctx context.Context, key string, value []byte, last Revision) (Revision, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := m.find(ctx, key)
	if err != nil {
		return 0, err
	}
	if e.Revision != last {
		return 0, ErrConflict
	}
	e.stop()
	return m.put(key, value, e.ttl), nil
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, key string, last Revision) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := m.find(ctx, key)
	if err != nil {
		return err
	}
	if e.Revision != last {
		return ErrConflict
	}
	m.remove(e)
	return nil
}

// Watch implements Store.
func (m *Memory) Watch(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		w, first, err := m.watch(prefix)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		defer m.unwatch(w)
		for _, e := range first {
			if !yield(e, nil) {
				return
			}
		}
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.wake:
			}
			changes, err := m.changes(w)
			for _, e := range changes {
				if ctx.Err() != nil || !yield(e, nil) {
					return
				}
			}
			if err != nil {
				yield(Entry{}, err)
				return
			}
		}
	}
}

func (m *Memory) watch(prefix string) (*watcher, []Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, nil, ErrClosed
	}
	w := &watcher{prefix: prefix, wake: make(chan struct{}, 1)}
	m.watchers[w] = struct{}{}
	var first []Entry
	for key, e := range m.entries {
		if strings.HasPrefix(key, prefix) {
			first = append(first, e.copied())
		}
	}
	slices.SortFunc(first, func(a, b Entry) int {
		if a.Revision < b.Revision {
			return -1
		}
		return 1
	})
	return w, first, nil
}

func (m *Memory) unwatch(w *watcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watchers, w)
}

func (m *Memory) changes(w *watcher) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	changes := w.pending
	w.pending = nil
	switch {
	case w.closed:
		return changes, ErrClosed
	case w.lagging:
		return changes, ErrLagging
	}
	return changes, nil
}

// find, put, remove and publish run under mu.
func (m *Memory) find(ctx context.Context, key string) (*memoryEntry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.closed {
		return nil, ErrClosed
	}
	e, ok := m.entries[key]
	if !ok {
		return nil, ErrNotFound
	}
	return e, nil
}

func (m *Memory) put(key string, value []byte, ttl time.Duration) Revision {
	m.last++
	e := &memoryEntry{Entry: Entry{Key: key, Value: slices.Clone(value), Revision: m.last}, ttl: ttl}
	m.entries[key] = e
	if ttl > 0 {
		e.expiry = time.AfterFunc(ttl, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.entries[key] == e {
				m.remove(e)
			}
		})
	}
	m.publish(e.copied())
	return m.last
}

func (m *Memory) remove(e *memoryEntry) {
	e.stop()
	delete(m.entries, e.Key)
	m.last++
	m.publish(Entry{Key: e.Key, Revision: m.last, Deleted: true})
}

func (m *Memory) publish(e Entry) {
	for w := range m.watchers {
		if !strings.HasPrefix(e.Key, w.prefix) || w.lagging {
			continue
		}
		if len(w.pending) >= watchBuffer {
			w.lagging = true
		} else {
			w.pending = append(w.pending, e)
		}
		w.signal()
	}
}

func (w *watcher) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (e *memoryEntry) stop() {
	if e.expiry != nil {
		e.expiry.Stop()
	}
}

func (e *memoryEntry) copied() Entry {
	c := e.Entry
	c.Value = slices.Clone(c.Value)
	return c
}
