package transport

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/kerr"
)

func code(err error) int {
	if err == nil {
		return 0
	}
	c, _ := kerr.Of(err)
	return int(c)
}

// dial opens a UDP socket to the media port.
func dial(t *testing.T, from net.IP, port int) *net.UDPConn {
	t.Helper()
	c, err := net.DialUDP("udp4", &net.UDPAddr{IP: from}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ask sends a datagram and returns what comes back within the time.
func ask(t *testing.T, c *net.UDPConn, b []byte, wait time.Duration) []byte {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	if err != nil {
		return nil
	}
	return buf[:n]
}

func TestSTUNResponder(t *testing.T) {
	e := newEngine(t, nil)
	if e.STUNPort() == 0 || e.STUNPort() == e.Port() {
		t.Fatalf("STUN port %d beside media port %d", e.STUNPort(), e.Port())
	}
	// Each from an address of its own, because the rate is per source.
	t.Run("media port", func(t *testing.T) { responds(t, e, net.IPv4(127, 0, 0, 2), e.Port()) })
	t.Run("STUN port", func(t *testing.T) { responds(t, e, net.IPv4(127, 0, 0, 3), e.STUNPort()) })
	taken, err := NewEngine(Config{ListenIPs: e.Addrs(), STUNPort: e.STUNPort()})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if p := taken.STUNPort(); p == 0 || p == e.STUNPort() {
		t.Errorf("the taken STUN port %d was replaced by %d", e.STUNPort(), p)
	}
}

func responds(t *testing.T, e *Engine, from net.IP, port int) {
	c := dial(t, from, port)
	m := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	got := ask(t, c, m.Raw, 5*time.Second)
	reply := &stun.Message{Raw: got}
	if err := reply.Decode(); err != nil {
		t.Fatalf("%v: % x", err, got)
	}
	var x stun.XORMappedAddress
	if err := x.GetFrom(reply); err != nil {
		t.Fatal(err)
	}
	local := c.LocalAddr().(*net.UDPAddr)
	if reply.Type != stun.BindingSuccess || reply.TransactionID != m.TransactionID || !x.IP.Equal(local.IP) || x.Port != local.Port {
		t.Errorf("answer %v %v, want %v", reply, x, local)
	}
	if len(got) > 2*len(m.Raw) {
		t.Errorf("answer of %d bytes to %d", len(got), len(m.Raw))
	}
	// An ICE check of nobody's gets no answer.
	check := stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername("nobody:here"))
	if got := ask(t, c, check.Raw, 50*time.Millisecond); got != nil {
		t.Errorf("a check was answered: % x", got)
	}
	before := e.Counters().STUNRefused
	eventually(t, "the rate holds", func() bool {
		for range 4 * stunPerSecond {
			if _, err := c.Write(m.Raw); err != nil {
				t.Fatal(err)
			}
		}
		return e.Counters().STUNRefused >= before+stunPerSecond
	})
}

// TestSTUNPrivate tests the codec against the library, IPv6 too.
func TestSTUNPrivate(t *testing.T) {
	m := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	for _, from := range []string{"192.0.2.7:4711", "[2001:db8::7]:65535"} {
		addr := netip.MustParseAddrPort(from)
		reply := &stun.Message{Raw: appendBindingSuccess(nil, m.Raw, addr)}
		if err := reply.Decode(); err != nil {
			t.Fatal(err)
		}
		var x stun.XORMappedAddress
		if err := x.GetFrom(reply); err != nil || net.JoinHostPort(x.IP.String(), fmt.Sprint(x.Port)) != from {
			t.Errorf("%s came back as %v: %v", from, x, err)
		}
	}
	for name, b := range map[string][]byte{
		"short":      m.Raw[:19],
		"response":   stun.MustBuild(stun.TransactionID, stun.BindingSuccess).Raw,
		"username":   stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewUsername("a:b")).Raw,
		"bad length": append(bytes.Clone(m.Raw), 0),
	} {
		if isPlainBinding(b) {
			t.Errorf("%s taken for a plain request", name)
		}
	}
	if !isPlainBinding(stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.NewSoftware("x")).Raw) {
		t.Error("a request with SOFTWARE refused")
	}
}

