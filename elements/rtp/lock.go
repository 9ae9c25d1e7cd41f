package rtp

import (
	"net/netip"
	"sync"
	"time"
)

// comediaWindow is how long after negotiation a peer that asks for it may show
// its source by sending from it.
const comediaWindow = 2 * time.Second

// sourceLock says whose datagrams a leg takes and where it sends (robustness §5).
//
// Usually both are the description's: any port of its address, since many
// senders do not send from the port they listen on. A peer that asks to be
// learnt is its first source, address and port; the second time nobody is learnt.
// With SRTP the window is open until then, because only the holder of the key
// passes; without, the description counts after the window.
type sourceLock struct {
	// self is the address that peers are told; set before use.
	self netip.Addr

	mu      sync.Mutex // leaf
	open    bool       // negotiated
	hold    bool       // the peer takes nothing (address 0.0.0.0)
	mux     bool
	learn   bool      // the first source is still to come
	learnt  bool      // it came
	until   time.Time // end of the window, zero without one
	addr    netip.Addr
	fromRTP netip.AddrPort // learnt
	fromCtl netip.AddrPort // learnt
	toRTP   netip.AddrPort
	toCtl   netip.AddrPort
}

// settle opens the lock for a peer.
func (l *sourceLock) settle(r *remote, authentic bool, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.mux = true, r.mux
	l.addr, l.toRTP, l.toCtl = r.rtp.Addr(), r.rtp, r.rtcp
	l.hold = l.addr.IsUnspecified()
	l.learn = r.comedia || l.hold
	if !authentic {
		l.until = now.Add(comediaWindow)
	}
}

// learning tells whether the first source is awaited. The caller holds l.mu.
func (l *sourceLock) learning(now time.Time) bool {
	if l.learn && !l.until.IsZero() && now.After(l.until) {
		l.learn = false
	}
	return l.learn
}

// allows tells whether a datagram from there may be looked at.
func (l *sourceLock) allows(from netip.AddrPort, control bool, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.open:
		return false
	case l.learnt:
		if !control || l.mux {
			return from == l.fromRTP
		}
		// Reports have a source of their own, which is learnt once too.
		return from.Addr() == l.fromRTP.Addr() && (!l.fromCtl.IsValid() || from == l.fromCtl)
	case l.learning(now):
		return !control // only media shows who the source is
	}
	// A peer on this host that calls itself loopback may still come from the
	// address it was told to send to: the kernel chooses so.
	return from.Addr() == l.addr || l.addr.IsLoopback() && from.Addr() == l.self
}

// heard notes the source of a datagram that was found good; it tells whether
// the leg has learnt by it where to send.
func (l *sourceLock) heard(from netip.AddrPort, control bool, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.learnt && control && !l.mux && !l.fromCtl.IsValid():
		l.fromCtl, l.toCtl = from, from
	case control || l.learnt || !l.learning(now):
	default:
		l.learnt, l.learn = true, false
		l.fromRTP, l.toRTP = from, from
		l.toCtl = from
		if !l.mux && from.Port() < 65535 {
			l.toCtl = netip.AddrPortFrom(from.Addr(), from.Port()+1)
		}
		return true
	}
	return false
}

// target is where to send; false while that is not known or nothing is wanted.
func (l *sourceLock) target(control bool, now time.Time) (netip.AddrPort, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to := l.toRTP
	if control {
		to = l.toCtl
	}
	ok := l.open && !l.hold && !l.learning(now) && to.IsValid() && to.Port() != 0 && !to.Addr().IsUnspecified()
	return to, ok
}

// settled tells whether it is decided whom the leg speaks with.
func (l *sourceLock) settled(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open && !l.learning(now)
}
