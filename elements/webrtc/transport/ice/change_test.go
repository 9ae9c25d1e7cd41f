package ice

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// pairOf makes two ends that are connected.
func pairOf(t *testing.T, roleA, roleB Role, a, b []string) (*world, *end, *end) {
	t.Helper()
	w := newWorld(t)
	x, y := w.end(roleA, a...), w.end(roleB, b...)
	w.meet(x, y)
	if !w.run(5*time.Second, connected(x, y)) {
		t.Fatalf("not connected: %s; %s", x.history(), y.history())
	}
	w.run(5*time.Second, nil)
	return w, x, y
}

// TestRebinding: the peer's NAT gives it another address in the middle of a call.
func TestRebinding(t *testing.T) {
	for _, role := range []Role{Controlled, Controlling} {
		w, a, b := pairOf(t, role, Controlling-role, []string{"192.0.2.1:1000"}, []string{"192.0.2.2:2000"})
		inside, outside := addr("192.0.2.2:2000"), addr("198.51.100.7:7777")
		w.through = func(from, to netip.AddrPort) (netip.AddrPort, bool) {
			if from == inside {
				return outside, true
			}
			return from, to != inside
		}
		// What is sent to the outside arrives at b as if nothing had happened.
		w.ends = append(w.ends, &end{Agent: b.Agent, w: w, sockets: map[int]netip.AddrPort{0: outside}})
		if !w.run(7*time.Second, func() bool { p, _ := a.Selected(); return p.Remote == outside }) {
			t.Fatalf("%v: does not follow: %s", role, a.history())
		}
		w.run(20*time.Second, nil)
		if a.State() != StateConnected || b.State() != StateConnected || len(a.states) != 2 {
			t.Errorf("%v: %s; %s", role, a.history(), b.history())
		}
	}
}

// TestFollows: a controlling peer moves to a pair of lower priority.
func TestFollows(t *testing.T) {
	w, a, b := pairOf(t, Controlled, Controlling, []string{"192.0.2.1:1000"}, []string{"192.0.2.2:2000", "192.0.2.3:2000"})
	low := b.find(1, addr("192.0.2.1:1000"))
	if low == nil || low == b.sel {
		t.Fatal("no second pair")
	}
	b.nominee = low
	low.reset(b.last)
	b.check(low, b.last, true)
	if !w.run(100*time.Millisecond, func() bool { p, _ := a.Selected(); return p.Remote == addr("192.0.2.3:2000") }) {
		t.Error("not followed:", a.history())
	}
	w.run(10*time.Second, nil)
	if !on(a, b) {
		t.Errorf("%s; %s", a.history(), b.history())
	}
}

// TestInterfaceLost: the path in use dies and another is there.
func TestInterfaceLost(t *testing.T) {
	for _, role := range []Role{Controlled, Controlling} {
		w, a, b := pairOf(t, role, Controlling-role, []string{"192.0.2.1:1000"}, []string{"192.0.2.2:2000", "192.0.2.3:2000"})
		p, _ := a.Selected()
		w.through = func(from, to netip.AddrPort) (netip.AddrPort, bool) { return from, from != p.Remote && to != p.Remote }
		if !w.run(10*time.Second, func() bool { q, _ := a.Selected(); return q.Remote != p.Remote && connected(a, b)() }) {
			t.Fatalf("%v: %s; %s", role, a.history(), b.history())
		}
		w.run(time.Minute, nil)
		if !on(a, b) || !connected(a, b)() {
			t.Errorf("%v: %s; %s", role, a.history(), b.history())
		}
	}
}

func TestRestart(t *testing.T) {
	w, a, b := pairOf(t, Controlled, Controlling, []string{"192.0.2.1:1000"}, []string{"192.0.2.2:2000"})
	old := a.local
	ufrag, pwd := NewCredentials()
	a.Restart(ufrag, pwd, w.now)
	w.run(40*time.Second, nil) // the answer takes long: the old generation goes on
	if !connected(a, b)() || !on(a, b) || len(a.states) != 2 {
		t.Fatalf("an open restart harms: %s; %s", a.history(), b.history())
	}
	// The peer checks by the new credentials before we have its description.
	bu, bp := NewCredentials()
	b.Restart(bu, bp, w.now)
	w.describe(b, a)
	w.trickle(b, a)
	w.run(50*time.Millisecond, nil)
	if p, ok := a.Selected(); !ok || p.Remote != addr("192.0.2.2:2000") {
		t.Error("the old pair is gone before there is a new one")
	}
	w.describe(a, b)
	w.trickle(a, b)
	if a.State() != StateChecking {
		t.Error("after a restart:", a.State())
	}
	if !w.run(100*time.Millisecond, connected(a, b)) {
		t.Fatalf("%s; %s", a.history(), b.history())
	}
	refused := a.Stats().Refused
	a.Handle(request(old, credentials{ufrag: bu}, 1, Controlling, false), 0, addr("192.0.2.2:2000"), w.now)
	if a.Stats().Refused != refused+1 {
		t.Error("credentials of a generation that is over are still good")
	}
	w.run(time.Minute, nil)
	if !connected(a, b)() || len(a.Agent.pairs) != 1 {
		t.Errorf("%s; %s", a.history(), b.history())
	}
}

