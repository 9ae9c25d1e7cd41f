package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// Options configure a Server. Handler and Log are required.
type Options struct {
	// Addr is host:port; an empty host is all addresses, port 0 a free one.
	Addr    string
	TLS     *tls.Config // nil serves plain HTTP
	Handler http.Handler
	// MaxConns bounds open connections, PerAddr those of one address. Loopback and
	// Uncounted (proxies) are not counted per address. 0 means the default.
	MaxConns, PerAddr int
	Uncounted         []netip.Prefix
	Log               *slog.Logger
}

// Server is one listening HTTP server. New binds, Run serves, Close ends at once.
type Server struct {
	http *http.Server
	ln   *limitListener
	tls  bool
}

// Limits of one request; handlers that stream move the write deadline themselves,
// and a hijacked WebSocket has limits of its own.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 60 * time.Second
	idleTimeout   = 75 * time.Second
	headerBytes   = 32 << 10
)

// New binds the address.
func New(o Options) (*Server, error) {
	ln, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen for HTTP: %w", err)
	}
	if o.MaxConns == 0 {
		o.MaxConns = DefaultMaxConns
	}
	if o.PerAddr == 0 {
		o.PerAddr = DefaultPerAddr
	}
	s := &Server{ln: newLimitListener(ln, o.MaxConns, o.PerAddr, o.Uncounted), tls: o.TLS != nil}
	s.http = &http.Server{
		Handler: o.Handler, TLSConfig: o.TLS,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: headerBytes,
		// A browser that refuses a self-signed certificate makes a line each time.
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Addr is the bound address.
func (s *Server) Addr() *net.TCPAddr { return s.ln.Addr().(*net.TCPAddr) }

// Run serves until Shutdown or Close.
func (s *Server) Run() error {
	var err error
	if s.tls {
		err = s.http.ServeTLS(s.ln, "", "")
	} else {
		err = s.http.Serve(s.ln)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve HTTP: %w", err)
}

// Shutdown stops accepting and waits for requests under way until ctx ends, then
// cuts them. Hijacked connections (WebSockets) belong to who hijacked them.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("wait for HTTP requests: %w", err), s.Close())
	}
	return nil
}

// Close ends listener and connections at once.
func (s *Server) Close() error {
	err := s.http.Close()
	if lnErr := s.ln.Close(); err == nil && !errors.Is(lnErr, net.ErrClosed) {
		err = lnErr
	}
	return err
}
