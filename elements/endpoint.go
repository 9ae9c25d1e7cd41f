package elements

import "context"

// OfferOptions shape generateOffer: false drops that m-line.
type OfferOptions struct {
	OfferToReceiveAudio bool `json:"offerToReceiveAudio" default:"true"`
	OfferToReceiveVideo bool `json:"offerToReceiveVideo" default:"true"`
}

// GenerateOfferParams are those of generateOffer.
type GenerateOfferParams struct {
	Options *OfferOptions `json:"options"`
}

// ProcessOfferParams are those of processOffer.
type ProcessOfferParams struct {
	Offer string `json:"offer"`
}

// ProcessAnswerParams are those of processAnswer.
type ProcessAnswerParams struct {
	Answer string `json:"answer"`
}

// SDPEndpoint is what an endpoint that negotiates by SDP implements; the
// members of SdpEndpoint call it (kurento-elements §5). Bandwidths are in kbit/s.
type SDPEndpoint interface {
	Element
	GenerateOffer(ctx context.Context, p GenerateOfferParams) (string, error)
	ProcessOffer(ctx context.Context, p ProcessOfferParams) (string, error)
	ProcessAnswer(ctx context.Context, p ProcessAnswerParams) (string, error)
	LocalSessionDescriptor(ctx context.Context, _ None) (string, error)
	RemoteSessionDescriptor(ctx context.Context, _ None) (string, error)
	MaxAudioRecvBandwidth() int
	SetMaxAudioRecvBandwidth(kbps int) error
	MaxVideoRecvBandwidth() int
	SetMaxVideoRecvBandwidth(kbps int) error
}

// ConnectedState is MediaState and ConnectionState: DISCONNECTED or CONNECTED.
type ConnectedState string

// Values implements the enumeration.
func (ConnectedState) Values() []string { return []string{"DISCONNECTED", "CONNECTED"} }

// StateChangedFields are the fields of MediaStateChanged and ConnectionStateChanged.
type StateChangedFields struct {
	OldState ConnectedState `json:"oldState"`
	NewState ConnectedState `json:"newState"`
}

// RembParams tune the receiver's bandwidth estimate (kurento-elements §5).
type RembParams struct {
	PacketsRecvIntervalTop int     `json:"packetsRecvIntervalTop" default:"100"`
	ExponentialFactor      float64 `json:"exponentialFactor" default:"0.04"`
	LinealFactorMin        int     `json:"linealFactorMin" default:"50"`
	LinealFactorGrade      float64 `json:"linealFactorGrade" default:"30"`
	DecrementFactor        float64 `json:"decrementFactor" default:"0.5"`
	ThresholdFactor        float64 `json:"thresholdFactor" default:"0.8"`
	UpLosses               int     `json:"upLosses" default:"12"`
	RembOnConnect          int     `json:"rembOnConnect" default:"300000"`
}

// RTPEndpoint is what the members of BaseRtpEndpoint call. Bandwidths are in
// kbit/s, MTU in bytes.
type RTPEndpoint interface {
	SDPEndpoint
	MinVideoRecvBandwidth() int
	SetMinVideoRecvBandwidth(kbps int) error
	MinVideoSendBandwidth() int
	SetMinVideoSendBandwidth(kbps int) error
	MaxVideoSendBandwidth() int
	SetMaxVideoSendBandwidth(kbps int) error
	MediaState() ConnectedState
	ConnectionState() ConnectedState
	MTU() int
	SetMTU(bytes int) error
	RembParams() RembParams
	SetRembParams(p RembParams) error
	RequestKeyframe(ctx context.Context, _ None) (None, error)
}

// UriEndpointState is STOP, START or PAUSE.
type UriEndpointState string

// Values implements the enumeration.
func (UriEndpointState) Values() []string { return []string{"STOP", "START", "PAUSE"} }

// UriStateFields are the fields of UriEndpointStateChanged.
type UriStateFields struct {
	State UriEndpointState `json:"state"`
}

// URIEndpoint is what the members of UriEndpoint call (kurento-elements §6).
type URIEndpoint interface {
	Element
	URI() string
	State() UriEndpointState
	Pause(ctx context.Context, _ None) (None, error)
	Stop(ctx context.Context, _ None) (None, error)
}

var sdpEndpointType = Type{
	Name: "SdpEndpoint", Extends: "SessionEndpoint", Module: "core", Abstract: true,
	Doc: "An endpoint that negotiates by SDP offer and answer, once.",
	Members: []Member{
		Property("maxAudioRecvBandwidth", SDPEndpoint.MaxAudioRecvBandwidth, SDPEndpoint.SetMaxAudioRecvBandwidth),
		Property("maxVideoRecvBandwidth", SDPEndpoint.MaxVideoRecvBandwidth, SDPEndpoint.SetMaxVideoRecvBandwidth),
		Method("generateOffer", SDPEndpoint.GenerateOffer),
		Method("processOffer", SDPEndpoint.ProcessOffer),
		Method("processAnswer", SDPEndpoint.ProcessAnswer),
		Method("getLocalSessionDescriptor", SDPEndpoint.LocalSessionDescriptor),
		Method("getRemoteSessionDescriptor", SDPEndpoint.RemoteSessionDescriptor),
	},
}

var baseRtpEndpointType = Type{
	Name: "BaseRtpEndpoint", Extends: "SdpEndpoint", Module: "core", Abstract: true,
	Doc: "An endpoint that exchanges RTP, plain or secured.",
	Members: []Member{
		Property("minVideoRecvBandwidth", RTPEndpoint.MinVideoRecvBandwidth, RTPEndpoint.SetMinVideoRecvBandwidth),
		Property("minVideoSendBandwidth", RTPEndpoint.MinVideoSendBandwidth, RTPEndpoint.SetMinVideoSendBandwidth),
		Property("maxVideoSendBandwidth", RTPEndpoint.MaxVideoSendBandwidth, RTPEndpoint.SetMaxVideoSendBandwidth),
		Property[RTPEndpoint, ConnectedState]("mediaState", RTPEndpoint.MediaState, nil),
		Property[RTPEndpoint, ConnectedState]("connectionState", RTPEndpoint.ConnectionState, nil),
		Property("mtu", RTPEndpoint.MTU, RTPEndpoint.SetMTU),
		Property("rembParams", RTPEndpoint.RembParams, RTPEndpoint.SetRembParams),
		Method("requestKeyframe", RTPEndpoint.RequestKeyframe),
		Event[StateChangedFields]("MediaStateChanged"),
		Event[StateChangedFields]("ConnectionStateChanged"),
	},
}

var uriEndpointType = Type{
	Name: "UriEndpoint", Extends: "Endpoint", Module: "core", Abstract: true,
	Doc: "An endpoint that reads from or writes to a URI.",
	Members: []Member{
		Property[URIEndpoint, string]("uri", URIEndpoint.URI, nil),
		Property[URIEndpoint, UriEndpointState]("state", URIEndpoint.State, nil),
		Method("pause", URIEndpoint.Pause),
		Method("stop", URIEndpoint.Stop),
		Event[UriStateFields]("UriEndpointStateChanged"),
	},
}
