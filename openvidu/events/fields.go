package events

// Names of events, as webhooks call them.
const (
	NameSessionCreated         = "sessionCreated"
	NameSessionDestroyed       = "sessionDestroyed"
	NameParticipantJoined      = "participantJoined"
	NameParticipantLeft        = "participantLeft"
	NameConnectionCreated      = "webrtcConnectionCreated"
	NameConnectionDestroyed    = "webrtcConnectionDestroyed"
	NameSignalSent             = "signalSent"
	NameRecordingStatusChanged = "recordingStatusChanged"
	NameBroadcastStarted       = "broadcastStarted"
	NameBroadcastStopped       = "broadcastStopped"
)

// Common are the fields every event has. Timestamp is milliseconds since 1970;
// UniqueSessionID is the session id, "_" and the session's start in ms.
type Common struct {
	SessionID       string `json:"sessionId"`
	UniqueSessionID string `json:"uniqueSessionId"`
	Timestamp       int64  `json:"timestamp"`
}

// Ending are the fields of an event that ends something: StartTime in ms since
// 1970, Duration in whole seconds.
type Ending struct {
	StartTime int64  `json:"startTime"`
	Duration  int64  `json:"duration"`
	Reason    string `json:"reason"`
}

// SessionCreated tells that the first participant joined.
type SessionCreated struct{ Common }

// SessionDestroyed is the last event of a session.
type SessionDestroyed struct {
	Common
	Ending
}

// Participant are the fields of one connection.
type Participant struct {
	ParticipantID string `json:"participantId"`
	ConnectionID  string `json:"connectionId"`
	Location      string `json:"location"`
	IP            string `json:"ip"`
	Platform      string `json:"platform"`
	ClientData    string `json:"clientData"`
	ServerData    string `json:"serverData"`
}

// ParticipantJoined tells of a join.
type ParticipantJoined struct {
	Common
	Participant
}

// ParticipantLeft tells of a leave, for whatever reason.
type ParticipantLeft struct {
	Common
	Participant
	Ending
}

// Directions of a webrtcConnection event, seen from the user.
const (
	Outbound = "OUTBOUND" // publishes
	Inbound  = "INBOUND"  // receives
)

// Media are the fields of one published or received stream. ReceivingFrom is the
// publisher's connection id, only when INBOUND; the video fields are absent
// without video.
type Media struct {
	StreamID        string  `json:"streamId"`
	ParticipantID   string  `json:"participantId"`
	ConnectionID    string  `json:"connectionId"`
	Connection      string  `json:"connection"`
	ReceivingFrom   string  `json:"receivingFrom,omitempty"`
	VideoSource     *string `json:"videoSource,omitempty"`
	VideoFramerate  *int    `json:"videoFramerate,omitempty"`
	VideoDimensions *string `json:"videoDimensions,omitempty"`
	AudioEnabled    bool    `json:"audioEnabled"`
	VideoEnabled    bool    `json:"videoEnabled"`
}

// ConnectionCreated tells that a stream is published or received.
type ConnectionCreated struct {
	Common
	Media
}

// ConnectionDestroyed tells that it no longer is.
type ConnectionDestroyed struct {
	Common
	Media
	Ending
}

// SignalSent tells of a signal. From is null for the API's; To holds the
// recipients, all of them for a broadcast; absent Type and Data are null.
type SignalSent struct {
	Common
	From *string  `json:"from"`
	To   []string `json:"to"`
	Type *string  `json:"type"`
	Data *string  `json:"data"`
}

// Broadcast are the fields of one broadcast. BroadcastURL holds the target's stream
// key, as the contract wants it in webhooks and the CDR (§11.2); Log masks it.
type Broadcast struct {
	BroadcastURL string `json:"broadcastUrl"`
}

// BroadcastStarted tells that the target takes the stream.
type BroadcastStarted struct {
	Common
	Broadcast
}

// Redacted implements Redactor.
func (e BroadcastStarted) Redacted() any {
	e.BroadcastURL = RedactURL(e.BroadcastURL)
	return e
}

// BroadcastStopped tells that it ended, for whatever reason.
type BroadcastStopped struct {
	Common
	Broadcast
	Ending
}

// Redacted implements Redactor.
func (e BroadcastStopped) Redacted() any {
	e.BroadcastURL = RedactURL(e.BroadcastURL)
	return e
}
