package webpage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

func newTestProxy(t *testing.T, refuse string) (*proxy, *http.Client) {
	t.Helper()
	p, err := newProxy(func(ctx context.Context, network, address string) (net.Conn, error) {
		if refuse != "" && strings.Contains(address, refuse) {
			return nil, errors.New("refused by the policy")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	through := &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: p.addr()})}
	t.Cleanup(through.CloseIdleConnections)
	return p, &http.Client{Transport: through, Timeout: 20 * time.Second}
}

func TestProxy(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, r.URL.Path) }))
	defer plain.Close()
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "secure") }))
	defer secure.Close()
	p, c := newTestProxy(t, "refused.example")
	c.Transport.(*http.Transport).TLSClientConfig = secure.Client().Transport.(*http.Transport).TLSClientConfig
	for _, x := range []struct {
		url    string
		status int
		body   string
	}{
		{plain.URL + "/x", 200, strings.TrimPrefix(plain.URL, "http://") + "/x"},
		{secure.URL, 200, "secure"},
		{"http://refused.example/", 502, ""},
		{"http://accounts.google.com/", 502, ""}, // whatever the policy says
	} {
		r, err := c.Get(x.url)
		if err != nil {
			t.Errorf("%s: %v", x.url, err)
			continue
		}
		b, _ := io.ReadAll(r.Body)
		r.Body.Close()
		if r.StatusCode != x.status || string(b) != x.body {
			t.Errorf("%s: %d %q, want %d %q", x.url, r.StatusCode, b, x.status, x.body)
		}
	}
	for _, address := range []string{"refused.example:443", "ACCOUNTS.google.com:443", "no port", ""} {
		if _, err := c.Get("https://" + strings.ReplaceAll(address, " ", "-") + "/"); err == nil {
			t.Errorf("%q is reached", address)
		}
	}
	// Its own address is no request for the proxy.
	if r, err := http.Get("http://" + p.addr() + "/"); err != nil || r.StatusCode != 400 {
		t.Errorf("the proxy itself answers %v %v", r, err)
	} else {
		r.Body.Close()
	}
}

// Tunnels end with the proxy, both ends of them.
func TestProxyCloses(t *testing.T) {
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := far.Accept(); err == nil {
			accepted <- c
		}
	}()
	p, _ := newTestProxy(t, "")
	near, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	fmt.Fprintf(near, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", far.Addr(), far.Addr())
	if line, err := bufio.NewReader(near).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q %v", line, err)
	}
	end := <-accepted
	defer end.Close()
	p.close()
	for _, c := range []net.Conn{near, end} {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.Copy(io.Discard, c); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
			t.Errorf("a tunnel goes on: %v", err)
		}
	}
}

func isTimeout(err error) bool {
	n, ok := errors.AsType[net.Error](err)
	return ok && n.Timeout()
}
