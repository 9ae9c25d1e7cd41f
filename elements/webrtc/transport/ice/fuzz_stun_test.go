package ice

import (
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"
)

// What a script of FuzzSTUN can do; see life.act.
const (
	handStranger = iota // any message
	handRequest         // a request that the peer sealed
	handResponse        // the peer's answer to one of our checks
	letTimePass
	learn   // a candidate, of either side
	restart // of one side or both
	lose    // a path, or what was heard of it
	handSealed
)

// life is an Agent whose peer and network do what a script says.
type life struct {
	t      *testing.T
	a      *Agent
	script []byte
	now    time.Time
	us, it credentials
	sent   []packet // not yet looked at
	checks []packet
}

func newLife(t *testing.T, script []byte) *life {
	x := &life{t: t, script: script, now: time.Unix(1e9, 0), us: credentials{"us12", uspwd}, it: credentials{"peer", itpwd}}
	x.a = New(Config{
		Ufrag: x.us.ufrag, Pwd: x.us.pwd, Role: Role(x.byte() & 1), Tag: 7, Tiebreaker: 1 << 62,
		Send: func(base int, to netip.AddrPort, b []byte) {
			x.sent = append(x.sent, packet{x.now, netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(base)), to, slices.Clone(b)})
		},
	})
	return x
}

func (x *life) byte() byte {
	if len(x.script) == 0 {
		return 0
	}
	b := x.script[0]
	x.script = x.script[1:]
	return b
}

func (x *life) bytes() []byte {
	n := min(int(x.byte()), len(x.script))
	b := x.script[:n:n]
	x.script = x.script[n:]
	return b
}

// peerAddr is one of the addresses that the peer has.
func peerAddr(n byte) netip.AddrPort {
	if n&8 != 0 {
		return netip.AddrPortFrom(netip.MustParseAddr("2001:db8::2"), 2000+uint16(n))
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 2 + n>>4}), 2000+uint16(n))
}

func (x *life) act() {
	op := x.byte()
	arg := op >> 3
	switch op & 7 {
	case handStranger:
		x.hand(x.bytes(), arg, false)
	case handSealed:
		// So that what is behind the integrity is reached with any attributes.
		b := slices.Clone(x.bytes())
		if len(b) < headerSize {
			return
		}
		pwd := x.us.pwd
		if IsResponse(b) {
			pwd = x.it.pwd
			if len(x.checks) > 0 {
				copy(b[8:20], x.checks[len(x.checks)-1].data[8:20])
			}
		} else {
			b = append(appendUsername(slices.Clone(b[:headerSize]), x.us.ufrag, x.it.ufrag), b[headerSize:]...)
		}
		if len(b)%4 == 0 {
			x.hand(seal(b, pwd), arg, true)
		}
	case handRequest:
		f := x.byte()
		b := begin(make([]byte, 0, 512), bindingRequest, NewID(9))
		b = appendUsername(b, x.us.ufrag, x.it.ufrag)
		b = appendUint32(b, attrPriority, uint32(x.byte())<<24|1)
		if f&1 == 0 {
			b = appendRole(b, Role(f>>1&1), uint64(f&4)<<60|1)
		}
		if f&8 != 0 {
			b = appendHead(b, attrUseCandidate, 0)
		}
		if f&16 != 0 {
			b = appendUint32(b, attrNomination, uint32(f>>5))
		}
		x.hand(seal(b, x.us.pwd), arg, true)
	case handResponse:
		x.respond(arg)
	case letTimePass:
		x.pass(time.Duration(x.byte()) * time.Duration(arg+1) * 2 * time.Millisecond)
	case learn:
		x.learn(arg)
	case restart:
		x.restart(arg)
	case lose:
		from := peerAddr(x.byte())
		switch arg & 3 {
		case 0:
			x.a.Heard(x.now)
		case 1:
			x.a.Elsewhere(int(arg>>2&3), from, x.now)
		case 2:
			x.a.Drop(int(arg>>2&3), from, x.now)
		case 3:
			x.a.Drop(int(arg>>2&3), netip.AddrPort{}, x.now)
		}
	}
	x.look()
}

