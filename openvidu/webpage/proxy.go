package webpage

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/obs"
)

const (
	// maxTunnels bounds the connections that all pages hold at once.
	maxTunnels = 512
	// tunnelBuffer is what one direction of a connection copies at once.
	tunnelBuffer = 32 << 10
	dialTimeout  = 10 * time.Second
)

var errHome = errors.New("browsers do not call home")

// homes are hosts that Chromium asks for by itself, about accounts, updates and the
// like, whatever its flags say. No page needs them.
var homes = map[string]bool{
	"accounts.google.com": true, "update.googleapis.com": true, "clients2.google.com": true, "clientservices.googleapis.com": true,
	"optimizationguide-pa.googleapis.com": true, "safebrowsing.googleapis.com": true, "content-autofill.googleapis.com": true,
	"android.clients.google.com": true, "mtalk.google.com": true, "edgedl.me.gvt1.com": true, "redirector.gvt1.com": true,
}

// proxy is what browsers reach the network through: addresses are looked up and
// dialled here, so that the server's policy holds for pages too. It listens on
// loopback, and reaches nothing that the policy would not let it reach.
type proxy struct {
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	log   *slog.Logger
	ln    net.Listener
	srv   *http.Server
	plain *httputil.ReverseProxy
	slots chan struct{}
	wg    sync.WaitGroup

	mu    sync.Mutex // leaf
	shut  bool
	conns map[net.Conn]struct{} // of tunnels
}

func newProxy(dial func(ctx context.Context, network, address string) (net.Conn, error), log *slog.Logger) (*proxy, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{dial: dial, log: log, ln: ln, slots: make(chan struct{}, maxTunnels), conns: map[net.Conn]struct{}{}}
	p.plain = &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.Header.Del("Proxy-Authorization") },
		Transport: &http.Transport{DialContext: p.connect, DisableKeepAlives: true, ResponseHeaderTimeout: 30 * time.Second, MaxResponseHeaderBytes: 256 << 10},
		ErrorLog:  slog.NewLogLogger(log.Handler(), slog.LevelDebug), ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	p.srv = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 256 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	p.wg.Go(func() {
		defer obs.Guard(log, "webpage.proxy", nil)
		if err := p.srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Error("proxy of pages ended", obs.AttrErr, err)
		}
	})
	return p, nil
}

func (p *proxy) addr() string { return p.ln.Addr().String() }

func (p *proxy) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if host, _, err := net.SplitHostPort(address); err != nil || homes[strings.ToLower(host)] {
		return nil, errHome
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return p.dial(ctx, network, address)
}

// ServeHTTP passes a request on, or makes a tunnel.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer obs.Guard(p.log, "webpage.proxy", nil)
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	switch {
	case r.Method == http.MethodConnect:
		p.tunnel(w, r)
	case r.URL.Scheme == "http" && r.URL.Host != "":
		p.plain.ServeHTTP(w, r)
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

// tunnel copies both ways until either end has ended.
func (p *proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	far, err := p.connect(r.Context(), "tcp", r.Host)
	if err != nil {
		level := slog.LevelInfo
		if errors.Is(err, errHome) {
			level = slog.LevelDebug
		}
		p.log.Log(r.Context(), level, "a page may not or cannot connect", "host", obs.Quote(r.Host), obs.AttrErr, err)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer far.Close()
	near, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer near.Close()
	if !p.keep(near, far) {
		return
	}
	defer p.forget(near, far)
	_ = near.SetDeadline(time.Time{})
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		defer obs.Guard(p.log, "webpage.proxy", nil)
		_, _ = io.CopyBuffer(struct{ io.Writer }{far}, struct{ io.Reader }{buffered}, make([]byte, tunnelBuffer))
		_ = far.Close()
	})
	_, _ = io.CopyBuffer(struct{ io.Writer }{near}, struct{ io.Reader }{far}, make([]byte, tunnelBuffer))
	_ = near.Close()
	both.Wait()
}

// keep notes connections that the server no longer knows; false when all end.
func (p *proxy) keep(list ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		return false
	}
	p.wg.Add(1)
	for _, c := range list {
		p.conns[c] = struct{}{}
	}
	return true
}

func (p *proxy) forget(list ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range list {
		delete(p.conns, c)
	}
	p.wg.Done()
}

func (p *proxy) close() {
	_ = p.srv.Close()
	p.mu.Lock()
	p.shut = true
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
