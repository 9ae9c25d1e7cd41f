package web

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/recording"
)

// Rooms is what the page needs of the rules of rooms; *openvidu.Manager is one.
type Rooms interface {
	CreateSession(ctx context.Context, p openvidu.SessionProperties) (openvidu.SessionInfo, error)
	CreateConnection(ctx context.Context, sessionID string, p openvidu.ConnectionProperties) (openvidu.ConnectionInfo, error)
	RecordingTarget(ctx context.Context, sessionID string) (openvidu.RecordingTarget, error)
}

// Recordings is what it needs of recordings; *recording.Service is one.
type Recordings interface {
	Start(ctx context.Context, sessionID string, p openvidu.RecordingProperties) (recording.Recording, error)
	Stop(ctx context.Context, id string, reason openvidu.Reason) (recording.Recording, error)
	Get(id string) (recording.Recording, error)
	List() ([]recording.Recording, error)
	Open(id, file string) (recording.File, fs.FileInfo, error)
}

var (
	_ Rooms      = (*openvidu.Manager)(nil)
	_ Recordings = (*recording.Service)(nil)
)

// Options configure the page. Log is required.
type Options struct {
	// Demo switches the backend on; Rooms is required then.
	Demo  bool
	Rooms Rooms
	// Recordings is nil when recording is switched off.
	Recordings Recordings
	Version    string
	Log        *slog.Logger
}

// prefix keeps the page's rooms apart from those of applications.
const prefix = "demo-"

// Demo calls per second, all callers together, and how many may come at once.
const (
	callRate  = rate.Limit(20)
	callBurst = 100
)

// maxDemoBody bounds a request body in bytes: it holds two names.
const maxDemoBody = 4 << 10

var roomForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Register mounts the page, and its backend when asked for.
func Register(mux *http.ServeMux, o Options) {
	registerPage(mux, dist)
	b := &backend{opts: o, limit: rate.NewLimiter(callRate, callBurst), origin: http.NewCrossOriginProtection()}
	if !o.Demo {
		mux.HandleFunc("/demo/", func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusNotFound, "The demo is switched off on this server (start it with --demo).")
		})
		return
	}
	mux.Handle("GET /demo/config", b.answer(b.config))
	mux.Handle("POST /demo/token", b.answer(b.token))
	mux.Handle("POST /demo/recording/start", b.answer(b.startRecording))
	mux.Handle("POST /demo/recording/stop", b.answer(b.stopRecording))
	mux.Handle("GET /demo/recordings", b.answer(b.list))
	mux.Handle("GET /demo/recordings/{id}", b.guard(b.serveZip))
	mux.Handle("GET /demo/recordings/{id}/{stream}", b.guard(b.serveStream))
}

type backend struct {
	opts   Options
	limit  *rate.Limiter
	origin *http.CrossOriginProtection
}

// problem is an answer other than 200, with a text for the person at the page.
type problem struct {
	status int
	text   string
}

func (p *problem) Error() string { return p.text }

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": text})
}

// guard applies what holds for every call: panic guard, same origin for changes,
// rate, body size.
func (b *backend) guard(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer obs.Guard(b.opts.Log, "web.demo", func() { refuse(w, http.StatusInternalServerError, "The server failed.") })
		secure(w)
		w.Header().Set("Cache-Control", "no-store")
		if b.origin.Check(r) != nil {
			refuse(w, http.StatusForbidden, "Only the page itself may ask for this.")
			return
		}
		if !b.limit.Allow() {
			w.Header().Set("Retry-After", "1")
			refuse(w, http.StatusTooManyRequests, "Too many requests. Try again in a moment.")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxDemoBody)
		next(w, r)
	})
}

// answer writes f's result as JSON, or its error with the status it stands for.
func (b *backend) answer(f func(r *http.Request) (any, error)) http.Handler {
	return b.guard(func(w http.ResponseWriter, r *http.Request) {
		result, err := f(r)
		if err == nil {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(result)
			return
		}
		p := b.explain(err)
		refuse(w, p.status, p.text)
	})
}

// explain is the one table from errors to what the person reads.
func (b *backend) explain(err error) *problem {
	var p *problem
	var start *recording.StartError
	var refusal *openvidu.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, recording.ErrNotActive):
		return &problem{http.StatusConflict, "Nobody is in the room, so there is nothing to record."}
	case errors.Is(err, recording.ErrConflict):
		return &problem{http.StatusConflict, "The recording is in another state already. Look again in a moment."}
	case errors.Is(err, recording.ErrNoSpace):
		return &problem{http.StatusInsufficientStorage, "The server's disk is nearly full; nothing can be recorded."}
	case errors.Is(err, recording.ErrNotFound), errors.Is(err, openvidu.ErrSessionNotFound):
		return &problem{http.StatusNotFound, "There is no such room or recording."}
	case errors.Is(err, openvidu.ErrLimit), errors.Is(err, openvidu.ErrStopped), errors.Is(err, recording.ErrClosed):
		return &problem{http.StatusServiceUnavailable, "The server takes nobody more at the moment."}
	case errors.As(err, &start):
		return &problem{http.StatusInternalServerError, start.Error()}
	case errors.As(err, &refusal):
		return &problem{http.StatusBadRequest, refusal.Text}
	}
	b.opts.Log.Error("demo call failed", obs.AttrErr, err)
	return &problem{http.StatusInternalServerError, "The server failed; its log says why."}
}