// TestRestartDies: the pair in use dies while a restart looks for another; it is
// given up when nothing was heard on it for as long as without a restart.
func TestRestartDies(t *testing.T) {
	w, a, _ := pairOf(t, Controlled, Controlling, []string{"192.0.2.1:1000"}, []string{"192.0.2.2:2000"})
	ufrag, pwd := NewCredentials()
	a.Restart(ufrag, pwd, w.now)
	if err := a.SetRemote("other", "credentials-of-the-peer-now", false, w.now); err != nil {
		t.Fatal(err)
	}
	dead := false
	w.through = func(from, _ netip.AddrPort) (netip.AddrPort, bool) { return from, !dead }
	w.run(20*time.Second, nil)
	if _, ok := a.Selected(); !ok || a.State() != StateChecking {
		t.Fatal("the living pair is gone:", a.history())
	}
	dead = true
	begun := w.now
	if !w.run(7*time.Second, func() bool { _, ok := a.Selected(); return !ok }) || w.now.Sub(begun) < 2*time.Second {
		t.Errorf("given up after %v", w.now.Sub(begun))
	}
	if !w.run(20*time.Second, func() bool { return a.State() == StateFailed }) {
		t.Error(a.history())
	}
}

// TestElsewhere: packets on a checked pair, and none on the selected one, show
// where the peer is; in both roles.
func TestElsewhere(t *testing.T) {
	for _, role := range []Role{Controlled, Controlling} {
		w, a, _ := pairOf(t, role, Controlling-role, []string{"192.0.2.1:1000"}, []string{"192.0.2.2:2000", "192.0.2.3:2000"})
		p, _ := a.Selected()
		other := addr("192.0.2.3:2000")
		if p.Remote == other {
			other = addr("192.0.2.2:2000")
		}
		if q := a.find(0, other); q == nil || q.state != succeeded {
			t.Fatalf("%v: the other pair has not passed", role)
		}
		if w.run(500*time.Millisecond, nil); a.Elsewhere(0, addr("192.0.2.9:9"), w.now) {
			t.Error("an address without a check is believed")
		}
		a.Heard(w.now)
		if a.Elsewhere(0, other, w.now) {
			t.Error("the selected pair is alive")
		}
		w.through = func(from, to netip.AddrPort) (netip.AddrPort, bool) { return from, from != p.Remote && to != p.Remote }
		w.run(silence, nil)
		if !a.Elsewhere(0, other, w.now) {
			t.Errorf("%v: not believed", role)
		}
		if !w.run(50*time.Millisecond, func() bool { q, _ := a.Selected(); return q.Remote == other }) {
			t.Errorf("%v: not followed: %s", role, a.history())
		}
		if len(a.states) != 2 {
			t.Errorf("%v: %s", role, a.history())
		}
	}
}

// TestRestartAfterFailure: a restart gets out of Failed.
func TestRestartAfterFailure(t *testing.T) {
	w, a, b := pairOf(t, Controlled, Controlling, []string{"192.0.2.1:1000"}, []string{"192.0.2.2:2000"})
	w.through = func(netip.AddrPort, netip.AddrPort) (netip.AddrPort, bool) { return netip.AddrPort{}, false }
	w.run(40*time.Second, func() bool { return a.State() == StateFailed && b.State() == StateFailed })
	w.through = nil
	for _, e := range []*end{a, b} {
		ufrag, pwd := NewCredentials()
		e.Restart(ufrag, pwd, w.now)
	}
	w.meet(a, b)
	if !w.run(100*time.Millisecond, connected(a, b)) {
		t.Errorf("%s; %s", a.history(), b.history())
	}
}

