package ice

// Role decides who nominates (RFC 8445 §6.1.1).
type Role uint8

// The roles.
const (
	Controlled Role = iota
	Controlling
)

// String is the role's name in RFC 8445.
func (r Role) String() string {
	if r == Controlling {
		return "controlling"
	}
	return "controlled"
}

// State is where an Agent is.
type State uint8

// The states of an Agent.
const (
	// StateNew: the peer's credentials are not known yet.
	StateNew State = iota
	// StateChecking: no pair is selected, or none since the restart.
	StateChecking
	// StateConnected: a pair is selected and heard of.
	StateConnected
	// StateDisconnected: nothing was heard of the selected pair for Config.Disconnected.
	StateDisconnected
	// StateFailed: nothing for Config.Failed more, or no consent (RFC 7675 §5.1). Only a
	// restart gets out of it.
	StateFailed
	// StateClosed: the end.
	StateClosed
)

// String is the state's name.
func (s State) String() string {
	return [...]string{"new", "checking", "connected", "disconnected", "failed", "closed"}[min(s, StateClosed)]
}

// enter tells the owner about a state that is new.
func (a *Agent) enter(s State) {
	if a.state == s || a.state == StateClosed {
		return
	}
	a.state = s
	if a.cfg.State != nil {
		a.cfg.State(s)
	}
}

// alive notes that the peer was heard on the selected pair.
func (a *Agent) alive(t int64) {
	a.heard = max(a.heard, t)
	if a.state == StateDisconnected && a.sel != nil {
		a.enter(StateConnected)
	}
}

// expire moves the state on when time has passed without a sign of the peer.
func (a *Agent) expire(t int64) {
	limit := a.disconnected + a.failed
	switch a.state {
	case StateChecking:
		if t-a.since >= limit {
			a.fail()
		} else if a.old != nil && a.sel != nil && t-a.heard >= a.disconnected {
			a.sel = nil // the old way is dead, and the new one not found yet
		}
	case StateConnected:
		if t-a.consented >= limit {
			a.fail() // heard, but it does not answer: consent is gone
		} else if t-a.heard >= a.disconnected {
			a.lost(t)
		}
	case StateDisconnected:
		if t-a.heard >= limit || t-a.consented >= limit {
			a.fail()
		}
	case StateNew, StateFailed, StateClosed:
	}
}

// lost begins to look for another pair: all are checked afresh.
func (a *Agent) lost(t int64) {
	for _, p := range a.pairs {
		if p != a.sel {
			p.reset(t)
		}
	}
	a.nominee, a.deferred = nil, nil
	a.enter(StateDisconnected)
}

func (a *Agent) fail() {
	a.pairs, a.remotes, a.early, a.old = nil, nil, nil, nil
	a.sel, a.nominee, a.deferred = nil, nil, nil
	a.enter(StateFailed)
}
