package uri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// cookieName ties the requests of one client together, as the original's does.
const cookieName = "HttpEPCookie"

type postParams struct {
	MediaPipeline        *elements.MediaPipeline `json:"mediaPipeline"`
	DisconnectionTimeout int                     `json:"disconnectionTimeout" default:"2"` // s
	UseEncodedMedia      bool                    `json:"useEncodedMedia" default:"false"`
}

// Post is an HttpPostEndpoint: a client uploads a media file to its URL, and it
// is played while it comes.
type Post struct {
	elements.MediaElement
	deps    Deps
	server  *postServer
	path    string
	url     string
	encoded bool
	timeout time.Duration
	outs    map[pipeline.Kind]*pipeline.Output
	wg      sync.WaitGroup

	mu      sync.Mutex // leaf
	busy    bool       // a request is being read
	now     *playback
	client  string // value of the cookie; "" before the first request
	expiry  *time.Timer
	expired bool
	closed  bool
}

func newPost(d Deps, server *postServer) func(context.Context, elements.Env, postParams) (*Post, error) {
	return func(_ context.Context, env elements.Env, p postParams) (*Post, error) {
		if err := d.available(); err != nil {
			return nil, err
		}
		if p.DisconnectionTimeout < 0 || p.DisconnectionTimeout > 1<<20 {
			return nil, kerr.New(kerr.MediaObjectIllegalParam, "disconnectionTimeout %d is out of range", p.DisconnectionTimeout)
		}
		e := &Post{deps: d, server: server, encoded: p.UseEncodedMedia, timeout: time.Duration(p.DisconnectionTimeout) * time.Second}
		e.Init(env)
		var err error
		if e.path, e.url, err = server.add(e); err != nil {
			return nil, err
		}
		e.outs = newOutputs(&e.MediaElement)
		return e, nil
	}
}

// URL is where to post.
func (e *Post) URL(context.Context, elements.None) (string, error) { return e.url, nil }

// serve takes one request. It answers when the body has been taken, which is in
// the time the media takes to play.
func (e *Post) serve(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
	case http.MethodOptions: // a browser asks before it posts
		w.Header().Set("Access-Control-Allow-Methods", "POST")
		w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		w.Header().Set("Allow", "POST, OPTIONS")
		http.Error(w, "post a media file here", http.StatusMethodNotAllowed)
		e.EmitError(errorURI, 0, "Request with method "+clip(r.Method)+" to an upload URL, which takes POST only")
		return
	}
	b, status, text := e.begin(w, r)
	if b == nil {
		http.Error(w, text, status)
		return
	}
	defer e.wg.Done()
	status, text = e.take(w, r, b)
	e.finish()
	if status != http.StatusOK {
		http.Error(w, text, status)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// begin makes the playback of a request, or tells why not. The caller calls
// e.wg.Done later.
func (e *Post) begin(w http.ResponseWriter, r *http.Request) (b *playback, status int, text string) {
	value := ""
	if c, err := r.Cookie(cookieName); err == nil {
		value = c.Value
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.closed || e.expired:
		return nil, http.StatusNotFound, "no such upload"
	case e.busy || e.now != nil:
		return nil, http.StatusConflict, "an upload is being played"
	case e.client != "" && value != e.client:
		return nil, http.StatusForbidden, "this URL belongs to another client"
	}
	if e.client == "" {
		e.client = uuid.NewString()
		http.SetCookie(w, &http.Cookie{Name: cookieName, Value: e.client, Path: e.path, HttpOnly: true})
		e.Emit("MediaSessionStarted", nil)
	}
	if e.expiry != nil {
		e.expiry.Stop()
	}
	b = newPlayback(context.Background(), e.outs)
	b.ended = func() { e.over(b, "", nil) }
	b.failed = func(typ string, err error) { e.over(b, typ, err) }
	e.busy, e.now = true, b
	e.wg.Add(1)
	return b, 0, ""
}

// take reads the body into the worker.
func (e *Post) take(w http.ResponseWriter, r *http.Request, b *playback) (status int, text string) {
	rc := http.NewResponseController(w)
	ends := context.AfterFunc(b.ctx, func() { rc.SetReadDeadline(time.Now()) }) //nolint:errcheck // ends a read
	defer ends()
	media, err := mediaOf(r)
	if err != nil {
		b.fail(errorMedia, err)
		b.stop()
		return http.StatusUnsupportedMediaType, err.Error()
	}
	taken := make(chan error, 1)
	body := &uploadBody{b.ctx, rc, media.Read}
	in, err := pipeInput(func(pw io.Writer) error {
		_, err := io.Copy(pw, body)
		taken <- err
		return err
	}, b.cancel)
	if err == nil {
		var m *demux
		if m, err = startDemux(b, e.deps.Workers, in, demuxParams{Element: e.ID(), Epoch: e.Graph().Epoch(), Encoded: e.encoded}); err == nil {
			if _, ok := b.adopt(m); !ok {
				m.Close()
				err = b.ctx.Err()
			} else {
				err = m.Play(b.ctx)
			}
		}
	}
	// Short media may be over before the answer to Play is here.
	if err != nil && !b.whole.Load() {
		b.fail(errorStream, err)
		b.stop()
		return http.StatusServiceUnavailable, "the media cannot be played now"
	}
	// The reader ends with the body, with the playback's context, or when the
	// client makes no progress.
	err = <-taken
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return http.StatusOK, ""
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge, "the file is too large"
	case b.over.Load():
		return http.StatusUnsupportedMediaType, "the media cannot be played to its end"
	}
	return http.StatusBadRequest, "the upload was cut"
}

