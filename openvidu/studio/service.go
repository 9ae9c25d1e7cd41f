package studio

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
)

// Rooms is what studios need of the rules of rooms; *openvidu.Manager is one.
type Rooms interface {
	RecordingTarget(ctx context.Context, sessionID string) (openvidu.RecordingTarget, error)
	EnsureMedia(ctx context.Context, sessionID string) (client.Client, client.ID, error)
}

var (
	_ Rooms                  = (*openvidu.Manager)(nil)
	_ openvidu.Recorder      = (*Service)(nil)
	_ openvidu.StreamWatcher = (*Service)(nil)
)

// Options configure a Service. Rooms and Log are required.
type Options struct {
	Rooms Rooms
	Log   *slog.Logger
	// LayoutsDir is the folder of custom layouts (OPENVIDU_RECORDING_CUSTOM_LAYOUT);
	// it need not exist.
	LayoutsDir string
	// LatencyMs is how far composed pictures lag behind; 0 is the node's default.
	LatencyMs int
	// CallTimeout bounds one call to a media node, 10 s: a composing process may
	// have to be started.
	CallTimeout time.Duration
}

// Service keeps the studios of all sessions. Safe for concurrent use. It must be
// among the Manager's recorders (openvidu.Recorders), or its streams stand still.
type Service struct {
	opts Options
	log  *slog.Logger
	wg   sync.WaitGroup // goroutines of stages

	mu     sync.Mutex // leaf
	closed bool
	stages map[string]*stage // by the session's unique id
}

// New makes a service; Close ends it.
func New(o Options) *Service {
	o.CallTimeout = cmp.Or(o.CallTimeout, 10*time.Second)
	return &Service{opts: o, log: o.Log, stages: map[string]*stage{}}
}

// Open gives the session's studio, with every stream that is published. The
// Director is made at the first Open and freed with the last Close. Errors: those
// of Rooms; *Error of kind ErrNoCapacity, ErrUnavailable, ErrLost, ErrMedia,
// ErrClosed.
func (s *Service) Open(ctx context.Context, t openvidu.RecordingTarget) (*Studio, error) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, refuse(ErrClosed, ErrClosed.Error())
	}
	st := s.stages[t.UniqueID]
	if st == nil || st.dead() {
		st = newStage(s, t)
		s.stages[t.UniqueID] = st
	}
	st.refs++
	s.mu.Unlock()

	studio := &Studio{stage: st}
	select {
	case <-st.ready:
	case <-ctx.Done():
		_ = studio.Close(context.WithoutCancel(ctx))
		return nil, ctx.Err()
	}
	if st.err != nil {
		_ = studio.Close(ctx)
		return nil, st.err
	}
	return studio, nil
}

// release takes one holder away; the last one ends the stage.
func (s *Service) release(st *stage) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.refs--
	if st.refs > 0 {
		return false
	}
	s.forget(st)
	return true
}

// forget lets the next Open make a new stage. Under mu.
func (s *Service) forget(st *stage) {
	if s.stages[st.uniqueID] == st {
		delete(s.stages, st.uniqueID)
	}
}

func (s *Service) of(uniqueID string) *stage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stages[uniqueID]
}

// Close frees every Director and ends all goroutines. Studios still held answer
// ErrClosed.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	var all []*stage
	for _, st := range s.stages {
		all = append(all, st)
	}
	clear(s.stages)
	s.mu.Unlock()
	for _, st := range all {
		st.end()
	}
	s.wg.Wait()
	return nil
}

// StreamPublished implements openvidu.Recorder: the stream gets a port, or its
// port another endpoint.
func (s *Service) StreamPublished(ctx context.Context, info openvidu.StreamInfo, _ bool) {
	if st := s.of(info.UniqueID); st != nil {
		st.run(ctx, func() { st.join(info) })
	}
}

// StreamChanged implements openvidu.StreamWatcher.
func (s *Service) StreamChanged(ctx context.Context, info openvidu.StreamInfo) {
	if st := s.of(info.UniqueID); st != nil {
		st.run(ctx, func() { st.change(info) })
	}
}

// StreamUnpublished implements openvidu.Recorder: the stream's port goes, unless
// only its endpoint is replaced.
func (s *Service) StreamUnpublished(ctx context.Context, info openvidu.StreamInfo, _ openvidu.Reason) {
	if st := s.of(info.UniqueID); st != nil && !info.Replaced {
		st.run(ctx, func() { st.leave(info) })
	}
}

// ParticipantJoined implements openvidu.Recorder.
func (s *Service) ParticipantJoined(string) {}

// SessionEmpty implements openvidu.Recorder.
func (s *Service) SessionEmpty(string, openvidu.Reason) {}

// SessionClosing implements openvidu.Recorder: those who hold a studio close it,
// and the pipeline takes the rest with it.
func (s *Service) SessionClosing(context.Context, string, openvidu.Reason) {}
