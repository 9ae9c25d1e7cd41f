package gather

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/turn/v5"

	"github.com/govidu/govidu/elements/webrtc/transport/ice"
)

// relays is a TURN server on the loopback by one transport. What deny
// says is refused.
func relays(t *testing.T, transport string, deny func(net.IP) bool) (Server, *turn.Server) {
	t.Helper()
	generator := &turn.RelayAddressGeneratorStatic{RelayAddress: net.IPv4(127, 0, 0, 1), Address: "127.0.0.1"}
	config := turn.ServerConfig{
		Realm: "test",
		AuthHandler: func(a *turn.RequestAttributes) (string, []byte, bool) {
			return a.Username, turn.GenerateAuthKey(a.Username, a.Realm, "secret"), a.Username == "user"
		},
		LoggerFactory: quiet{},
	}
	allow := func(_ net.Addr, ip net.IP) bool { return deny == nil || !deny(ip) }
	s := Server{Host: "127.0.0.1", User: "user", Password: "secret", Transport: transport}
	if transport == "udp" {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Port = c.LocalAddr().(*net.UDPAddr).Port
		config.PacketConnConfigs = []turn.PacketConnConfig{{PacketConn: c, RelayAddressGenerator: generator, PermissionHandler: allow}}
	} else {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s.Port = l.Addr().(*net.TCPAddr).Port
		if transport == "tls" {
			cert, roots := certificate(t)
			l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
			s.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		}
		config.ListenerConfigs = []turn.ListenerConfig{{Listener: l, RelayAddressGenerator: generator, PermissionHandler: allow}}
	}
	server, err := turn.NewServer(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return s, server
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "relay"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}

func peer(t *testing.T) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func limit(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// until asks again and again, at most 10 s.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestRelay(t *testing.T) {
	for _, transport := range []string{"udp", "tcp", "tls"} {
		t.Run(transport, func(t *testing.T) {
			s, _ := relays(t, transport, nil)
			r, err := Allocate(limit(t, 20*time.Second), s)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if !r.Addr().Addr().IsLoopback() || r.Addr().Port() == 0 || !r.Related().Addr().IsLoopback() || r.Addr() == r.Related() {
				t.Error(r.Addr(), r.Related())
			}
			c, at := peer(t)
			if !r.Send([]byte("first"), at) {
				t.Error("the first datagram is dropped")
			}
			b := make([]byte, 2000)
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil || string(b[:n]) != "first" || from != r.Addr() {
				t.Fatal(err, string(b[:n]), from)
			}
			until(t, "the second datagram is taken", func() bool { return r.Send([]byte("second"), at) })
			if n, _, err = c.ReadFromUDPAddrPort(b); err != nil || string(b[:n]) != "second" {
				t.Fatal(err, string(b[:n]))
			}
			large := []byte(strings.Repeat("x", 1200))
			if _, err := c.WriteToUDPAddrPort(large, r.Addr()); err != nil {
				t.Fatal(err)
			}
			n, from, err = r.ReadFrom(b)
			if err != nil || n != len(large) || from != at {
				t.Error(n, from, err)
			}
			if r.Send(make([]byte, maxPacket+1), at) {
				t.Error("a datagram that is too large is taken")
			}
			r.Close()
			if _, _, err := r.ReadFrom(b); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			if r.Send([]byte("late"), at) {
				t.Error("sent after the end")
			}
		})
	}
}

// TestFreed: Close gives the allocation back.
func TestFreed(t *testing.T) {
	s, server := relays(t, "udp", nil)
	r, err := Allocate(limit(t, 20*time.Second), s)
	if err != nil {
		t.Fatal(err)
	}
	if server.AllocationCount() != 1 {
		t.Error(server.AllocationCount(), "allocations")
	}
	r.Close()
	until(t, "the allocation is freed", func() bool { return server.AllocationCount() == 0 })
}

func TestAllocateFails(t *testing.T) {
	good, _ := relays(t, "udp", nil)
	overTLS, _ := relays(t, "tls", nil)
	silent, at := peer(t)
	_ = silent
	for _, c := range []struct {
		name string
		s    Server
		want string
	}{
		{"password", Server{Host: good.Host, Port: good.Port, User: "user", Password: "wrong"}, "allocate on TURN server"},
		{"user", Server{Host: good.Host, Port: good.Port, User: "nobody", Password: "secret"}, "allocate on TURN server"},
		{"transport", Server{Host: good.Host, Transport: "sctp"}, ErrTransport.Error()},
		{"nobody listens", Server{Host: "127.0.0.1", Port: 1, Transport: "tcp"}, "connect to TURN server"},
		{"certificate", Server{Host: overTLS.Host, Port: overTLS.Port, Transport: "tls", User: "user", Password: "secret"}, "certificate"},
		{"silent", Server{Host: "127.0.0.1", Port: int(at.Port()), User: "user", Password: "secret"}, context.DeadlineExceeded.Error()},
		{"no TLS there", Server{Host: "127.0.0.1", Port: good.Port, Transport: "tls"}, "connect to TURN server"},
	} {
		d := 10 * time.Second
		if c.name == "silent" {
			d = 300 * time.Millisecond
		}
		r, err := Allocate(limit(t, d), c.s)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if r != nil {
			r.Close()
		}
	}
}

// TestDenied: an address that the server refuses costs nobody else anything.
func TestDenied(t *testing.T) {
	s, _ := relays(t, "udp", func(ip net.IP) bool { return !ip.IsLoopback() })
	r, err := Allocate(limit(t, 20*time.Second), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	bad := netip.MustParseAddrPort("192.0.2.1:9")
	if !r.Send([]byte("x"), bad) || r.Send([]byte("x"), bad) {
		t.Error("asked twice at once")
	}
	c, at := peer(t)
	r.Send([]byte("good"), at)
	b := make([]byte, 100)
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, _, err := c.ReadFromUDPAddrPort(b); err != nil || string(b[:n]) != "good" {
		t.Error(err)
	}
	until(t, "the refusal is known", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		at := r.peers[bad.Addr()]
		return !at.IsZero() && !at.Equal(asked)
	})
	if r.Send([]byte("x"), bad) {
		t.Error("a refused address is asked for again at once")
	}
	for i := range 4 * maxPeers {
		r.Send([]byte("x"), netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(100 + i/250), byte(i%250 + 1)}), 9))
		until(t, "a place", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.asking < maxAsking })
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.peers) > maxPeers {
		t.Error(len(r.peers), "addresses are remembered")
	}
}

