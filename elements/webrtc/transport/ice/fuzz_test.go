package ice

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzHandle: no bytes make an agent panic, answer more than once or with more than
// twice the size, answer a response, or believe what it cannot check.
func FuzzHandle(f *testing.F) {
	us, peer := credentials{"us12", "uspassword0123456789uspa"}, credentials{"peer", "peerpassword0123456789pe"}
	for _, s := range []string{vectorRequest, vectorIPv4, vectorIPv6} {
		b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
	}
	f.Add(request(us, peer, 1, Controlling, true), true)
	f.Add(request(us, peer, 1, Controlled, false), true)
	f.Add(seal(appendAddr(begin(nil, bindingSuccess, NewID(7)), addr("192.0.2.1:1")), peer.pwd), true)
	f.Add(seal(appendConflict(begin(nil, bindingError, NewID(7))), peer.pwd), true)
	f.Add(AppendQuery(nil, NewID(1)), false)
	from := addr("192.0.2.2:2000")
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		var sent [][]byte
		a := New(Config{Ufrag: us.ufrag, Pwd: us.pwd, Tag: 7, Send: func(_ int, to netip.AddrPort, b []byte) {
			if to != from {
				t.Errorf("sent to %v", to)
			}
			sent = append(sent, slices.Clone(b))
		}})
		now := time.Unix(1e9, 0)
		if a.AddLocal(Local{Addr: addr("192.0.2.1:1000")}, now) != nil || a.SetRemote(peer.ufrag, peer.pwd, false, now) != nil ||
			a.AddRemote("candidate:1 1 udp 1 192.0.2.2 2000 typ host", now) != nil || len(sent) != 1 {
			t.Fatal("the agent does not start")
		}
		if sealed { // so that what is behind the integrity is reached as well
			b = slices.Clone(b)
			if IsResponse(b) {
				copy(b[8:20], sent[0][8:20])
			}
			var m message
			if m.parse(b) && m.integrity != 0 {
				pwd := us.pwd
				if IsResponse(b) {
					pwd = peer.pwd
				}
				b = seal(b[:m.integrity], pwd)
			}
		}
		sent = nil
		mine := a.Handle(b, 0, from, now)
		response := IsResponse(b)
		answers := 0
		for _, s := range sent {
			if IsResponse(s) {
				answers++
				if len(s) > 2*len(b) {
					t.Errorf("%d bytes answer %d", len(s), len(b))
				}
			}
		}
		switch {
		case answers > 1, response && answers > 0, !mine && len(sent) > 0, len(sent) > 2:
			t.Errorf("%d datagrams, %d answers, mine %v", len(sent), answers, mine)
		}
		if u, ok := UsernameFragment(b); mine && !response && (!ok || string(u) != us.ufrag) {
			t.Error("the demultiplexer would not find the agent")
		}
		if mine && !sealed && !IsResponse(b) {
			var m message
			if !m.parse(b) || !m.authentic(us.pwd) {
				t.Error("believed without integrity")
			}
		}
		for range 50 {
			now = now.Add(time.Second)
			a.Tick(now)
		}
		if a.State() != StateFailed {
			t.Error("a peer that is silent for 50 s is", a.State())
		}
	})
}

// FuzzCandidate: what is accepted can be checked, and reads the same again.
func FuzzCandidate(f *testing.F) {
	f.Add("candidate:1 1 udp 2130706431 192.0.2.1 1000 typ host")
	f.Add("a=candidate:842163049 1 udp 1677729535 203.0.113.5 46154 typ srflx raddr 10.0.0.5 rport 46154 generation 0 ufrag EsAw network-cost 999")
	f.Add("candidate:3 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active")
	f.Add("candidate:1 1 udp 1 0d1e.local 1000 typ host")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCandidate(text)
		if err != nil {
			return
		}
		if !reachable(c.addr) || c.addr.Addr().Is4In6() {
			t.Error(c.addr)
		}
		again, err := parseCandidate(line(c.kind, c.priority, c.addr, netip.AddrPort{}, false, ""))
		if c.ufrag = ""; err != nil || again != c {
			t.Errorf("%v: %+v, %+v", err, c, again)
		}
	})
}
