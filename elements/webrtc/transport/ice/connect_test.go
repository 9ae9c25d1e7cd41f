package ice

import (
	"net/netip"
	"testing"
	"time"
)

func TestConnects(t *testing.T) {
	for _, c := range []struct {
		name   string
		a, b   Role
		loss   float64
		within time.Duration
		signal func(w *world, a, b *end)
	}{
		{"controlling", Controlling, Controlled, 0, 60 * time.Millisecond, (*world).meet},
		{"controlled", Controlled, Controlling, 0, 60 * time.Millisecond, (*world).meet},
		{"both controlling", Controlling, Controlling, 0, 100 * time.Millisecond, (*world).meet},
		{"both controlled", Controlled, Controlled, 0, 100 * time.Millisecond, (*world).meet},
		{"30 % loss", Controlling, Controlled, 0.3, 5 * time.Second, (*world).meet},
		{"30 % loss, conflict", Controlling, Controlling, 0.3, 5 * time.Second, (*world).meet},
		{"no candidates of one side", Controlled, Controlling, 0, 60 * time.Millisecond, func(w *world, a, b *end) {
			w.describe(a, b)
			w.describe(b, a)
			w.trickle(b, a)
		}},
		{"checks before the description", Controlled, Controlling, 0, 60 * time.Millisecond, func(w *world, a, b *end) {
			w.describe(b, a)
			w.trickle(b, a)
			w.run(50*time.Millisecond, nil)
			w.describe(a, b)
		}},
		{"candidates before the description", Controlled, Controlling, 0, 60 * time.Millisecond, func(w *world, a, b *end) {
			w.trickle(a, b)
			w.describe(a, b)
			w.describe(b, a)
		}},
		{"description 20 s late", Controlled, Controlling, 0, 60 * time.Millisecond, func(w *world, a, b *end) {
			w.describe(a, b)
			w.trickle(a, b)
			w.run(20*time.Second, nil)
			w.describe(b, a)
			w.trickle(b, a)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.loss = c.loss
			a := w.end(c.a, "192.0.2.1:1000", "[2001:db8::1]:1000")
			b := w.end(c.b, "192.0.2.2:2000", "[2001:db8::2]:2000")
			c.signal(w, a, b)
			if !w.run(c.within, connected(a, b)) {
				t.Fatalf("not connected: %s; %s", a.history(), b.history())
			}
			if a.Role() == b.Role() {
				t.Error("both are", a.Role())
			}
			w.run(time.Second, nil)
			if !on(a, b) {
				t.Errorf("they use different paths: %s; %s", a.history(), b.history())
			}
			if p, _ := a.Selected(); c.loss == 0 && c.signal != nil && p.Base != 0 {
				t.Error("the path that both prefer is not used:", a.history())
			}
		})
	}
}

// TestStays: no state changes over minutes, and little traffic keeps it so.
func TestStays(t *testing.T) {
	for _, loss := range []float64{0, 0.3} {
		w := newWorld(t)
		w.loss = loss
		a, b := w.end(Controlling, "192.0.2.1:1000"), w.end(Controlled, "192.0.2.2:2000")
		w.meet(a, b)
		if !w.run(5*time.Second, connected(a, b)) {
			t.Fatal("not connected")
		}
		before := a.Stats().RequestsSent
		w.run(5*time.Minute, nil)
		if n := a.Stats().RequestsSent - before; loss == 0 && (n < 50 || n > 160) {
			t.Errorf("%d checks in five minutes", n)
		}
		if a.State() != StateConnected || loss == 0 && len(a.states) != 2 {
			t.Errorf("loss %v: %s", loss, a.history())
		}
		if s := a.Stats(); loss == 0 && s.RoundTrip != 10*time.Millisecond {
			t.Errorf("round trip %v, want 10ms", s.RoundTrip)
		}
	}
}

// TestLongWay: a round trip much longer than the time between two checks.
func TestLongWay(t *testing.T) {
	w := newWorld(t)
	w.delay = 850 * time.Millisecond
	a, b := w.end(Controlling, "192.0.2.1:1000"), w.end(Controlled, "192.0.2.2:2000")
	w.meet(a, b)
	if !w.run(10*time.Second, connected(a, b)) {
		t.Fatalf("%s; %s", a.history(), b.history())
	}
	w.run(2*time.Minute, nil)
	if !connected(a, b)() || len(a.states) != 2 {
		t.Errorf("%s; %s", a.history(), b.history())
	}
	if s := a.Stats(); s.ResponsesReceived < 24 {
		t.Errorf("%d answers in two minutes", s.ResponsesReceived)
	}
}

func TestConsentEnds(t *testing.T) {
	w := newWorld(t)
	a, b := w.end(Controlling, "192.0.2.1:1000"), w.end(Controlled, "192.0.2.2:2000")
	w.meet(a, b)
	w.run(time.Second, connected(a, b))
	cut := func(netip.AddrPort, netip.AddrPort) (netip.AddrPort, bool) { return netip.AddrPort{}, false }
	w.through = cut
	if !w.run(6*time.Second, func() bool { return a.State() == StateDisconnected && b.State() == StateDisconnected }) {
		t.Fatal("silence is not noticed:", a.history())
	}
	w.through = nil
	if !w.run(3*time.Second, connected(a, b)) {
		t.Fatal("does not come back:", a.history())
	}
	w.through = cut
	start := w.now
	if !w.run(40*time.Second, func() bool { return a.State() == StateFailed }) {
		t.Fatal("never fails:", a.history())
	}
	if d := w.now.Sub(start); d < 24*time.Second || d > 32*time.Second {
		t.Errorf("failed after %v", d)
	}
	if _, ok := a.Selected(); ok {
		t.Error("a failed agent has a selected pair")
	}
	w.through = nil
	sent := len(a.sent)
	w.run(10*time.Second, nil)
	if len(a.sent) != sent {
		t.Error("a failed agent sends")
	}
}

