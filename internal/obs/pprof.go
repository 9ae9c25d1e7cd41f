package obs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"
)

// Pprof serves Go's profiles on a port of its own. Profiles tell secrets
// (memory, command line), so only loopback addresses are accepted.
type Pprof struct {
	ln  net.Listener
	log *slog.Logger
}

// NewPprof binds addr ("127.0.0.1:6060"; port 0 picks a free one). An address
// that is not loopback is an error.
func NewPprof(addr string, log *slog.Logger) (*Pprof, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("listen for pprof: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listen for pprof on %s: only loopback addresses are allowed", addr)
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen for pprof: %w", err)
	}
	return &Pprof{ln: ln, log: log}, nil
}

// Addr is the bound address.
func (p *Pprof) Addr() net.Addr { return p.ln.Addr() }

// Run serves until ctx ends and waits for its own goroutine.
func (p *Pprof) Run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	p.log.Info("pprof listens", "addr", p.ln.Addr().String())
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(p.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve pprof: %w", err)
	}
	return nil
}
