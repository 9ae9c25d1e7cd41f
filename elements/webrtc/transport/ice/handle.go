package ice

import (
	"bytes"
	"net/netip"
	"slices"
	"time"
)

// Handle takes a STUN message that came by a base of ours. It tells whether the
// message is proven to be of this Agent's peer: a request with valid integrity, or
// a response to a check in flight, from where that check went. Only then does the
// address belong to the peer. A request is answered once, and never when its
// integrity fails (RFC 8445 §7.3).
func (a *Agent) Handle(b []byte, base int, from netip.AddrPort, now time.Time) (mine bool) {
	var m message
	if a.state == StateClosed || !m.parse(b) {
		return false
	}
	from = unmap(from)
	if !reachable(from) {
		return false
	}
	t := a.at(now)
	switch m.kind {
	case bindingRequest:
		mine = a.request(&m, base, from, t)
	case bindingSuccess, bindingError:
		mine = a.response(&m, base, from, t)
	default:
		return false
	}
	if !mine {
		a.stats.Refused++
	}
	return mine
}

func (a *Agent) request(m *message, base int, from netip.AddrPort, t int64) bool {
	if a.state == StateFailed && a.remote.ufrag != "" {
		return false
	}
	if _, ok := a.localOf(base); !ok {
		return false
	}
	ours, _, ok := bytes.Cut(m.username, []byte{':'})
	var pwd string
	past := false
	switch {
	case !ok:
		return false
	case string(ours) == a.local.ufrag && m.authentic(a.local.pwd):
		pwd = a.local.pwd
	case a.old != nil && string(ours) == a.old.local.ufrag && m.authentic(a.old.local.pwd):
		pwd, past = a.old.local.pwd, true
	default:
		return false
	}
	a.stats.RequestsReceived++
	if m.hasRole && m.role == a.role && !a.lite && !past {
		// RFC 8445 §7.3.1.1: the larger tiebreaker controls.
		if (a.cfg.Tiebreaker >= m.tiebreak) == (a.role == Controlling) {
			a.answer(m, base, from, pwd, true)
			return true
		}
		a.setRole(Controlling - a.role)
	}
	a.answer(m, base, from, pwd, false)
	if s := a.sel; s != nil && s.base == base && s.to == from {
		a.alive(t)
	}
	if past {
		return true
	}
	e := early{base: base, from: from, priority: m.priority, value: m.value, use: m.use}
	if a.remote.ufrag == "" {
		a.remember(e)
	} else {
		a.checked(e, t)
	}
	return true
}

// answer sends the one response to a request: smaller than twice the request.
func (a *Agent) answer(m *message, base int, to netip.AddrPort, pwd string, conflict bool) {
	buf := buffers.Get().(*[maxMessage]byte)
	var b []byte
	if conflict {
		b = appendConflict(begin(buf[:], bindingError, m.id))
	} else {
		b = appendAddr(begin(buf[:], bindingSuccess, m.id), to)
	}
	a.stats.ResponsesSent++
	if a.cfg.Send != nil {
		a.cfg.Send(base, to, seal(b, pwd))
	}
	buffers.Put(buf)
}

// remember keeps a check until the peer's credentials come.
func (a *Agent) remember(e early) {
	i := slices.IndexFunc(a.early, func(x early) bool { return x.base == e.base && x.from == e.from })
	switch {
	case i >= 0:
		e.use = e.use || a.early[i].use
		a.early[i] = e
	case len(a.early) < maxEarly:
		a.early = append(a.early, e)
	}
}

// checked goes on with a valid check of the peer (RFC 8445 §7.3.1.3 to §7.3.1.5).
func (a *Agent) checked(e early, t int64) {
	p := a.find(e.base, e.from)
	if p == nil {
		l, ok := a.localOf(e.base)
		if !ok {
			return
		}
		r := candidate{addr: e.from, priority: e.priority, kind: PeerReflexive}
		if i := slices.IndexFunc(a.remotes, func(c candidate) bool { return c.addr == e.from }); i >= 0 && !l.TCP {
			r = a.remotes[i]
		}
		p = a.add(l, r, t, true)
	}
	p.asked, p.triggered = t, true
	if e.use && a.role == Controlled && (e.value == 0 || e.value >= a.value) {
		p.nominated, p.value, p.wish = t, e.value, true
		a.value = max(a.value, e.value)
	}
	switch {
	case p == a.sel && a.old == nil:
		p.wish = false
	case p.state != succeeded:
		a.trigger(p, t)
	default:
		a.nudge(p, t)
		a.works(p, t)
	}
}

// nudge checks a valid pair again that the peer checks and has yet to nominate:
// some peers nominate when a check comes, and else at a slow tick of theirs.
func (a *Agent) nudge(p *pair, t int64) {
	if a.role == Controlled && p.nominated == 0 && (a.sel == nil || a.old != nil) && a.spend(t) {
		a.check(p, t, true)
		p.due = 0
	}
}

// response takes an answer to a check of ours (RFC 8445 §7.2.5). It must come from
// where the check went, to the base that it left.
func (a *Agent) response(m *message, base int, from netip.AddrPort, t int64) bool {
	p := a.asker(m.id)
	if p == nil || p.base != base || p.to != from || !m.authentic(a.of(p).remote.pwd) {
		return false
	}
	a.stats.ResponsesReceived++
	late := m.id != p.id
	use := p.use && !late
	if p.before = (transactionID{}); !late || p != a.nominee {
		p.id = transactionID{}
	}
	if m.kind == bindingError {
		a.refusal(m, p, t)
		return true
	}
	if !late && p.tries == 1 && p.sent != 0 {
		a.stats.RoundTrip = time.Duration(t - p.sent)
		a.stats.TotalRoundTrip += a.stats.RoundTrip
		a.stats.RoundTrips++
	}
	if p == a.sel {
		p.tries = 0
		a.consented, a.consent = t, consentLater(t)
		a.alive(t)
		return true
	}
	if late && p == a.nominee {
		return true
	}
	p.state, p.due, p.tries = succeeded, 0, 0
	if a.valid == 0 {
		a.valid = t
	}
	if use && a.role == Controlling {
		a.choose(p, t)
	} else {
		a.works(p, t)
	}
	return true
}

// asker is the pair whose check has that transaction id.
func (a *Agent) asker(id transactionID) *pair {
	if id == (transactionID{}) {
		return nil
	}
	if s := a.sel; s != nil && (s.id == id || s.before == id) {
		return s
	}
	for _, p := range a.pairs {
		if p.id == id || p.before == id {
			return p
		}
	}
	return nil
}

// refusal takes an error response: a role conflict is solved and the check goes
// again (RFC 8445 §7.2.5.1); anything else is the end of the pair.
func (a *Agent) refusal(m *message, p *pair, t int64) {
	switch {
	case m.code == codeConflict:
		if a.role == p.role && !a.lite {
			a.setRole(Controlling - a.role)
		}
		if p == a.sel {
			a.consent = t
			return
		}
		p.reset(t)
		a.run(t)
	case p != a.sel:
		p.state, p.due = failed, 0
		if p == a.nominee {
			a.nominee = nil
		}
		a.run(t)
	}
}
