package openvidu

import (
	"context"

	"github.com/govidu/govidu/openvidu/events"
)

// Manager holds the sessions of this server. All methods are safe for concurrent
// use; what they return are copies. They fail with ErrStopped after Close.
type Manager struct {
	opts Options
}

// New makes a Manager. Close ends it.
func New(opts Options) (*Manager, error) {
	opts.setDefaults()
	return &Manager{opts: opts}, nil
}

// errSoon marks methods that are not built yet.
var errSoon = errf(CodeGeneric, ErrUnsupported, "not built yet")

// Close evicts everybody with openviduServerStopped, closes all sessions and
// waits for their goroutines. Recordings are stopped by the Recorder hook.
func (m *Manager) Close() error { return nil }

// SetRecorder installs the recorder. Call it before the first session.
func (m *Manager) SetRecorder(r Recorder) {}

// CreateSession makes a session. It fails with ErrSessionExists when the custom
// id is in use, ErrInvalid for a bad property, ErrLimit. When a session of that
// id is just closing, it waits for that (at most 15 s, or until ctx ends).
func (m *Manager) CreateSession(ctx context.Context, p SessionProperties) (SessionInfo, error) {
	return SessionInfo{}, errSoon
}

// Session gives one session, active or not, or ErrSessionNotFound.
func (m *Manager) Session(ctx context.Context, id string, view ViewOptions) (SessionInfo, error) {
	return SessionInfo{}, errSoon
}

// Sessions gives all sessions, oldest first.
func (m *Manager) Sessions(ctx context.Context, view ViewOptions) ([]SessionInfo, error) {
	return nil, errSoon
}

// CloseSession evicts everybody with the reason, stops its recording and removes
// the session; it returns when all that is done, or ctx ended (the closing goes
// on). ErrSessionNotFound for an unknown one.
func (m *Manager) CloseSession(ctx context.Context, id string, reason Reason) error { return errSoon }

// CreateConnection makes a pending connection and its one-time token.
// ErrSessionNotFound, ErrSessionClosing, ErrInvalid, ErrLimit; IPCAM is
// ErrUnsupported.
func (m *Manager) CreateConnection(ctx context.Context, sessionID string, p ConnectionProperties) (ConnectionInfo, error) {
	return ConnectionInfo{}, errSoon
}

// CreateToken is CreateConnection in the shape of the deprecated token call (§6).
func (m *Manager) CreateToken(ctx context.Context, sessionID string, p ConnectionProperties) (TokenInfo, error) {
	return TokenInfo{}, errSoon
}

// Connection gives one connection: ErrSessionNotFound, ErrConnectionNotFound.
func (m *Manager) Connection(ctx context.Context, sessionID, connectionID string, view ViewOptions) (ConnectionInfo, error) {
	return ConnectionInfo{}, errSoon
}

// Connections gives a session's connections, oldest first: ErrSessionNotFound.
func (m *Manager) Connections(ctx context.Context, sessionID string, view ViewOptions) ([]ConnectionInfo, error) {
	return nil, errSoon
}

// UpdateConnection changes role or record of a connection; an active one is told
// by connectionPropertyChanged. ErrSessionNotFound, ErrConnectionNotFound.
func (m *Manager) UpdateConnection(ctx context.Context, sessionID, connectionID string, u ConnectionUpdate) (ConnectionInfo, error) {
	return ConnectionInfo{}, errSoon
}

// DeleteConnection evicts an active connection with the reason, or voids the
// token of a pending one. ErrSessionNotFound, ErrConnectionNotFound.
func (m *Manager) DeleteConnection(ctx context.Context, sessionID, connectionID string, reason Reason) error {
	return errSoon
}

// Unpublish ends a stream for the reason (forceUnpublishByServer for the API).
// ErrSessionNotFound, ErrStreamNotFound (also for a session not active),
// ErrIPCamStream.
func (m *Manager) Unpublish(ctx context.Context, sessionID, streamID string, reason Reason) error {
	return errSoon
}

// Signal sends a message to connections of a session: ErrSessionNotFound,
// ErrSessionNotActive, ErrSignalTarget (nothing is sent then).
func (m *Manager) Signal(ctx context.Context, r SignalRequest) error { return errSoon }

// RecordingTarget gives what a recording starts from: ErrSessionNotFound.
func (m *Manager) RecordingTarget(ctx context.Context, sessionID string) (RecordingTarget, error) {
	return RecordingTarget{}, errSoon
}

// SetRecording marks a session as recorded by recording id (on), or as no longer
// recorded, and tells the clients whose role OPENVIDU_RECORDING_NOTIFICATION
// names. Marking a recorded session, or unmarking by another id, is
// ErrInvalid; ErrSessionNotFound for an unknown session. A session whose last
// participant left while it was recorded is closed by the unmarking, with the
// reason, without waiting for it.
func (m *Manager) SetRecording(ctx context.Context, sessionID string, r RecordingMark) error {
	return errSoon
}

// RecordingMark is the argument of SetRecording. Reason matters when On is false.
type RecordingMark struct {
	ID, Name string
	On       bool
	Reason   Reason
}

// Emit puts an event (recordingStatusChanged) in the session's order, or
// straight into the sink when the session is gone.
func (m *Manager) Emit(ctx context.Context, sessionID string, e events.Event) {}
