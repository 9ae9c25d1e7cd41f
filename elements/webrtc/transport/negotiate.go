package transport

import (
	"fmt"
	"net"
	"strings"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// OfferOptions shape an offer of ours; a kind that is not wanted has no section.
type OfferOptions struct{ Audio, Video bool }

func alreadyNegotiated() error {
	return kerr.New(kerr.SDPAlreadyNegotiated, "Endpoint already negotiated")
}

// Answer takes a peer's offer and returns our answer, without candidates: those
// are told after Gather. Sections that we cannot serve are refused, even all of
// them. It fails with kerr.SDPParseError for what is no session description and
// with kerr.SDPProcessOfferError when the library refuses it; both leave the
// Peer as it was. Once it succeeded it fails with kerr.SDPAlreadyNegotiated.
func (p *Peer) Answer(offer string) (answer string, err error) {
	defer p.guarded(&err, kerr.SDPProcessOfferError)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", fmt.Errorf("answer offer: %w", net.ErrClosed)
	}
	if p.stage != fresh {
		return "", alreadyNegotiated()
	}
	d, err := parseSDP(offer)
	if err != nil {
		return "", err
	}
	plan := planOffer(d, p.cfg.DataChannels)
	var pc *webrtc.PeerConnection
	if len(plan.use) > 0 {
		ufrag, _, _ := plan.security()
		if pc, err = p.connect(plan.active, p.engine.isOurs(ufrag)); err != nil {
			return "", fmt.Errorf("answer offer: %w: %w", kerr.SDPProcessOfferError, err)
		}
	}
	local, err := p.settleAnswer(pc, plan)
	if err != nil {
		if pc != nil {
			_ = closeConnection(pc)
		}
		p.pc = nil
		p.found, p.gathered = nil, false
		return "", fmt.Errorf("answer offer: %w: %w", kerr.SDPProcessOfferError, err)
	}
	p.stage, p.plan, p.local, p.remote = settled, plan, local, offer
	if pc == nil {
		p.gathered = true // nothing to gather
	}
	p.takePending(d)
	return local.text(nil), nil
}

// settleAnswer runs the library's half of an answer; pc is nil when every
// section is refused.
func (p *Peer) settleAnswer(pc *webrtc.PeerConnection, plan *plan) (*description, error) {
	if pc == nil {
		return plan.answer(&description{}, *p.caps.Load())
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: plan.text}); err != nil {
		return nil, err
	}
	for n, i := range plan.use {
		if s := p.Sender(kindOf(plan.remote.sections[i].media)); s != nil && plan.receives(n) {
			if err := p.attach(pc, s); err != nil {
				return nil, err
			}
		}
	}
	answer, err := pc.CreateAnswer(nil)
	if err != nil {
		return nil, err
	}
	own, err := parseSDP(answer.SDP)
	if err != nil {
		return nil, err
	}
	local, err := plan.answer(own, *p.caps.Load())
	if err != nil {
		return nil, err
	}
	p.pc = pc
	return local, pc.SetLocalDescription(answer)
}

// attach adds a Sender's track to pc and reads its RTCP.
func (p *Peer) attach(pc *webrtc.PeerConnection, s *Sender) error {
	rtpSender, err := pc.AddTrack(s.track)
	if err != nil {
		return err
	}
	p.readFrom(s, rtpSender)
	return nil
}

func (p *Peer) readFrom(s *Sender, rtpSender *webrtc.RTPSender) {
	p.wg.Go(func() {
		defer guard(p.log, "transport.sender.rtcp", p.panicked)
		s.readRTCP(rtpSender)
	})
}

// Offer makes our offer, once: a second call, or one after Answer, fails with
// kerr.SDPAlreadyNegotiated.
func (p *Peer) Offer(o OfferOptions) (offer string, err error) {
	defer p.guarded(&err, kerr.SDPGenerateOfferError)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", fmt.Errorf("make offer: %w", net.ErrClosed)
	}
	if p.stage != fresh {
		return "", alreadyNegotiated()
	}
	pc, err := p.connect(false, false)
	if err != nil {
		return "", fmt.Errorf("make offer: %w: %w", kerr.SDPGenerateOfferError, err)
	}
	local, err := p.settleOffer(pc, o)
	if err != nil {
		_ = closeConnection(pc)
		p.pc = nil
		return "", fmt.Errorf("make offer: %w: %w", kerr.SDPGenerateOfferError, err)
	}
	p.stage, p.local, p.offered = haveOffer, local, len(local.sections)
	if ufrag, ok := local.sections[0].attr("ice-ufrag"); ok {
		p.engine.offered(ufrag, p)
	}
	return local.text(nil), nil
}

