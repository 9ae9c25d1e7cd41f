package signal

import (
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/govidu/govidu/internal/jsonrpc"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/auth"
)

// Options configure a Handler; zero values mean the defaults.
type Options struct {
	Manager *openvidu.Manager // required
	Log     *slog.Logger      // discards if nil
	// AllowedOrigins, when set, are the Origins whose pages may open a socket
	// ("https://app.example.com"); others get 403. An absent Origin is allowed: the
	// one-time token is the authority.
	AllowedOrigins []string
	// ClientIP gives the browser's address; default the TCP peer's.
	ClientIP func(*http.Request) string

	JoinTimeout   time.Duration // from the upgrade to a valid joinRoom, default 10 s
	PingInterval  time.Duration // until the client says its own, default 5 s
	FinishTimeout time.Duration // from the end of the connection to our close, default 10 s
	WriteTimeout  time.Duration // default 10 s
	MaxMessage    int64         // bytes, default 1 MiB
	QueueMessages int           // default 512
	QueueBytes    int           // default 1 MiB
	// RatePerSecond and RateBurst bound a socket's messages, default 50 and 200; a
	// candidate counts a quarter.
	RatePerSecond, RateBurst int
}

func def[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Handler serves the signalling WebSocket.
type Handler struct {
	opts     Options
	upgrader websocket.Upgrader

	mu      sync.Mutex // leaf
	closed  bool
	sockets map[*socket]struct{}
	wg      sync.WaitGroup
}

// New makes a Handler. Close ends it.
func New(opts Options) *Handler {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.ClientIP == nil {
		opts.ClientIP = peerIP
	}
	def(&opts.JoinTimeout, 10*time.Second)
	def(&opts.PingInterval, 5*time.Second)
	def(&opts.FinishTimeout, 10*time.Second)
	def(&opts.WriteTimeout, 10*time.Second)
	def(&opts.MaxMessage, 1<<20)
	def(&opts.QueueMessages, 512)
	def(&opts.QueueBytes, 1<<20)
	def(&opts.RatePerSecond, 50)
	def(&opts.RateBurst, 200)
	h := &Handler{opts: opts, sockets: map[*socket]struct{}{}}
	h.upgrader = websocket.Upgrader{
		HandshakeTimeout: 10 * time.Second, CheckOrigin: h.originAllowed,
		ReadBufferSize: 4096, WriteBufferSize: 4096, WriteBufferPool: &sync.Pool{},
	}
	return h
}

func peerIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

func (h *Handler) originAllowed(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || len(h.opts.AllowedOrigins) == 0 {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && slices.ContainsFunc(h.opts.AllowedOrigins, func(allowed string) bool {
		return strings.EqualFold(strings.TrimSuffix(allowed, "/"), u.Scheme+"://"+u.Host)
	})
}

// userCookie keeps one final user id per browser over several sessions.
const userCookie = "OVJSESSIONID"

var cookieValue = regexp.MustCompile(`^[0-9A-Za-z]{16,64}$`)

// ServeHTTP upgrades the request and serves the socket until it ends.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := http.Header{}
	var user string
	if c, err := r.Cookie(userCookie); err == nil && cookieValue.MatchString(c.Value) {
		user = c.Value
	} else {
		user = auth.NewFinalUserID() + auth.NewFinalUserID()
		c := http.Cookie{Name: userCookie, Value: user, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
		if r.TLS != nil {
			c.Secure, c.SameSite = true, http.SameSiteNoneMode
		}
		header.Set("Set-Cookie", c.String())
	}
	if !h.begin() {
		http.Error(w, "server is stopping", http.StatusServiceUnavailable)
		return
	}
	defer h.wg.Done()
	ws, err := h.upgrader.Upgrade(w, r, header)
	if err != nil {
		return // the upgrader has answered
	}
	conn := jsonrpc.NewSocket(ws, jsonrpc.SocketOptions{
		MaxMessage: h.opts.MaxMessage, QueueMessages: h.opts.QueueMessages, QueueBytes: h.opts.QueueBytes,
		WriteTimeout: h.opts.WriteTimeout, TrackDelivery: true, Log: h.opts.Log,
	})
	s := newSocket(h, conn, h.opts.ClientIP(r), user[:16])
	if !h.keep(s) {
		s.conn.Abort(jsonrpc.CloseGoingAway, "server is stopping")
	}
	defer h.drop(s)
	s.serve()
}

// begin counts a socket in, unless the handler is closed.
func (h *Handler) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.wg.Add(1)
	return true
}

func (h *Handler) keep(s *socket) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sockets[s] = struct{}{}
	return !h.closed
}

func (h *Handler) drop(s *socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.sockets, s)
}

// Sockets gives the number of open sockets.
func (h *Handler) Sockets() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.sockets)
}

// Close refuses new sockets, closes the open ones with 1001 and waits for their
// goroutines. Connections stay with the Manager, which is closed before to tell
// browsers that the server stops.
func (h *Handler) Close() error {
	h.mu.Lock()
	h.closed = true
	var closing sync.WaitGroup
	for s := range h.sockets {
		closing.Go(func() { s.conn.Close(jsonrpc.CloseGoingAway, "server is stopping") })
	}
	h.mu.Unlock()
	closing.Wait()
	h.wg.Wait()
	return nil
}
