package openvidu

import (
	"encoding/json"

	"github.com/govidu/govidu/openvidu/auth"
)

// Media and recording modes of a session.
const (
	MediaRouted     = "ROUTED"
	MediaRelayed    = "RELAYED"
	RecordingManual = "MANUAL"
	RecordingAlways = "ALWAYS"
)

// Values of forcedVideoCodec.
const (
	CodecPreferred = "MEDIA_SERVER_PREFERRED"
	CodecNone      = "NONE"
	CodecVP8       = "VP8"
	CodecVP9       = "VP9"
	CodecH264      = "H264"
)

// Types and states of a connection.
const (
	TypeWebRTC    = "WEBRTC"
	TypeIPCam     = "IPCAM"
	StatusPending = "pending"
	StatusActive  = "active"
)

// SessionProperties describe a session to create. Zero values mean the
// contract's defaults (REST contract §2.1); AllowTranscoding nil means the
// server's configuration, DefaultRecordingProperties nil the contract's.
type SessionProperties struct {
	CustomSessionID            string
	MediaMode                  string
	RecordingMode              string
	ForcedVideoCodec           string
	AllowTranscoding           *bool
	DefaultRecordingProperties *RecordingProperties
	MediaNodeID                string
	// LastN is how many cameras each subscriber is sent the video of, those whose
	// owners spoke last; 0 is all. It is ours, not of the contract.
	LastN int
}

// SessionInfo is the session object of the REST API (§2.2). Times are
// milliseconds since 1970.
type SessionInfo struct {
	ID                         string              `json:"id"`
	Object                     string              `json:"object"`
	SessionID                  string              `json:"sessionId"`
	CreatedAt                  int64               `json:"createdAt"`
	Recording                  bool                `json:"recording"`
	Broadcasting               bool                `json:"broadcasting"`
	MediaMode                  string              `json:"mediaMode"`
	RecordingMode              string              `json:"recordingMode"`
	DefaultRecordingProperties RecordingProperties `json:"defaultRecordingProperties"`
	CustomSessionID            string              `json:"customSessionId"`
	ForcedVideoCodec           string              `json:"forcedVideoCodec"`
	AllowTranscoding           bool                `json:"allowTranscoding"`
	Connections                ConnectionList      `json:"connections"`
	// LastN is shown when it is not 0.
	LastN int `json:"lastN,omitempty"`
	// Active says that somebody has joined; it is not part of the API object.
	Active bool `json:"-"`
	// UniqueID is the session id, "_" and its start in ms: what events carry.
	UniqueID string `json:"-"`
}

// ConnectionList is the contract's list form.
type ConnectionList struct {
	NumberOfElements int              `json:"numberOfElements"`
	Content          []ConnectionInfo `json:"content"`
}

// ViewOptions choose what a session or connection object shows.
type ViewOptions struct {
	// PendingConnections includes connections whose token is unused.
	PendingConnections bool
	// WebRTCStats adds SDPs, candidates and media events to publishers and subscribers.
	WebRTCStats bool
}

// KurentoOptions are limits of one connection: bandwidths in kbit/s, 0 =
// unlimited, nil = the server's configuration.
type KurentoOptions struct {
	VideoMaxRecvBandwidth *int     `json:"videoMaxRecvBandwidth,omitempty"`
	VideoMinRecvBandwidth *int     `json:"videoMinRecvBandwidth,omitempty"`
	VideoMaxSendBandwidth *int     `json:"videoMaxSendBandwidth,omitempty"`
	VideoMinSendBandwidth *int     `json:"videoMinSendBandwidth,omitempty"`
	AllowedFilters        []string `json:"allowedFilters,omitempty"`
}

// ICEServer is one entry of customIceServers, as clients get it.
type ICEServer struct {
	URL        string `json:"url"`
	Username   string `json:"username,omitempty"`
	Credential string `json:"credential,omitempty"`
}

// ConnectionProperties describe a connection to create (§3.1). The zero value is
// a PUBLISHER of type WEBRTC that is recorded. ICEServers must be valid already
// and their staticAuthSecret turned into credentials (rest does both).
type ConnectionProperties struct {
	Type           string
	Data           string
	Record         *bool
	Role           auth.Role
	KurentoOptions *KurentoOptions
	ICEServers     []ICEServer
	// RTSPURI and the three below apply to IPCAM only.
	RTSPURI                  string
	AdaptativeBitrate        *bool
	OnlyPlayWithSubscribers  *bool
	NetworkCacheMilliseconds *int
}