func (p *Peer) settleOffer(pc *webrtc.PeerConnection, o OfferOptions) (*description, error) {
	for _, w := range []struct {
		want bool
		kind pipeline.Kind
		typ  webrtc.RTPCodecType
	}{{o.Audio, pipeline.Audio, webrtc.RTPCodecTypeAudio}, {o.Video, pipeline.Video, webrtc.RTPCodecTypeVideo}} {
		if !w.want {
			continue
		}
		if p.cfg.RecvOnly && !p.cfg.SendOnly {
			init := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
			if _, err := pc.AddTransceiverFromKind(w.typ, init); err != nil {
				return nil, err
			}
			continue
		}
		dir := webrtc.RTPTransceiverDirectionSendrecv
		if p.cfg.SendOnly {
			dir = webrtc.RTPTransceiverDirectionSendonly
		}
		s := p.Sender(w.kind)
		t, err := pc.AddTransceiverFromTrack(s.track, webrtc.RTPTransceiverInit{Direction: dir})
		if err != nil {
			return nil, err
		}
		p.readFrom(s, t.Sender())
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return nil, err
	}
	local, err := parseSDP(offer.SDP)
	if err != nil {
		return nil, err
	}
	local.dress(*p.caps.Load())
	p.pc = pc
	return local, pc.SetLocalDescription(offer)
}

// SetAnswer takes the peer's answer to our Offer. Without an offer, or when that
// was answered already, it fails with kerr.SDPNotOfferGenerated; with
// kerr.SDPParseError for what is no description and kerr.SDPProcessAnswerError
// for one that does not fit.
func (p *Peer) SetAnswer(answer string) (err error) {
	defer p.guarded(&err, kerr.SDPProcessAnswerError)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return fmt.Errorf("take answer: %w", net.ErrClosed)
	case p.stage != haveOffer:
		return kerr.New(kerr.SDPNotOfferGenerated, "Offer not generated. It is not possible to process an answer.")
	}
	d, err := parseSDP(answer)
	if err != nil {
		return err
	}
	plan, alive := planAnswer(d, p.offered)
	if plan == nil {
		return fmt.Errorf("take answer: %d sections for %d offered: %w", len(d.sections), p.offered, kerr.SDPProcessAnswerError)
	}
	if alive {
		desc := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: plan.text}
		if err := p.pc.SetRemoteDescription(desc); err != nil {
			return fmt.Errorf("take answer: %w: %w", kerr.SDPProcessAnswerError, err)
		}
	}
	p.stage, p.plan, p.remote = settled, plan, answer
	p.takePending(d)
	return nil
}

// guarded turns a panic on hostile input into an error of the one call.
func (p *Peer) guarded(err *error, code kerr.Code) {
	if r := recover(); r != nil {
		p.engine.counters.panics.Add(1)
		p.log.Error("panic caught", "where", "transport.negotiate", "err", fmt.Sprintf("%.256v", r))
		*err = fmt.Errorf("negotiate: %w", code)
	}
}

// LocalDescription is our description with the candidates told so far; ok is
// false before there is one.
func (p *Peer) LocalDescription() (sdp string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.local == nil {
		return "", false
	}
	var lines []string
	if p.gatherOn {
		for _, c := range p.found {
			lines = append(lines, c.Candidate)
		}
	}
	return p.local.text(lines), true
}

// RemoteDescription is the peer's description as it came; ok is false before.
func (p *Peer) RemoteDescription() (sdp string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.remote, p.remote != ""
}

// Negotiated tells whether both descriptions are there.
func (p *Peer) Negotiated() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stage == settled
}

// AddCandidate takes a trickled candidate, also before the peer's description,
// when it is kept. Candidates that are of no use are dropped without an error;
// more than MaxCandidates fail with kerr.ICEAddCandidateError.
func (p *Peer) AddCandidate(c Candidate) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("add candidate: %w", net.ErrClosed)
	}
	c.Candidate = strings.TrimPrefix(strings.TrimSpace(c.Candidate), "a=")
	switch judge(c.Candidate, p.engine.loopback) {
	case candidateSkip:
		return nil
	case candidateDrop:
		p.engine.counters.badCandidates.Add(1)
		return nil
	}
	if p.remoteN >= MaxCandidates {
		p.engine.counters.badCandidates.Add(1)
		return kerr.New(kerr.ICEAddCandidateError, "Too many ICE candidates")
	}
	p.remoteN++
	if p.stage != settled {
		p.pending = append(p.pending, c)
		return nil
	}
	p.apply(c)
	return nil
}

// takePending applies the candidates of the description and those that came
// before it. The caller holds p.mu.
func (p *Peer) takePending(d *description) {
	list := p.pending
	p.pending = nil
	for _, c := range d.candidates() {
		switch judge(c.Candidate, p.engine.loopback) {
		case candidateUse:
			if p.remoteN < MaxCandidates {
				p.remoteN++
				list = append(list, c)
			}
		case candidateDrop:
			p.engine.counters.badCandidates.Add(1)
		}
	}
	for _, c := range list {
		p.apply(c)
	}
}

func (p *Peer) apply(c Candidate) {
	if p.pc == nil {
		return
	}
	if err := p.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: c.Candidate}); err != nil {
		p.engine.counters.badCandidates.Add(1)
		p.debug("remote candidate refused", "err", err)
	}
}

// Gather lets the candidates that were and will be found be told to the Handler.
// Before a description there is nothing to gather, which is no error.
func (p *Peer) Gather() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("gather candidates: %w", net.ErrClosed)
	}
	p.gatherOn = true
	p.tell()
	return nil
}

