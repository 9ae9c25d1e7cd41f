package transport

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/govidu/govidu/elements/webrtc/transport/ice"
	"github.com/govidu/govidu/internal/kerr"
)

// An ICE restart (RFC 8445 §9, RFC 8839 §4.4.3) replaces the credentials of a
// negotiated Peer and finds a way anew, while media goes on by the old one. All
// else stays: the DTLS association and its keys, SSRCs, sequence numbers. So a
// description that wants anything else is none.

// credentials are what ours are to be after a restart that we offered.
type credentials struct{ ufrag, pwd string }

// reanswer answers an offer to a negotiated Peer; ok is false for one that is no
// restart, which changes nothing. The caller holds p.mu.
func (p *Peer) reanswer(offer string) (answer string, ok bool) {
	d, err := parseSDP(offer)
	if err != nil {
		return "", false
	}
	plans := p.renew(d)
	if plans == nil {
		return "", false
	}
	fresh := make([]credentials, len(p.legs))
	for i, l := range p.legs {
		fresh[i].ufrag, fresh[i].pwd = ice.NewCredentials()
		l.own.setup = "passive"
		if plans[i].active {
			l.own.setup = "active"
		}
	}
	p.restart(plans, fresh)
	p.version++
	local := p.composeAnswer(d, *p.caps.Load())
	local.session[0] = p.originLine()
	p.restarted(local, d, offer)
	return local.text(p.candidateLines()), true
}

// RestartICE makes an offer with new credentials for a negotiated Peer; SetAnswer
// takes the answer, and until then nothing changes. A later one replaces it, and
// so does an offer of the peer. It fails with kerr.SDPGenerateOfferError
// before the Peer is negotiated, or when nothing of it connects.
func (p *Peer) RestartICE() (offer string, err error) {
	defer p.guarded(&err, kerr.SDPGenerateOfferError)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed:
		return "", fmt.Errorf("restart ICE: %w", net.ErrClosed)
	case p.stage != settled || !p.restartable():
		return "", kerr.New(kerr.SDPGenerateOfferError, "ICE is restarted of a negotiated endpoint only")
	}
	p.version++
	d := &description{session: slices.Clone(p.local.session)}
	d.session[0] = p.originLine()
	p.fresh = make([]credentials, len(p.legs))
	for i := range p.fresh {
		p.fresh[i].ufrag, p.fresh[i].pwd = ice.NewCredentials()
	}
	for i, s := range p.local.sections {
		next := *s
		if at := slices.IndexFunc(p.legs, func(l *leg) bool { return slices.Contains(l.at, i) }); at >= 0 {
			next.lines = slices.Clone(s.lines)
			for j, line := range next.lines {
				switch k, _, _ := cutAttr(line); k {
				case "ice-ufrag":
					next.lines[j] = "a=ice-ufrag:" + p.fresh[at].ufrag
				case "ice-pwd":
					next.lines[j] = "a=ice-pwd:" + p.fresh[at].pwd
				case "setup":
					next.lines[j] = "a=setup:actpass"
				}
			}
		}
		d.sections = append(d.sections, &next)
	}
	p.reoffer = d
	return d.text(p.candidateLines()), nil
}

// reanswered takes the answer to RestartICE. The caller holds p.mu.
func (p *Peer) reanswered(answer string) error {
	d, err := parseSDP(answer)
	if err != nil {
		return err
	}
	plans := p.renew(d)
	if plans == nil {
		return kerr.New(kerr.SDPProcessAnswerError, "The answer is not one to an ICE restart")
	}
	local := p.reoffer
	p.restart(plans, p.fresh)
	p.restarted(local, d, answer)
	return nil
}

// restartable tells whether each transport was begun.
func (p *Peer) restartable() bool {
	return len(p.legs) > 0 && !p.broken.Load() && !slices.ContainsFunc(p.legs, func(l *leg) bool { return l.plan == nil || l.plan.media == nil })
}

// renew reads a further description of the peer: the plans of the legs if it
// restarts all of them and leaves the rest as it is, nil else.
func (p *Peer) renew(d *description) []*plan {
	if p.stage != settled || !p.restartable() || len(d.sections) != len(p.remoteSDP.sections) {
		return nil
	}
	for i, s := range d.sections {
		was := p.remoteSDP.sections[i]
		mid, _ := s.attr("mid")
		if old, _ := was.attr("mid"); s.media != was.media || mid != old {
			return nil
		}
	}
	var plans []*plan
	for _, l := range p.legs {
		next := &plan{remote: d, use: l.plan.use}
		if next.read(p.cfg.Simulcast, p.cfg.Orientation) != nil || !next.follows(l.plan) {
			return nil
		}
		plans = append(plans, next)
	}
	return plans
}

