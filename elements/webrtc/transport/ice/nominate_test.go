package ice

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// puppet is a peer that does what the test says.
type puppet struct {
	t    *testing.T
	w    *world
	a    *end
	me   credentials
	role Role
}

func newPuppet(t *testing.T, ours Role, sockets ...string) *puppet {
	t.Helper()
	w := newWorld(t)
	p := &puppet{t: t, w: w, a: w.end(ours, sockets...), me: credentials{"peer", "peerpeerpeerpeerpeerpeer"}, role: Controlling - ours}
	if err := p.a.SetRemote(p.me.ufrag, p.me.pwd, false, w.now); err != nil {
		t.Fatal(err)
	}
	return p
}

// check sends a check from an address of the peer and answers what comes back.
func (p *puppet) check(from string, priority uint32, use bool) {
	p.t.Helper()
	n := len(p.a.sent)
	if !p.a.Handle(request(p.a.local, p.me, priority, p.role, use), 0, addr(from), p.w.now) {
		p.t.Fatal("a check is not taken")
	}
	p.answer(n, 0)
}

// answer answers the checks that were sent since the n-th datagram, by success or
// by an error code.
func (p *puppet) answer(n, code int) {
	for _, s := range p.a.sent[n:] {
		var m message
		if !m.parse(s.data) || m.kind != bindingRequest {
			continue
		}
		b := make([]byte, 0, 200)
		switch code {
		case 0:
			b = appendAddr(begin(b, bindingSuccess, m.id), s.from)
		case codeConflict:
			b = appendConflict(begin(b, bindingError, m.id))
		default:
			b = append(appendHead(begin(b, bindingError, m.id), attrErrorCode, 4), 0, 0, byte(code/100), byte(code%100))
		}
		p.a.Handle(seal(b, p.me.pwd), 0, s.to, p.w.now)
	}
}

func (p *puppet) selected() string {
	s, _ := p.a.Selected()
	return s.Remote.String()
}

const high, low = "192.0.2.20:2000", "192.0.2.30:3000"

// TestSettles: right after the selection a nomination downwards is followed when
// the better pair is not nominated any more, also when it is still checked.
func TestSettles(t *testing.T) {
	for _, again := range []bool{false, true} {
		p := newPuppet(t, Controlled, "192.0.2.1:1000")
		p.check(high, 2000, true)
		if p.selected() != high {
			t.Fatal(p.a.history())
		}
		p.w.run(200*time.Millisecond, nil)
		p.check(low, 1000, true)
		if p.selected() != high {
			t.Error("followed at once:", p.a.history())
		}
		p.w.run(100*time.Millisecond, nil)
		p.check(high, 2000, again)
		p.w.run(600*time.Millisecond, nil)
		if want := map[bool]string{false: low, true: high}[again]; p.selected() != want {
			t.Errorf("again %v: %s", again, p.a.history())
		}
		// Later a nomination is followed whatever was nominated before.
		p.w.run(3*time.Second, nil)
		p.check(high, 2000, true)
		p.w.run(3*time.Second, nil)
		p.check(high, 2000, true)
		p.check(low, 1000, true)
		if p.selected() != low {
			t.Error("not followed at once:", p.a.history())
		}
		p.check(high, 2000, false)
		if p.selected() != low {
			t.Error("a check without nomination is followed:", p.a.history())
		}
		p.check(high, 2000, true)
		if p.selected() != high {
			t.Error("not followed upwards:", p.a.history())
		}
	}
}

// TestRenomination: with NOMINATION values the newest counts, whatever it is worth.
func TestRenomination(t *testing.T) {
	p := newPuppet(t, Controlled, "192.0.2.1:1000")
	nominate := func(from string, priority, value uint32) {
		b := begin(make([]byte, 0, 512), bindingRequest, NewID(9))
		b = appendUsername(b, p.a.local.ufrag, p.me.ufrag)
		b = appendUint32(appendUint32(b, attrPriority, priority), attrNomination, value)
		b = seal(appendHead(appendRole(b, Controlling, 1), attrUseCandidate, 0), p.a.local.pwd)
		n := len(p.a.sent)
		p.a.Handle(b, 0, addr(from), p.w.now)
		p.answer(n, 0)
	}
	nominate(high, 2000, 1)
	nominate(low, 1000, 2)
	if p.selected() != low {
		t.Error("a newer nomination is not followed:", p.a.history())
	}
	nominate(high, 2000, 1)
	if p.selected() != low {
		t.Error("an older nomination is followed:", p.a.history())
	}
	nominate(high, 2000, 3)
	if p.selected() != high {
		t.Error(p.a.history())
	}
}