// tell posts what the Handler does not know yet. The caller holds p.mu.
func (p *Peer) tell() {
	if !p.gatherOn || p.local == nil {
		return
	}
	for ; p.told < len(p.found); p.told++ {
		c := p.found[p.told]
		if p.cfg.Candidate != nil {
			p.post(func() { p.cfg.Candidate(c) })
		}
	}
	if p.gathered && !p.toldDone {
		p.toldDone = true
		if p.cfg.GatheringDone != nil {
			p.post(p.cfg.GatheringDone)
		}
	}
}

// foundCandidate hears of our candidates from the library; nil is the end.
func (p *Peer) foundCandidate(c *webrtc.ICECandidate) {
	p.post(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case c == nil:
			p.gathered = true
		case p.private || p.engine.announces(c.Address):
			p.found = append(p.found, p.place(c.ToJSON().Candidate))
		}
		p.tell()
	})
}

// place gives a candidate the first used section's mid and index. The caller holds p.mu.
func (p *Peer) place(text string) Candidate {
	c := Candidate{Candidate: text, SDPMid: "0"}
	if p.local == nil {
		return c
	}
	for i, s := range p.local.sections {
		if s.port != 0 {
			mid, _ := s.attr("mid")
			return Candidate{Candidate: text, SDPMid: mid, SDPMLineIndex: i}
		}
	}
	return c
}

// connect makes the library's object and listens to it. Its callbacks may come
// under its own locks: they only post.
func (p *Peer) connect(active, private bool) (*webrtc.PeerConnection, error) {
	pc, err := p.engine.newConnection(active, !p.noTCP.Load(), p.cfg.DataChannels, private)
	if err != nil {
		return nil, err
	}
	p.private = private
	pc.OnICECandidate(p.foundCandidate)
	pc.OnTrack(func(t *webrtc.TrackRemote, r *webrtc.RTPReceiver) { p.track(pc, t, r) })
	pc.OnICEConnectionStateChange(func(s webrtc.ICEConnectionState) {
		p.post(func() { p.setICE(iceStateOf(s)) })
	})
	pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		p.post(func() { p.setConnected(pc, s == webrtc.PeerConnectionStateConnected) })
	})
	dtls := pc.SCTP().Transport()
	dtls.OnStateChange(func(s webrtc.DTLSTransportState) {
		p.post(func() { p.setDTLS(dtlsStateOf(s)) })
	})
	dtls.ICETransport().OnSelectedCandidatePairChange(func(pair *webrtc.ICECandidatePair) {
		p.post(func() { p.setPair(pair) })
	})
	return pc, nil
}

func (p *Peer) setICE(s ICEState) {
	p.mu.Lock()
	changed := p.iceState != s
	p.iceState = s
	if changed {
		p.heldICE = s == ICEConnected && p.pair == nil
	}
	held := p.heldICE
	p.mu.Unlock()
	if changed && !held && p.cfg.ICEState != nil {
		p.cfg.ICEState(s)
	}
}

// releaseICE tells the connected state that waited for its pair: the library
// says both in any order, listeners expect the pair first.
func (p *Peer) releaseICE() {
	p.mu.Lock()
	held := p.heldICE
	p.heldICE = false
	p.mu.Unlock()
	if held && p.cfg.ICEState != nil {
		p.cfg.ICEState(ICEConnected)
	}
}

func (p *Peer) setDTLS(s DTLSState) {
	p.mu.Lock()
	changed := p.dtlsState != s
	p.dtlsState = s
	p.mu.Unlock()
	if changed && p.cfg.DTLSState != nil {
		p.cfg.DTLSState(s)
	}
}

func (p *Peer) setPair(pair *webrtc.ICECandidatePair) {
	cp := CandidatePair{Local: pair.Local.ToJSON().Candidate, Remote: pair.Remote.ToJSON().Candidate}
	p.mu.Lock()
	p.pair = &cp
	p.mu.Unlock()
	if p.cfg.Pair != nil {
		p.cfg.Pair(cp)
	}
	p.releaseICE()
}

// setConnected opens the senders, which then ask for a keyframe, or shuts them.
func (p *Peer) setConnected(pc *webrtc.PeerConnection, up bool) {
	if p.connected.Swap(up) == up {
		return
	}
	p.releaseICE()
	p.audioOut.setLive(up)
	p.videoOut.setLive(up)
	if up {
		p.audioIn.connected(pc)
		p.videoIn.connected(pc)
	}
	if p.cfg.Connected != nil {
		p.cfg.Connected(up)
	}
}

// track starts reading a remote track; a second one of a kind is left alone.
func (p *Peer) track(pc *webrtc.PeerConnection, t *webrtc.TrackRemote, r *webrtc.RTPReceiver) {
	in := p.Receiver(pipeline.Video)
	if t.Kind() == webrtc.RTPCodecTypeAudio {
		in = p.Receiver(pipeline.Audio)
	}
	if !in.claim(t, r) {
		return
	}
	p.goRead("transport.receiver.rtp", func() { in.read(pc, t) })
	p.goRead("transport.receiver.rtcp", func() { in.readRTCP(r) })
}
