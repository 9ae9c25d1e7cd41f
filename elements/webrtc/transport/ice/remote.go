package ice

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// AddLocal adds a candidate of ours, also later on (reflexive and relayed ones).
// It fails with ErrTooMany above MaxLocal.
func (a *Agent) AddLocal(l Local, now time.Time) error {
	if a.state == StateClosed {
		return nil
	}
	if len(a.locals) >= MaxLocal {
		return fmt.Errorf("add local candidate: %w", ErrTooMany)
	}
	l.Addr = unmap(l.Addr)
	if slices.Contains(a.locals, l) {
		return nil
	}
	a.locals = append(a.locals, l)
	t := a.at(now)
	a.fresh = t
	for _, r := range a.remotes {
		a.match(l, r, t)
	}
	a.run(t)
	return nil
}

// SetRemote sets the peer's credentials and begins to check; the same ones again
// change nothing. Other ones without Restart before: the peer restarted alone. A
// lite peer makes us Controlling (RFC 8445 §6.1.1). It fails with ErrCredentials.
func (a *Agent) SetRemote(ufrag, pwd string, lite bool, now time.Time) error {
	remote := credentials{ufrag, pwd}
	switch {
	case a.state == StateClosed || remote == a.remote:
		return nil
	case !remote.valid():
		return fmt.Errorf("set remote ICE credentials: %w", ErrCredentials)
	case a.remote.ufrag != "":
		a.restart(a.local)
	}
	t := a.at(now)
	a.remote, a.lite = remote, lite
	if lite {
		a.setRole(Controlling)
	}
	a.since, a.fresh, a.valid = t, t, 0
	a.enter(StateChecking)
	for _, r := range a.remotes {
		a.pairUp(r, t)
	}
	came := a.early
	a.early = nil
	for _, e := range came {
		a.checked(e, t)
	}
	a.run(t)
	return nil
}

// AddRemote adds a candidate of the peer, with or without "a=", also before
// SetRemote. It fails with ErrMalformed, ErrUnusable or ErrTooMany.
func (a *Agent) AddRemote(line string, now time.Time) error {
	if a.state == StateClosed {
		return nil
	}
	c, err := parseCandidate(line)
	if err != nil {
		return fmt.Errorf("add remote candidate: %w", err)
	}
	if c.ufrag != "" && (a.remote.ufrag != "" && c.ufrag != a.remote.ufrag || a.remote.ufrag == "" && a.old != nil && c.ufrag == a.old.remote.ufrag) {
		return fmt.Errorf("add remote candidate of another generation: %w", ErrUnusable)
	}
	c.ufrag = ""
	if slices.ContainsFunc(a.remotes, func(r candidate) bool { return r.addr == c.addr }) {
		return nil
	}
	if len(a.remotes) >= MaxRemote {
		return fmt.Errorf("add remote candidate: %w", ErrTooMany)
	}
	a.remotes = append(a.remotes, c)
	if a.remote.ufrag == "" || a.state == StateFailed {
		return nil
	}
	t := a.at(now)
	a.fresh = t
	a.pairUp(c, t)
	a.run(t)
	return nil
}

// pairUp makes the pairs of one remote candidate.
func (a *Agent) pairUp(r candidate, t int64) {
	for _, p := range a.pairs {
		if p.to == r.addr && !p.tcp { // a check of it was here before its signalling
			p.kind, p.remotePriority = r.kind, r.priority
			p.rank(a.role)
		}
	}
	for _, l := range a.locals {
		a.match(l, r, t)
	}
}

// Restart begins a new generation with our new credentials (RFC 8445 §9). The old
// one goes on until SetRemote; the selected pair, and answers to the old user
// fragment, until a new pair is selected.
func (a *Agent) Restart(ufrag, pwd string, now time.Time) {
	if a.state != StateClosed {
		a.at(now)
		a.restart(credentials{ufrag, pwd})
	}
}

func (a *Agent) restart(local credentials) {
	if a.old == nil && a.remote.ufrag != "" {
		a.old = &generation{a.local, a.remote}
	}
	a.local, a.remote = local, credentials{}
	a.pairs, a.remotes, a.early = nil, nil, nil
	a.nominee, a.deferred, a.value = nil, nil, 0
}

// Drop tells that a path is gone: the TCP connection of a base with that address,
// or, with the zero address, the whole base. Without its selected pair an Agent is
// Disconnected at once.
func (a *Agent) Drop(base int, from netip.AddrPort, now time.Time) {
	if a.state == StateClosed {
		return
	}
	t := a.at(now)
	gone := func(p *pair) bool { return p.base == base && (!from.IsValid() || p.to == unmap(from)) }
	a.pairs = slices.DeleteFunc(a.pairs, gone)
	a.early = slices.DeleteFunc(a.early, func(e early) bool { return e.base == base && (!from.IsValid() || e.from == unmap(from)) })
	if !from.IsValid() {
		a.locals = slices.DeleteFunc(a.locals, func(l Local) bool { return l.Base == base })
	}
	if a.nominee != nil && gone(a.nominee) {
		a.nominee = nil
	}
	if a.deferred != nil && gone(a.deferred) {
		a.deferred = nil
	}
	if a.sel == nil || !gone(a.sel) {
		return
	}
	a.sel = nil
	if a.state == StateConnected {
		a.lost(t)
		a.run(t)
	}
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}