// TestStranger: who is not the server cannot put datagrams into the relay.
func TestStranger(t *testing.T) {
	s, _ := relays(t, "udp", nil)
	r, err := Allocate(limit(t, 20*time.Second), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c, at := peer(t)
	fake, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodData, stun.ClassIndication),
		stun.RawAttribute{Type: stun.AttrXORPeerAddress, Value: []byte{0, 1, 1, 1, 1, 1, 1, 1}}, stun.RawAttribute{Type: stun.AttrData, Value: []byte("fake")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteToUDPAddrPort(fake.Raw, r.Related()); err != nil {
		t.Fatal(err)
	}
	r.Send([]byte("x"), at)
	b := make([]byte, 100)
	if _, _, err := c.ReadFromUDPAddrPort(b); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WriteToUDPAddrPort([]byte("true"), r.Addr()); err != nil {
		t.Fatal(err)
	}
	if n, _, err := r.ReadFrom(b); err != nil || string(b[:n]) != "true" {
		t.Error(err, string(b[:n]))
	}
}

// TestServerGoes: a lost connection to the server ends the relay.
func TestServerGoes(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, _ := relays(t, "tcp", nil)
	to := netip.AddrPortFrom(netip.MustParseAddr(s.Host), uint16(s.Port)).String()
	cut := make(chan net.Conn, 2)
	go func() {
		a, err := l.Accept()
		if err != nil {
			return
		}
		b, err := net.Dial("tcp4", to)
		if err != nil {
			return
		}
		cut <- a
		cut <- b
		go copyAll(a, b)
		copyAll(b, a)
	}()
	s.Port = l.Addr().(*net.TCPAddr).Port
	r, err := Allocate(limit(t, 20*time.Second), s)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	(<-cut).Close()
	(<-cut).Close()
	if _, _, err := r.ReadFrom(make([]byte, 100)); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func copyAll(dst, src net.Conn) {
	b := make([]byte, 4096)
	for {
		n, err := src.Read(b)
		if err != nil {
			return
		}
		if _, err := dst.Write(b[:n]); err != nil {
			return
		}
	}
}

func TestReflexive(t *testing.T) {
	s, _ := relays(t, "udp", nil)
	c, at := peer(t)
	got, err := Reflexive(limit(t, 20*time.Second), c, netip.AddrPortFrom(netip.MustParseAddr(s.Host), uint16(s.Port)))
	if err != nil || got != at {
		t.Error(got, err)
	}
	_, silent := peer(t)
	if _, err := Reflexive(limit(t, 100*time.Millisecond), c, silent); !errors.Is(err, ErrNoAnswer) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	c.Close()
	if _, err := Reflexive(t.Context(), c, silent); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestStream(t *testing.T) {
	query := ice.AppendQuery(nil, ice.NewID(1))
	channel := []byte{0x40, 1, 0, 3, 'a', 'b', 'c', 0}
	for _, c := range []struct {
		name string
		in   []byte
		want []int
	}{
		{"two", append(append([]byte{}, query...), query...), []int{28, 28}},
		{"padding", append(append([]byte{}, channel...), query...), []int{7, 28}},
		{"length that wraps", []byte{0, 1, 0xff, 0xec, 0x21, 0x12, 0xa4, 0x42}, nil},
		{"too long for us", []byte{0x40, 1, 0x20, 0, 1, 1, 1, 1}, nil},
		{"neither", []byte("HTTP/1.1 400"), nil},
		{"cut", query[:10], nil},
		{"empty", nil, nil},
	} {
		a, b := net.Pipe()
		go func() {
			_, _ = a.Write(c.in)
			a.Close()
		}()
		s := newStream(b)
		buf := make([]byte, maxFrame)
		var got []int
		for {
			n, _, err := s.ReadFrom(buf)
			if err != nil {
				break
			}
			got = append(got, n)
		}
		b.Close()
		if len(got) != len(c.want) || len(got) > 0 && (got[0] != c.want[0] || got[1] != c.want[1]) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