// hand gives the Agent a message, and wants it to answer as it may.
func (x *life) hand(b []byte, arg byte, sealed bool) {
	x.look()
	base, from := int(arg&3), peerAddr(arg>>2)
	mine := x.a.Handle(b, base, from, x.now)
	answers := 0
	for _, s := range x.sent {
		if !IsResponse(s.data) {
			continue
		}
		answers++
		if len(s.data) > 2*len(b) || s.to != from || int(s.from.Port()) != base {
			x.t.Errorf("%d bytes to %v from %d answer %d of %v to %d", len(s.data), s.to, s.from.Port(), len(b), from, base)
		}
	}
	switch {
	case answers > 1, answers > 0 && IsResponse(b), !mine && len(x.sent) > 0, len(x.sent) > 2+burst:
		x.t.Errorf("%d datagrams, %d answers, mine %v", len(x.sent), answers, mine)
	case mine && !sealed:
		var m message
		if !m.parse(b) || !slices.ContainsFunc([]string{x.us.pwd, x.it.pwd, uspwd, itpwd}, m.authentic) {
			x.t.Error("believed without integrity")
		}
	}
}

const uspwd, itpwd = "uspassword0123456789uspa", "peerpassword0123456789pe"

// respond answers one of the latest checks.
func (x *life) respond(arg byte) {
	f := x.byte()
	if len(x.checks) == 0 {
		return
	}
	c := x.checks[len(x.checks)-1-int(arg&7)%len(x.checks)]
	id := transactionID(c.data[8:20])
	var b []byte
	switch f & 7 {
	case 0:
		b = appendConflict(begin(nil, bindingError, id))
	case 1:
		code := x.byte()
		b = append(appendHead(begin(nil, bindingError, id), attrErrorCode, 4), 0, 0, 4, code%100)
	default:
		b = appendAddr(begin(nil, bindingSuccess, id), netip.MustParseAddrPort("198.51.100.1:1"))
	}
	from, base := c.to, int(c.from.Port())
	if f&8 != 0 {
		from = peerAddr(f >> 4)
	}
	if arg&8 != 0 {
		base ^= 1
	}
	x.a.Handle(seal(b, x.it.pwd), base, from, x.now)
}

func (x *life) learn(arg byte) {
	f := x.byte()
	if arg&1 == 0 {
		at := peerAddr(f)
		kind := []string{"host", "srflx", "prflx", "relay"}[arg>>1&3]
		_ = x.a.AddRemote("candidate:1 1 udp "+strconv.Itoa(int(f)<<20+1)+" "+at.Addr().String()+" "+strconv.Itoa(int(at.Port()))+" typ "+kind, x.now)
		return
	}
	addr := netip.AddrFrom4([4]byte{192, 0, 2, 1})
	if f&1 != 0 {
		addr = netip.MustParseAddr("2001:db8::1")
	}
	_ = x.a.AddLocal(Local{
		Base: int(arg >> 1 & 3), Type: []CandidateType{Host, ServerReflexive, Relay, Host}[f>>1&3], Addr: netip.AddrPortFrom(addr, 1000+uint16(f>>3)),
		TCP: f>>1&3 == 3, LocalPreference: uint16(f) << 8,
	}, x.now)
}

func (x *life) restart(arg byte) {
	n := string("0123456789"[x.byte()%10])
	if arg&1 != 0 {
		x.us = credentials{"us" + n + n, uspwd + n}
		x.a.Restart(x.us.ufrag, x.us.pwd, x.now)
	}
	if arg&2 != 0 || arg&1 == 0 {
		if arg&4 != 0 {
			x.it = credentials{"it" + n + n, itpwd + n}
		}
		_ = x.a.SetRemote(x.it.ufrag, x.it.pwd, arg&24 == 24, x.now)
	}
}

// pass lets time go by as the owner does: it ticks when the Agent wants it.
func (x *life) pass(d time.Duration) {
	end := x.now.Add(d)
	for ticks := 0; ; ticks++ {
		next := x.a.Next()
		if next.IsZero() || next.After(end) {
			break
		}
		if next.After(x.now) {
			x.now = next
		}
		before := x.now
		got := x.a.Tick(x.now)
		if again := x.a.Next(); got != again {
			x.t.Fatalf("Tick says %v, Next %v", got, again)
		}
		x.look()
		if most := 20 + int(d/(5*time.Millisecond)); ticks > most {
			x.t.Fatalf("%d ticks in %v, the next at %v, now %v", ticks, d, got, before)
		}
	}
	x.now = end
}