// mediaOf finds the file in a request: the first file of a form, or the body.
func mediaOf(r *http.Request) (io.Reader, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") {
		return r.Body, nil
	}
	form, err := r.MultipartReader()
	if err != nil {
		return nil, fmt.Errorf("read form: %w", err)
	}
	const most = 100 // fields before the file
	for range most {
		part, err := form.NextPart()
		if err != nil {
			return nil, errors.New("the form has no file")
		}
		if part.FileName() != "" || strings.HasPrefix(part.Header.Get("Content-Type"), "video/") || strings.HasPrefix(part.Header.Get("Content-Type"), "audio/") {
			return part, nil
		}
	}
	return nil, errors.New("the form has no file")
}

// finish ends a request: from now on the URL may expire.
func (e *Post) finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.busy = false
	if e.closed || e.expired {
		return
	}
	if e.expiry != nil {
		e.expiry.Stop()
	}
	e.expiry = time.AfterFunc(e.timeout, e.expire)
}

// expire ends the URL, unless a request came meanwhile.
func (e *Post) expire() {
	e.mu.Lock()
	if e.busy || e.closed || e.expired {
		e.mu.Unlock()
		return
	}
	e.expired = true
	e.Emit("MediaSessionTerminated", nil)
	e.wg.Add(1)
	e.mu.Unlock()
	defer e.wg.Done()
	e.server.remove(e.path)
}

// over ends a playback from inside.
func (e *Post) over(b *playback, typ string, err error) {
	e.mu.Lock()
	if e.now == b {
		e.now = nil
	}
	if e.closed {
		e.mu.Unlock()
		return
	}
	if typ != "" {
		e.Log().Warn("upload failed", "type", typ, "err", err)
		e.EmitError(typ, errorCode(typ, err), err.Error())
	} else {
		e.Emit("EndOfStream", nil)
	}
	e.wg.Add(1)
	e.mu.Unlock()
	go func() { // the caller may be one of what stop waits for
		defer e.wg.Done()
		if typ == "" {
			for _, out := range e.outs {
				out.End()
			}
		}
		b.stop()
	}()
}

// Close ends the URL and what is played.
func (e *Post) Close() error {
	e.mu.Lock()
	e.closed = true
	b := e.now
	e.now = nil
	if e.expiry != nil {
		e.expiry.Stop()
	}
	e.mu.Unlock()
	if b != nil {
		b.stop()
	}
	e.server.remove(e.path)
	e.wg.Wait()
	return e.CloseBase()
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
