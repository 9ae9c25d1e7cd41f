package recording

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu"
)

// active is a recording that this process has not finished yet.
type active struct {
	service *Service
	log     *slog.Logger
	props   openvidu.RecordingProperties
	born    time.Time // monotonic

	// saving is the right to write the metadata file: one holder, who takes his
	// snapshot after he got it, so that the file never goes back in time.
	saving chan struct{}
	// housed is closed when the recording has its folder, decided when the start has
	// succeeded or failed, final when the recording is ready or failed.
	housed, decided, final chan struct{}
	// abort ends a start that is waiting.
	abort context.CancelFunc

	mu       sync.Mutex // leaf: everything below
	meta     metadata
	takes    []*take
	one      *composite     // of a composed recording
	count    map[string]int // takes per stream id
	autostop *time.Timer
	decideOK sync.Once
	finalOK  sync.Once
}

func newActive(s *Service, m metadata, p openvidu.RecordingProperties) *active {
	return &active{ // a composite is added by start
		service: s, meta: m, props: p, born: time.Now(), log: s.log.With(obs.AttrRecording, m.ID, obs.AttrSession, m.SessionID),
		saving: make(chan struct{}, 1), housed: make(chan struct{}), decided: make(chan struct{}), final: make(chan struct{}),
		abort: func() {}, count: map[string]int{},
	}
}

// snapshot copies the metadata as it is now.
func (a *active) snapshot() metadata {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.meta
	m.Files, m.Changes = slices.Clone(m.Files), slices.Clone(m.Changes)
	return m
}

// update changes the metadata in memory; save puts it on the disk.
func (a *active) update(f func(m *metadata)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.meta)
}

// move changes the status if it is one of from.
func (a *active) move(to Status, from ...Status) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(from, a.meta.Status) {
		return false
	}
	a.meta.Status = to
	return true
}

// save writes the metadata. On the disk a starting recording is called started,
// since that is written before the first media byte (robustness §4.2).
func (a *active) save() error {
	a.saving <- struct{}{}
	defer func() { <-a.saving }()
	m := a.snapshot()
	if m.Status == Starting {
		m.Status = Started
	}
	m.UpdatedAt = time.Now().UnixMilli()
	for _, t := range a.allTakes() {
		m.Files = append(m.Files, t.describe())
	}
	if c := a.whole(); c != nil && m.URL == nil {
		m.Files = []fileMeta{c.describe()}
	}
	return a.service.store.writeMeta(&m)
}

// whole is the recording's composite, nil for one of takes.
func (a *active) whole() *composite {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.one
}

func (a *active) allTakes() []*take {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.takes)
}

// waitFinal waits for ready or failed, until ctx ends.
func (a *active) waitFinal(ctx context.Context) {
	select {
	case <-a.final:
	case <-ctx.Done():
	}
}

// awaitHouse waits until there is a folder for files, or will be none.
func (a *active) awaitHouse(ctx context.Context) {
	select {
	case <-a.housed:
	case <-a.decided:
	case <-ctx.Done():
	}
}

func (a *active) markDecided() { a.decideOK.Do(func() { close(a.decided) }) }
func (a *active) markFinal()   { a.finalOK.Do(func() { close(a.final) }) }

// wants says whether a stream gets a file of its own: its connection is to be
// recorded, and it has something of what the recording takes. A composed recording
// shows everybody, whatever the connection's record says, since it subscribes to
// everything (§8.1); its studio sees to that.
func (a *active) wants(s openvidu.StreamInfo) bool {
	return !a.props.Composed() && s.Record && ((s.HasAudio && a.props.HasAudio) || (s.HasVideo && a.props.HasVideo))
}

// join begins a take of a stream, unless one is already running: a stream may be
// both in the snapshot of a start and told by the hook. It gives nil when there
// is nothing to do.
func (a *active) join(s openvidu.StreamInfo) *take {
	if !a.wants(s) {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.meta.Status != Starting && a.meta.Status != Started {
		return nil
	}
	for _, t := range a.takes {
		if t.stream.StreamID == s.StreamID && (t.stream.Endpoint == s.Endpoint || !t.stopping) {
			return nil
		}
	}
	n := a.count[s.StreamID]
	a.count[s.StreamID]++
	name := s.StreamID
	if n > 0 {
		name = fmt.Sprintf("%s-%d", s.StreamID, n)
	}
	t := newTake(a, s, name)
	a.takes = append(a.takes, t)
	return t
}

// running finds the take of a stream that has not been asked to stop.
func (a *active) running(streamID string) *take {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.takes {
		if t.stream.StreamID == streamID && !t.stopping {
			return t
		}
	}
	return nil
}

// armAutostop starts the timer of §7.6; disarm aborts it.
func (a *active) armAutostop(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.autostop != nil {
		a.autostop.Stop()
	}
	a.autostop = time.AfterFunc(d, func() {
		a.service.spawn("recording.autostop", func() {
			a.log.Info("recording stops by itself", "after", d)
			_ = a.service.finish(a.service.ctx, a, openvidu.ReasonAutomaticStop)
		})
	})
}

func (a *active) disarmAutostop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.autostop != nil {
		a.autostop.Stop()
		a.autostop = nil
	}
}
