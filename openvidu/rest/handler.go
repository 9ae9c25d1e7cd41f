package rest

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/secret"
	"github.com/govidu/govidu/openvidu/recording"
)

const (
	apiPrefix   = "/openvidu/api"
	filesPrefix = "/openvidu/recordings/"
	// layoutsPrefix is where custom layouts are served (contract §8.1).
	layoutsPrefix = "/openvidu/layouts/"
	// requestIDHeader names a request, in the answer and in our log.
	requestIDHeader = "X-Request-Id"
	// maxInFlight is how many API requests run at once before 503 (robustness §2).
	maxInFlight = 512
	// maxDownloads is how many recorded files one address fetches at once before 429.
	maxDownloads = 8
)

// Options configure the handler. Secret, Log and Manager are required.
type Options struct {
	Manager Rooms
	// Recordings is the recording service; nil is OPENVIDU_RECORDING=false: its
	// calls answer 501 and no file is served.
	Recordings *recording.Service
	// Broadcasts is the broadcast service; nil answers its calls with 501.
	Broadcasts Broadcasts
	// Secret is the password of OPENVIDUAPP. An empty one lets nobody in.
	Secret secret.Secret
	Config Config
	// PublicRecordings serves recorded files without credentials.
	PublicRecordings bool
	// LayoutsDir is the folder of custom layouts, whose files are served to who has
	// Secret or LayoutsPassword: pages that this server shows have only the latter.
	LayoutsDir      string
	LayoutsPassword secret.Secret
	// AllowedOrigins, when set, are the only Origins (scheme://host[:port]) that
	// browsers may call from. Empty allows all, without credentials mode.
	AllowedOrigins []string
	// TrustedProxies may name the caller in X-Real-IP.
	TrustedProxies []netip.Prefix
	// DeprecatedAPI serves the paths of lines before 2.16 (SUPPORT_DEPRECATED_API).
	DeprecatedAPI bool
	// Health answers /openvidu/api/health; nil is always up.
	Health func() Health
	Log    *slog.Logger
}

// Handler serves the REST API. It is safe for concurrent use and has nothing to
// close.
type Handler struct {
	opts     Options
	log      *slog.Logger
	user     secret.Secret
	mux      *http.ServeMux
	failures failures
	inFlight chan struct{}

	downloadMu sync.Mutex // leaf
	downloads  map[netip.Addr]int
}

// New makes the handler. Mount it with Register, or serve it alone.
func New(o Options) *Handler {
	h := &Handler{
		opts: o, log: o.Log, user: secret.New(userName), mux: http.NewServeMux(),
		failures:  failures{buckets: map[netip.Addr]*bucket{}},
		inFlight:  make(chan struct{}, maxInFlight),
		downloads: map[netip.Addr]int{},
	}
	h.routes()
	return h
}

// Register mounts the handler on the paths it answers.
func (h *Handler) Register(mux *http.ServeMux) {
	for _, p := range []string{apiPrefix + "/", filesPrefix, "/openvidu/cdr", "/openvidu/cdr/", layoutsPrefix, "/openvidu/accept-certificate"} {
		mux.Handle(p, h)
	}
	if h.opts.DeprecatedAPI {
		for _, p := range []string{"/api/", "/config", "/config/", "/cdr", "/cdr/", "/recordings/", "/layouts/custom/", "/accept-certificate"} {
			mux.Handle(p, h)
		}
	}
}