// TestFailedPairRevives: what the peer checks is checked again.
func TestFailedPairRevives(t *testing.T) {
	p := newPuppet(t, Controlled, "192.0.2.1:1000")
	p.w.ends = p.w.ends[:1]
	if err := p.a.AddRemote("candidate:1 1 udp 9 192.0.2.20 2000 typ host", p.w.now); err != nil {
		t.Fatal(err)
	}
	p.answer(0, 400)
	if q := p.a.find(0, addr(high)); q == nil || q.state != failed {
		t.Fatal("an error response is not the end of the pair")
	}
	n := len(p.a.sent)
	p.w.run(5*time.Second, nil)
	if len(p.a.sent) != n {
		t.Error("a failed pair is checked")
	}
	p.check(high, 2000, true)
	if p.selected() != high {
		t.Error(p.a.history())
	}
	if s, _ := p.a.Selected(); s.RemoteType != Host || s.RemotePriority != 9 || s.RemoteLine() == "" || s.LocalLine(netip.Addr{}) != p.a.locals[0].Line(netip.Addr{}) {
		t.Errorf("%+v", s)
	}
}

// TestRefusedNomination: the next best pair is nominated.
func TestRefusedNomination(t *testing.T) {
	p := newPuppet(t, Controlling, "192.0.2.1:1000")
	for i, c := range []string{high, low} {
		if err := p.a.AddRemote(fmt.Sprintf("candidate:1 1 udp %d %s %d typ host", 9-i, addr(c).Addr(), addr(c).Port()), p.w.now); err != nil {
			t.Fatal(err)
		}
	}
	p.answer(0, 0) // both are valid, one is nominated
	if p.a.nominee == nil {
		t.Fatal("nobody is nominated")
	}
	n := len(p.a.sent)
	first := p.a.nominee.to
	p.answer(n-1, 400)
	if p.a.nominee == nil || p.a.nominee.to == first {
		t.Fatal("the other pair is not nominated")
	}
	p.answer(n, 0)
	if p.a.State() != StateConnected || p.selected() == first.String() {
		t.Error(p.a.history())
	}
}

// TestNominationUnanswered: a nominated pair that dies is given up.
func TestNominationUnanswered(t *testing.T) {
	p := newPuppet(t, Controlling, "192.0.2.1:1000")
	p.check(high, 2000, false)
	if p.a.nominee == nil {
		t.Fatal("nobody is nominated")
	}
	p.w.run(29*time.Second, nil)
	if p.a.State() != StateChecking || p.a.nominee != nil {
		t.Error(p.a.history())
	}
}

// TestRoles: a conflict in consent, and a role set by hand.
func TestRoles(t *testing.T) {
	p := newPuppet(t, Controlled, "192.0.2.1:1000")
	p.check(high, 2000, true)
	n := len(p.a.sent)
	p.w.run(3*time.Second, func() bool { return len(p.a.sent) > n })
	p.answer(n, codeConflict)
	if p.a.Role() != Controlling || p.selected() != high {
		t.Error("no change of role:", p.a.Role(), p.a.history())
	}
	p.w.run(100*time.Millisecond, nil)
	p.answer(n+1, 0)
	if p.a.State() != StateConnected {
		t.Error(p.a.history())
	}
	a := New(Config{})
	if a.SetRole(Controlling); a.Role() != Controlling || a.Role().String() != "controlling" || Controlled.String() != "controlled" {
		t.Error(a.Role())
	}
}

// TestClosed: nothing happens after the end.
func TestClosed(t *testing.T) {
	p := newPuppet(t, Controlled, "192.0.2.1:1000")
	p.check(high, 2000, true)
	a, n := p.a, len(p.a.sent)
	a.Close()
	a.Close()
	if err := a.AddLocal(Local{Base: 3, Addr: addr("192.0.2.9:9")}, p.w.now); err != nil {
		t.Error(err)
	}
	if err := a.SetRemote("x", "y", false, p.w.now); err != nil {
		t.Error(err)
	}
	if err := a.AddRemote("candidate:1 1 udp 9 192.0.2.20 2000 typ host", p.w.now); err != nil {
		t.Error(err)
	}
	a.Restart("x", "y", p.w.now)
	a.Drop(0, netip.AddrPort{}, p.w.now)
	a.Heard(p.w.now)
	if next := a.Tick(p.w.now.Add(time.Hour)); !next.IsZero() || len(a.sent) != n || len(a.states) != 3 || a.states[2] != StateClosed {
		t.Error(next, a.history())
	}
	if _, ok := a.Selected(); ok {
		t.Error("a closed agent has a selected pair")
	}
}