func TestDatagrams(t *testing.T) {
	e := newEngine(t, nil)
	c := dial(t, net.IPv4(127, 0, 0, 1), e.Port())
	if _, err := c.Write(append([]byte{0x80}, make([]byte, MaxDatagram)...)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(bytes.Repeat([]byte{0x7f}, 100)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are counted", func() bool { n := e.Counters(); return n.Oversized == 1 && n.Malformed == 1 })
}

// TestSamePort wants one number for UDP and TCP, and a second Engine refused.
func TestSamePort(t *testing.T) {
	e := newEngine(t, nil)
	conn, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(e.Port())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if again, err := NewEngine(Config{MediaPort: e.Port(), ListenIPs: e.Addrs(), ICETCP: true}); err == nil {
		again.Close()
		t.Error("the port was bound twice")
	}
	// A silent TCP connection does not keep the Engine from closing.
	start := time.Now()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("closing took %v", d)
	}
}

func TestLocalAddresses(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.ListenIPs = nil })
	loop := false
	for _, a := range e.Addrs() {
		loop = loop || a == netip.MustParseAddr("127.0.0.1")
	}
	if !loop {
		t.Errorf("loopback is not among %v", e.Addrs())
	}
	newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
}

// TestTCPOnly connects by the TCP candidate alone.
func TestTCPOnly(t *testing.T) {
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{Setting: func(s *webrtc.SettingEngine) {
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeTCP4})
	}})
	c.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
	c.offer = c.Offer()
	answer, err := c.peer.Answer(c.offer)
	if err != nil {
		t.Fatal(err)
	}
	c.SetAnswer(answer)
	tcp := 0
	c.trickle(func(x Candidate) bool {
		if strings.Contains(x.Candidate, " tcp ") {
			tcp++
			return true
		}
		return false
	})
	if tcp == 0 {
		t.Fatal("no TCP candidate")
	}
	c.connected()
	outs := graph(c.peer)
	stream(t, "media over TCP", c, func() bool { return true }, func() bool { n, _ := outs[kindOf("video")].Counters(); return n > 10 })
	if pairs := c.peer.Pairs(); len(pairs) != 1 || !strings.Contains(pairs[0].Local, " tcp ") {
		t.Errorf("pairs %v", pairs)
	}
}

func TestNoTCP(t *testing.T) {
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{})
	c.peer.SetNetwork(Network{})
	c.Receive()
	c.negotiate()
	for _, x := range read(c.heard, func(h *heard) []Candidate { return h.candidates }) {
		if strings.Contains(x.Candidate, " tcp ") {
			t.Errorf("candidate %s", x.Candidate)
		}
	}
}

// TestAnnounced wants the announced address told, and only that; media flows
// all the same (here the browser is found as peer-reflexive).
func TestAnnounced(t *testing.T) {
	e := newEngine(t, func(c *Config) { c.AnnouncedIPs = []netip.Addr{netip.MustParseAddr("198.51.100.9")} })
	c := newClient(t, e, webrtctest.Options{})
	c.Receive()
	c.negotiate()
	list := read(c.heard, func(h *heard) []Candidate { return h.candidates })
	if len(list) == 0 {
		t.Fatal("no candidate")
	}
	for _, x := range list {
		if !strings.Contains(x.Candidate, " 198.51.100.9 ") {
			t.Errorf("candidate %s", x.Candidate)
		}
	}
	c.connected()
}

