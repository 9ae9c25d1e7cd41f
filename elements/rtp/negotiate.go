package rtp

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// stage is how far negotiation has come; there is no way back.
type stage uint8

const (
	fresh stage = iota
	offering
	settled
)

func alreadyNegotiated() error {
	return kerr.New(kerr.SDPAlreadyNegotiated, "Endpoint already negotiated")
}

// GenerateOffer makes the session description to send first and binds its ports.
// Once only: kerr.SDPAlreadyNegotiated; kerr.SDPGenerateOfferError when no ports
// are free, after which it may be tried again.
func (e *Endpoint) GenerateOffer(_ context.Context, p elements.GenerateOfferParams) (string, error) {
	e.negotiateMu.Lock()
	defer e.negotiateMu.Unlock()
	if err := e.may(fresh); err != nil {
		return "", err
	}
	where, err := e.deps.place(e.terms.ipv6, netip.Addr{})
	if err != nil {
		return "", fmt.Errorf("make offer: %w: %w", kerr.SDPGenerateOfferError, err)
	}
	wanted := map[pipeline.Kind]bool{pipeline.Audio: true, pipeline.Video: true}
	if p.Options != nil {
		wanted[pipeline.Audio], wanted[pipeline.Video] = p.Options.OfferToReceiveAudio, p.Options.OfferToReceiveVideo
	}
	text := e.identity.head(where.told)
	var legs []*leg
	var offer []own
	for _, kind := range kinds {
		if !wanted[kind] {
			continue
		}
		l, err := e.newLeg(kind, where)
		if err != nil {
			closeLegs(legs)
			return "", fmt.Errorf("make offer: %w: %w", kerr.SDPGenerateOfferError, err)
		}
		legs = append(legs, l)
		o := e.own(l)
		offer = append(offer, o)
		text += e.identity.offerSection(o, e.offered(kind, wanted[pipeline.Audio]), e.terms.secret)
	}
	for _, l := range legs {
		l.listen()
	}
	e.mu.Lock()
	e.legs, e.local = legs, text
	e.mu.Unlock()
	e.stage, e.offer = offering, offer
	return text, nil
}

// offered are the payload types of our offer.
func (e *Endpoint) offered(kind pipeline.Kind, withAudio bool) []payload {
	if kind == pipeline.Video && withAudio {
		return offered(kind, firstVideoAfter)
	}
	return offered(kind, firstDynamic)
}

// ProcessOffer answers the peer's description. What cannot be used is refused
// section by section, even all of it. kerr.SDPParseError for what is no
// description and kerr.SDPProcessOfferError when no ports are free leave the
// Endpoint as it was. Once only: kerr.SDPAlreadyNegotiated.
func (e *Endpoint) ProcessOffer(_ context.Context, p elements.ProcessOfferParams) (string, error) {
	e.negotiateMu.Lock()
	defer e.negotiateMu.Unlock()
	if p.Offer == "" {
		return "", kerr.New(kerr.SDPParseError, "Empty offer not valid")
	}
	if err := e.may(fresh); err != nil {
		return "", err
	}
	d, err := parseSDP(p.Offer)
	if err != nil {
		return "", err
	}
	used := map[int]*remote{} // by section: the first of each kind that fits
	taken := map[pipeline.Kind]bool{}
	var towards netip.Addr
	for i, s := range d.sections {
		if r, ok := e.terms.read(d, s); ok && !taken[r.kind] {
			used[i], taken[r.kind] = r, true
			if !towards.IsValid() {
				towards = r.rtp.Addr()
			}
		}
	}
	where, err := e.deps.place(e.terms.ipv6, towards)
	if err != nil {
		return "", fmt.Errorf("answer offer: %w: %w", kerr.SDPProcessOfferError, err)
	}
	text := strings.Builder{}
	text.WriteString(e.identity.head(where.told, sessionCopies(d)...))
	var legs []*leg
	var agreed []agreement
	for i, s := range d.sections {
		r := used[i]
		if r == nil {
			text.WriteString(refusedSection(s))
			continue
		}
		l, err := e.newLeg(r.kind, where)
		if err == nil {
			legs = append(legs, l)
			var a agreement
			if a, err = e.agree(l, r, r.payloads); err == nil {
				agreed = append(agreed, a)
			}
		}
		if err != nil {
			closeLegs(legs)
			return "", fmt.Errorf("answer offer: %w: %w", kerr.SDPProcessOfferError, err)
		}
		if r.mux {
			l.ports.multiplex()
		}
		text.WriteString(e.identity.answerSection(s, r, e.own(l), e.terms.secret))
	}
	e.mu.Lock()
	e.legs, e.local, e.remote = legs, text.String(), p.Offer
	e.mu.Unlock()
	for _, l := range legs {
		l.listen()
	}
	e.start(agreed)
	return text.String(), nil
}

