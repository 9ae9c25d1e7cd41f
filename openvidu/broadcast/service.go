package broadcast

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/studio"
)

// Options configure a Service. Rooms, Studios and Log are required.
type Options struct {
	Rooms   Rooms
	Studios Studios
	Log     *slog.Logger
	// PublicURL is the address of this server, before "openvidu/hls/…".
	PublicURL string
	// Dir is the recordings folder, absolute; recorded HLS broadcasts lie in its
	// folder "broadcasts". "" refuses to record.
	Dir string
	// StartTimeout bounds a start, 15 s; StopTimeout the media calls of a stop, 5 s.
	StartTimeout, StopTimeout time.Duration
	// MaxPerSession bounds the broadcasts of one session, 16. What the machine can
	// carry is the media node's to say.
	MaxPerSession int
}

// Service broadcasts sessions. It must be among the Manager's recorders
// (openvidu.Recorders), or broadcasts outlive their session. Safe for concurrent use.
type Service struct {
	opts Options
	log  *slog.Logger
	wg   sync.WaitGroup

	mu     sync.Mutex // leaf: closed and the list
	closed bool
	list   []*active
}

// New makes a service; Close ends it.
func New(o Options) *Service {
	o.StartTimeout = cmp.Or(o.StartTimeout, 15*time.Second)
	o.StopTimeout = cmp.Or(o.StopTimeout, 5*time.Second)
	o.MaxPerSession = cmp.Or(o.MaxPerSession, 16)
	o.PublicURL = strings.TrimSuffix(o.PublicURL, "/")
	return &Service{opts: o, log: o.Log}
}

// Close stops every broadcast with openviduServerStopped and ends all goroutines.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.finishAll(s.all(), openvidu.ReasonServerStopped)
	s.wg.Wait()
	return nil
}

// finishAll stops broadcasts side by side and waits for them.
func (s *Service) finishAll(list []*active, reason openvidu.Reason) {
	var wg sync.WaitGroup
	for _, a := range list {
		wg.Go(func() {
			defer obs.Guard(s.log, "broadcast.finish", nil)
			a.finish(reason)
		})
	}
	wg.Wait()
}

func (s *Service) all() []*active {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

func (s *Service) of(sessionID string) []*active {
	return slices.DeleteFunc(s.all(), func(a *active) bool { return a.target.SessionID != sessionID })
}

// Check does what the contract tests of the session before it looks at parameters
// (§10, in the order of §7.1): openvidu.ErrSessionNotFound, ErrConflict,
// openvidu.ErrSessionNotActive. name "" is a broadcast without one.
func (s *Service) Check(ctx context.Context, sessionID, name string) error {
	_, err := s.check(ctx, sessionID, name)
	return err
}

func (s *Service) check(ctx context.Context, sessionID, name string) (openvidu.RecordingTarget, error) {
	t, err := s.opts.Rooms.RecordingTarget(ctx, sessionID)
	switch {
	case err != nil:
		return t, err
	case t.MediaMode != openvidu.MediaRouted, s.taken(sessionID, name):
		return t, ErrConflict
	case !t.Active:
		return t, openvidu.ErrSessionNotActive
	}
	return t, nil
}

// taken says whether a session has a broadcast of the name, or, without a name,
// any.
func (s *Service) taken(sessionID, name string) bool {
	return slices.ContainsFunc(s.of(sessionID), func(a *active) bool { return name == "" || a.spec.Name == name })
}

// reserve notes a new broadcast, so that no other takes its name.
func (s *Service) reserve(t openvidu.RecordingTarget, spec Spec) (*active, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	n := 0
	for _, a := range s.list {
		if a.target.SessionID != t.SessionID {
			continue
		}
		if n++; spec.Name == "" || a.spec.Name == spec.Name {
			return nil, ErrConflict
		}
	}
	if n >= s.opts.MaxPerSession {
		return nil, openvidu.ErrLimit
	}
	spec.Name = cmp.Or(spec.Name, DefaultName)
	a := newActive(s, "brd_"+rand.Text()[:12], t, spec)
	s.list = append(s.list, a)
	return a, nil
}

func (s *Service) forget(a *active) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(s.list, func(b *active) bool { return a == b })
}

// Start broadcasts a session and returns when the target takes the stream, or when
// the playlist is served. Errors: those of Check; ErrClosed; ErrNoCapacity;
// ErrLayout; openvidu.ErrLimit; *StartError for all that goes wrong in the doing.
// After an error nothing of the broadcast goes on.
//
// The caller's context bounds the checks only: a start that has begun is carried
// through even when the caller hangs up.
func (s *Service) Start(ctx context.Context, sessionID string, spec Spec) (Broadcast, error) {
	t, err := s.check(ctx, sessionID, spec.Name)
	if err != nil {
		return Broadcast{}, err
	}
	if spec.Record && s.opts.Dir == "" {
		return Broadcast{}, &StartError{"recording is switched off on this server"}
	}
	a, err := s.reserve(t, spec)
	if err != nil {
		return Broadcast{}, err
	}
	if err := a.start(context.WithoutCancel(ctx)); err != nil {
		return Broadcast{}, err
	}
	return a.view(), nil
}

// Stop ends the broadcast of a session that has the name, or with "" all of them,
// one still starting included: openvidu.ErrSessionNotFound, ErrNotBroadcasting.
func (s *Service) Stop(ctx context.Context, sessionID, name string, reason openvidu.Reason) error {
	list := s.of(sessionID)
	if name != "" {
		list = slices.DeleteFunc(list, func(a *active) bool { return a.spec.Name != name })
	}
	if len(list) == 0 {
		if _, err := s.opts.Rooms.RecordingTarget(ctx, sessionID); err != nil {
			return err
		}
		return ErrNotBroadcasting
	}
	s.finishAll(list, reason)
	return nil
}

// List gives all broadcasts, oldest first.
func (s *Service) List() []Broadcast {
	out := []Broadcast{}
	for _, a := range s.all() {
		out = append(out, a.view())
	}
	return out
}

// Resolve turns recordingLayout and customLayout of a request into a layout:
// ErrLayout, also for a web page, which this server does not broadcast.
func (s *Service) Resolve(name, custom string) (layout.Spec, error) {
	l, err := s.opts.Studios.Resolve(name, custom)
	return l, refusal(err)
}

// SetLayout changes the layout of a running broadcast: ErrNotFound, ErrLayout,
// ErrNoCapacity, openvidu.ErrMedia.
func (s *Service) SetLayout(ctx context.Context, sessionID, name string, l layout.Spec) error {
	v, err := s.running(sessionID, name)
	if err != nil {
		return err
	}
	return refusal(v.SetLayout(ctx, l))
}

// Layout gives the layout of a running broadcast and the tiles as they are now.
func (s *Service) Layout(ctx context.Context, sessionID, name string) (layout.Spec, []studio.Tile, error) {
	v, err := s.running(sessionID, name)
	if err != nil {
		return layout.Spec{}, nil, err
	}
	tiles, err := v.Tiles(ctx)
	return v.Layout(), tiles, refusal(err)
}

func (s *Service) running(sessionID, name string) (View, error) {
	for _, a := range s.of(sessionID) {
		if a.spec.Name != name {
			continue
		}
		if v := a.current(); v != nil {
			return v, nil
		}
	}
	return nil, ErrNotFound
}