// TestCandidateFirst gives the browser's candidates before its description.
func TestCandidateFirst(t *testing.T) {
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{})
	c.Receive()
	offer := c.Offer()
	var bare []string
	for line := range strings.SplitSeq(offer, "\r\n") {
		if text, ok := strings.CutPrefix(line, "a=candidate:"); ok {
			if err := c.peer.AddCandidate(Candidate{Candidate: "candidate:" + text, SDPMid: "0"}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		bare = append(bare, line)
	}
	answer, err := c.peer.Answer(strings.Join(bare, "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	c.SetAnswer(answer)
	// Ours are not told, so it can only be theirs that connect.
	c.connected()
}

func TestCandidates(t *testing.T) {
	for text, want := range map[string]candidateFate{
		"":           candidateSkip,
		"candidate:": candidateSkip,
		"candidate:1 1 udp 2122260223 192.0.2.3 50000 typ host generation 0 ufrag abcd": candidateUse,
		"candidate:1 1 UDP 2015364095 2001:db8::1 24478 typ host":                       candidateUse,
		"candidate:1 2 UDP 2015364094 192.0.2.3 24478 typ host":                         candidateSkip,
		"candidate:2 1 TCP 1015022591 192.0.2.3 9 typ host tcptype active":              candidateSkip,
		"candidate:1 1 udp 1 3f2c9a7e-1c55-4d3a-a9f0-0d1f7a6d7a11.local 5 typ host":     candidateDrop,
		"candidate:1 1 udp 1 example.com 5 typ host":                                    candidateDrop,
		"candidate:1 1 udp 1 127.0.0.1 5 typ host":                                      candidateDrop,
		"candidate:1 1 udp 1 169.254.169.254 80 typ host":                               candidateDrop,
		"candidate:1 1 udp 1 ::ffff:127.0.0.1 5 typ host":                               candidateDrop,
		"candidate:1 1 udp 1 224.0.0.1 5 typ host":                                      candidateDrop,
		"candidate:1 1 udp 1 0.0.0.0 5 typ host":                                        candidateDrop,
		"candidate:1 1 udp 1 192.0.2.3 99999 typ host":                                  candidateDrop,
		"not a candidate": candidateDrop,
	} {
		if got := judge(text, false); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if judge("candidate:1 1 udp 1 127.0.0.1 5 typ host", true) != candidateUse {
		t.Error("loopback refused in dev mode")
	}
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{})
	for i := range MaxCandidates {
		if err := c.peer.AddCandidate(Candidate{Candidate: fmt.Sprintf("candidate:1 1 udp 1 192.0.2.3 %d typ host", i+1)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.peer.AddCandidate(Candidate{Candidate: "candidate:1 1 udp 1 192.0.2.3 9999 typ host"}); code(err) != 40401 {
		t.Errorf("one candidate too many: %v", err)
	}
	if err := c.peer.AddCandidate(Candidate{Candidate: "candidate:1 1 udp 1 a.local 9 typ host"}); err != nil {
		t.Errorf("mDNS candidate: %v", err)
	}
	if n := e.Counters().BadCandidates; n != 2 {
		t.Errorf("%d bad candidates counted", n)
	}
}

func TestCap(t *testing.T) {
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{})
	c.peer.SetBandwidth(Bandwidth{MaxVideoRecv: 300})
	c.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
	c.negotiate()
	c.connected()
	video := c.answer[strings.Index(c.answer, "m=video"):]
	if !strings.Contains(video, "b=AS:300\r\n") || !strings.Contains(video, "b=TIAS:300000\r\n") ||
		strings.Count(c.answer, "b=") != 2 {
		t.Errorf("answer\n%s", c.answer)
	}
	stream(t, "REMB", c, func() bool { return true }, func() bool { return len(c.REMBs()) > 0 })
	for _, r := range c.REMBs() {
		if r < 299000 || r > 300000 {
			t.Errorf("REMB %v", r)
		}
	}
}

func TestPerSource(t *testing.T) {
	p := perSource{limit: 2}
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	now := time.Unix(100, 0)
	got := []bool{p.allow(a, now), p.allow(a, now), p.allow(a, now), p.allow(b, now), p.allow(a, now.Add(time.Second))}
	for i, want := range []bool{true, true, false, true, true} {
		if got[i] != want {
			t.Errorf("event %d: %v", i, got[i])
		}
	}
	var full [4]byte
	for i := range uint32(maxSources) {
		binary.BigEndian.PutUint32(full[:], i)
		p.allow(netip.AddrFrom4(full), now)
	}
	if p.allow(b.Next().Next(), now); len(p.seen) > maxSources {
		t.Errorf("%d sources remembered", len(p.seen))
	}
}