// TestUpgrade: a relayed pair works first, the direct one comes and is taken.
func TestUpgrade(t *testing.T) {
	w := newWorld(t)
	a, b := w.end(Controlling, "192.0.2.1:1000"), w.end(Controlled, "192.0.2.2:2000")
	a.listen(Local{Base: 1, Type: Relay, Addr: addr("203.0.113.1:3000"), LocalPreference: 65535})
	a.listen(Local{Base: 0, Type: ServerReflexive, Addr: addr("203.0.113.9:1000"), Related: addr("192.0.2.1:1000")})
	direct := addr("192.0.2.1:1000")
	w.through = func(from, to netip.AddrPort) (netip.AddrPort, bool) { return from, from != direct && to != direct }
	w.meet(a, b)
	if w.run(250*time.Millisecond, connected(a)) {
		t.Error("a relayed pair is nominated while a better one may come")
	}
	if !w.run(150*time.Millisecond, connected(a, b)) {
		t.Fatalf("not by relay: %s; %s", a.history(), b.history())
	}
	w.run(time.Second, nil)
	w.through = nil
	if !w.run(2*time.Second, func() bool { p, _ := a.Selected(); return p.Base == 0 }) {
		t.Fatal("the better pair is not taken:", a.history())
	}
	w.run(time.Second, nil)
	if !on(a, b) {
		t.Errorf("%s; %s", a.history(), b.history())
	}
}

// TestTCP: a passive base takes the peer's connection and never knocks itself.
func TestTCP(t *testing.T) {
	w := newWorld(t)
	a, b := w.end(Controlled), w.end(Controlling, "192.0.2.2:2000")
	a.listen(Local{Base: 4, Addr: addr("192.0.2.1:1000"), TCP: true, LocalPreference: 65535})
	if line := a.locals[0].Line(netip.Addr{}); !strings.HasSuffix(line, " typ host tcptype passive") || !strings.Contains(line, " tcp ") {
		t.Error(line)
	}
	w.meet(a, b)
	w.run(time.Second, nil)
	if len(a.sent) != 0 {
		t.Error("we check by a passive base")
	}
	// The peer has connected: its checks come from the connection's address.
	if err := b.AddRemote("candidate:1 1 udp 5 192.0.2.1 1000 typ host", w.now); err != nil {
		t.Fatal(err)
	}
	if !w.run(time.Second, connected(a, b)) {
		t.Fatalf("%s; %s", a.history(), b.history())
	}
	if p, _ := a.Selected(); !p.TCP || p.Base != 4 || !strings.HasSuffix(p.RemoteLine(), "tcptype active") {
		t.Errorf("%+v %s", p, p.RemoteLine())
	}
	a.Drop(4, addr("192.0.2.2:2000"), w.now)
	if _, ok := a.Selected(); ok || a.State() != StateDisconnected {
		t.Error("a closed connection is still selected:", a.history())
	}
	if !w.run(10*time.Second, connected(a)) { // the peer still checks
		t.Error("the path does not come back:", a.history())
	}
}

func TestDropBase(t *testing.T) {
	w, a, b := pairOf(t, Controlling, Controlled, []string{"192.0.2.1:1000", "192.0.2.5:1000"}, []string{"192.0.2.2:2000"})
	delete(a.sockets, 0)
	a.Drop(0, netip.AddrPort{}, w.now)
	if !w.run(time.Second, connected(a)) {
		t.Fatal(a.history())
	}
	w.run(10*time.Second, nil)
	if !on(a, b) {
		t.Errorf("%s; %s", a.history(), b.history())
	}
}

// TestAggressive: a peer that nominates with each check, as RFC 5245 allowed.
func TestAggressive(t *testing.T) {
	w := newWorld(t)
	a := w.end(Controlled, "192.0.2.1:1000")
	peer := credentials{"peer", "peerpeerpeerpeerpeerpeer"}
	if err := a.SetRemote(peer.ufrag, peer.pwd, false, w.now); err != nil {
		t.Fatal(err)
	}
	high, low := addr("192.0.2.2:2000"), addr("192.0.2.3:2000")
	for i := range 40 {
		to, priority := high, uint32(2000)
		if i%2 == 1 {
			to, priority = low, 1000
		}
		n := len(a.sent)
		a.Handle(request(a.local, peer, priority, Controlling, true), 0, to, w.now)
		for _, p := range a.sent[n:] {
			var m message
			if m.parse(p.data) && m.kind == bindingRequest {
				a.Handle(seal(appendAddr(begin(make([]byte, 0, 200), bindingSuccess, m.id), addr("192.0.2.1:1000")), peer.pwd), 0, p.to, w.now)
			}
		}
		w.run(50*time.Millisecond, nil)
	}
	if len(a.Agent.pairs) != 2 || len(a.pairs) != 1 {
		t.Errorf("flaps: %s", a.history())
	}
}