// ProcessAnswer takes the answer to our offer and returns our description.
// kerr.SDPNotOfferGenerated without an offer, or when it was answered already;
// kerr.SDPParseError for what is no description; kerr.SDPProcessAnswerError for
// one that does not fit the offer. After the latter two another may come.
func (e *Endpoint) ProcessAnswer(_ context.Context, p elements.ProcessAnswerParams) (string, error) {
	e.negotiateMu.Lock()
	defer e.negotiateMu.Unlock()
	if err := e.may(offering); err != nil {
		return "", err
	}
	if p.Answer == "" {
		return "", kerr.New(kerr.SDPParseError, "Empty answer not valid")
	}
	d, err := parseSDP(p.Answer)
	if err != nil {
		return "", err
	}
	if len(d.sections) != len(e.offer) {
		return "", fmt.Errorf("take answer: %d sections for %d offered: %w", len(d.sections), len(e.offer), kerr.SDPProcessAnswerError)
	}
	legs := e.usedLegs()
	var agreed []agreement
	var kept, refused []*leg
	for i, s := range d.sections {
		l := legs[i]
		if kindOf(s.media) != l.kind {
			return "", fmt.Errorf("take answer: section %d is %s: %w", i, s.media, kerr.SDPProcessAnswerError)
		}
		r, ok := e.terms.read(d, s)
		switch {
		case ok:
		case s.port == 0 || direction(s.lines, d.direction) == inactive:
			refused = append(refused, l)
			continue
		default:
			return "", fmt.Errorf("take answer: section %d has no codec, profile, key or address that was offered: %w", i, kerr.SDPProcessAnswerError)
		}
		r.mux = false // it was not offered
		if r.rtcp == r.rtp && r.rtp.Port() < 65535 {
			r.rtcp = netip.AddrPortFrom(r.rtp.Addr(), r.rtp.Port()+1)
		}
		a, err := e.agree(l, r, e.offered(l.kind, legs[0].kind == pipeline.Audio))
		if err != nil {
			return "", fmt.Errorf("take answer: %w: %w", kerr.SDPProcessAnswerError, err)
		}
		agreed = append(agreed, a)
		kept = append(kept, l)
	}
	e.mu.Lock()
	e.legs, e.remote = kept, p.Answer
	local := e.local
	e.mu.Unlock()
	closeLegs(refused)
	e.start(agreed)
	return local, nil
}

// LocalSessionDescriptor is our description; kerr.SDPNoLocalSDP before there is one.
func (e *Endpoint) LocalSessionDescriptor(context.Context, elements.None) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.local == "" {
		return "", kerr.New(kerr.SDPNoLocalSDP, "No local SDP")
	}
	return e.local, nil
}

// RemoteSessionDescriptor is the peer's description; kerr.SDPNoRemoteSDP before
// there is one.
func (e *Endpoint) RemoteSessionDescriptor(context.Context, elements.None) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.remote == "" {
		return "", kerr.New(kerr.SDPNoRemoteSDP, "No remote SDP")
	}
	return e.remote, nil
}

// may tells whether a step may be taken. The caller holds e.negotiateMu.
func (e *Endpoint) may(want stage) error {
	switch {
	case e.closed:
		return kerr.New(kerr.MediaObjectNotFound, "Object '%s' not found", e.ID())
	case want == offering && e.stage != offering:
		return kerr.New(kerr.SDPNotOfferGenerated, "Offer not generated. It is not possible to process an answer.")
	case want != e.stage:
		return alreadyNegotiated()
	}
	return nil
}

// newLeg binds the ports of one section.
func (e *Endpoint) newLeg(kind pipeline.Kind, at place) (*leg, error) {
	p, err := bindPorts(at.bind, e.deps.MinPort, e.deps.MaxPort)
	if err != nil {
		return nil, err
	}
	return &leg{
		e: e, kind: kind, ports: p, in: e.receivers[kind], out: e.senders[kind], lock: sourceLock{self: at.told},
	}, nil
}

func closeLegs(legs []*leg) {
	for _, l := range legs {
		l.close()
	}
}

// own is what we say of a leg.
func (e *Endpoint) own(l *leg) own {
	kbps := get(e, func(s *settings) int {
		if l.kind == pipeline.Audio {
			return s.maxAudioRecv
		}
		return s.maxVideoRecv
	})
	return own{kind: l.kind, ports: l.ports, ssrc: l.out.ssrc, kbps: kbps}
}

// agreement is one section that both sides use.
type agreement struct {
	leg      *leg
	remote   *remote
	security *security
	receive  []payload // by our numbers
}

// agree works out what a section will be, without changing anything yet.
func (e *Endpoint) agree(l *leg, r *remote, mine []payload) (agreement, error) {
	a := agreement{leg: l, remote: r}
	for _, p := range mine {
		for _, theirs := range r.payloads {
			if theirs.name == p.name && theirs.rate == p.rate {
				p.feedback = theirs.feedback // what both know
				p.fmtp = theirs.fmtp
				a.receive = append(a.receive, p)
				break
			}
		}
	}
	if e.terms.secret == nil {
		return a, nil
	}
	var err error
	a.security, err = newSecurity(e.terms.secret, r.key, e.keyLimit(l.kind))
	return a, err
}

// start lets media flow: receivers first, so that nothing is missed. The caller
// holds e.negotiateMu.
func (e *Endpoint) start(agreed []agreement) {
	e.stage = settled
	e.Emit("MediaSessionStarted", nil)
	now := time.Now()
	for _, a := range agreed {
		a.leg.in.open(a.remote, a.receive, a.leg.out.ssrc)
		a.leg.settle(a.remote, a.security, now)
	}
	for _, a := range agreed {
		a.leg.out.open(a.leg, a.remote)
	}
	e.wg.Go(func() {
		defer e.guard("rtp.endpoint", nil)
		e.run()
	})
}
