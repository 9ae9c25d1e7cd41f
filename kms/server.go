package kms

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/obs"
)

// Server is one media node's control side. Make it with NewServer.
type Server struct {
	cfg      Config
	id       string // UUID of this process's run, serverId in connect
	log      *slog.Logger
	metrics  *metrics
	upgrader websocket.Upgrader
	manager  *manager
	// admission looks at the whole process
	admission admission

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu           sync.Mutex // → node.emitMu → session.mu → write queue
	closed       bool
	nodes        map[string]*node
	pipelines    int
	sessions     map[string]*session
	sessionOrder []*session // oldest first
}

// NewServer makes a server of the registry's types and ServerManager, and
// starts its collector.
func NewServer(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	if cfg.Registry == nil {
		return nil, errors.New("new kms server: no registry")
	}
	s := &Server{
		cfg: cfg, id: uuid.NewString(), log: cfg.Log,
		nodes: map[string]*node{}, sessions: map[string]*session{},
		// Origins are checked by admit; no subprotocol, no compression.
		upgrader: websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }},
	}
	s.admission = admission{limit: cfg.ExceptionLimit, measure: cfg.Measure}
	var err error
	if s.metrics, err = newMetrics(cfg.Metrics); err != nil {
		return nil, fmt.Errorf("new kms server: %w", err)
	}
	registry, err := cfg.Registry.With(managerType)
	if err != nil {
		return nil, fmt.Errorf("new kms server: %w", err)
	}
	s.cfg.Registry = registry
	s.manager = newManager(s)
	s.nodes[managerID] = s.manager.node
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.wg.Add(1)
	go s.collect()
	return s, nil
}

// Registry holds the types served, ServerManager among them.
func (s *Server) Registry() *elements.Registry { return s.cfg.Registry }

// ServeHTTP takes WebSockets on the configured path; a WebSocket on another
// path is accepted and closed with 1002 "Invalid path", as the original does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status, text := s.admit(r); status != 0 {
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		http.Error(w, text, status)
		return
	}
	// Counted before it is a WebSocket: the HTTP server does not wait for one.
	if !s.enter() {
		http.Error(w, "server closing", http.StatusServiceUnavailable)
		return
	}
	defer s.wg.Done()
	ws, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	conn := jsonrpc.NewSocket(ws, jsonrpc.SocketOptions{
		MaxMessage: maxFirstMessage, QueueMessages: queueMessages, QueueBytes: queueBytes, Log: s.log,
	})
	if strings.TrimPrefix(r.URL.Path, "/") != s.cfg.Path {
		go s.drain(conn) // reads the peer's answer to the close, so that Close need not wait
		conn.Close(jsonrpc.CloseProtocol, "Invalid path")
		return
	}
	if c := s.open(conn); c != nil {
		c.names.ask(r.URL.Query().Get("protocol"))
		s.serve(c)
	}
}

// enter has Close wait for one more wg.Done; false when the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.wg.Add(1)
	return true
}

// drain reads a connection to its end.
func (s *Server) drain(conn jsonrpc.Conn) {
	defer obs.Guard(s.log, "kms.drain", nil)
	for {
		if _, err := conn.ReadFrame(); err != nil {
			return
		}
	}
}

// admit refuses callers by Origin and, off loopback, by token; status 0 admits.
func (s *Server) admit(r *http.Request) (status int, text string) {
	authorised := s.authorised(r)
	if !authorised && !s.cfg.Open && !onLoopback(r) {
		return http.StatusUnauthorized, "access token required"
	}
	if origin := r.Header.Get("Origin"); origin != "" && !authorised && !s.originAllowed(origin, r.Host) {
		return http.StatusForbidden, "origin not allowed"
	}
	return 0, ""
}

func (s *Server) authorised(r *http.Request) bool {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return true // mutual TLS: the operator's CA vouches for the caller
	}
	if s.cfg.Token == "" {
		return false
	}
	got := r.URL.Query().Get("access_token")
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		got = bearer
	}
	return subtle.ConstantTimeCompare([]byte(got), []byte(s.cfg.Token)) == 1
}

// onLoopback tells whether the caller is on this host; one that came through a
// proxy is not.
func onLoopback(r *http.Request) bool {
	if r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
		return false
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	ip := net.ParseIP(host)
	return err == nil && ip != nil && ip.IsLoopback()
}

// originAllowed: the Node client sends a bare "host:port" equal to Host; pages
// of this host may connect; others must be listed.
func (s *Server) originAllowed(origin, host string) bool {
	if origin == host || slices.Contains(s.cfg.AllowedOrigins, origin) || slices.Contains(s.cfg.AllowedOrigins, "*") {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Pipe opens an in-memory stream to the server; give it to client.New. It ends
// with its Close or the server's.
func (s *Server) Pipe() jsonrpc.Conn {
	mine, theirs := jsonrpc.Pipe()
	if c := s.open(mine); c != nil {
		c.own = true
		go s.serve(c) // open has counted it
	}
	return theirs
}

// open enters a connection, which serve must then run; nil when the server is
// closing.
func (s *Server) open(stream jsonrpc.Conn) *connection {
	c := &connection{server: s, stream: stream, log: s.log.With("remote", stream.RemoteAddr())}
	if s.enter() {
		return c
	}
	stream.Close(jsonrpc.CloseGoingAway, "server closing")
	return nil
}

// serve runs one connection to its end.
func (s *Server) serve(c *connection) {
	defer s.wg.Done()
	err := jsonrpc.Serve(s.ctx, c.stream, c, jsonrpc.ServeOptions{
		Log: c.log, Outstanding: outstanding,
		TooBig: &jsonrpc.Error{Code: int(kerr.MalformedTransaction), Message: "Message too big",
			Data: map[string]any{"type": kerr.MalformedTransaction.Name()}},
	})
	if err != nil {
		c.log.Debug("connection lost", "err", err)
	}
	c.unbind()
	c.cache.close()
}

// Close ends all connections, releases every object, youngest first, and waits.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		s.cancel()
		s.mu.Lock()
		for _, n := range s.roots() {
			s.release(n)
		}
		s.mu.Unlock()
	}
	s.wg.Wait()
	return nil
}

// roots lists the pipelines. The caller holds s.mu.
func (s *Server) roots() []*node {
	var out []*node
	for _, n := range s.nodes {
		if n.parent == nil && n != s.manager.node {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, func(a, b *node) int { return strings.Compare(a.id, b.id) })
	return out
}

// guarded runs f; a panic is logged with its stack and counted, and reported.
func (s *Server) guarded(log *slog.Logger, where string, f func()) (panicked bool) {
	defer obs.Guard(log, where, func() { panicked = true })
	f()
	return false
}
