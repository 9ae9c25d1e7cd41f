package transport

import (
	"fmt"
	"net"

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
// them. It fails with kerr.SDPParseError for what is no session description,
// kerr.NotEnoughResources while too many handshakes are under way and with
// kerr.SDPProcessOfferError when the library refuses it; all leave the
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
	if err := p.engine.admit(); err != nil {
		return "", err
	}
	local, err := p.settleAnswer(d)
	if err != nil {
		p.abandon()
		return "", fmt.Errorf("answer offer: %w: %w", kerr.SDPProcessOfferError, err)
	}
	p.stage, p.local, p.remoteSDP, p.remote = settled, local, d, offer
	p.declared(d)
	p.takePending(d)
	return local.text(nil), nil
}

// abandon undoes a negotiation that failed. The caller holds p.mu; the legs end
// beside it, for their ends are told under it.
func (p *Peer) abandon() {
	legs := p.legs
	p.legs = nil
	for _, l := range legs {
		p.wg.Go(func() { _ = l.close() })
	}
}

// settleAnswer runs the library's half of an answer: one object for each
// transport of the offer, none when every section is refused.
func (p *Peer) settleAnswer(d *description) (*description, error) {
	plans := planOffer(d, p.cfg.DataChannels)
	owns := make([]*description, len(plans))
	answers := make([]webrtc.SessionDescription, len(plans))
	for i, plan := range plans {
		ufrag, _, _ := plan.security()
		l, err := p.newLeg(i+1, plan, p.engine.isOurs(ufrag))
		if err != nil {
			return nil, err
		}
		p.legs = append(p.legs, l)
		if answers[i], owns[i], err = l.answer(); err != nil {
			return nil, err
		}
	}
	local, err := composeAnswer(d, plans, owns, *p.caps.Load())
	if err != nil {
		return nil, err
	}
	for i, l := range p.legs {
		l.settle(local)
		if err := l.pc.SetLocalDescription(answers[i]); err != nil {
			return nil, err
		}
	}
	return local, nil
}

// answer asks the library for its answer to the leg's plan.
func (l *leg) answer() (webrtc.SessionDescription, *description, error) {
	none := webrtc.SessionDescription{}
	if err := l.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: l.plan.text}); err != nil {
		return none, nil, err
	}
	for n, i := range l.plan.use {
		if s := l.peer.Sender(kindOf(l.plan.remote.sections[i].media)); s != nil && l.plan.receives(n) {
			if err := l.peer.attach(l.pc, s); err != nil {
				return none, nil, err
			}
		}
	}
	answer, err := l.pc.CreateAnswer(nil)
	if err != nil {
		return none, nil, err
	}
	own, err := parseSDP(answer.SDP)
	return answer, own, err
}

// settle notes which of the local description's sections are the leg's.
func (l *leg) settle(local *description) {
	l.at, l.kinds = nil, nil
	for _, i := range l.plan.use {
		if i < len(local.sections) && local.sections[i].port != 0 {
			l.at = append(l.at, i)
			l.kinds = append(l.kinds, kindOf(local.sections[i].media))
		}
	}
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
// kerr.SDPAlreadyNegotiated; kerr.NotEnoughResources while too many handshakes
// are under way.
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
	if !o.Audio && !o.Video && !p.cfg.DataChannels {
		return "", kerr.New(kerr.SDPGenerateOfferError, "Nothing to offer: no audio, no video, no data channels")
	}
	if err := p.engine.admit(); err != nil {
		return "", err
	}
	local, err := p.settleOffer(o)
	if err != nil {
		p.abandon()
		return "", fmt.Errorf("make offer: %w: %w", kerr.SDPGenerateOfferError, err)
	}
	p.stage, p.local = haveOffer, local
	if ufrag, ok := local.sections[0].attr("ice-ufrag"); ok {
		p.engine.offered(ufrag, p)
	}
	return local.text(nil), nil
}

func (p *Peer) settleOffer(o OfferOptions) (*description, error) {
	l, err := p.newLeg(1, nil, false)
	if err != nil {
		return nil, err
	}
	p.legs = []*leg{l}
	for _, w := range []struct {
		want bool
		kind pipeline.Kind
		typ  webrtc.RTPCodecType
	}{{o.Audio, pipeline.Audio, webrtc.RTPCodecTypeAudio}, {o.Video, pipeline.Video, webrtc.RTPCodecTypeVideo}} {
		if !w.want {
			continue
		}
		t, err := p.transceiver(l.pc, p.Sender(w.kind), w.typ)
		if err != nil {
			return nil, err
		}
		if err := t.SetMid(offerMid(w.kind)); err != nil {
			return nil, err
		}
	}
	offer, err := l.pc.CreateOffer(nil)
	if err != nil {
		return nil, err
	}
	local, err := parseSDP(offer.SDP)
	if err != nil {
		return nil, err
	}
	for i, s := range local.sections {
		mid, _ := s.attr("mid")
		p.offerMids = append(p.offerMids, mid)
		l.at, l.kinds = append(l.at, i), append(l.kinds, kindOf(s.media))
	}
	local.dress(*p.caps.Load())
	return local, l.pc.SetLocalDescription(offer)
}

func (p *Peer) transceiver(pc *webrtc.PeerConnection, s *Sender, typ webrtc.RTPCodecType) (*webrtc.RTPTransceiver, error) {
	if p.cfg.RecvOnly && !p.cfg.SendOnly {
		return pc.AddTransceiverFromKind(typ, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	}
	dir := webrtc.RTPTransceiverDirectionSendrecv
	if p.cfg.SendOnly {
		dir = webrtc.RTPTransceiverDirectionSendonly
	}
	t, err := pc.AddTransceiverFromTrack(s.track, webrtc.RTPTransceiverInit{Direction: dir})
	if err == nil {
		p.readFrom(s, t.Sender())
	}
	return t, err
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
	plan, alive := planAnswer(d, p.offerMids)
	if plan == nil {
		return fmt.Errorf("take answer: %d sections for %d offered: %w", len(d.sections), len(p.offerMids), kerr.SDPProcessAnswerError)
	}
	if alive {
		desc := webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: plan.text}
		if err := p.legs[0].pc.SetRemoteDescription(desc); err != nil {
			return fmt.Errorf("take answer: %w: %w", kerr.SDPProcessAnswerError, err)
		}
	}
	p.legs[0].plan = plan
	p.stage, p.remoteSDP, p.remote = settled, d, answer
	p.declared(d)
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
	lines := map[int][]string{}
	if p.gatherOn {
		for _, l := range p.legs {
			for _, c := range l.found {
				c = p.network.Load().external(c)
				for _, i := range l.at {
					lines[i] = append(lines[i], c)
				}
			}
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

// Streams is the number of transports: one with BUNDLE, none before negotiation.
func (p *Peer) Streams() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.legs)
}

// declared tells the Receivers which streams the peer has announced, for
// statistics before their first packet. The caller holds p.mu.
func (p *Peer) declared(d *description) {
	for _, l := range p.legs {
		for _, i := range l.at {
			s := d.sections[i]
			if r := p.Receiver(kindOf(s.media)); r != nil {
				r.declare(s.firstSSRC())
			}
		}
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
