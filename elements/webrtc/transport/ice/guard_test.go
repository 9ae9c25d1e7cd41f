package ice

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// request makes a check of the peer for us.
func request(to, from credentials, priority uint32, r Role, use bool) []byte {
	b := begin(make([]byte, 0, 512), bindingRequest, NewID(9))
	b = appendUsername(b, to.ufrag, from.ufrag)
	b = appendUint32(b, attrPriority, priority)
	b = appendRole(b, r, 77)
	if use {
		b = appendHead(b, attrUseCandidate, 0)
	}
	return seal(b, to.pwd)
}

// TestSilent: what is not proven gets no answer and leaves no trace.
func TestSilent(t *testing.T) {
	peer := credentials{"peer", "peerpeerpeerpeerpeerpeer"}
	from := addr("192.0.2.2:2000")
	for _, c := range []struct {
		name string
		data func(a *end) []byte
		from netip.AddrPort
		base int
	}{
		{"wrong password", func(a *end) []byte { return request(credentials{a.local.ufrag, "x"}, peer, 1, Controlling, true) }, from, 0},
		{"wrong fragment", func(a *end) []byte { return request(credentials{"other", a.local.pwd}, peer, 1, Controlling, true) }, from, 0},
		{"no integrity", func(a *end) []byte {
			return finish(appendUsername(begin(nil, bindingRequest, NewID(1)), a.local.ufrag, "peer"))
		}, from, 0},
		{"changed", func(a *end) []byte {
			b := request(a.local, peer, 1, Controlling, true)
			b = b[:len(b)-8]
			b[headerSize+4+len(a.local.ufrag)+1] ^= 1
			return finish(b)
		}, from, 0},
		{"bad fingerprint", func(a *end) []byte {
			b := request(a.local, peer, 1, Controlling, true)
			b[len(b)-1] ^= 1
			return b
		}, from, 0},
		{"cut", func(a *end) []byte { return request(a.local, peer, 1, Controlling, true)[:40] }, from, 0},
		{"too long", func(a *end) []byte {
			b := begin(make([]byte, 0, 4096), bindingRequest, NewID(9))
			b = appendUsername(b, a.local.ufrag, "peer")
			b = append(appendHead(b, 0x8000, 2000), make([]byte, 2000)...)
			return b
		}, from, 0},
		{"base that is not ours", func(a *end) []byte { return request(a.local, peer, 1, Controlling, true) }, from, 5},
		{"no source", func(a *end) []byte { return request(a.local, peer, 1, Controlling, true) }, netip.AddrPort{}, 0},
		{"port 0", func(a *end) []byte { return request(a.local, peer, 1, Controlling, true) }, netip.AddrPortFrom(from.Addr(), 0), 0},
		{"indication", func(a *end) []byte {
			b := begin(make([]byte, 0, 99), 0x0011, NewID(1))
			return seal(appendUsername(b, a.local.ufrag, "peer"), a.local.pwd)
		}, from, 0},
		{"answer that nobody asked for", func(a *end) []byte {
			return seal(appendAddr(begin(make([]byte, 0, 99), bindingSuccess, NewID(1)), from), peer.pwd)
		}, from, 0},
		{"answer with no id", func(a *end) []byte {
			return seal(appendAddr(begin(make([]byte, 0, 99), bindingSuccess, transactionID{}), from), peer.pwd)
		}, from, 0},
		{"after the end", func(a *end) []byte { a.Close(); return request(a.local, peer, 1, Controlling, true) }, from, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			a := w.end(Controlled, "192.0.2.1:1000")
			w.ends = nil
			if err := a.SetRemote(peer.ufrag, peer.pwd, false, w.now); err != nil {
				t.Fatal(err)
			}
			if a.Handle(c.data(a), c.base, c.from, w.now) {
				t.Error("taken")
			}
			if len(a.sent) != 0 || len(a.Agent.pairs) != 0 {
				t.Errorf("%d datagrams sent, %d pairs", len(a.sent), len(a.Agent.pairs))
			}
		})
	}
}

