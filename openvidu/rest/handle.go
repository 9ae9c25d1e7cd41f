package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/recording"
)

// none is the request type of calls without a body, which is then not read, and
// the answer type of calls that answer 204.
type none struct{}

// done is the answer type of calls that answer 200 with an empty body.
type done struct{}

// object is the request type of a call that must look at members in an order of
// its own, before the whole is decoded.
type object map[string]any

// handle makes a route of a function: it reads and decodes the body strictly
// into Req (see fill), calls f, and encodes what it gives. Errors are answered by
// fail. A body is read whatever its content type says (contract §1.3).
func handle[Req, Res any](h *Handler, f func(r *http.Request, req Req) (Res, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var req Req
		if err := readBody(w, r, &req); err != nil {
			h.fail(w, r, err)
			return
		}
		res, err := f(r, req)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		switch any(res).(type) {
		case none:
			w.WriteHeader(http.StatusNoContent)
		case done:
			w.WriteHeader(http.StatusOK)
		default:
			writeJSON(w, http.StatusOK, res)
		}
	}
}

func readBody(w http.ResponseWriter, r *http.Request, req any) error {
	if _, ok := req.(*none); ok {
		return nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return &Error{Status: http.StatusRequestEntityTooLarge, Text: "body is larger than 1 MiB"}
		}
		return bad("body could not be read")
	}
	obj, err := parseObject(body)
	if err != nil {
		return bad("%s", err.Error())
	}
	if o, ok := req.(*object); ok {
		*o = obj
		return nil
	}
	return fill(obj, req)
}

// refusals is the one table from the errors of rooms to statuses. Calls with
// another status for one of them say so themselves (see as). Where the contract
// has an empty body, text is false.
var refusals = []struct {
	err    error
	status int
	text   bool
}{
	{openvidu.ErrSessionNotFound, http.StatusNotFound, false},
	{openvidu.ErrSessionExists, http.StatusConflict, false},
	{openvidu.ErrSessionClosing, http.StatusNotFound, true},
	{openvidu.ErrSessionNotActive, http.StatusNotAcceptable, false},
	{openvidu.ErrConnectionNotFound, http.StatusNotFound, false},
	{openvidu.ErrStreamNotFound, http.StatusNotFound, false},
	{openvidu.ErrIPCamStream, http.StatusMethodNotAllowed, false},
	{openvidu.ErrSignalTarget, http.StatusNotAcceptable, false},
	{recording.ErrNotFound, http.StatusNotFound, false},
	{recording.ErrStarting, http.StatusNotAcceptable, false},
	{recording.ErrConflict, http.StatusConflict, false},
	{recording.ErrInProgress, http.StatusConflict, false},
	{recording.ErrReadOnly, http.StatusConflict, true},
	{recording.ErrNotActive, http.StatusNotAcceptable, false},
	{recording.ErrNoSpace, http.StatusInsufficientStorage, true},
	{recording.ErrClosed, http.StatusServiceUnavailable, true},
	{openvidu.ErrInvalid, http.StatusBadRequest, true},
	{openvidu.ErrUnsupported, http.StatusNotImplemented, true},
	{openvidu.ErrLimit, http.StatusServiceUnavailable, true},
	{openvidu.ErrMedia, http.StatusServiceUnavailable, true},
	{openvidu.ErrBusy, http.StatusServiceUnavailable, true},
	{openvidu.ErrStopped, http.StatusServiceUnavailable, true},
	{context.DeadlineExceeded, http.StatusServiceUnavailable, true},
	{context.Canceled, http.StatusServiceUnavailable, true},
}

// as gives err the status a call has for it, with an empty body, when it is
// target; else err unchanged.
func as(err, target error, status int) error {
	if errors.Is(err, target) {
		return empty(status)
	}
	return err
}

// fail answers an error. One that no table knows is a bug of ours: logged as an
// error and answered with 500 and no detail.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	if e := asError(err); e != nil {
		writeError(w, r, e)
		return
	}
	for _, f := range refusals {
		if !errors.Is(err, f.err) {
			continue
		}
		e := empty(f.status)
		if f.text {
			e.Text = refusalText(err, f.err)
		}
		if f.status == http.StatusServiceUnavailable || f.status == http.StatusInsufficientStorage {
			e.RetryAfter = time.Second
			if own, ok := errors.AsType[*openvidu.Error](err); ok && own.RetryAfter > 0 {
				e.RetryAfter = own.RetryAfter
			}
		}
		writeError(w, r, e)
		return
	}
	h.log.Error("request failed", obs.AttrRequest, w.Header().Get(requestIDHeader), "method", r.Method, obs.Remote("path", r.URL.Path), obs.AttrErr, obs.Quote(err.Error()))
	writeError(w, r, &Error{Status: http.StatusInternalServerError, Text: "internal error"})
}

// refusalText is what may be told: the text a room wrote for people, else the
// name of the refusal. Wrapped errors of lower layers may hold addresses.
func refusalText(err, kind error) string {
	if e, ok := errors.AsType[*openvidu.Error](err); ok {
		return cutText(e.Text)
	}
	return kind.Error()
}

// cutText bounds a message of a lower layer, which may quote the request.
func cutText(s string) string {
	const most = 200
	s = strings.ToValidUTF8(s, "?")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// queryBool reads a boolean of the query string; absent or empty is def.
func queryBool(r *http.Request, name string, def bool) (bool, error) {
	switch strings.ToLower(r.URL.Query().Get(name)) {
	case "":
		return def, nil
	case "true", "on", "yes", "1":
		return true, nil
	case "false", "off", "no", "0":
		return false, nil
	}
	return false, bad("query parameter %q must be true or false", name)
}

// viewOptions reads the two query parameters of sessions and connections.
func viewOptions(r *http.Request, pendingDefault bool) (v openvidu.ViewOptions, err error) {
	if v.PendingConnections, err = queryBool(r, "pendingConnections", pendingDefault); err != nil {
		return v, err
	}
	v.WebRTCStats, err = queryBool(r, "webRtcStats", false)
	return v, err
}
