package rest

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/openvidu/recording"
	"github.com/govidu/govidu/openvidu/studio"
)

// The director's calls are ours, beside the contract: they change composed
// recordings that are running. 404 for an unknown recording, 409 for one that is
// not running, not composed or in that state already, 400 for a layout that is none.

func (h *Handler) getLayout(r *http.Request, _ none) (recording.LayoutState, error) {
	state, err := h.opts.Recordings.Layout(r.Context(), r.PathValue("recordingId"))
	return state, directorError(err)
}

func (h *Handler) setLayout(r *http.Request, body object) (recording.LayoutState, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return recording.LayoutState{}, bad("body could not be read")
	}
	spec, err := layout.Parse(text)
	if err != nil {
		return recording.LayoutState{}, bad("%s", cutText(err.Error()))
	}
	state, err := h.opts.Recordings.SetLayout(r.Context(), r.PathValue("recordingId"), spec)
	return state, directorError(err)
}

// direct is the route of pause and resume. They share one pattern, because a mux
// would not know which of .../stop/{id} and .../{id}/pause is meant by stop/pause.
func (h *Handler) direct() http.HandlerFunc {
	actions := map[string]http.HandlerFunc{"pause": handle(h, h.pauseRecording), "resume": handle(h, h.resumeRecording)}
	return func(w http.ResponseWriter, r *http.Request) {
		if f := actions[r.PathValue("action")]; f != nil {
			f(w, r)
			return
		}
		unmapped(w, r)
	}
}

func (h *Handler) pauseRecording(r *http.Request, _ none) (recording.Recording, error) {
	rec, err := h.opts.Recordings.Pause(r.Context(), r.PathValue("recordingId"))
	return rec, directorError(err)
}

func (h *Handler) resumeRecording(r *http.Request, _ none) (recording.Recording, error) {
	rec, err := h.opts.Recordings.Resume(r.Context(), r.PathValue("recordingId"))
	return rec, directorError(err)
}

// directorError gives the refusals of the director's calls their statuses.
func directorError(err error) error {
	for _, kind := range []error{
		recording.ErrNotRunning, recording.ErrNotComposed, recording.ErrPaused, recording.ErrNotPaused, recording.ErrNoLayout,
	} {
		if errors.Is(err, kind) {
			return &Error{Status: http.StatusConflict, Text: kind.Error()}
		}
	}
	return studioError(err)
}

// studioStatuses is the one table from the refusals of studios to statuses.
var studioStatuses = []struct {
	kind   error
	status int
}{
	{studio.ErrLayout, http.StatusBadRequest},
	{studio.ErrPage, http.StatusBadRequest},
	{studio.ErrNoCapacity, http.StatusServiceUnavailable},
	{studio.ErrUnavailable, http.StatusNotImplemented},
	{studio.ErrLost, http.StatusConflict},
	{studio.ErrClosed, http.StatusServiceUnavailable},
	{studio.ErrMedia, http.StatusServiceUnavailable},
}

// studioError tells what a studio refused, or gives err unchanged.
func studioError(err error) error {
	e, ok := errors.AsType[*studio.Error](err)
	if !ok {
		return err
	}
	for _, s := range studioStatuses {
		if errors.Is(e, s.kind) {
			out := &Error{Status: s.status, Text: cutText(e.Text)}
			if s.status == http.StatusServiceUnavailable {
				out.RetryAfter = recording.RetryAfter
			}
			return out
		}
	}
	return err
}

// capacityError answers a recording that the CPU cannot carry: 503 with a hint, in
// the plain text form of failed starts (§7.1).
func capacityError(err error) error {
	if e, ok := errors.AsType[*recording.CapacityError](err); ok {
		return &Error{Status: http.StatusServiceUnavailable, Text: e.Error(), Plain: true, RetryAfter: e.RetryAfter}
	}
	return err
}
