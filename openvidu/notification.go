package openvidu

import (
	"encoding/json"

	"github.com/govidu/govidu/openvidu/auth"
)

// Notification is one message to browsers. It is made once and may be sent to
// many; it never changes. One that is sent again after a reconnection has its
// frame only.
type Notification struct {
	Method string
	Params any
	frame  []byte
}

// Frame gives the JSON-RPC text of the notification; callers must not change it.
func (n *Notification) Frame() []byte { return n.frame }

// notification makes one. Params are structs of this file, whose marshalling
// cannot fail.
func notification(method string, params any) *Notification {
	frame, err := json.Marshal(struct {
		Method  string `json:"method"`
		Params  any    `json:"params"`
		Version string `json:"jsonrpc"`
	}{method, params, "2.0"})
	if err != nil {
		panic("marshal notification " + method + ": " + err.Error())
	}
	return &Notification{Method: method, Params: params, frame: frame}
}

// Peer is the socket of a connection, as a door gives it.
type Peer interface {
	// Notify queues a notification; it does not block and keeps the order. A peer
	// that cannot keep up closes itself, keeps what it is given from then on and
	// calls Connection.Detach.
	Notify(n *Notification)
	// Replace ends the socket because another one took its connection over, and
	// gives the frames of the notifications that it did not deliver.
	Replace() [][]byte
	// Finish says that the connection has ended: the socket closes by itself some
	// seconds later if the client does not.
	Finish()
}

// Parameters of the notifications (signalling contract §6); absent members are
// omitted.
type (
	paramsJoined struct {
		ID        string `json:"id"`
		CreatedAt int64  `json:"createdAt"`
		Metadata  string `json:"metadata"`
	}
	// paramsGone serves participantLeft and participantUnpublished: clients up to
	// 2.2 read name.
	paramsGone struct {
		ConnectionID string `json:"connectionId"`
		Name         string `json:"name"`
		Reason       Reason `json:"reason"`
	}
	paramsEvicted struct {
		ConnectionID string `json:"connectionId"`
		Reason       Reason `json:"reason"`
	}
	paramsPublished struct {
		ID      string         `json:"id"`
		Streams []StreamObject `json:"streams"`
	}
	paramsCandidate struct {
		SenderConnectionID string `json:"senderConnectionId"`
		EndpointName       string `json:"endpointName"`
		SDPMLineIndex      int    `json:"sdpMLineIndex"`
		SDPMid             string `json:"sdpMid"`
		Candidate          string `json:"candidate"`
	}
	paramsStreamProperty struct {
		ConnectionID string `json:"connectionId"`
		StreamID     string `json:"streamId"`
		Property     string `json:"property"`
		NewValue     string `json:"newValue"`
		Reason       string `json:"reason"`
	}
	paramsMessage struct {
		Data *string `json:"data,omitempty"`
		Type *string `json:"type,omitempty"`
		From string  `json:"from,omitempty"`
	}
	paramsForcedReconnect struct {
		ConnectionID string `json:"connectionId"`
		StreamID     string `json:"streamId"`
		SDPOffer     string `json:"sdpOffer"`
	}
	paramsRecordingStarted struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	paramsRecordingStopped struct {
		ID     string `json:"id"`
		Name   string `json:"name"`
		Reason Reason `json:"reason"`
	}
	paramsConnectionProperty struct {
		Property string `json:"property"`
		NewValue string `json:"newValue"`
	}
)

// StreamObject is a published stream as browsers get it (§6.4).
// VideoDimensions is JSON text.
type StreamObject struct {
	ID              string   `json:"id"`
	CreatedAt       int64    `json:"createdAt"`
	HasAudio        bool     `json:"hasAudio"`
	HasVideo        bool     `json:"hasVideo"`
	AudioActive     *bool    `json:"audioActive,omitempty"`
	VideoActive     *bool    `json:"videoActive,omitempty"`
	TypeOfVideo     *string  `json:"typeOfVideo,omitempty"`
	FrameRate       *int     `json:"frameRate,omitempty"`
	VideoDimensions *string  `json:"videoDimensions,omitempty"`
	Filter          struct{} `json:"filter"`
}

// ParticipantObject is one entry of joinRoom's "value".
type ParticipantObject struct {
	ID        string         `json:"id"`
	CreatedAt int64          `json:"createdAt"`
	Metadata  string         `json:"metadata"`
	Streams   []StreamObject `json:"streams,omitempty"`
}

// JoinResult is the answer of joinRoom (§5.1) without the sessionId that the door
// puts into every result.
type JoinResult struct {
	ID               string              `json:"id"`
	FinalUserID      string              `json:"finalUserId"`
	CreatedAt        int64               `json:"createdAt"`
	Metadata         string              `json:"metadata"`
	Value            []ParticipantObject `json:"value"`
	Session          string              `json:"session"`
	Version          string              `json:"version"`
	MediaServer      string              `json:"mediaServer"`
	VideoSimulcast   bool                `json:"videoSimulcast"`
	Record           bool                `json:"record"`
	Role             auth.Role           `json:"role"`
	CoturnIP         string              `json:"coturnIp,omitempty"`
	CoturnPort       int                 `json:"coturnPort,omitempty"`
	TURNUsername     string              `json:"turnUsername,omitempty"`
	TURNCredential   string              `json:"turnCredential,omitempty"`
	CustomICEServers []ICEServer         `json:"customIceServers"`
	RecordingID      string              `json:"recordingId,omitempty"`
	RecordingName    string              `json:"recordingName,omitempty"`
}

// PublishResult is the answer of publishVideo and of a publisher's reconnectStream.
type PublishResult struct {
	SDPAnswer string `json:"sdpAnswer"`
	ID        string `json:"id"`
	CreatedAt int64  `json:"createdAt"`
}

// SubscribeResult is the answer of receiveVideoFrom and of a subscriber's
// reconnectStream.
type SubscribeResult struct {
	SDPAnswer string `json:"sdpAnswer"`
}

// OfferResult is the answer of prepareReceiveVideoFrom.
type OfferResult struct {
	SDPOffer string `json:"sdpOffer"`
}

// Empty is the answer of calls that return nothing.
type Empty struct{}
