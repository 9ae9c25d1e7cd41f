package rest

import (
	"context"

	"github.com/govidu/govidu/openvidu"
)

// Rooms is what the API needs of the rules of rooms; *openvidu.Manager is one.
type Rooms interface {
	CreateSession(ctx context.Context, p openvidu.SessionProperties) (openvidu.SessionInfo, error)
	Session(ctx context.Context, id string, view openvidu.ViewOptions) (openvidu.SessionInfo, error)
	Sessions(ctx context.Context, view openvidu.ViewOptions) ([]openvidu.SessionInfo, error)
	CloseSession(ctx context.Context, id string, reason openvidu.Reason) error
	CreateConnection(ctx context.Context, sessionID string, p openvidu.ConnectionProperties) (openvidu.ConnectionInfo, error)
	CreateToken(ctx context.Context, sessionID string, p openvidu.ConnectionProperties) (openvidu.TokenInfo, error)
	Connection(ctx context.Context, sessionID, connectionID string, view openvidu.ViewOptions) (openvidu.ConnectionInfo, error)
	Connections(ctx context.Context, sessionID string, view openvidu.ViewOptions) ([]openvidu.ConnectionInfo, error)
	UpdateConnection(ctx context.Context, sessionID, connectionID string, u openvidu.ConnectionUpdate) (openvidu.ConnectionInfo, error)
	DeleteConnection(ctx context.Context, sessionID, connectionID string, reason openvidu.Reason) error
	Unpublish(ctx context.Context, sessionID, streamID string, reason openvidu.Reason) error
	Layer(ctx context.Context, sessionID, connectionID, streamID string) (openvidu.LayerState, error)
	SetPreferredLayer(ctx context.Context, sessionID, connectionID, streamID string, w openvidu.LayerWish) (openvidu.LayerState, error)
	Signal(ctx context.Context, r openvidu.SignalRequest) error
}

var _ Rooms = (*openvidu.Manager)(nil)