// follows tells whether a plan is an earlier one with other ICE credentials, and
// keeps of that what does not change.
func (p *plan) follows(was *plan) bool {
	if p.ufrag == was.ufrag || p.pwd == was.pwd || !strings.EqualFold(p.print, was.print) {
		return false
	}
	for _, i := range p.use {
		s := p.remote.sections[i]
		if s.port == 0 && !s.has("bundle-only") {
			return false
		}
		// The association stays, and so do its roles (RFC 8842 §5.5).
		if setup, _ := p.remote.inherited(s, "setup"); setup == "active" && was.active || setup == "passive" && !was.active {
			return false
		}
		m, isMedia := p.media[i]
		if !isMedia {
			continue
		}
		old := was.media[i]
		if !m.includes(&old) {
			return false
		}
		m.codecs, m.send, m.recv, m.rids, m.fec = old.codecs, old.send, old.recv, old.rids, old.fec
		p.media[i] = m
	}
	p.active = was.active
	return true
}

// includes tells whether what was negotiated earlier can go on.
func (m *media) includes(was *media) bool {
	if m.kind != was.kind || was.send && !m.send || was.recv && !m.recv || len(was.rids) > 0 && !slices.Equal(m.rids, was.rids) {
		return false
	}
	for _, c := range was.codecs {
		if !slices.ContainsFunc(m.codecs, func(x rtpCodec) bool {
			return x.pt == c.pt && x.name == c.name && x.rate == c.rate && x.rtx == c.rtx && x.red == c.red
		}) {
			return false
		}
	}
	return true
}

// restart begins new checks on each leg. The caller holds p.mu.
func (p *Peer) restart(plans []*plan, fresh []credentials) {
	p.reoffer, p.fresh = nil, nil
	p.remoteN = len(p.waiting)
	for i, l := range p.legs {
		next, own := plans[i], fresh[i]
		l.own.ufrag, l.own.pwd = own.ufrag, own.pwd
		l.told = 0
		p.engine.alias(l, own.ufrag)
		p.under(func(t *turn) {
			if l.ended {
				return
			}
			l.plan, l.remotes = next, nil
			for _, m := range next.media {
				r := p.Receiver(m.kind)
				r.declared, r.repair = m.declared, m.repair
				r.takeIDs(&m)
				if m.send {
					p.Sender(m.kind).takeIDs(&m)
				}
			}
			l.agent.Restart(own.ufrag, own.pwd, t.now)
			if l.agent.Role() == ice.Controlled {
				l.checkAt = t.now.Add(firstCheck)
			}
			if err := l.agent.SetRemote(next.ufrag, next.pwd, next.lite, t.now); err != nil { // they were looked at
				p.debug("restart ICE", "err", err)
			}
			l.afterICE(t)
			p.soon(t.now)
		})
	}
}

// restarted keeps the descriptions of a restart and tells our candidates again,
// for the peer has forgotten them.
func (p *Peer) restarted(local, remote *description, text string) {
	p.local, p.remoteSDP, p.remote = local, remote, text
	p.takePending(remote)
	p.toldDone = false
	p.tell()
}

// originLine is the o= line of the present version (RFC 8866 §5.2).
func (p *Peer) originLine() string {
	return "o=- " + p.origin + " " + strconv.Itoa(1+p.version) + " IN IP4 0.0.0.0"
}

// alias has checks under another user fragment found, beside the present one. The
// one in between, of a restart that another has overtaken, is forgotten.
func (e *Engine) alias(l *leg, ufrag string) {
	e.demux.Lock()
	defer e.demux.Unlock()
	if e.tags[l.tag] != l {
		return // it has ended
	}
	if len(l.names) > 1 {
		delete(e.ufrags, l.names[1])
		l.names = l.names[:1]
	}
	l.names = append(l.names, ufrag)
	e.ufrags[ufrag] = l
}

// settleName forgets all user fragments of a leg but the latest: a pair of that is
// selected.
func (e *Engine) settleName(l *leg) {
	e.demux.Lock()
	defer e.demux.Unlock()
	for len(l.names) > 1 {
		delete(e.ufrags, l.names[0])
		l.names = l.names[1:]
	}
}
