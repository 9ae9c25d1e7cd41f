package webrtc

import (
	"context"
	"fmt"
	"sync"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// components are those of a stream. RTCP is multiplexed, so the second one is
// carried by the pair of the first and has its states; the original tells of both.
var components = []int{1, 2}

type endpointParams struct {
	MediaPipeline      *elements.MediaPipeline `json:"mediaPipeline"`
	Recvonly           bool                    `json:"recvonly" default:"false"`
	Sendonly           bool                    `json:"sendonly" default:"false"`
	UseDataChannels    bool                    `json:"useDataChannels" default:"false"`
	CertificateKeyType CertificateKeyType      `json:"certificateKeyType" default:"RSA"`
	QosDscp            DSCPValue               `json:"qosDscp" default:"NO_VALUE"`
}

// Endpoint is a WebRtcEndpoint: its inputs are what the peer is sent, its
// outputs what the peer sends.
type Endpoint struct {
	elements.MediaElement
	peer         *transport.Peer
	dataChannels bool

	mu         sync.Mutex // leaf: what follows
	settings   settings
	ice        []IceComponentState // by stream
	dtls       []DtlsConnectionState
	connection elements.ConnectedState
	media      elements.ConnectedState
}

func newEndpoint(engine *transport.Engine, d Defaults) func(context.Context, elements.Env, endpointParams) (*Endpoint, error) {
	return func(_ context.Context, env elements.Env, p endpointParams) (*Endpoint, error) {
		return makeEndpoint(engine, d, env, layeredParams{endpointParams: p})
	}
}

func makeEndpoint(engine *transport.Engine, d Defaults, env elements.Env, p layeredParams) (*Endpoint, error) {
	e := &Endpoint{
		dataChannels: p.UseDataChannels, settings: d.settings(),
		connection: disconnected, media: disconnected,
	}
	e.Init(env)
	certificate := transport.RSA
	if p.CertificateKeyType == "ECDSA" {
		certificate = transport.ECDSA
	}
	peer, err := engine.NewPeer(transport.PeerConfig{
		Epoch: e.Graph().Epoch(), Simulcast: p.Simulcast, Orientation: p.Orientation, DataChannels: p.UseDataChannels, Certificate: certificate, DSCP: p.QosDscp.mark(),
		RecvOnly: p.Recvonly, SendOnly: p.Sendonly, FlexFEC: d.FlexFEC, Log: e.Log(), Handler: e.handler(),
	})
	if err != nil {
		return nil, fmt.Errorf("create WebRtcEndpoint: %w: %w", kerr.NotEnoughResources, err)
	}
	e.peer = peer
	for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
		in := peer.Receiver(kind)
		out := e.Graph().NewOutput(kind, elements.DefaultDescription, in)
		in.SetOutput(out)
		e.AddOutput(out)
		e.AddInput(kind, peer.Sender(kind))
	}
	if p.UseDataChannels {
		in, sender := peer.Data()
		out := e.Graph().NewOutput(pipeline.Data, elements.DefaultDescription, in)
		in.SetOutput(out)
		e.AddOutput(out)
		e.AddInput(pipeline.Data, sender)
	}
	e.apply()
	e.SetStats(e.stats)
	return e, nil
}

// Close ends the connection with the peer and then the element's links.
func (e *Endpoint) Close() error {
	err := e.peer.Close()
	if baseErr := e.CloseBase(); err == nil {
		err = baseErr
	}
	return err
}

const (
	connected    elements.ConnectedState = "CONNECTED"
	disconnected elements.ConnectedState = "DISCONNECTED"
)

// handler turns what the transport says into Kurento's events.
func (e *Endpoint) handler() transport.Handler {
	return transport.Handler{
		Candidate: func(c transport.Candidate) {
			e.emit(candidateFields{IceCandidate{c.Candidate, c.SDPMid, c.SDPMLineIndex}}, "IceCandidateFound", "OnIceCandidate")
		},
		GatheringDone: func() { e.emit(nil, "IceGatheringDone", "OnIceGatheringDone") },
		ICEState:      e.iceState,
		DTLSState:     e.dtlsState,
		Pair: func(p transport.CandidatePair) {
			for _, c := range components {
				e.Emit("NewCandidatePairSelected", pairFields{pairOf(p, c)})
			}
		},
		Connected:    func(up bool) { e.change("ConnectionStateChanged", &e.connection, up) },
		MediaFlowing: func(on bool) { e.change("MediaStateChanged", &e.media, on) },
		ChannelOpened: func(id int) {
			e.emit(channelFields{id}, "DataChannelOpened", "OnDataChannelOpened", "DataChannelOpen")
		},
		// The original says it twice, once for each direction of the stream.
		ChannelClosed: func(id int) {
			for range 2 {
				e.emit(channelFields{id}, "DataChannelClosed", "OnDataChannelClosed", "DataChannelClose")
			}
		},
	}
}

// emit raises one event under all the names that it has had.
func (e *Endpoint) emit(fields any, names ...string) {
	for _, name := range names {
		e.Emit(name, fields)
	}
}

// change moves one of the two-valued states and tells.
func (e *Endpoint) change(event string, state *elements.ConnectedState, up bool) {
	to := disconnected
	if up {
		to = connected
	}
	e.mu.Lock()
	from := *state
	*state = to
	e.mu.Unlock()
	if from != to {
		e.Emit(event, elements.StateChangedFields{OldState: from, NewState: to})
	}
}

func (e *Endpoint) iceState(stream int, s transport.ICEState) {
	switch s {
	case transport.ICEChecking:
		e.gathering(stream)
		e.component(stream, iceConnecting)
	case transport.ICEConnected:
		e.component(stream, iceConnected, iceReady)
	case transport.ICEDisconnected, transport.ICEClosed:
		e.component(stream, iceDisconnected)
	case transport.ICEFailed:
		e.component(stream, iceFailed)
	}
}

// gathering tells GATHERING of a stream, unless it was told. The peer's checks
// may be quicker than the call that asks for candidates; the order of states
// stays.
func (e *Endpoint) gathering(stream int) {
	e.mu.Lock()
	known := len(e.ice) >= stream && e.ice[stream-1] != ""
	e.mu.Unlock()
	if !known {
		e.component(stream, iceGathering)
	}
}

// component moves the states of a stream's components and tells.
func (e *Endpoint) component(stream int, states ...IceComponentState) {
	e.mu.Lock()
	for len(e.ice) < stream {
		e.ice = append(e.ice, "")
	}
	e.ice[stream-1] = states[len(states)-1]
	e.mu.Unlock()
	for _, c := range components {
		for _, s := range states {
			e.emit(componentFields{stream, c, s}, "IceComponentStateChanged", "OnIceComponentStateChanged", "IceComponentStateChange")
		}
	}
}

func (e *Endpoint) dtlsState(stream int, s transport.DTLSState) {
	names := map[transport.DTLSState]DtlsConnectionState{
		transport.DTLSNew: "NEW", transport.DTLSConnecting: "CONNECTING", transport.DTLSConnected: "CONNECTED",
		transport.DTLSClosed: "CLOSED", transport.DTLSFailed: "FAILED",
	}
	e.mu.Lock()
	for len(e.dtls) < stream {
		e.dtls = append(e.dtls, "NEW")
	}
	e.dtls[stream-1] = names[s]
	e.mu.Unlock()
	e.Emit("DtlsConnectionStateChange", dtlsConnection(stream, names[s]))
}
