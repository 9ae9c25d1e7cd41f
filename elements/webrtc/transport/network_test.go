package transport

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	pionturn "github.com/pion/turn/v5"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/transport/udp"
	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/pipeline"
)

func TestParseTURN(t *testing.T) {
	for text, want := range map[string]TURNServer{
		"u:p@198.51.100.1:3479":                      {Host: "198.51.100.1", User: "u", Password: "p", Port: 3479, Transport: "udp"},
		"u:p@turn.example":                           {Host: "turn.example", User: "u", Password: "p", Port: 3478, Transport: "udp"},
		"u:p@q:r@turn.example:1?transport=TCP":       {Host: "turn.example", User: "u", Password: "p@q:r", Port: 1, Transport: "tcp"},
		"u:p@[2001:db8::1]:5000?transport=tls":       {Host: "2001:db8::1", User: "u", Password: "p", Port: 5000, Transport: "tls"},
		"1700000000:user:pw@192.0.2.1?transport=tls": {Host: "192.0.2.1", User: "1700000000", Password: "user:pw", Port: 5349, Transport: "tls"},
	} {
		got, err := ParseTURN(text)
		if err != nil || *got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "host:3478", "u@host:1", ":p@host:1", "u:@host:1", "u:p@", "u:p@host:0", "u:p@host:x", "u:p@host:70000",
		"u:p@ho st:1", "u:p@host:1?transport=sctp", "u:p@host:1?x=y", "u:p@host/../:1",
	} {
		if got, err := ParseTURN(text); err == nil {
			t.Errorf("%q was taken: %+v", text, got)
		}
	}
}

func FuzzTURN(f *testing.F) {
	f.Add("u:p@198.51.100.1:3479?transport=tls")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseTURN(text)
		if err != nil {
			return
		}
		if s.User == "" || s.Password == "" || s.Host == "" || s.Port < 1 || s.Port > 65535 || strings.ContainsAny(s.Host, "/?#@ \r\n") {
			t.Fatalf("%q became %+v", text, s)
		}
	})
}

// relayIP is where the test's relay has its ends.
var relayIP = net.IPv4(127, 0, 0, 2)

