package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/govidu/govidu/openvidu/recording"
)

// maxEcho is how many bytes of what the caller wrote may come back in an error.
const maxEcho = 64

// Error is an answer that is not a success. Text empty means an empty body;
// Plain sends it as text/plain, otherwise it goes into the JSON error body of
// contract §1.3. Text must hold no secret, no path of the file system and at
// most 64 bytes of the request.
type Error struct {
	Status int
	Text   string
	Plain  bool
	// RetryAfter, when not zero, becomes the Retry-After header, in whole seconds.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string {
	if e.Text == "" {
		return http.StatusText(e.Status)
	}
	return e.Text
}

// empty is an error with an empty body, the form of most of the contract.
func empty(status int) *Error { return &Error{Status: status} }

// bad is a validation error: 400 with the JSON body.
func bad(format string, args ...any) *Error {
	return &Error{Status: http.StatusBadRequest, Text: fmt.Sprintf(format, args...)}
}

// busy is 503 with the advice to come back.
func busy(text string) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Text: text, RetryAfter: time.Second}
}

// errorBody is the contract's error object (§1.3).
type errorBody struct {
	Timestamp int64  `json:"timestamp"`
	Status    int    `json:"status"`
	Error     string `json:"error"`
	Message   string `json:"message"`
	Path      string `json:"path"`
}

// writeError answers with e. path is the request's path, already rewritten to
// the current line, of which the caller's own part is cut.
func writeError(w http.ResponseWriter, r *http.Request, e *Error) {
	if e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(e.RetryAfter/time.Second))))
	}
	switch {
	case e.Text == "":
		w.WriteHeader(e.Status)
	case e.Plain:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(e.Status)
		_, _ = w.Write([]byte(e.Text))
	default:
		writeJSON(w, e.Status, errorBody{time.Now().UnixMilli(), e.Status, http.StatusText(e.Status), e.Text, echoPath(r.URL.Path)})
	}
}

// echoPath keeps our own prefix and at most maxEcho bytes of the rest.
func echoPath(path string) string {
	for _, prefix := range []string{apiPrefix, "/openvidu/"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			return prefix + cut(rest)
		}
	}
	return cut(path)
}

// cut shortens what a caller wrote to maxEcho bytes of valid UTF-8.
func cut(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) <= maxEcho {
		return s
	}
	n := maxEcho
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil { // only a bug of ours: every body is a type of this process
		panic(fmt.Errorf("encode answer: %w", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

// asError finds the answer in err, or nil.
func asError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	if e, ok := errors.AsType[*recording.StartError](err); ok {
		return &Error{Status: http.StatusInternalServerError, Text: e.Error(), Plain: true}
	}
	if e, ok := errors.AsType[*recording.UnsupportedError](err); ok {
		return &Error{Status: http.StatusNotImplemented, Text: e.Error(), Plain: true}
	}
	if e, ok := errors.AsType[*typeError](err); ok {
		return bad("%s", e.Error())
	}
	return nil
}
