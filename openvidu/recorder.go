package openvidu

import (
	"context"

	"github.com/govidu/govidu/kms/client"
)

// StreamInfo is everything a recorder needs to know of one published stream.
// Times are milliseconds since 1970.
type StreamInfo struct {
	SessionID    string
	UniqueID     string
	StreamID     string
	ConnectionID string
	CreatedAt    int64
	HasAudio     bool
	HasVideo     bool
	TypeOfVideo  string
	// AudioActive and VideoActive are false while the publisher has muted that kind,
	// or never had it.
	AudioActive, VideoActive bool
	ClientData               string
	ServerData               string
	// Record is the connection's record property: false leaves its streams out of
	// individual recordings.
	Record bool
	// Endpoint is the publisher's WebRtcEndpoint, the source to connect from.
	Endpoint client.ID
	// Media is the node the endpoint lives on, Pipeline the session's pipeline there.
	Media    client.Client
	Pipeline client.ID
	// VideoCodec and AudioCodec are the first codec of each line of the answer
	// ("VP8", "H264", "opus"); empty when the line is absent.
	VideoCodec, AudioCodec string
	// Replaced, in StreamUnpublished, says that only the endpoint ends: the publisher
	// reconnects, and StreamPublished follows with the same StreamID.
	Replaced bool
}

// RecordingTarget is what a recording of a session starts from: a snapshot taken
// on the session's goroutine.
type RecordingTarget struct {
	SessionID string
	UniqueID  string
	Defaults  RecordingProperties
	MediaMode string
	// RecordingMode is MANUAL or ALWAYS.
	RecordingMode string
	// Active says that at least one participant (not a recorder) is connected.
	Active bool
	// RecordingID is the recording in progress, "" if none.
	RecordingID string
	Media       client.Client // nil while nothing was ever published
	Pipeline    client.ID
	Streams     []StreamInfo
}

// Recorder hears of sessions so that it can record them. SetRecorder installs
// one. StreamPublished and StreamUnpublished come one after another per
// connection, on a goroutine of its own for them, and SessionClosing on the
// closing session's: these three may wait and may call the Manager. The rest come
// from the session's goroutine: they must not block nor call the Manager.
type Recorder interface {
	// StreamPublished comes after the publisher had its answer, for each stream of
	// each session; for an ALWAYS session the first one starts the recording.
	// first says that it is the session's first stream ever. A stream may both be
	// in a RecordingTarget and be told here: identify it by StreamID.
	StreamPublished(ctx context.Context, s StreamInfo, first bool)
	// StreamUnpublished comes before the stream's WebRtcEndpoint is released: it
	// returns when the recorder of the stream has stopped, or when ctx ends (10 s).
	StreamUnpublished(ctx context.Context, s StreamInfo, reason Reason)
	// ParticipantJoined and SessionEmpty drive the auto-stop timer (§7.6).
	// SessionEmpty says that the last real participant has left a session that is
	// being recorded; the session stays until CloseSession or until SetRecording
	// ends the recording.
	ParticipantJoined(sessionID string)
	SessionEmpty(sessionID string, reason Reason)
	// SessionClosing comes when everybody was evicted, before the pipeline is
	// released and sessionDestroyed is told: it stops what is being recorded and
	// returns when the files are final, or when ctx ends (15 s).
	SessionClosing(ctx context.Context, sessionID string, reason Reason)
}

// StreamWatcher is a Recorder that also hears when a publisher mutes or unmutes.
// StreamChanged comes like StreamPublished, and after it, per connection, with the
// stream as it was at that moment.
type StreamWatcher interface {
	StreamChanged(ctx context.Context, s StreamInfo)
}