// TestAnswersOnce: one answer and one check for one request, neither larger than
// twice the request, and the pair is not used before its own check is answered.
func TestAnswersOnce(t *testing.T) {
	w := newWorld(t)
	a := w.end(Controlled, "192.0.2.1:1000")
	peer := credentials{"peer", "peerpeerpeerpeerpeerpeer"}
	if err := a.SetRemote(peer.ufrag, peer.pwd, false, w.now); err != nil {
		t.Fatal(err)
	}
	b := request(a.local, peer, 1, Controlling, true)
	if !a.Handle(b, 0, addr("192.0.2.2:2000"), w.now) {
		t.Fatal("not taken")
	}
	if len(a.sent) != 2 {
		t.Fatalf("%d datagrams", len(a.sent))
	}
	var answer, check message
	if !answer.parse(a.sent[0].data) || answer.kind != bindingSuccess || !answer.authentic(a.local.pwd) || answer.mapped != addr("192.0.2.2:2000") || len(answer.raw) > 2*len(b) {
		t.Error("the first is no answer")
	}
	if !check.parse(a.sent[1].data) || check.kind != bindingRequest || !check.authentic(peer.pwd) || Tag(check.raw) != 1 || check.use {
		t.Error("the second is no check")
	}
	if u, ok := UsernameFragment(check.raw); !ok || string(u) != "peer" {
		t.Errorf("fragment %q", u)
	}
	if _, ok := a.Selected(); ok {
		t.Error("selected without an answer")
	}
	success := seal(appendAddr(begin(make([]byte, 0, 99), bindingSuccess, check.id), addr("192.0.2.1:1000")), peer.pwd)
	for _, from := range []string{"192.0.2.2:2001", "192.0.2.3:2000"} {
		if a.Handle(success, 0, addr(from), w.now) {
			t.Error("an answer from elsewhere is taken")
		}
	}
	if a.Handle(seal(appendAddr(begin(make([]byte, 0, 99), bindingSuccess, check.id), addr("192.0.2.1:1000")), "other"), 0, addr("192.0.2.2:2000"), w.now) {
		t.Error("an answer without the password is taken")
	}
	if !a.Handle(success, 0, addr("192.0.2.2:2000"), w.now) {
		t.Error("the answer is not taken")
	}
	if p, ok := a.Selected(); !ok || p.RemoteType != PeerReflexive || len(a.sent) != 2 {
		t.Error("not selected")
	}
	if a.Handle(success, 0, addr("192.0.2.2:2000"), w.now) {
		t.Error("an answer is taken twice")
	}
}

// TestConflict is RFC 8445 §7.3.1.1 for a request; TestConnects has the whole.
func TestConflict(t *testing.T) {
	for _, c := range []struct {
		ours, theirs Role
		tiebreaker   uint64 // theirs is 77
		want         Role
		code         int
	}{
		{Controlling, Controlling, 100, Controlling, 487},
		{Controlling, Controlling, 50, Controlled, 0},
		{Controlled, Controlled, 100, Controlling, 0},
		{Controlled, Controlled, 50, Controlled, 487},
		{Controlled, Controlling, 50, Controlled, 0},
	} {
		var sent [][]byte
		a := New(Config{Ufrag: "us", Pwd: "usususus", Role: c.ours, Tiebreaker: c.tiebreaker, Send: func(_ int, _ netip.AddrPort, b []byte) { sent = append(sent, slices.Clone(b)) }})
		now := time.Unix(1e9, 0)
		if err := a.AddLocal(Local{Addr: addr("192.0.2.1:1000")}, now); err != nil {
			t.Fatal(err)
		}
		a.Handle(request(a.local, credentials{ufrag: "x"}, 1, c.theirs, false), 0, addr("192.0.2.2:2000"), now)
		var m message
		if len(sent) != 1 || !m.parse(sent[0]) || m.code != c.code || !m.authentic("usususus") || a.Role() != c.want {
			t.Errorf("%+v: role %v, code %d, %d sent", c, a.Role(), m.code, len(sent))
		}
	}
}