// relayServer is a TURN server on the loopback; it gives its port.
func relayServer(t *testing.T) int {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := pionturn.NewServer(pionturn.ServerConfig{
		Realm: "test",
		AuthHandler: func(a *pionturn.RequestAttributes) (string, []byte, bool) {
			return a.Username, pionturn.GenerateAuthKey(a.Username, a.Realm, "secret"), a.Username == "user"
		},
		PacketConnConfigs: []pionturn.PacketConnConfig{{
			PacketConn:            conn,
			RelayAddressGenerator: &pionturn.RelayAddressGeneratorStatic{RelayAddress: relayIP, Address: relayIP.String()},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn.LocalAddr().(*net.UDPAddr).Port
}

// TestRelay connects by nothing but our relay candidate, and media flows.
func TestRelay(t *testing.T) {
	e := newEngine(t, nil)
	port := relayServer(t)
	// The browser talks to nobody but the relay.
	c := newClientOf(t, e, webrtctest.Options{Setting: func(s *webrtc.SettingEngine) {
		s.SetRemoteIPFilter(func(ip net.IP) bool { return ip.Equal(relayIP) })
	}}, PeerConfig{DSCP: 46})
	c.peer.SetNetwork(Network{TURN: &TURNServer{Host: "127.0.0.1", Port: port, User: "user", Password: "secret", Transport: "udp"}})
	c.Receive()
	c.offer = c.Offer()
	var err error
	if c.answer, err = c.peer.Answer(c.offer); err != nil {
		t.Fatal(err)
	}
	c.SetAnswer(c.answer)
	relays := 0
	c.trickle(func(x Candidate) bool {
		if strings.Contains(x.Candidate, "typ relay") {
			relays++
			return true
		}
		return false
	})
	if relays == 0 {
		t.Fatalf("no relay among %+v", read(c.heard, func(h *heard) []Candidate { return h.candidates }))
	}
	c.connected()
	if pairs := c.peer.Pairs(); len(pairs) != 1 || !strings.Contains(pairs[0].Local, "typ relay") {
		t.Fatalf("pairs %+v", pairs)
	}
	pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	link(t, graph(pub.peer), c.peer, true)
	stream(t, "media through the relay", pub, func() bool { return true }, func() bool {
		return len(c.Packets(videoKind)) > 10 && len(c.Packets(audioKind)) > 10
	})
}

// TestReflexive learns an address from a STUN server. A wrong relay password
// only costs the relay candidate.
func TestReflexive(t *testing.T) {
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{})
	port := relayServer(t)
	server := newEngine(t, nil)
	c.peer.SetNetwork(Network{
		STUN: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(server.STUNPort())).String(),
		TURN: &TURNServer{Host: "127.0.0.1", Port: port, User: "user", Password: "wrong", Transport: "udp"},
	})
	c.Receive()
	c.negotiate()
	c.connected()
	types := map[string]int{}
	for _, x := range read(c.heard, func(h *heard) []Candidate { return h.candidates }) {
		types[strings.Fields(x.Candidate)[7]]++
	}
	if types["srflx"] == 0 || types["host"] == 0 || types["relay"] != 0 {
		t.Errorf("candidates %v", types)
	}
}

// TestInterfaces gathers on named interfaces only.
func TestInterfaces(t *testing.T) {
	e := newEngine(t, nil)
	for names, want := range map[string]bool{"lo": true, "nowhere0": false, "nowhere0,lo": true} {
		c := newClient(t, e, webrtctest.Options{})
		c.peer.SetNetwork(Network{TCP: true, Interfaces: strings.Split(names, ",")})
		c.Receive()
		c.negotiate()
		got := read(c.heard, func(h *heard) []Candidate { return h.candidates })
		if want != (len(got) > 0) {
			t.Errorf("%s: candidates %+v", names, got)
		}
		if want {
			c.connected()
		}
	}
}

// TestExternal tells the world's address instead of ours, in the description too.
func TestExternal(t *testing.T) {
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{})
	c.Receive()
	c.peer.SetNetwork(Network{TCP: true, External4: netip.MustParseAddr("198.51.100.7")})
	c.negotiate()
	for _, x := range read(c.heard, func(h *heard) []Candidate { return h.candidates }) {
		if !strings.Contains(x.Candidate, " 198.51.100.7 ") {
			t.Errorf("candidate %s", x.Candidate)
		}
	}
	if local, _ := c.peer.LocalDescription(); !strings.Contains(local, " 198.51.100.7 ") || strings.Contains(local, " 127.0.0.1 ") {
		t.Errorf("description\n%s", local)
	}
	n := Network{External6: netip.MustParseAddr("2001:db8::7")}
	if got := n.external("candidate:1 1 udp 1 fd00::1 9 typ host"); !strings.Contains(got, " 2001:db8::7 ") {
		t.Error(got)
	}
	if got := n.external("candidate:1 1 udp 1 192.0.2.1 9 typ host"); !strings.Contains(got, " 192.0.2.1 ") {
		t.Error(got)
	}
}

// TestDSCP wants the datagrams of a marked Peer marked and all others not.
func TestDSCP(t *testing.T) {
	e := newEngine(t, nil)
	c := newClientOf(t, e, webrtctest.Options{}, PeerConfig{DSCP: 46})
	c.Receive()
	c.negotiate()
	c.connected()
	tos := func(p *Peer) (tos uint8) {
		p.under(func(*turn) { tos = p.transports[0].path.TOS() })
		return tos
	}
	if got := tos(c.peer); got != 46<<2 {
		t.Errorf("TOS %d", got)
	}
	pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	link(t, graph(pub.peer), c.peer, true)
	stream(t, "media in marked packets", pub, func() bool { return true }, func() bool { return len(c.Packets(videoKind)) > 10 })

	if got := tos(pub.peer); got != 0 {
		t.Errorf("TOS %d of a peer without", got)
	}
	for _, want := range []int{34 << 2, 0} {
		conn := tosReceiver(t)
		if err := e.shards[0].socket.Send([]byte("x"), conn.LocalAddr().(*net.UDPAddr).AddrPort(), uint8(want)); err != nil {
			t.Fatal(err)
		}
		if !udp.Marks {
			want = 0
		}
		if got := readTOS(t, conn); got != want {
			t.Errorf("TOS %d, want %d", got, want)
		}
	}
}

// TestUndecided connects a source before the peer has negotiated: no error, and
// media as soon as it has.
func TestUndecided(t *testing.T) {
	bothWays(t, func(t *testing.T, spliced bool) {
		e := newEngine(t, nil)
		pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
		sub := newClient(t, e, webrtctest.Options{})
		outs := graph(pub.peer)
		for _, out := range outs {
			out.OnLinkError(func(_ *pipeline.Link, err error) { t.Errorf("told: %v", err) })
		}
		if a := sub.peer.Sender(pipeline.Video).Accepts(); len(a) != 1 || a[0].Framing != pipeline.Undecided {
			t.Errorf("accepts %+v before negotiation", a)
		}
		link(t, outs, sub.peer, spliced)
		stream(t, "the source runs", pub, func() bool { return true }, func() bool { n, _ := outs[pipeline.Video].Counters(); return n > 10 })
		sub.Receive()
		sub.negotiate()
		sub.connected()
		stream(t, "media", pub, func() bool { return true }, func() bool {
			return len(sub.Packets(videoKind)) > 10 && len(sub.Packets(audioKind)) > 10
		})
	})
}
