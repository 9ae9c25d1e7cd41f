package webrtc

import (
	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/webrtc/transport"
)

// Types are the types of this family. engine carries their media; it must
// outlive every object. d has passed its Check.
func Types(engine *transport.Engine, d Defaults) []elements.Type {
	return []elements.Type{{
		Name: "WebRtcEndpoint", Extends: "BaseRtpEndpoint", Module: "elements",
		Doc: "Exchanges audio, video and messages with a browser by WebRTC; one negotiation in its life.",
		New: elements.New(newEndpoint(engine, d)),
		Members: []elements.Member{
			elements.Property("networkInterfaces", (*Endpoint).NetworkInterfaces, (*Endpoint).SetNetworkInterfaces),
			elements.Property("iceTcp", (*Endpoint).ICETCP, (*Endpoint).SetICETCP),
			elements.Property("stunServerAddress", (*Endpoint).STUNServerAddress, (*Endpoint).SetSTUNServerAddress),
			elements.Property("stunServerPort", (*Endpoint).STUNServerPort, (*Endpoint).SetSTUNServerPort),
			elements.Property("turnUrl", (*Endpoint).TURNURL, (*Endpoint).SetTURNURL),
			elements.Property("externalIPv4", (*Endpoint).ExternalIPv4, (*Endpoint).SetExternalIPv4),
			elements.Property("externalAddress", (*Endpoint).ExternalAddress, (*Endpoint).SetExternalAddress), // 6.x
			elements.Property("externalIPv6", (*Endpoint).ExternalIPv6, (*Endpoint).SetExternalIPv6),
			elements.Property[*Endpoint, []IceCandidatePair]("ICECandidatePairs", (*Endpoint).ICECandidatePairs, nil),
			elements.Property[*Endpoint, []IceConnection]("IceConnectionState", (*Endpoint).ICEConnectionState, nil),
			elements.Property[*Endpoint, []DtlsConnection]("DtlsConnectionState", (*Endpoint).DTLSConnectionState, nil),
			elements.Method("gatherCandidates", (*Endpoint).GatherCandidates),
			elements.Method("addIceCandidate", (*Endpoint).AddICECandidate),
			elements.Method("createDataChannel", (*Endpoint).CreateDataChannel),
			elements.Method("closeDataChannel", (*Endpoint).CloseDataChannel),
			elements.Event[candidateFields]("IceCandidateFound"),
			elements.Event[elements.None]("IceGatheringDone"),
			elements.Event[componentFields]("IceComponentStateChanged"),
			elements.Event[pairFields]("NewCandidatePairSelected"),
			elements.Event[DtlsConnection]("DtlsConnectionStateChange"),
			elements.Event[channelFields]("DataChannelOpened"),
			elements.Event[channelFields]("DataChannelClosed"),
			// The 6.x names, independent of the others (kurento-protocol §9).
			elements.Event[candidateFields]("OnIceCandidate"),
			elements.Event[elements.None]("OnIceGatheringDone"),
			elements.Event[componentFields]("OnIceComponentStateChanged"),
			elements.Event[componentFields]("IceComponentStateChange"),
			elements.Event[channelFields]("OnDataChannelOpened"),
			elements.Event[channelFields]("DataChannelOpen"),
			elements.Event[channelFields]("OnDataChannelClosed"),
			elements.Event[channelFields]("DataChannelClose"),
		},
	}, {
		Name: "LayeredEndpoint", Extends: "WebRtcEndpoint", Module: "govidu",
		Doc: "A WebRtcEndpoint whose peer may send its video in layers, and be sent those that it can take: simulcast is taken when asked for, and the layers of scalable streams are told apart.",
		New: elements.New(newLayeredEndpoint(engine, d)),
		Members: []elements.Member{
			elements.Property[*Endpoint, []VideoLayer]("layers", (*Endpoint).Layers, nil),
			elements.Property[*Endpoint, CurrentLayer]("currentLayer", (*Endpoint).CurrentLayer, nil),
			elements.Method("setPreferredLayer", (*Endpoint).SetPreferredLayer),
			elements.Method("restartIce", (*Endpoint).RestartICE),
		},
	}, {
		Name: "ActiveSpeakers", Extends: "MediaObject", Module: "govidu",
		Doc: "Tells which of the WebRtcEndpoints added to it have a peer who talks, by the audio levels that browsers declare (RFC 6464): the main speaker first, then who began last. A click is no talk, a pause of a second and a half its end.",
		New: elements.New(newActiveSpeakers),
		Members: []elements.Member{
			elements.Property[*ActiveSpeakers, []ActiveSpeaker]("speakers", (*ActiveSpeakers).Speakers, nil),
			elements.Method("add", (*ActiveSpeakers).Add),
			elements.Method("remove", (*ActiveSpeakers).Remove),
			elements.Event[speakersFields]("ActiveSpeakersChanged"),
		},
	}}
}

// IceCandidate is a candidate with its place in the session description.
type IceCandidate struct {
	Candidate     string `json:"candidate"`
	SDPMid        string `json:"sdpMid"`
	SDPMLineIndex int    `json:"sdpMLineIndex"`
}

// IceComponentState is the state of one ICE component.
type IceComponentState string

// The values of IceComponentState.
const (
	iceDisconnected IceComponentState = "DISCONNECTED"
	iceGathering    IceComponentState = "GATHERING"
	iceConnecting   IceComponentState = "CONNECTING"
	iceConnected    IceComponentState = "CONNECTED"
	iceReady        IceComponentState = "READY"
	iceFailed       IceComponentState = "FAILED"
)

// Values implements the enumeration.
func (IceComponentState) Values() []string {
	return []string{"DISCONNECTED", "GATHERING", "CONNECTING", "CONNECTED", "READY", "FAILED"}
}

// DtlsConnectionState is the state of the DTLS association.
type DtlsConnectionState string

// Values implements the enumeration.
func (DtlsConnectionState) Values() []string {
	return []string{"NEW", "CLOSED", "FAILED", "CONNECTING", "CONNECTED"}
}

// IceCandidatePair is a selected pair, as candidate lines.
type IceCandidatePair struct {
	StreamID        string `json:"streamId"`
	ComponentID     int    `json:"componentId"`
	LocalCandidate  string `json:"localCandidate"`
	RemoteCandidate string `json:"remoteCandidate"`
}

// IceConnection is the state of one component of one stream.
type IceConnection struct {
	StreamID    string            `json:"streamId"`
	ComponentID int               `json:"componentId"`
	State       IceComponentState `json:"state"`
}

// DtlsConnection is the state of one DTLS association; it is also the fields of
// DtlsConnectionStateChange.
type DtlsConnection struct {
	StreamID     string              `json:"streamId"`
	ComponentID  string              `json:"componentId"`
	ConnectionID string              `json:"connectionId"`
	State        DtlsConnectionState `json:"state"`
}

// CertificateKeyType is RSA or ECDSA. There is one certificate of each in a
// process.
type CertificateKeyType string

// Values implements the enumeration.
func (CertificateKeyType) Values() []string { return []string{"RSA", "ECDSA"} }

type candidateFields struct {
	Candidate IceCandidate `json:"candidate"`
}

type componentFields struct {
	StreamID    int               `json:"streamId"`
	ComponentID int               `json:"componentId"`
	State       IceComponentState `json:"state"`
}

type pairFields struct {
	CandidatePair IceCandidatePair `json:"candidatePair"`
}

type channelFields struct {
	ChannelID int `json:"channelId"`
}