// TestBounds: whatever a peer does, an agent stays small and slow.
func TestBounds(t *testing.T) {
	w := newWorld(t)
	sockets := make([]string, 16)
	for i := range sockets {
		sockets[i] = fmt.Sprintf("192.0.2.%d:1000", i+1)
	}
	a := w.end(Controlled, sockets...)
	w.ends = w.ends[:1]
	peer := credentials{"peer", "peerpeerpeerpeerpeerpeer"}
	for i := range maxEarly * 2 {
		a.Handle(request(a.local, peer, 5, Controlling, true), 0, netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), uint16(i+1)), w.now)
	}
	if len(a.early) != maxEarly {
		t.Errorf("%d early checks are kept", len(a.early))
	}
	if err := a.SetRemote(peer.ufrag, peer.pwd, false, w.now); err != nil {
		t.Fatal(err)
	}
	var refused int
	for i := range 200 {
		if a.AddRemote(fmt.Sprintf("candidate:1 1 udp %d 198.51.100.%d 9 typ host", i*1000, i+1), w.now) != nil {
			refused++
		}
	}
	if refused != 200-MaxRemote || len(a.Agent.pairs) > maxPairs {
		t.Errorf("%d refused, %d pairs", refused, len(a.Agent.pairs))
	}
	a.sent = nil
	start := w.now
	for i := range 5000 {
		w.now = w.now.Add(100 * time.Microsecond)
		a.Handle(request(a.local, peer, 5, Controlling, true), 0, netip.AddrPortFrom(netip.MustParseAddr("203.0.113.2"), uint16(i+1)), w.now)
	}
	n, _ := a.worst(func(p *pair) bool { return p.kind == PeerReflexive })
	if n > maxReflexive || len(a.Agent.pairs) > maxPairs {
		t.Errorf("%d unknown addresses, %d pairs", n, len(a.Agent.pairs))
	}
	checks := 0
	for _, p := range a.sent {
		if !IsResponse(p.data) {
			checks++
		}
	}
	if limit := int(w.now.Sub(start)/pace) + burst; checks > limit || len(a.sent)-checks != 5000 {
		t.Errorf("%d checks (limit %d), %d answers", checks, limit, len(a.sent)-checks)
	}
	full := 0
	for i := range 2 * MaxLocal {
		base := 100 + i
		a.sockets[base] = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.200"), uint16(base))
		if errors.Is(a.AddLocal(Local{Base: base, Addr: a.sockets[base]}, w.now), ErrTooMany) {
			full++
		}
	}
	if len(a.locals) != MaxLocal || full != 2*MaxLocal-(MaxLocal-len(sockets)) || len(a.Agent.pairs) > maxPairs {
		t.Errorf("%d local candidates, %d pairs", len(a.locals), len(a.Agent.pairs))
	}
	w.run(60*time.Second, nil)
	if a.State() != StateFailed || len(a.Agent.pairs) != 0 {
		t.Errorf("%s, %d pairs", a.history(), len(a.Agent.pairs))
	}
}

// TestManyAddresses: a peer that changes its address with each check gets room for
// some, and what works keeps its place.
func TestManyAddresses(t *testing.T) {
	p := newPuppet(t, Controlled, "192.0.2.1:1000")
	p.check(high, 9, true)
	for i := range 200 {
		p.w.now = p.w.now.Add(20 * time.Millisecond)
		p.a.Handle(request(p.a.local, p.me, 2000, Controlling, false), 0, netip.AddrPortFrom(netip.MustParseAddr("203.0.113.2"), uint16(i+1)), p.w.now)
	}
	if n := len(p.a.Agent.pairs); n != maxReflexive {
		t.Errorf("%d pairs", n)
	}
	if p.selected() != high || p.a.find(0, addr(high)) == nil {
		t.Error("the pair in use is gone:", p.a.history())
	}
}
