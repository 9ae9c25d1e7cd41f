package serve

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// net/http lingers half a second over a connection that it refused.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	o.Addr, o.Log = "127.0.0.1:0", slog.New(slog.DiscardHandler)
	if o.Handler == nil {
		o.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run() }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b)
}

func TestSelfSignedServesAndStays(t *testing.T) {
	dir := t.TempDir()
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	conf, err := SelfSigned(dir, hosts)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := conf.GetCertificate(nil)
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	s := start(t, Options{TLS: conf})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, ServerName: "localhost"}}}
	defer client.CloseIdleConnections()
	if code, body := get(t, client, "https://"+s.Addr().String()); code != 200 || body != "ok" {
		t.Errorf("got %d %q", code, body)
	}
	if _, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was accepted")
	}

	again, err := SelfSigned(dir, hosts)
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := again.GetCertificate(nil); !c.Leaf.Equal(cert.Leaf) {
		t.Error("the second start made another certificate")
	}
	more, err := SelfSigned(dir, append(hosts, "v.example.com"))
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := more.GetCertificate(nil); c.Leaf.VerifyHostname("v.example.com") != nil {
		t.Error("a new host is not in the certificate")
	}
	if covers(cert.Leaf, hosts, cert.Leaf.NotAfter.Add(-time.Hour)) {
		t.Error("a certificate at its end is kept")
	}
	info, err := os.Stat(filepath.Join(dir, "selfsigned.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v, want mode 0600", info.Mode(), err)
	}
}

func TestTornPairIsMadeAnew(t *testing.T) {
	dir := t.TempDir()
	if _, err := SelfSigned(dir, []string{"localhost"}); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, "selfsigned.key"), 20); err != nil {
		t.Fatal(err)
	}
	if _, err := SelfSigned(dir, []string{"localhost"}); err != nil {
		t.Errorf("a torn pair stops the start: %v", err)
	}
}

func TestFilesAreReloaded(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	for _, dir := range []string{a, b} {
		if _, err := SelfSigned(dir, []string{"localhost"}); err != nil {
			t.Fatal(err)
		}
	}
	s := &fileSource{certPath: filepath.Join(a, "selfsigned.crt"), keyPath: filepath.Join(a, "selfsigned.key")}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	first := s.current(now)
	copyFile(t, filepath.Join(b, "selfsigned.crt"), s.certPath)
	if s.current(now.Add(certCheck)) != first {
		t.Error("a certificate without its key was taken up")
	}
	copyFile(t, filepath.Join(b, "selfsigned.key"), s.keyPath)
	if s.current(now.Add(certCheck+time.Second)) != first {
		t.Error("files were looked at before the interval ended")
	}
	if s.current(now.Add(2*certCheck)) == first {
		t.Error("a new pair was not taken up")
	}
	if _, err := FromFiles(filepath.Join(a, "none"), s.keyPath); err == nil || !strings.Contains(err.Error(), "GOVIDU_CERTIFICATE_FILE") {
		t.Errorf("missing file: %v", err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTooManyConnectionsAreClosed(t *testing.T) {
	s := start(t, Options{MaxConns: 2})
	var held []net.Conn
	for range 2 {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		request(t, c)
	}
	third, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	_ = third.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := third.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("the third connection: %v, want it closed", err)
	}
	for _, c := range held {
		_ = c.Close()
	}
	tick, deadline := time.NewTicker(time.Millisecond), time.Now().Add(20*time.Second)
	defer tick.Stop()
	for ; ; <-tick.C { // the places come back
		s.ln.mu.Lock()
		open := s.ln.open
		s.ln.mu.Unlock()
		if open == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d places still taken", open)
		}
	}
}

func request(t *testing.T, c net.Conn) {
	t.Helper()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("request: %v", err)
	}
	resp.Body.Close()
}

// addrConn is a connection from a given address.
type addrConn struct {
	net.Conn
	addr string
}

func (c addrConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.addr))
}

func TestPerAddressKey(t *testing.T) {
	l := newLimitListener(nil, 100, 1, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	for _, c := range []struct {
		addr   string
		second bool // a second connection is allowed
	}{
		{"127.0.0.1:1", true}, {"[::1]:1", true}, {"[::ffff:127.0.0.1]:1", true}, {"10.1.2.3:1", true}, {"192.0.2.1:1", false}, {"[2001:db8::1]:1", false},
	} {
		key := l.key(addrConn{addr: c.addr})
		if !l.take(key) {
			t.Errorf("%s: the first connection was refused", c.addr)
		}
		if got := l.take(key); got != c.second {
			t.Errorf("%s: second connection allowed = %v, want %v", c.addr, got, c.second)
		}
	}
	if l.take(l.key(addrConn{addr: "[2001:db8::2]:1"})) {
		t.Error("a neighbour in the same /64 counts for itself")
	}
	l.give(l.key(addrConn{addr: "192.0.2.1:1"}))
	if len(l.by) != 1 {
		t.Errorf("addresses kept: %v", l.by)
	}
}

func TestLongHeadersAreRefused(t *testing.T) {
	s := start(t, Options{})
	req, _ := http.NewRequest("GET", "http://"+s.Addr().String(), nil)
	req.Header.Set("X-Long", strings.Repeat("a", 64<<10))
	client := &http.Client{}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 431 {
		t.Errorf("64 KiB of headers: %d, want 431", resp.StatusCode)
	}
}

func TestShutdownCutsWhatDoesNotEnd(t *testing.T) {
	inside := make(chan struct{})
	s := start(t, Options{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		<-r.Context().Done()
	})})
	go func() {
		resp, err := http.Get("http://" + s.Addr().String())
		if err == nil {
			resp.Body.Close()
		}
	}()
	<-inside
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); err == nil {
		t.Error("Shutdown of a hanging request gave no error")
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestIsLocal(t *testing.T) {
	for _, c := range []struct {
		remote, header string
		want           bool
	}{
		{"127.0.0.1:5", "", true}, {"[::1]:5", "", true}, {"[::ffff:127.0.0.1]:5", "", true},
		{"192.0.2.1:5", "", false}, {"127.0.0.1:5", "X-Real-IP", false}, {"127.0.0.1:5", "X-Forwarded-For", false}, {"nonsense", "", false},
	} {
		r, _ := http.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		if c.header != "" {
			r.Header.Set(c.header, "192.0.2.1")
		}
		if got := IsLocal(r); got != c.want {
			t.Errorf("%s %s: local = %v, want %v", c.remote, c.header, got, c.want)
		}
	}
}

func TestClientIP(t *testing.T) {
	of := ClientIP([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
	for _, c := range []struct{ remote, header, want string }{
		{"192.0.2.1:5", "203.0.113.9", "192.0.2.1"}, {"10.0.0.1:5", "203.0.113.9", "203.0.113.9"}, {"10.0.0.1:5", "", "10.0.0.1"},
		{"10.0.0.1:5", "junk", "10.0.0.1"}, {"[::ffff:10.0.0.1]:5", "2001:db8::1", "2001:db8::1"}, {"pipe", "", "pipe"},
	} {
		r, _ := http.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.remote
		r.Header.Set("X-Real-IP", c.header)
		if got := of(r); got != c.want {
			t.Errorf("%s with X-Real-IP %q: %s, want %s", c.remote, c.header, got, c.want)
		}
	}
}
