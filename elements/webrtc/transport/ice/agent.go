package ice

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Bounds of one Agent.
const (
	// MaxLocal bounds our candidates.
	MaxLocal = 32
	// MaxRemote bounds the peer's signalled candidates.
	MaxRemote = 64

	maxPairs     = 100 // RFC 8445 §6.1.2.5
	maxReflexive = 32  // pairs with addresses that nobody signalled
	maxEarly     = 16  // checks that came before the peer's credentials
)

// Pacing and times that nobody needs to configure.
const (
	pace  = 20 * time.Millisecond // Ta (RFC 8445 §14.2)
	burst = 5                     // checks that may go at once after a pause

	firstRTO = 100 * time.Millisecond
	lastRTO  = 3200 * time.Millisecond
	// maxTries of one check span 29 s: a peer that gets our description late still
	// finds us. What only a check of the peer made known gets fewer.
	maxTries          = 13
	maxTriesTriggered = 7

	consentInterval = 5 * time.Second // RFC 7675 §5.1, ±20 %
	consentRTO      = 500 * time.Millisecond
)

// Config is what New needs. Callbacks run within the Agent's methods: they must
// not block and not call the Agent.
type Config struct {
	// Ufrag and Pwd are our credentials, of NewCredentials.
	Ufrag, Pwd string
	// Role is where we start; conflicts are solved as RFC 8445 §7.3.1.1 says.
	Role Role
	// Tiebreaker decides role conflicts; 0 takes a random one.
	Tiebreaker uint64
	// Tag begins the transaction id of each of our checks, so that the owner finds
	// the Agent that a response is for.
	Tag uint32
	// Disconnected and Failed are how long nothing is heard before the states of
	// these names, Failed counted from Disconnected on; Keepalive is how long
	// nothing may be heard before we ask. 0 is 5 s, 25 s and 2 s.
	Disconnected, Failed, Keepalive time.Duration
	// Send sends a message of the Agent by a base of ours. It must not keep b.
	Send func(base int, to netip.AddrPort, b []byte)
	// State and Selected are told each change; a new pair before Connected.
	State    func(State)
	Selected func(Pair)
}

// Agent is one side of one ICE component. Make it with New.
type Agent struct {
	cfg                             Config
	disconnected, failed, keepalive int64

	state State
	role  Role
	lite  bool // the peer is

	local, remote credentials
	old           *generation // of the selected pair, from a restart until a new pair is selected

	locals  []Local
	remotes []candidate
	early   []early
	pairs   []*pair

	sel      *pair
	nominee  *pair // controlling: being nominated
	deferred *pair // controlled: nominated, but see nominated
	value    uint32

	start     time.Time // where the int64 times below count from, in ns
	last      int64     // the latest time that we were told
	since     int64     // Checking began
	fresh     int64     // the last candidate or selection came
	valid     int64     // the first pair became valid
	heard     int64     // the peer, on the selected pair
	consented int64     // a response on the selected pair
	consent   int64     // the next consent check
	budget    int64     // time not used for checks, up to burst×pace
	paced     int64     // when the budget was counted

	stats Stats
}

// early is a check that came before SetRemote.
type early struct {
	base     int
	from     netip.AddrPort
	priority uint32
	value    uint32
	use      bool
}

// New makes an Agent.
func New(c Config) *Agent {
	if c.Tiebreaker == 0 {
		c.Tiebreaker = rand.Uint64()
	}
	or := func(d, def time.Duration) int64 {
		if d <= 0 {
			d = def
		}
		return int64(d)
	}
	return &Agent{
		cfg: c, role: c.Role, local: credentials{c.Ufrag, c.Pwd}, budget: burst * int64(pace),
		disconnected: or(c.Disconnected, 5*time.Second), failed: or(c.Failed, 25*time.Second), keepalive: or(c.Keepalive, 2*time.Second),
	}
}

// at turns a time into the Agent's own count; it is never 0, which means "never".
func (a *Agent) at(now time.Time) int64 {
	if a.start.IsZero() {
		a.start = now.Add(-time.Second)
	}
	a.last = max(int64(now.Sub(a.start)), a.last, 1)
	return a.last
}

// Role is the present role.
func (a *Agent) Role() Role { return a.role }

// SetRole sets the role, before SetRemote.
func (a *Agent) SetRole(r Role) { a.setRole(r) }

// State is the present state.
func (a *Agent) State() State { return a.state }

// Selected is the pair to send media by, if there is one. Through a restart it is
// the old one until a new one is selected.
func (a *Agent) Selected() (Pair, bool) {
	if a.sel == nil || a.state == StateClosed {
		return Pair{}, false
	}
	return a.pair(a.sel), true
}

// Heard tells that authenticated packets of the peer came on the selected pair,
// lately at that time. It keeps the state Connected but gives no consent.
func (a *Agent) Heard(at time.Time) {
	if a.sel != nil && (a.state == StateConnected || a.state == StateDisconnected || a.old != nil) {
		if t := int64(at.Sub(a.start)); t > a.heard { // it may be long ago
			a.alive(t)
		}
	}
}

// Elsewhere tells that authenticated packets of the peer come on another pair
// than the selected one, on which there are none any more: behind a NAT the peer
// may not know that its address has changed. When that pair has passed a check it
// is taken, or nominated; it tells whether it was looked at.
func (a *Agent) Elsewhere(base int, from netip.AddrPort, now time.Time) bool {
	if a.sel == nil || a.old != nil || a.state != StateConnected && a.state != StateDisconnected {
		return false
	}
	t := a.at(now)
	p := a.find(base, unmap(from))
	if p == nil || p == a.sel || p.state != succeeded || t-a.heard < int64(silence) {
		return false
	}
	if a.role == Controlled {
		a.choose(p, t)
		return true
	}
	if a.nominee != nil && a.nominee != p {
		a.nominee.state, a.nominee.due = succeeded, 0
	}
	a.nominee, p.state = p, inProgress
	a.check(p, t, true)
	return true
}

// Close ends the Agent; whatever comes afterwards is ignored.
func (a *Agent) Close() {
	a.pairs, a.remotes, a.early, a.old = nil, nil, nil, nil
	a.sel, a.nominee, a.deferred = nil, nil, nil
	a.enter(StateClosed)
}
