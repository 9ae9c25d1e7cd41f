package ice

import "time"

const (
	// patience is how long a relayed or TCP pair waits for a better one before we
	// nominate it.
	patience = 300 * time.Millisecond
	// settling is how long a nomination downwards waits when the pair in use was
	// nominated just before.
	settling = 500 * time.Millisecond
	// aggression is how long after the selection a peer may still be one that
	// nominates with each check (RFC 5245 §8.1.1.2).
	aggression = int64(3 * time.Second)
)

// works goes on with a pair that the peer checks or that just became valid.
func (a *Agent) works(p *pair, t int64) {
	switch {
	case a.role == Controlling:
		a.nominate(t)
	case p.wish:
		a.follow(p, t)
	default:
		a.moved(p, t)
	}
}

// nominate, in the controlling role, nominates the best valid pair (RFC 8445
// §8.1.1). A direct one at once, because peers follow when a better one is
// nominated later; others when nothing better is to be hoped for.
func (a *Agent) nominate(t int64) {
	if a.role != Controlling || !a.checking() {
		return
	}
	s := a.sel
	if a.old != nil {
		s = nil
	}
	var best *pair
	hope := false
	for _, p := range a.pairs {
		if p != s && p.state == succeeded && (best == nil || p.priority > best.priority) {
			best = p
		}
	}
	if best == nil {
		return
	}
	for _, p := range a.pairs {
		hope = hope || p.priority > best.priority && (p.state == waiting || p.state == inProgress)
	}
	silent := t-a.heard > a.keepalive+int64(settling) && best.asked > a.heard
	switch {
	case a.nominee != nil && a.nominee.priority >= best.priority:
		return
	case s != nil && a.state == StateConnected && best.priority <= s.priority && !silent:
		return
	case s == nil && !best.direct() && hope && t-a.valid < int64(patience):
		return
	}
	if n := a.nominee; n != nil {
		n.state, n.due = succeeded, 0
	}
	a.nominee = best
	best.state = inProgress
	a.check(best, t, true)
}

// follow, in the controlled role, takes a pair that is valid and that the peer
// nominated. The peer may nominate again when its network changes: it is followed
// at once. Only a peer that seems to nominate everything is not followed downwards
// while it also nominates the better pair.
func (a *Agent) follow(p *pair, t int64) {
	p.wish = false
	s := a.sel
	if a.old != nil {
		s = nil
	}
	switch {
	case s == nil, a.state == StateDisconnected, p.priority > s.priority, p.value != 0 && p.value >= a.value:
		a.choose(p, t)
	case p.nominated < s.nominated:
	case t-a.fresh >= aggression, t-s.nominated >= int64(settling):
		a.choose(p, t)
	default:
		a.deferred = p
	}
}

// settle decides about a nomination that had to wait.
func (a *Agent) settle(t int64) {
	p, s := a.deferred, a.sel
	switch {
	case p == nil:
	case s == nil || a.old != nil || p.state != succeeded || s.nominated > p.nominated:
		a.deferred = nil
	case t-s.nominated >= int64(settling):
		a.choose(p, t)
	}
}

// moved, in the controlled role, takes a valid pair that was not nominated when
// the peer checks it and nothing is heard any more on the one in use: behind a NAT
// the peer may not know that its address changed, and sees no reason to nominate.
func (a *Agent) moved(p *pair, t int64) {
	silent := p.asked > a.heard && t-a.heard > a.keepalive+int64(settling)
	switch {
	case a.old != nil:
	case a.sel == nil && a.state == StateDisconnected, a.sel != nil && silent:
		a.choose(p, t)
	}
}

// choose selects a pair.
func (a *Agent) choose(p *pair, t int64) {
	if p == a.sel && a.old == nil {
		return
	}
	a.sel, a.old, a.deferred = p, nil, nil
	if a.nominee == p {
		a.nominee = nil
	}
	p.state, p.due, p.tries, p.wish = succeeded, 0, 0, false
	p.id, p.before = transactionID{}, transactionID{}
	a.heard, a.consented, a.fresh = max(a.heard, t), t, t
	a.consent = consentLater(t)
	if a.cfg.Selected != nil {
		a.cfg.Selected(a.pair(p))
	}
	a.enter(StateConnected)
}
