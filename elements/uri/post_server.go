package uri

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/govidu/govidu/internal/kerr"
)

// DefaultHTTPPort is where the original listens for uploads.
const DefaultHTTPPort = 9091

const (
	defaultMaxBody = 4 << 30
	// uploadIdle is how long an upload may make no progress.
	uploadIdle = 30 * time.Second
	// maxUploads bounds the connections to the upload server.
	maxUploads = 256
)

// HTTP says where HttpPostEndpoints are reached. The server listens while there
// is such an endpoint.
type HTTP struct {
	// Address to listen on; 127.0.0.1 when empty.
	Address string
	// Port to listen on; 0 is any free one, below 0 turns the endpoint off.
	Port int
	// Announced is the host that URLs name; Address when empty, or 127.0.0.1 when
	// that is no single address.
	Announced string
	// MaxBody is the longest upload in bytes; 4 GiB when 0.
	MaxBody int64
}

// postServer is the HTTP server of all HttpPostEndpoints of a process.
type postServer struct {
	c   HTTP
	log *slog.Logger

	mu        sync.Mutex
	endpoints map[string]*Post // by path
	server    *http.Server
	host      string // of URLs
	done      chan struct{}
}

func newPostServer(c HTTP, log *slog.Logger) *postServer {
	if c.Address == "" {
		c.Address = "127.0.0.1"
	}
	if c.MaxBody <= 0 {
		c.MaxBody = defaultMaxBody
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &postServer{c: c, log: log, endpoints: map[string]*Post{}}
}

// add gives an endpoint its URL, starting the server for the first.
func (s *postServer) add(p *Post) (path, url string, err error) {
	if s.c.Port < 0 {
		return "", "", kerr.New(kerr.MediaObjectNotAvailable, "HttpPostEndpoint is turned off: set a port for uploads")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		if err := s.listen(); err != nil {
			return "", "", kerr.New(kerr.HTTPRegistrationError, "Uploads cannot be received on %s port %d: %v", s.c.Address, s.c.Port, err)
		}
	}
	path = "/" + uuid.NewString()
	s.endpoints[path] = p
	return path, "http://" + s.host + path, nil
}

func (s *postServer) listen() error {
	l, err := net.Listen("tcp", net.JoinHostPort(s.c.Address, strconv.Itoa(s.c.Port)))
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return err
	}
	host := s.c.Announced
	if host == "" {
		host = s.c.Address
		if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
			host = "127.0.0.1"
		}
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s.host = net.JoinHostPort(strings.Trim(host, "[]"), port)
	s.server = &http.Server{
		Handler: s, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 75 * time.Second, MaxHeaderBytes: 32 << 10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	s.done = make(chan struct{})
	server, done := s.server, s.done
	go func() {
		defer close(done)
		if err := server.Serve(&limitedListener{Listener: l, free: make(chan struct{}, maxUploads)}); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("upload server ended", "err", err)
		}
	}()
	return nil
}

// remove forgets a URL; the last one ends the server.
func (s *postServer) remove(path string) {
	s.mu.Lock()
	if _, ok := s.endpoints[path]; !ok {
		s.mu.Unlock()
		return
	}
	delete(s.endpoints, path)
	var server *http.Server
	done := s.done
	if len(s.endpoints) == 0 {
		server, s.server = s.server, nil
		// The port is free before another endpoint may want it.
		server.Close()
	}
	s.mu.Unlock()
	if server != nil {
		<-done
	}
}

// ServeHTTP implements http.Handler.
func (s *postServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Access-Control-Allow-Origin", "*") // the path is the secret
	s.mu.Lock()
	p := s.endpoints[r.URL.Path]
	s.mu.Unlock()
	if p == nil {
		http.Error(w, "no such upload", http.StatusNotFound)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, s.c.MaxBody)
	p.serve(w, r)
}

// limitedListener closes connections above its limit at once.
type limitedListener struct {
	net.Listener
	free chan struct{}
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case l.free <- struct{}{}:
		return &limitedConn{Conn: c, free: l.free}, nil
	default:
		c.Close()
		return &limitedConn{Conn: c}, nil // the server sees a closed connection
	}
}

type limitedConn struct {
	net.Conn
	once sync.Once
	free chan struct{}
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.once.Do(func() {
		if c.free != nil {
			<-c.free
		}
	})
	return c.Conn.Close()
}

// uploadBody reads a request's body with a deadline for each step; ctx ends it.
type uploadBody struct {
	ctx  context.Context
	rc   *http.ResponseController
	read func([]byte) (int, error)
}

// Read implements io.Reader.
func (b *uploadBody) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	if err := b.rc.SetReadDeadline(time.Now().Add(uploadIdle)); err != nil {
		return 0, fmt.Errorf("set deadline: %w", err)
	}
	if err := b.ctx.Err(); err != nil { // its end may have set a deadline that this one replaced
		return 0, err
	}
	return b.read(p)
}
