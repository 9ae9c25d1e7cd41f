package ice

import (
	"math/rand/v2"
	"sync"
	"time"
)

// upgrade is how long after a new candidate or a selection better pairs are still
// checked on our own.
const upgrade = int64(3 * time.Second)

// silence is how long nothing was heard on the selected pair before packets on
// another one count.
const silence = time.Second

// buffers for one message each, shared by all agents: Send does not keep them.
var buffers = sync.Pool{New: func() any { return new([maxMessage]byte) }}

// of gives the credentials that a pair is checked with.
func (a *Agent) of(p *pair) generation {
	if a.old != nil && p == a.sel {
		return *a.old
	}
	return generation{a.local, a.remote}
}

// check sends a check of the pair. What goes again carries the same transaction
// id, so that an answer to either counts.
func (a *Agent) check(p *pair, t int64, fresh bool) {
	if fresh || p.id == (transactionID{}) || p.role != a.role {
		p.before, p.id = p.id, NewID(a.cfg.Tag)
		p.sent, p.tries, p.role = t, 0, a.role
		p.use = a.role == Controlling && p == a.nominee
	}
	g := a.of(p)
	buf := buffers.Get().(*[maxMessage]byte)
	b := begin(buf[:], bindingRequest, p.id)
	b = appendUsername(b, g.remote.ufrag, g.local.ufrag)
	b = appendUint32(b, attrPriority, p.ownPriority)
	b = appendRole(b, p.role, a.cfg.Tiebreaker)
	if p.use {
		b = appendHead(b, attrUseCandidate, 0)
	}
	a.stats.RequestsSent++
	if a.cfg.Send != nil {
		a.cfg.Send(p.base, p.to, seal(b, g.remote.pwd))
	}
	buffers.Put(buf)
	p.due = t + min(int64(firstRTO)<<p.tries, int64(lastRTO))
	p.tries++
	switch {
	case p == a.sel:
		p.due = 0
		a.stats.ConsentSent++
		a.consent = t + int64(consentRTO)
		if a.state == StateDisconnected {
			a.consent = t + 2*int64(consentRTO)
		}
	case p.state == waiting:
		p.state = inProgress
	}
}

// trigger checks a pair at once because the peer does (RFC 8445 §7.3.1.4), unless
// the peer makes us do so too often: then at the next time that is free.
func (a *Agent) trigger(p *pair, t int64) {
	if p.state == failed {
		p.reset(t)
	}
	p.tries, p.sent, p.due = 0, 0, t
	if a.spend(t) {
		a.check(p, t, false)
	}
}

// spend takes the time of one check (Ta) from the budget.
func (a *Agent) spend(t int64) bool {
	a.budget, a.paced = min(a.budget+max(t-a.paced, 0), burst*int64(pace)), t
	if a.budget < int64(pace) {
		return false
	}
	a.budget -= int64(pace)
	return true
}

// wanted tells whether a pair is checked now, if it is due.
func (a *Agent) wanted(p *pair, t int64) bool {
	switch s := a.sel; {
	case s == nil, a.old != nil:
		return true
	case p == s:
		return false // consent has its own clock
	case a.state == StateDisconnected, p == a.nominee, p.triggered:
		return true
	default:
		return p.priority > s.priority && t-a.fresh < upgrade
	}
}

// checking tells whether there is anything to check.
func (a *Agent) checking() bool {
	return a.remote.ufrag != "" && (a.state == StateChecking || a.state == StateConnected || a.state == StateDisconnected)
}

// run sends the checks that are due, as far as the pace allows (RFC 8445 §6.1.4.2):
// triggered ones first, then what was tried less, then by priority.
func (a *Agent) run(t int64) {
	if !a.checking() {
		return
	}
	for {
		p := a.first(t)
		if p == nil || !a.spend(t) {
			break
		}
		a.check(p, t, false)
	}
	a.nominate(t)
	a.settle(t)
}

// first is the pair to check next, after giving up those that were tried enough.
func (a *Agent) first(t int64) *pair {
	var best *pair
	for _, p := range a.pairs {
		if p.due == 0 || p.due > t || !a.wanted(p, t) {
			continue
		}
		if p.tries >= maxTries || p.triggered && p.tries >= maxTriesTriggered {
			p.state, p.due, p.triggered = failed, 0, false
			if p == a.nominee {
				a.nominee = nil
			}
			continue
		}
		if best == nil || p.sooner(best) {
			best = p
		}
	}
	return best
}

// sooner orders the checks that are due.
func (p *pair) sooner(q *pair) bool {
	switch {
	case p.triggered != q.triggered:
		return p.triggered
	case p.tries != q.tries:
		return p.tries < q.tries
	}
	return p.priority > q.priority
}

// keep asks for consent (RFC 7675 §5.1), and earlier when the peer is not heard. A
// check without an answer goes four times with one id, as an answer may be late.
func (a *Agent) keep(t int64) {
	if p := a.sel; p != nil && t >= a.consentAt() {
		a.check(p, t, p.tries >= 4)
	}
}

func (a *Agent) consentAt() int64 {
	if a.sel.id != (transactionID{}) {
		return a.consent
	}
	return min(a.consent, a.heard+a.keepalive)
}

// consentLater is the time of the next round: 5 s ± 20 %, so that agents do not
// fall into step.
func consentLater(t int64) int64 {
	return t + int64(consentInterval)*4/5 + rand.Int64N(int64(consentInterval)*2/5)
}

// Tick does what is due and says when to call again: at that time or later, or,
// when it is zero, not before another method was called.
func (a *Agent) Tick(now time.Time) (next time.Time) {
	t := a.at(now)
	a.run(t)
	switch a.state {
	case StateChecking, StateConnected, StateDisconnected:
		a.keep(t)
		a.expire(t)
	case StateNew, StateFailed, StateClosed:
	}
	return a.next(t)
}

// Next is when Tick is due; zero for never. Other methods change it.
func (a *Agent) Next() time.Time {
	return a.next(a.last)
}

func (a *Agent) next(t int64) time.Time {
	limit := a.disconnected + a.failed
	var at int64
	switch a.state {
	case StateChecking:
		at = a.since + limit
		if a.old != nil && a.sel != nil {
			at = min(at, a.heard+a.disconnected)
		}
	case StateConnected:
		at = min(a.heard+a.disconnected, a.consented+limit)
	case StateDisconnected:
		at = min(a.heard, a.consented) + limit
	case StateNew, StateFailed, StateClosed:
		return time.Time{}
	}
	if a.sel != nil {
		at = min(at, a.consentAt())
		if a.deferred != nil {
			at = min(at, a.sel.nominated+int64(settling))
		}
	}
	if a.checking() {
		free := a.paced + max(int64(pace)-a.budget, 0)
		for _, p := range a.pairs {
			if p.due != 0 && a.wanted(p, t) {
				at = min(at, max(p.due, free))
			}
		}
		if a.role == Controlling && (a.sel == nil || a.old != nil) && a.nominee == nil && a.valid != 0 && t < a.valid+int64(patience) {
			at = min(at, a.valid+int64(patience))
		}
	}
	return a.start.Add(time.Duration(at))
}