// routes is the one table of paths. What it does not name is 403 for callers with
// credentials, as the 2.32 line answers.
func (h *Handler) routes() {
	api := func(pattern string, f http.HandlerFunc) {
		method, p, _ := strings.Cut(pattern, " ")
		h.mux.Handle(method+" "+apiPrefix+p, f)
	}
	api("POST /sessions", handle(h, h.createSession))
	api("GET /sessions", handle(h, h.listSessions))
	api("GET /sessions/{sessionId}", handle(h, h.getSession))
	api("DELETE /sessions/{sessionId}", handle(h, h.closeSession))
	api("POST /sessions/{sessionId}/connection", handle(h, h.createConnection))
	api("GET /sessions/{sessionId}/connection", handle(h, h.listConnections))
	api("GET /sessions/{sessionId}/connection/{connectionId}", handle(h, h.getConnection))
	api("PATCH /sessions/{sessionId}/connection/{connectionId}", handle(h, h.updateConnection))
	api("DELETE /sessions/{sessionId}/connection/{connectionId}", handle(h, h.deleteConnection))
	api("DELETE /sessions/{sessionId}/stream/{streamId}", handle(h, h.unpublish))
	api("GET /sessions/{sessionId}/connection/{connectionId}/layer/{streamId}", handle(h, h.getLayer))
	api("PUT /sessions/{sessionId}/connection/{connectionId}/layer/{streamId}", handle(h, h.setLayer))
	api("POST /signal", handle(h, h.signal))
	api("POST /tokens", handle(h, h.createToken))

	api("POST /recordings/start", h.recordings(handle(h, h.startRecording)))
	api("POST /recordings/stop/{recordingId}", h.recordings(handle(h, h.stopRecording)))
	api("GET /recordings", h.recordings(handle(h, h.listRecordings)))
	api("GET /recordings/{recordingId}", h.recordings(handle(h, h.getRecording)))
	api("DELETE /recordings/{recordingId}", h.recordings(handle(h, h.deleteRecording)))

	api("GET /recording-keys", h.recordings(handle(h, h.recordingKeys)))
	api("GET /recordings/{recordingId}/layout", h.recordings(handle(h, h.getLayout)))
	api("PUT /recordings/{recordingId}/layout", h.recordings(handle(h, h.setLayout)))
	api("POST /recordings/{recordingId}/{action}", h.recordings(h.direct()))

	api("POST /broadcast/start", h.broadcasts(handle(h, h.startBroadcast)))
	api("POST /broadcast/stop", h.broadcasts(handle(h, h.stopBroadcast)))
	api("GET /broadcasts", h.broadcasts(handle(h, h.listBroadcasts)))
	api("GET /broadcasts/{sessionId}/{name}/layout", h.broadcasts(handle(h, h.getBroadcastLayout)))
	api("PUT /broadcasts/{sessionId}/{name}/layout", h.broadcasts(handle(h, h.setBroadcastLayout)))

	api("GET /config", handle(h, h.getConfig))
	for name, value := range h.configValues() {
		api("GET /config/"+name, plain(value))
	}
	api("GET /health", h.health)

	h.mux.HandleFunc("GET "+filesPrefix+"{recordingId}/{file}", h.serveFile)
	h.mux.HandleFunc("GET "+layoutsPrefix+"{file...}", h.serveLayout)
	h.mux.HandleFunc("GET /openvidu/accept-certificate", acceptCertificate)
	h.mux.HandleFunc("/", unmapped)
}

// unmapped answers what no route takes: 403, but among the files 404, which never
// tells a bad name from an absent one (robustness §6).
func unmapped(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, filesPrefix) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		writeError(w, r, empty(http.StatusNotFound))
		return
	}
	writeError(w, r, empty(http.StatusForbidden))
}

// ServeHTTP implements http.Handler: origin, preflight, alias, credentials, room
// in flight, route; in this order.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer obs.Guard(h.log, "rest.request", func() {
		writeError(w, r, &Error{Status: http.StatusInternalServerError, Text: "internal error"})
	})
	w.Header().Set(requestIDHeader, rand.Text()[:16])
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
	if !h.cors(w, r) {
		writeError(w, r, &Error{Status: http.StatusForbidden, Text: "origin is not allowed"})
		return
	}
	if r.Method == http.MethodOptions {
		preflight(w, r)
		return
	}
	if h.opts.DeprecatedAPI {
		r = rewrite(r)
	}
	if !h.public(r) {
		if e := h.authorize(w, r); e != nil {
			writeError(w, r, e)
			return
		}
	}
	if r.URL.Path != path.Clean(r.URL.Path) {
		// ServeMux would redirect; such a path maps to nothing here.
		unmapped(w, r)
		return
	}
	if !strings.HasPrefix(r.URL.Path, filesPrefix) {
		select {
		case h.inFlight <- struct{}{}:
			defer func() { <-h.inFlight }()
		default:
			writeError(w, r, busy("too many requests in flight"))
			return
		}
	}
	h.mux.ServeHTTP(w, r)
}

// public says whether a request needs no credentials (contract §1.2).
func (h *Handler) public(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	switch p := r.URL.Path; {
	case p == apiPrefix+"/config/openvidu-publicurl", p == "/openvidu/accept-certificate":
		return true
	default:
		return h.opts.PublicRecordings && strings.HasPrefix(p, filesPrefix)
	}
}

// aliases are the paths of older lines and what they are today (contract §1.1).
var aliases = []struct{ old, current string }{
	{"/api/", apiPrefix + "/"},
	{"/config/", apiPrefix + "/config/"},
	{"/cdr/", "/openvidu/cdr/"},
	{"/recordings/", filesPrefix},
	{"/layouts/custom/", layoutsPrefix},
}

// rewrite turns the path of an older line into today's.
func rewrite(r *http.Request) *http.Request {
	u := *r.URL
	switch u.Path {
	case "/config":
		u.Path, u.RawPath = apiPrefix+"/config", ""
	case "/cdr", "/accept-certificate":
		u.Path, u.RawPath = "/openvidu"+u.Path, ""
	default:
		for _, a := range aliases {
			rest, ok := strings.CutPrefix(u.Path, a.old)
			if !ok {
				continue
			}
			u.Path = a.current + rest
			if raw, ok := strings.CutPrefix(u.RawPath, a.old); ok {
				u.RawPath = a.current + raw
			} else {
				u.RawPath = ""
			}
			break
		}
	}
	if u.Path == r.URL.Path {
		return r
	}
	r2 := *r
	r2.URL = &u
	return &r2
}
