package ice

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/pion/stun/v4"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors of RFC 5769 §2.1 to §2.3, password "VOkJxbRl1RmTxUk/WvJxBt".
const (
	vectorPwd     = "VOkJxbRl1RmTxUk/WvJxBt"
	vectorRequest = `000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74
		002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020
		000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf`
	vectorIPv4 = `0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220
		002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96`
	vectorIPv6 = `010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220
		002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed41
		80280004c8fb0b4c`
)

func TestVectors(t *testing.T) {
	var m message
	b := unhex(t, vectorRequest)
	if !m.parse(b) || m.kind != bindingRequest || string(m.username) != "evtj:h6vY" || m.priority != 0x6e0001ff ||
		!m.hasRole || m.role != Controlled || m.tiebreak != 0x932ff9b151263b36 || !m.authentic(vectorPwd) || m.authentic("x") {
		t.Errorf("%+v", m)
	}
	if u, ok := UsernameFragment(b); !ok || string(u) != "evtj" {
		t.Errorf("%q", u)
	}
	for _, c := range []struct{ vector, want string }{{vectorIPv4, "192.0.2.1:32853"}, {vectorIPv6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"}} {
		b := unhex(t, c.vector)
		if !m.parse(b) || !m.authentic(vectorPwd) || m.mapped != netip.MustParseAddrPort(c.want) || !IsResponse(b) {
			t.Errorf("%+v", m)
		}
		if got, ok := Mapped(b, m.id); !ok || got != netip.MustParseAddrPort(c.want) {
			t.Error(got)
		}
		if _, ok := Mapped(b, NewID(1)); ok {
			t.Error("an answer to another query is taken")
		}
	}
}

// TestMessagesByPion: what we write, pion/stun reads.
func TestMessagesByPion(t *testing.T) {
	long := strings.Repeat("p", 100) // longer than a block of the hash
	for _, pwd := range []string{"short", long} {
		for _, from := range []string{"192.0.2.1:5", "[2001:db8::1]:65535"} {
			id := NewID(0x01020304)
			for _, b := range [][]byte{
				seal(appendAddr(begin(nil, bindingSuccess, id), addr(from)), pwd),
				seal(appendConflict(begin(nil, bindingError, id)), pwd),
				request(credentials{"us", pwd}, credentials{ufrag: "themselves"}, 9, Controlling, true),
			} {
				m := &stun.Message{Raw: b}
				if err := m.Decode(); err != nil {
					t.Fatal(err)
				}
				if err := stun.MessageIntegrity(pwd).Check(m); err != nil {
					t.Error(err)
				}
				if err := stun.Fingerprint.Check(m); err != nil {
					t.Error(err)
				}
				var x stun.XORMappedAddress
				if x.GetFrom(m) == nil && x.String() != addr(from).String() {
					t.Error(x, from)
				}
				var code stun.ErrorCodeAttribute
				if code.GetFrom(m) == nil && code.Code != stun.CodeRoleConflict {
					t.Error(code)
				}
				var u stun.Username
				if u.GetFrom(m) == nil && u.String() != "us:themselves" {
					t.Error(u)
				}
			}
			if b := AppendQuery([]byte("x"), id); string(b[:1]) != "x" || Tag(b[1:]) != 0x01020304 || len(b) != 29 {
				t.Errorf("%x", b)
			} else if m := (&stun.Message{Raw: b[1:]}); m.Decode() != nil || m.Type != stun.BindingRequest || stun.Fingerprint.Check(m) != nil {
				t.Errorf("%x", b)
			}
		}
	}
}

func TestCandidateLines(t *testing.T) {
	for _, c := range []struct {
		l         Local
		announced string
		want      string // after the foundation
	}{
		{Local{Addr: addr("192.0.2.1:1000"), LocalPreference: 65535}, "", "1 udp 2130706431 192.0.2.1 1000 typ host"},
		{Local{Addr: addr("192.0.2.1:1000"), LocalPreference: 65535}, "203.0.113.5", "1 udp 2130706431 203.0.113.5 1000 typ host"},
		{Local{Addr: addr("[2001:db8::1]:1")}, "", "1 udp 2113929471 2001:db8::1 1 typ host"},
		{Local{Type: ServerReflexive, Addr: addr("203.0.113.5:7"), Related: addr("10.0.0.1:8"), LocalPreference: 1}, "", "1 udp 1677722111 203.0.113.5 7 typ srflx raddr 10.0.0.1 rport 8"},
		{Local{Type: Relay, Addr: addr("203.0.113.5:7")}, "", "1 udp 255 203.0.113.5 7 typ relay raddr 0.0.0.0 rport 0"},
		{Local{Addr: addr("192.0.2.1:1000"), TCP: true, LocalPreference: 65535}, "", "1 tcp 1671430143 192.0.2.1 1000 typ host tcptype passive"},
	} {
		var announced netip.Addr
		if c.announced != "" {
			announced = netip.MustParseAddr(c.announced)
		}
		got := c.l.Line(announced)
		head, rest, _ := strings.Cut(got, " ")
		if rest != c.want || !strings.HasPrefix(head, "candidate:") || len(head) < 11 {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	a, b := Local{Addr: addr("192.0.2.1:1000")}, Local{Addr: addr("192.0.2.1:1001")}
	if f := func(l Local) string { return strings.Fields(l.Line(netip.Addr{}))[0] }; f(a) != f(b) {
		t.Error("one address has two foundations")
	}
}

func TestParseCandidate(t *testing.T) {
	for _, c := range []struct {
		line string
		want error
	}{
		{"candidate:1 1 udp 2130706431 192.0.2.1 1000 typ host", nil},
		{"a=candidate:1 1 UDP 2130706431 192.0.2.1 1000 typ srflx raddr 10.0.0.1 rport 9 generation 0 ufrag abcd network-id 1", nil},
		{"candidate:1 1 udp 1 ::ffff:192.0.2.1 1000 typ relay", nil},
		{"candidate:1 1 udp 2130706431 2001:db8::1 1000 typ host generation", nil},
		{"candidate:1 1 udp 1 6d8f1c6e-0001-4b1d-a0c6-9b4d21a1e8a1.local 1000 typ host", ErrUnusable},
		{"candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active", ErrUnusable},
		{"candidate:1 2 udp 1 192.0.2.1 9 typ host", ErrUnusable},
		{"candidate:1 1 udp 1 0.0.0.0 9 typ host", ErrUnusable},
		{"candidate:1 1 udp 1 255.255.255.255 9 typ host", ErrUnusable},
		{"candidate:1 1 udp 1 224.0.0.1 9 typ host", ErrUnusable},
		{"candidate:1 1 udp 1 fe80::1%eth0 9 typ host", ErrUnusable},
		{"candidate:1 1 udp 1 192.0.2.1 0 typ host", ErrUnusable},
		{"candidate:1 1 udp 1 192.0.2.1 9 typ wormhole", ErrUnusable},
		{"candidate:", ErrUnusable},
		{"", ErrUnusable},
		{"a=end-of-candidates", ErrUnusable},
		{"candidate:1 1 udp 1 192.0.2.1 9", ErrMalformed},
		{"candidate:1 1 udp 1 192.0.2.1 99999 typ host", ErrMalformed},
		{"candidate:1 1 udp -1 192.0.2.1 9 typ host", ErrMalformed},
		{"candidate:1 x udp 1 192.0.2.1 9 typ host", ErrMalformed},
		{"1 1 udp 1 192.0.2.1 9 typ host", ErrMalformed},
		{"candidate:1 1 udp 1 192.0.2.1 9 typ host " + strings.Repeat("x ", 1000), ErrMalformed},
	} {
		if _, err := parseCandidate(c.line); err != c.want {
			t.Errorf("%q: %v, want %v", c.line, err, c.want)
		}
	}
}

func TestGenerationOfCandidates(t *testing.T) {
	w := newWorld(t)
	a := w.end(Controlled, "192.0.2.1:1000")
	line := func(ufrag string) string { return "candidate:1 1 udp 1 192.0.2.9 9 typ host ufrag " + ufrag }
	if err := a.SetRemote("first", "ppppppppppppppppppppppp", false, w.now); err != nil {
		t.Fatal(err)
	}
	if a.AddRemote(line("other"), w.now) == nil {
		t.Error("a candidate of another generation is taken")
	}
	a.Restart("xxxxxxxx", "yyyyyyyyyyyyyyyyyyyyyyyy", w.now)
	if a.AddRemote(line("first"), w.now) == nil {
		t.Error("a candidate of the generation before is taken")
	}
	if err := a.AddRemote(line("second"), w.now); err != nil {
		t.Error(err)
	}
	if err := a.SetRemote("second", "ppppppppppppppppppppppp", false, w.now); err != nil || len(a.Agent.pairs) != 1 {
		t.Error(err, len(a.Agent.pairs))
	}
	for _, c := range []credentials{{"", "p"}, {"u", ""}, {"a:b", "p"}, {strings.Repeat("u", 257), "p"}} {
		if a.SetRemote(c.ufrag, c.pwd, false, w.now) == nil {
			t.Errorf("%+v taken", c)
		}
	}
}

func TestCredentials(t *testing.T) {
	u, p := NewCredentials()
	v, q := NewCredentials()
	const chars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	if len(u) != 8 || len(p) != 32 || u == v || p == q || strings.Trim(u+p, chars) != "" {
		t.Error(u, p, v, q)
	}
}
