package broadcast

import (
	"context"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/events"
	"github.com/govidu/govidu/openvidu/studio"
)

// Rooms is what the service needs of the rules of rooms; *openvidu.Manager is one.
type Rooms interface {
	RecordingTarget(ctx context.Context, sessionID string) (openvidu.RecordingTarget, error)
	SetBroadcasting(ctx context.Context, sessionID string, b openvidu.BroadcastMark) error
	Emit(ctx context.Context, sessionID string, e events.Event)
}

var (
	_ Rooms             = (*openvidu.Manager)(nil)
	_ openvidu.Recorder = (*Service)(nil)
	_ View              = (*studio.View)(nil)
)

// Studios opens the studio of a session. Who opened one closes it.
type Studios interface {
	// Resolve turns the properties of a request into a layout (studio.Service.Resolve).
	Resolve(name, custom string) (layout.Spec, error)
	Open(ctx context.Context, t openvidu.RecordingTarget) (Studio, error)
}

// Studio composes one session on a media node (see studio.Studio).
type Studio interface {
	NewView(ctx context.Context, v studio.ViewSpec) (View, error)
	Media() client.Client
	Pipeline() client.ID
	Close(ctx context.Context) error
}

// View is one composition, a source of picture and sound (see studio.View).
type View interface {
	ID() client.ID
	SetLayout(ctx context.Context, l layout.Spec) error
	Layout() layout.Spec
	Tiles(ctx context.Context) ([]studio.Tile, error)
	Close(ctx context.Context) error
}

// StudiosOf gives the studios of a service.
func StudiosOf(s *studio.Service) Studios { return studios{s} }

type studios struct{ service *studio.Service }

func (s studios) Resolve(name, custom string) (layout.Spec, error) {
	return s.service.Resolve(name, custom)
}

func (s studios) Open(ctx context.Context, t openvidu.RecordingTarget) (Studio, error) {
	one, err := s.service.Open(ctx, t)
	if err != nil {
		return nil, err
	}
	return share{one}, nil
}

type share struct{ *studio.Studio }

func (s share) NewView(ctx context.Context, spec studio.ViewSpec) (View, error) {
	v, err := s.Studio.NewView(ctx, spec)
	if err != nil {
		return nil, err
	}
	return v, nil
}
