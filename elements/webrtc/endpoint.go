package webrtc

import (
	"context"
	"fmt"
	"sync"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// Everything is bundled and multiplexed, so there is one stream with one component.
const (
	streamID    = 1
	componentID = 1
)

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
	ice        IceComponentState // "" before the first
	dtls       DtlsConnectionState
	connection elements.ConnectedState
	media      elements.ConnectedState
}

func newEndpoint(engine *transport.Engine) func(context.Context, elements.Env, endpointParams) (*Endpoint, error) {
	return func(_ context.Context, env elements.Env, p endpointParams) (*Endpoint, error) {
		e := &Endpoint{
			dataChannels: p.UseDataChannels, settings: defaults(), dtls: "NEW",
			connection: disconnected, media: disconnected,
		}
		e.Init(env)
		peer, err := engine.NewPeer(transport.PeerConfig{
			Epoch: e.Graph().Epoch(), DataChannels: p.UseDataChannels,
			RecvOnly: p.Recvonly, SendOnly: p.Sendonly, Log: e.Log(), Handler: e.handler(),
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
		e.SetStats(e.stats)
		return e, nil
	}
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
			f := candidateFields{IceCandidate{e.external(c.Candidate), c.SDPMid, c.SDPMLineIndex}}
			e.Emit("IceCandidateFound", f)
			e.Emit("OnIceCandidate", f)
		},
		GatheringDone: func() {
			e.Emit("IceGatheringDone", nil)
			e.Emit("OnIceGatheringDone", nil)
		},
		ICEState:  e.iceState,
		DTLSState: e.dtlsState,
		Pair: func(p transport.CandidatePair) {
			e.Emit("NewCandidatePairSelected", pairFields{e.pair(p)})
		},
		Connected:    func(up bool) { e.change("ConnectionStateChanged", &e.connection, up) },
		MediaFlowing: func(on bool) { e.change("MediaStateChanged", &e.media, on) },
		Unsupported: func(kind pipeline.Kind, name codec.Name) {
			e.EmitError("STREAM_ERROR_FAILED", int(kerr.UnsupportedMediaType), fmt.Sprintf(
				"The peer has not negotiated %s for %s and this build cannot transcode: nothing is sent", name, kind))
		},
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

func (e *Endpoint) iceState(s transport.ICEState) {
	switch s {
	case transport.ICEChecking:
		e.component(iceConnecting)
	case transport.ICEConnected:
		e.component(iceConnected)
		e.component(iceReady)
	case transport.ICEDisconnected, transport.ICEClosed:
		e.component(iceDisconnected)
	case transport.ICEFailed:
		e.component(iceFailed)
	}
}

// component moves the ICE component's state and tells.
func (e *Endpoint) component(s IceComponentState) {
	e.mu.Lock()
	e.ice = s
	e.mu.Unlock()
	f := componentFields{streamID, componentID, s}
	e.Emit("IceComponentStateChanged", f)
	e.Emit("OnIceComponentStateChanged", f)
}

func (e *Endpoint) dtlsState(s transport.DTLSState) {
	names := map[transport.DTLSState]DtlsConnectionState{
		transport.DTLSNew: "NEW", transport.DTLSConnecting: "CONNECTING", transport.DTLSConnected: "CONNECTED",
		transport.DTLSClosed: "CLOSED", transport.DTLSFailed: "FAILED",
	}
	e.mu.Lock()
	e.dtls = names[s]
	e.mu.Unlock()
	e.Emit("DtlsConnectionStateChange", dtlsConnection(names[s]))
}