// look wants what was sent to be well-formed, and the Agent to keep its bounds.
func (x *life) look() {
	for _, s := range x.sent {
		var m message
		if !m.parse(s.data) || m.integrity == 0 {
			x.t.Errorf("sent % x", s.data)
			continue
		}
		if m.kind == bindingRequest {
			x.checks = append(x.checks, s)
		}
	}
	x.checks = x.checks[max(len(x.checks)-16, 0):]
	x.sent = x.sent[:0]
	a := x.a
	if len(a.pairs) > maxPairs || len(a.remotes) > MaxRemote || len(a.locals) > MaxLocal || len(a.early) > maxEarly {
		x.t.Errorf("%d pairs, %d and %d candidates, %d early checks", len(a.pairs), len(a.locals), len(a.remotes), len(a.early))
	}
	p, ok := a.Selected()
	if ok && (p.Base > 3 || !p.Remote.IsValid()) {
		x.t.Errorf("selected %+v", p)
	}
	if !ok && a.State() == StateConnected {
		x.t.Error("connected without a pair")
	}
}

// FuzzSTUN has a peer, a stranger and a network do anything to an Agent that lives
// through all its states: it keeps its bounds and its pace, answers requests that are
// proven, once, with less than twice their size, and nothing else. When all is silent
// in the end, it fails in time.
func FuzzSTUN(f *testing.F) {
	op := func(what, arg int, rest ...byte) []byte { return append([]byte{byte(what | arg<<3)}, rest...) }
	local, remote, go1 := op(learn, 1, 0xf8), op(learn, 0, 1), op(restart, 0, 1)
	up := slices.Concat(op(handRequest, 4, 8, 100), op(handResponse, 0, 2), op(handRequest, 4, 8, 100), op(letTimePass, 10, 50), op(handResponse, 0, 2))
	for _, role := range []byte{0, 1} {
		start := slices.Concat([]byte{role}, local, op(learn, 3, 0x83), op(learn, 5, 0x46), go1, remote)
		f.Add(slices.Concat(start, up))
		f.Add(slices.Concat([]byte{role}, local, op(handRequest, 4, 8, 100), remote, go1, up))
		f.Add(slices.Concat(start, up, op(restart, 7, 3), op(handRequest, 4, 10, 100), op(handResponse, 1, 2), op(letTimePass, 31, 200)))
		f.Add(slices.Concat(start, up, op(lose, 0, 1), op(letTimePass, 31, 255), op(handRequest, 8, 8, 90), op(handResponse, 0, 2), op(lose, 1, 2), op(lose, 2, 1), op(lose, 3, 1)))
		f.Add(slices.Concat(start, op(handRequest, 4, 2, 1), op(handResponse, 0, 0), op(handResponse, 0, 1, 1), op(restart, 24, 0), op(handResponse, 0, 10)))
		stranger := request(credentials{"us12", "wrongwrongwrongwrongwrong"}, credentials{"peer", "x"}, 1, Controlling, true)
		f.Add(slices.Concat(start, op(handStranger, 4, byte(len(stranger))), stranger, op(handSealed, 4, 20), begin(nil, bindingRequest, NewID(1)), op(handSealed, 4, 20), begin(nil, bindingSuccess, NewID(1))))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		x := newLife(t, script)
		began, acts := x.now, 0
		for ; len(x.script) > 0 && acts < 300; acts++ {
			x.act()
		}
		if n, most := int(x.a.stats.RequestsSent), 3*acts+2*burst+int(x.now.Sub(began)/pace); n > most {
			t.Errorf("%d checks in %v and %d steps", n, x.now.Sub(began), acts)
		}
		x.pass(50 * time.Second)
		if s := x.a.State(); s != StateFailed && s != StateNew && x.a.remote.ufrag != "" {
			t.Errorf("%v after 50 s of silence", s)
		}
		x.a.Close()
		if x.a.Handle(request(x.us, x.it, 1, Controlling, true), 0, peerAddr(1), x.now) || !x.a.Next().IsZero() || len(x.sent) > 0 && x.a.State() != StateClosed {
			t.Error("it lives on after Close")
		}
	})
}
