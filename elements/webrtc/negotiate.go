package webrtc

import (
	"context"
	"strconv"
	"strings"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/internal/kerr"
)

// GenerateOffer makes the session description to send first. Once only:
// kerr.SDPAlreadyNegotiated.
func (e *Endpoint) GenerateOffer(_ context.Context, p elements.GenerateOfferParams) (string, error) {
	o := transport.OfferOptions{Audio: true, Video: true}
	if p.Options != nil {
		o = transport.OfferOptions{Audio: p.Options.OfferToReceiveAudio, Video: p.Options.OfferToReceiveVideo}
	}
	e.apply()
	return e.peer.Offer(o)
}

// ProcessOffer answers the peer's description. What is not understood is
// refused section by section; kerr.SDPParseError for what is none at all, after
// which another offer may come. Once only: kerr.SDPAlreadyNegotiated, but for an
// offer that restarts ICE (RFC 8839 §4.4.3) and changes nothing else.
func (e *Endpoint) ProcessOffer(_ context.Context, p elements.ProcessOfferParams) (string, error) {
	if p.Offer == "" {
		return "", kerr.New(kerr.SDPParseError, "Empty offer not valid")
	}
	restart := e.peer.Negotiated()
	e.apply()
	answer, err := e.peer.Answer(p.Offer)
	if err != nil {
		return "", err
	}
	if !restart {
		e.Emit("MediaSessionStarted", nil)
	}
	return answer, nil
}

// RestartICE makes an offer with new ICE credentials for an endpoint that is
// negotiated; ProcessAnswer takes the answer. kerr.SDPGenerateOfferError before.
func (e *Endpoint) RestartICE(context.Context, elements.None) (string, error) {
	return e.peer.RestartICE()
}

// ProcessAnswer takes the answer to our offer and returns our description.
// kerr.SDPNotOfferGenerated without an offer, or when it was answered already.
func (e *Endpoint) ProcessAnswer(_ context.Context, p elements.ProcessAnswerParams) (string, error) {
	restart := e.peer.Negotiated()
	if err := e.peer.SetAnswer(p.Answer); err != nil {
		return "", err
	}
	if !restart {
		e.Emit("MediaSessionStarted", nil)
	}
	local, _ := e.peer.LocalDescription()
	return local, nil
}

// LocalSessionDescriptor is our description with the candidates told so far;
// kerr.SDPNoLocalSDP before there is one.
func (e *Endpoint) LocalSessionDescriptor(context.Context, elements.None) (string, error) {
	sdp, ok := e.peer.LocalDescription()
	if !ok {
		return "", kerr.New(kerr.SDPNoLocalSDP, "No local SDP")
	}
	return sdp, nil
}

// RemoteSessionDescriptor is the peer's description; kerr.SDPNoRemoteSDP before
// there is one.
func (e *Endpoint) RemoteSessionDescriptor(context.Context, elements.None) (string, error) {
	sdp, ok := e.peer.RemoteDescription()
	if !ok {
		return "", kerr.New(kerr.SDPNoRemoteSDP, "No remote SDP")
	}
	return sdp, nil
}

// GatherCandidates lets the events IceCandidateFound and IceGatheringDone flow.
// Before negotiation there is nothing to gather yet, which is no error.
func (e *Endpoint) GatherCandidates(context.Context, elements.None) (elements.None, error) {
	for stream := range e.peer.Streams() {
		e.gathering(stream + 1)
	}
	return elements.None{}, e.peer.Gather()
}

type addCandidateParams struct {
	Candidate IceCandidate `json:"candidate"`
}

// AddICECandidate takes a candidate of the peer, also before its description.
func (e *Endpoint) AddICECandidate(_ context.Context, p addCandidateParams) (elements.None, error) {
	return elements.None{}, e.peer.AddCandidate(transport.Candidate{
		Candidate: p.Candidate.Candidate, SDPMid: p.Candidate.SDPMid, SDPMLineIndex: p.Candidate.SDPMLineIndex,
	})
}

// apply gives the transport the settings that it follows.
func (e *Endpoint) apply() {
	e.mu.Lock()
	s := e.settings
	e.mu.Unlock()
	e.peer.SetBandwidth(transport.Bandwidth{
		MaxAudioRecv: s.maxAudioRecv, MaxVideoRecv: s.maxVideoRecv, MinVideoRecv: s.minVideoRecv,
		MinVideoSend: s.minVideoSend, MaxVideoSend: s.maxVideoSend, StartVideoSend: s.remb.RembOnConnect,
	})
	e.peer.SetNetwork(s.network())
}

// pairOf is a pair as one of the components that it carries.
func pairOf(p transport.CandidatePair, component int) IceCandidatePair {
	of := func(line string) string {
		f := strings.SplitN(line, " ", 3)
		if len(f) < 3 {
			return line
		}
		return f[0] + " " + strconv.Itoa(component) + " " + f[2]
	}
	return IceCandidatePair{
		StreamID: strconv.Itoa(p.Stream), ComponentID: component,
		LocalCandidate: of(p.Local), RemoteCandidate: of(p.Remote),
	}
}

func dtlsConnection(stream int, s DtlsConnectionState) DtlsConnection {
	id := strconv.Itoa(stream)
	return DtlsConnection{StreamID: id, ComponentID: "1", ConnectionID: id, State: s}
}

// ICECandidatePairs lists the selected pair of each component that has one.
func (e *Endpoint) ICECandidatePairs() []IceCandidatePair {
	out := []IceCandidatePair{}
	for _, p := range e.peer.Pairs() {
		for _, c := range components {
			out = append(out, pairOf(p, c))
		}
	}
	return out
}

// ICEConnectionState is empty before gathering.
func (e *Endpoint) ICEConnectionState() []IceConnection {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := []IceConnection{}
	for i, s := range e.ice {
		if s == "" {
			continue
		}
		for _, c := range components {
			out = append(out, IceConnection{strconv.Itoa(i + 1), c, s})
		}
	}
	return out
}

// DTLSConnectionState is empty before ICE began.
func (e *Endpoint) DTLSConnectionState() []DtlsConnection {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := []DtlsConnection{}
	for i, s := range e.ice {
		if s == "" {
			continue
		}
		state := DtlsConnectionState("NEW")
		if i < len(e.dtls) {
			state = e.dtls[i]
		}
		out = append(out, dtlsConnection(i+1, state))
	}
	return out
}

// RequestKeyframe asks whoever feeds this endpoint with video; without a source
// it is kerr.MediaObjectOperationNotSupported.
func (e *Endpoint) RequestKeyframe(context.Context, elements.None) (elements.None, error) {
	if !e.peer.Sender(videoKind).RequestKeyFrame() {
		return elements.None{}, kerr.New(kerr.MediaObjectOperationNotSupported, "No source of video to ask for a key frame")
	}
	return elements.None{}, nil
}