// ConnectionUpdate changes a connection; nil leaves a property as it is.
type ConnectionUpdate struct {
	Role   *auth.Role
	Record *bool
}

// ConnectionInfo is the connection object of the REST API (§3.2): nil pointers
// and slices are written as null, an active connection's lists never are.
type ConnectionInfo struct {
	ID                      string           `json:"id"`
	Object                  string           `json:"object"`
	Type                    string           `json:"type"`
	Status                  string           `json:"status"`
	ConnectionID            string           `json:"connectionId"`
	SessionID               string           `json:"sessionId"`
	CreatedAt               int64            `json:"createdAt"`
	ActiveAt                *int64           `json:"activeAt"`
	Location                *string          `json:"location"`
	IP                      *string          `json:"ip"`
	Platform                *string          `json:"platform"`
	Token                   *string          `json:"token"`
	ServerData              string           `json:"serverData"`
	Record                  bool             `json:"record"`
	Role                    *auth.Role       `json:"role"`
	KurentoOptions          *KurentoOptions  `json:"kurentoOptions"`
	RTSPURI                 *string          `json:"rtspUri"`
	AdaptativeBitrate       *bool            `json:"adaptativeBitrate"`
	OnlyPlayWithSubscribers *bool            `json:"onlyPlayWithSubscribers"`
	NetworkCache            *int             `json:"networkCache"`
	ClientData              *string          `json:"clientData"`
	Publishers              []PublisherInfo  `json:"publishers"`
	Subscribers             []SubscriberInfo `json:"subscribers"`
	CustomICEServers        []ICEServer      `json:"customIceServers"`
}

// MediaOptions describe a published stream as the REST API shows it: audioActive
// only with audio; videoActive, typeOfVideo, frameRate and videoDimensions only
// with video; videoDimensions is JSON text.
type MediaOptions struct {
	HasAudio        bool            `json:"hasAudio"`
	AudioActive     *bool           `json:"audioActive,omitempty"`
	HasVideo        bool            `json:"hasVideo"`
	VideoActive     *bool           `json:"videoActive,omitempty"`
	TypeOfVideo     *string         `json:"typeOfVideo,omitempty"`
	FrameRate       *int            `json:"frameRate,omitempty"`
	VideoDimensions *string         `json:"videoDimensions,omitempty"`
	Filter          json.RawMessage `json:"filter"`
}

// PublisherInfo is one published stream of a connection.
type PublisherInfo struct {
	CreatedAt    int64        `json:"createdAt"`
	StreamID     string       `json:"streamId"`
	RTSPURI      *string      `json:"rtspUri,omitempty"`
	MediaOptions MediaOptions `json:"mediaOptions"`
	*WebRTCStats
}

// SubscriberInfo is one received stream of a connection.
type SubscriberInfo struct {
	CreatedAt int64  `json:"createdAt"`
	StreamID  string `json:"streamId"`
	*WebRTCStats
}

// WebRTCStats is what ViewOptions.WebRTCStats adds: the negotiation of one
// WebRtcEndpoint and its last events.
type WebRTCStats struct {
	EndpointName        string           `json:"webrtcEndpointName"`
	RemoteSDP           string           `json:"remoteSdp"`
	LocalSDP            string           `json:"localSdp"`
	ClientICECandidates []ICECandidate   `json:"clientIceCandidates"`
	ServerICECandidates []ICECandidate   `json:"serverIceCandidates"`
	LocalCandidate      string           `json:"localCandidate"`
	RemoteCandidate     string           `json:"remoteCandidate"`
	Events              []map[string]any `json:"events"`
}

// ICECandidate is one candidate as browsers write it (RFC 8840).
type ICECandidate struct {
	Candidate     string `json:"candidate"`
	SDPMid        string `json:"sdpMid"`
	SDPMLineIndex int    `json:"sdpMLineIndex"`
}

// TokenInfo is the answer of the deprecated token call (§6).
type TokenInfo struct {
	ID             string          `json:"id"`
	Token          string          `json:"token"`
	ConnectionID   string          `json:"connectionId"`
	CreatedAt      int64           `json:"createdAt"`
	Session        string          `json:"session"`
	Data           string          `json:"data"`
	Role           auth.Role       `json:"role"`
	KurentoOptions *KurentoOptions `json:"kurentoOptions,omitempty"`
}

// SignalRequest is a signal sent by the API (§5). Nil Type or Data are absent;
// empty To means everybody.
type SignalRequest struct {
	SessionID string
	To        []string
	Type      *string
	Data      *string
}
