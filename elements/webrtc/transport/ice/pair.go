package ice

import (
	"net/netip"
	"slices"
	"time"
)

// Pair is a selected pair, as the owner sees it.
type Pair struct {
	// Base and Remote are the path for media.
	Base   int
	Remote netip.AddrPort
	// Local is the best candidate of that base.
	Local Local
	// RemoteType and RemotePriority describe the peer's candidate; TCP its transport.
	RemoteType     CandidateType
	RemotePriority uint32
	TCP            bool
}

// LocalLine is our candidate of the pair as Local.Line gives it.
func (p Pair) LocalLine(announced netip.Addr) string { return p.Local.Line(announced) }

// RemoteLine is the peer's candidate of the pair in the form of RFC 8839 §5.1.
func (p Pair) RemoteLine() string {
	return line(p.RemoteType, p.RemotePriority, p.Remote, netip.AddrPort{}, p.TCP, "active")
}

type pairState uint8

const (
	waiting pairState = iota
	inProgress
	succeeded
	failed
)

// pair is a base of ours and an address of the peer, with its check. All
// candidates of one base share the pair (RFC 8445 §6.1.2.4).
type pair struct {
	base           int
	to             netip.AddrPort
	priority       uint64
	localPriority  uint32 // of our best candidate of the base
	ownPriority    uint32 // PRIORITY in checks
	remotePriority uint32
	kind           CandidateType // the peer's
	state          pairState
	tcp, relayed   bool // relayed: our side is
	triggered      bool // the peer checks it
	wish           bool // nominated by the peer, and nothing done about it yet
	use            bool // the check in flight carries USE-CANDIDATE
	role           Role // … and was sent in this role
	tries          uint8

	id, before transactionID // of the check in flight, and of the one before it
	due        int64         // the next sending of it, 0 for none
	sent       int64         // its first sending
	nominated  int64         // USE-CANDIDATE of the peer came
	asked      int64         // a check of the peer came
	value      uint32        // NOMINATION of the peer
}

// rank computes the priority (RFC 8445 §6.1.2.3).
func (p *pair) rank(r Role) {
	g, d := uint64(p.localPriority), uint64(p.remotePriority)
	if r == Controlled {
		g, d = d, g
	}
	p.priority = min(g, d)<<32 + 2*max(g, d)
	if g > d {
		p.priority++
	}
}

// reset makes the pair wait for a first check, due at t.
func (p *pair) reset(t int64) {
	p.state, p.tries, p.due, p.use = waiting, 0, t, false
	p.id, p.before = transactionID{}, transactionID{}
}

// direct tells whether the pair is as good as pairs get by kind: no relay, no TCP.
func (p *pair) direct() bool { return !p.tcp && !p.relayed && p.kind != Relay }

// match pairs a local with a remote candidate when checks between them make sense.
func (a *Agent) match(l Local, r candidate, t int64) {
	switch {
	case a.remote.ufrag == "" || a.state == StateFailed:
	case l.TCP || l.Type == ServerReflexive || l.Type == PeerReflexive:
	case l.Addr.Addr().Is4() != r.addr.Addr().Is4():
	case l.Addr.Addr().IsLoopback() && !r.addr.Addr().IsLoopback():
	case l.Addr.Addr().IsLinkLocalUnicast() != r.addr.Addr().IsLinkLocalUnicast() && r.addr.Addr().Is6():
	default:
		if a.find(l.Base, r.addr) == nil {
			a.add(l, r, t, false)
		}
	}
}

// add makes a pair. When there are too many, the worst goes that is of no use yet;
// what the peer itself checks always finds a place.
func (a *Agent) add(l Local, r candidate, t int64, asked bool) *pair {
	p := &pair{
		base: l.Base, to: r.addr, kind: r.kind, remotePriority: r.priority, tcp: l.TCP, relayed: l.Type == Relay,
		localPriority: l.Priority(), ownPriority: l.priority(PeerReflexive), due: t,
	}
	p.rank(a.role)
	if asked && r.kind == PeerReflexive {
		if n, worst := a.worst(func(q *pair) bool { return q.kind == PeerReflexive }); n >= maxReflexive {
			a.remove(worst)
		}
	}
	if n, worst := a.worst(func(*pair) bool { return true }); n >= maxPairs {
		if !asked && a.pairs[worst].priority >= p.priority {
			return nil
		}
		a.remove(worst)
	}
	a.pairs = append(a.pairs, p)
	return p
}

// worst counts the pairs of a sort and finds the one to do without: one that works
// last, the one that is used never.
func (a *Agent) worst(of func(*pair) bool) (n, at int) {
	at = -1
	for i, p := range a.pairs {
		if !of(p) {
			continue
		}
		n++
		if p == a.sel || p == a.nominee {
			continue
		}
		if at < 0 {
			at = i
			continue
		}
		if w := a.pairs[at]; (p.state == succeeded) != (w.state == succeeded) {
			if w.state == succeeded {
				at = i
			}
		} else if p.priority < w.priority {
			at = i
		}
	}
	return n, at
}

func (a *Agent) remove(i int) {
	if a.pairs[i] == a.deferred {
		a.deferred = nil
	}
	a.pairs = slices.Delete(a.pairs, i, i+1)
}

func (a *Agent) find(base int, to netip.AddrPort) *pair {
	for _, p := range a.pairs {
		if p.base == base && p.to == to {
			return p
		}
	}
	return nil
}

// localOf is the best candidate of a base.
func (a *Agent) localOf(base int) (best Local, ok bool) {
	for _, l := range a.locals {
		if l.Base == base && (!ok || l.Type < best.Type) {
			best, ok = l, true
		}
	}
	return best, ok
}

func (a *Agent) pair(p *pair) Pair {
	l, _ := a.localOf(p.base)
	return Pair{Base: p.base, Remote: p.to, Local: l, RemoteType: p.kind, RemotePriority: p.remotePriority, TCP: p.tcp}
}

func (a *Agent) setRole(r Role) {
	if a.role == r {
		return
	}
	a.role, a.nominee, a.deferred = r, nil, nil
	for _, p := range a.pairs {
		p.rank(r)
	}
}

// Stats counts what an Agent did.
type Stats struct {
	// Checks and their answers, consent included.
	RequestsSent, RequestsReceived, ResponsesSent, ResponsesReceived uint32
	// ConsentSent are the checks of the selected pair for consent (RFC 7675).
	ConsentSent uint32
	// Refused are messages without valid integrity, or answers to no check.
	Refused uint32
	// Pairs is the number of pairs now.
	Pairs int
	// RoundTrip is the latest measured round trip of the selected pair, TotalRoundTrip
	// the sum and RoundTrips the number of all measured.
	RoundTrip, TotalRoundTrip time.Duration
	RoundTrips                uint32
}

// Stats gives the counters.
func (a *Agent) Stats() Stats {
	s := a.stats
	s.Pairs = len(a.pairs)
	return s
}