// TestHeardOnce: packets that came once keep a peer alive no longer than any sign.
func TestHeardOnce(t *testing.T) {
	w, a, _ := pairOf(t, Controlled, Controlling, []string{"192.0.2.1:1000"}, []string{"192.0.2.2:2000"})
	w.through = func(netip.AddrPort, netip.AddrPort) (netip.AddrPort, bool) { return netip.AddrPort{}, false }
	once, begun := w.now, w.now
	told := func() bool { a.Heard(once); return a.State() == StateDisconnected }
	if !w.run(7*time.Second, told) {
		t.Fatal("it still counts as connected")
	}
	if d := w.now.Sub(begun); d < 4*time.Second {
		t.Errorf("disconnected after %v", d)
	}
	if w.run(time.Second, func() bool { return !told() }) {
		t.Error("old packets connect it again")
	}
}

// TestHeardIsNoConsent: media keeps the state but does not replace consent.
func TestHeardIsNoConsent(t *testing.T) {
	w := newWorld(t)
	a, b := w.end(Controlling, "192.0.2.1:1000"), w.end(Controlled, "192.0.2.2:2000")
	w.meet(a, b)
	w.run(time.Second, connected(a, b))
	w.through = func(netip.AddrPort, netip.AddrPort) (netip.AddrPort, bool) { return netip.AddrPort{}, false }
	start := w.now
	for range 200 {
		if a.State() != StateConnected {
			break
		}
		w.run(200*time.Millisecond, nil)
		a.Heard(w.now)
	}
	if a.State() != StateFailed || w.now.Sub(start) < 24*time.Second {
		t.Errorf("after %v: %s", w.now.Sub(start), a.history())
	}
}

func TestNoPeerFails(t *testing.T) {
	w := newWorld(t)
	a := w.end(Controlled, "192.0.2.1:1000")
	if err := a.SetRemote("abcd", "0123456789012345678901", false, w.now); err != nil {
		t.Fatal(err)
	}
	if err := a.AddRemote("candidate:1 1 udp 1 192.0.2.9 9 typ host", w.now); err != nil {
		t.Fatal(err)
	}
	if !w.run(31*time.Second, func() bool { return a.State() == StateFailed }) {
		t.Fatal(a.history())
	}
	if n := len(a.sent); n < 7 || n > maxTries {
		t.Errorf("%d checks to somebody who is not there", n)
	}
}

func TestLite(t *testing.T) {
	w := newWorld(t)
	a := w.end(Controlled, "192.0.2.1:1000")
	lite := w.end(Controlled, "192.0.2.2:2000")
	// A lite peer answers and never checks: an agent without the other's credentials.
	if err := a.SetRemote(lite.local.ufrag, lite.local.pwd, true, w.now); err != nil {
		t.Fatal(err)
	}
	w.trickle(a, lite)
	if a.Role() != Controlling {
		t.Error("we do not control a lite peer")
	}
	if !w.run(100*time.Millisecond, connected(a)) {
		t.Fatal(a.history())
	}
	w.run(time.Minute, nil)
	if len(a.states) != 2 {
		t.Error(a.history())
	}
	var m message
	n := len(a.sent)
	a.Handle(request(a.local, lite.local, 1, Controlling, false), 0, addr("192.0.2.2:2000"), w.now)
	if len(a.sent) == n || !m.parse(a.sent[n].data) || m.code != 0 || a.Role() != Controlling {
		t.Error("we argue about roles with a lite peer")
	}
	if len(lite.early) != 1 || !lite.early[0].use {
		t.Error("the lite peer was not told which pair is used")
	}
}

// TestNudge: a peer that checks what is valid already gets a check back, because
// it may nominate only then; not once a pair is selected.
func TestNudge(t *testing.T) {
	w := newWorld(t)
	a := w.end(Controlled, "192.0.2.1:1000")
	peer := credentials{"peer", "peerpeerpeerpeerpeerpeer"}
	if err := a.SetRemote(peer.ufrag, peer.pwd, false, w.now); err != nil {
		t.Fatal(err)
	}
	from := addr("192.0.2.2:2000")
	for i, c := range []struct {
		use    bool
		checks int
	}{{false, 1}, {false, 1}, {true, 0}, {false, 0}} {
		w.run(100*time.Millisecond, nil)
		a.sent = nil
		a.Handle(request(a.local, peer, 1, Controlling, c.use), 0, from, w.now)
		if len(a.sent) != 1+c.checks {
			t.Fatalf("%d: %d datagrams, want %d", i, len(a.sent), 1+c.checks)
		}
		if c.checks > 0 {
			var m message
			m.parse(a.sent[1].data)
			a.Handle(seal(appendAddr(begin(make([]byte, 0, 99), bindingSuccess, m.id), from), peer.pwd), 0, from, w.now)
		}
	}
	if a.State() != StateConnected {
		t.Error(a.history())
	}
}