func (b *backend) config(*http.Request) (any, error) {
	return map[string]any{"recording": b.opts.Recordings != nil, "version": b.opts.Version}, nil
}

// readRoom reads the body of a change, {"room":…}, and gives the room's session id.
func readRoom(r *http.Request) (sessionID string, err error) {
	var q struct {
		Room string `json:"room"`
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		return "", &problem{http.StatusBadRequest, "The request is not understood."}
	}
	return session(q.Room)
}

func session(room string) (string, error) {
	if !roomForm.MatchString(room) {
		return "", &problem{http.StatusBadRequest, "A room's name has letters, digits, - and _ only, 64 at most."}
	}
	return prefix + room, nil
}

// recordAs are the properties of the page's recordings: one file per stream.
func recordAs() openvidu.RecordingProperties {
	p := openvidu.DefaultRecordingProperties()
	p.OutputMode = openvidu.OutputIndividual
	p.IgnoreFailedStreams = true
	return p
}

func (b *backend) token(r *http.Request) (any, error) {
	id, err := readRoom(r)
	if err != nil {
		return nil, err
	}
	c, err := b.connect(r.Context(), id)
	if err != nil {
		return nil, err
	}
	if c.Token == nil {
		return nil, errors.New("make token: connection has none")
	}
	target, err := b.opts.Rooms.RecordingTarget(r.Context(), id)
	if err != nil {
		return nil, err
	}
	return map[string]string{"token": *c.Token, "recordingId": target.RecordingID}, nil
}

// connect makes the room if need be. A room may close between the two steps;
// the second turn makes it anew.
func (b *backend) connect(ctx context.Context, id string) (openvidu.ConnectionInfo, error) {
	var c openvidu.ConnectionInfo
	defaults := recordAs()
	for range 2 {
		_, err := b.opts.Rooms.CreateSession(ctx, openvidu.SessionProperties{CustomSessionID: id, DefaultRecordingProperties: &defaults})
		if err != nil && !errors.Is(err, openvidu.ErrSessionExists) {
			return c, err
		}
		c, err = b.opts.Rooms.CreateConnection(ctx, id, openvidu.ConnectionProperties{Role: auth.Publisher})
		if !errors.Is(err, openvidu.ErrSessionNotFound) && !errors.Is(err, openvidu.ErrSessionClosing) {
			return c, err
		}
	}
	return c, openvidu.ErrSessionClosing
}

func (b *backend) startRecording(r *http.Request) (any, error) {
	id, err := b.recordable(r)
	if err != nil {
		return nil, err
	}
	rec, err := b.opts.Recordings.Start(r.Context(), id, recordAs())
	return map[string]string{"id": rec.ID}, err
}

func (b *backend) stopRecording(r *http.Request) (any, error) {
	id, err := b.recordable(r)
	if err != nil {
		return nil, err
	}
	target, err := b.opts.Rooms.RecordingTarget(r.Context(), id)
	if err != nil {
		return nil, err
	}
	if target.RecordingID == "" {
		return nil, recording.ErrConflict
	}
	rec, err := b.opts.Recordings.Stop(r.Context(), target.RecordingID, openvidu.ReasonRecordingStopped)
	return map[string]string{"id": rec.ID}, err
}

func (b *backend) recordable(r *http.Request) (sessionID string, err error) {
	if b.opts.Recordings == nil {
		return "", &problem{http.StatusNotImplemented, "Recording is switched off on this server."}
	}
	return readRoom(r)
}

// list gives the recordings of one room, newest first.
func (b *backend) list(r *http.Request) (any, error) {
	type result struct {
		Recordings []item `json:"recordings"`
	}
	id, err := session(r.URL.Query().Get("room"))
	if err != nil || b.opts.Recordings == nil {
		return result{[]item{}}, err
	}
	all, err := b.opts.Recordings.List()
	if err != nil {
		return nil, err
	}
	out := result{[]item{}}
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].SessionID == id {
			out.Recordings = append(out.Recordings, b.item(all[i]))
		}
	}
	return out, nil
}

// idleWriter moves the connection's write deadline forward with each write: a
// player may take as long as it likes, as long as it takes something.
type idleWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

const writeIdle = 60 * time.Second

func (w idleWriter) Write(p []byte) (int, error) {
	// A writer without deadlines (a test recorder) has none to move.
	_ = w.control.SetWriteDeadline(time.Now().Add(writeIdle))
	return w.ResponseWriter.Write(p)
}

// mine says whether a recording was made in one of the page's rooms.
func mine(rec recording.Recording) bool { return strings.HasPrefix(rec.SessionID, prefix) }
