package transport

import (
	"fmt"
	"net"
	"slices"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/elements/webrtc/transport/ice"
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
// Peer as it was. Once it succeeded it fails with kerr.SDPAlreadyNegotiated, but
// for an offer that restarts ICE and leaves everything else as it is.
func (p *Peer) Answer(offer string) (answer string, err error) {
	defer p.guarded(&err, kerr.SDPProcessOfferError)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", fmt.Errorf("answer offer: %w", net.ErrClosed)
	}
	if p.stage != fresh {
		if answer, ok := p.reanswer(offer); ok {
			return answer, nil
		}
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
	p.takePending(d)
	p.tell()
	return local.text(nil), nil
}

// abandon undoes a negotiation that failed. The caller holds p.mu; the legs end
// beside it, for their ends are told under it.
func (p *Peer) abandon() {
	legs := p.legs
	p.legs = nil
	p.under(func(*turn) { p.transports = nil })
	p.goSafe("transport.abandon", func() {
		for _, l := range legs {
			l.close()
		}
	})
}

// settleAnswer makes a leg for each transport of the offer, none when every
// section is refused, and starts them.
func (p *Peer) settleAnswer(d *description) (*description, error) {
	plans := planOffer(d, p.cfg.DataChannels)
	for i, plan := range plans {
		if err := plan.read(p.cfg.Simulcast, p.cfg.Orientation); err != nil {
			return nil, err
		}
		l, err := p.newLeg(i+1, plan, p.engine.isOurs(plan.ufrag))
		if err != nil {
			return nil, err
		}
		p.legs = append(p.legs, l)
	}
	local := p.composeAnswer(d, *p.caps.Load())
	for _, l := range p.legs {
		l.settle(local)
		if err := l.begin(); err != nil {
			return nil, err
		}
	}
	return local, nil
}

// begin starts a leg whose plan is known. The caller holds Peer.mu.
func (l *leg) begin() (err error) {
	p := l.peer
	p.under(func(t *turn) {
		if err = l.secure(); err != nil {
			return
		}
		for _, i := range l.plan.use {
			m, ok := l.plan.media[i]
			if !ok {
				continue
			}
			if m.send {
				p.Sender(m.kind).bind(l, &m)
			}
			p.Receiver(m.kind).bind(l, &m)
			if m.recv && m.ext.twcc != 0 && l.record == nil {
				l.record = &congestion.Recorder{}
			}
		}
		if !slices.Contains(p.transports, l) {
			p.transports = append(p.transports, l)
		}
		if l.agent.Role() == ice.Controlled {
			l.checkAt = t.now.Add(firstCheck)
		}
		err = l.agent.SetRemote(l.plan.ufrag, l.plan.pwd, l.plan.lite, t.now)
		l.afterICE(t)
		p.soon(t.now)
	})
	return err
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
	p.tell()
	return local.text(nil), nil
}

func (p *Peer) settleOffer(o OfferOptions) (*description, error) {
	var kinds []pipeline.Kind
	if o.Audio {
		kinds = append(kinds, pipeline.Audio)
	}
	if o.Video {
		kinds = append(kinds, pipeline.Video)
	}
	if p.cfg.DataChannels {
		kinds = append(kinds, pipeline.Data)
	}
	l, err := p.newLeg(1, nil, false)
	if err != nil {
		return nil, err
	}
	p.legs = []*leg{l}
	l.kinds = kinds
	for i := range kinds {
		l.at = append(l.at, i)
	}
	p.under(func(t *turn) {
		p.transports = append(p.transports, l)
		l.afterICE(t)
	})
	return p.composeOffer(kinds, l.own, *p.caps.Load()), nil
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
	case p.reoffer != nil:
		return p.reanswered(answer)
	case p.stage != haveOffer:
		return kerr.New(kerr.SDPNotOfferGenerated, "Offer not generated. It is not possible to process an answer.")
	}
	d, err := parseSDP(answer)
	if err != nil {
		return err
	}
	plan, alive := planAnswer(d, p.local)
	if plan == nil {
		return fmt.Errorf("take answer: %d sections that do not fit the %d offered: %w", len(d.sections), len(p.local.sections), kerr.SDPProcessAnswerError)
	}
	l := p.legs[0]
	if alive {
		if err := plan.read(false, p.cfg.Orientation); err != nil {
			return fmt.Errorf("take answer: %w: %w", kerr.SDPProcessAnswerError, err)
		}
		l.plan = plan
		l.settle(d)
		if err := l.begin(); err != nil {
			return fmt.Errorf("take answer: %w: %w", kerr.SDPProcessAnswerError, err)
		}
	}
	l.plan = plan
	p.stage, p.remoteSDP, p.remote = settled, d, answer
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
	return p.local.text(p.candidateLines()), true
}

// candidateLines are the candidates that may be told, by section. The caller
// holds p.mu.
func (p *Peer) candidateLines() map[int][]string {
	lines := map[int][]string{}
	if !p.gatherOn {
		return lines
	}
	for _, l := range p.legs {
		for _, c := range l.found {
			c = p.network.Load().external(c)
			for _, i := range l.at {
				lines[i] = append(lines[i], c)
			}
		}
	}
	return lines
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
