package rest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/govidu/govidu/openvidu"
)

// list is the contract's list form of everything but recordings.
type list[T any] struct {
	NumberOfElements int `json:"numberOfElements"`
	Content          []T `json:"content"`
}

func listOf[T any](items []T) list[T] {
	if items == nil {
		items = []T{} // an empty list is [], never null
	}
	return list[T]{len(items), items}
}

var (
	sessionIDForm     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	recordingNameForm = regexp.MustCompile(`^[A-Za-z0-9_~-]{1,128}$`)
)

// sessionBody is the body of POST /sessions (§2.1). The three Default… members
// are those of lines before 2.18 (§14).
type sessionBody struct {
	MediaMode                  *string        `json:"mediaMode"`
	RecordingMode              *string        `json:"recordingMode"`
	CustomSessionID            *string        `json:"customSessionId"`
	ForcedVideoCodec           *string        `json:"forcedVideoCodec"`
	AllowTranscoding           *bool          `json:"allowTranscoding"`
	DefaultRecordingProperties *recordingBody `json:"defaultRecordingProperties"`
	MediaNode                  *mediaNodeBody `json:"mediaNode"`
	LastN                      *int           `json:"lastN"` // ours
	DefaultOutputMode          *string        `json:"defaultOutputMode"`
	DefaultRecordingLayout     *string        `json:"defaultRecordingLayout"`
	DefaultCustomLayout        *string        `json:"defaultCustomLayout"`
}

type mediaNodeBody struct {
	ID string `json:"id"`
}

func (h *Handler) createSession(r *http.Request, b sessionBody) (openvidu.SessionInfo, error) {
	p, err := b.properties()
	if err != nil {
		return openvidu.SessionInfo{}, err
	}
	return h.opts.Manager.CreateSession(r.Context(), p)
}

func (b sessionBody) properties() (openvidu.SessionProperties, error) {
	var p openvidu.SessionProperties
	var err error
	if p.MediaMode, err = oneOf("mediaMode", b.MediaMode, openvidu.MediaRouted, openvidu.MediaRelayed); err != nil {
		return p, err
	}
	if p.RecordingMode, err = oneOf("recordingMode", b.RecordingMode, openvidu.RecordingManual, openvidu.RecordingAlways); err != nil {
		return p, err
	}
	if p.ForcedVideoCodec, err = oneOf("forcedVideoCodec", b.ForcedVideoCodec, openvidu.CodecPreferred, openvidu.CodecNone, openvidu.CodecVP8, openvidu.CodecVP9, openvidu.CodecH264); err != nil {
		return p, err
	}
	if b.CustomSessionID != nil && *b.CustomSessionID != "" {
		if !sessionIDForm.MatchString(*b.CustomSessionID) {
			return p, bad(`parameter "customSessionId" may hold letters, digits, "_" and "-", at most 128`)
		}
		p.CustomSessionID = *b.CustomSessionID
	}
	p.AllowTranscoding = b.AllowTranscoding
	if b.LastN != nil {
		p.LastN = *b.LastN
	}
	if b.MediaNode != nil {
		p.MediaNodeID = b.MediaNode.ID
	}
	p.DefaultRecordingProperties, err = b.recordingDefaults()
	return p, err
}

// recordingDefaults merges what was given, in the present or the older form, over
// the contract's defaults; nil when nothing was.
func (b sessionBody) recordingDefaults() (*openvidu.RecordingProperties, error) {
	given := b.DefaultRecordingProperties
	if given == nil {
		if b.DefaultOutputMode == nil && b.DefaultRecordingLayout == nil && b.DefaultCustomLayout == nil {
			return nil, nil
		}
		given = &recordingBody{OutputMode: b.DefaultOutputMode, RecordingLayout: b.DefaultRecordingLayout, CustomLayout: b.DefaultCustomLayout}
	}
	p, err := given.over(openvidu.DefaultRecordingProperties())
	if err != nil {
		return nil, err
	}
	// Ranges are 422 when a recording starts, and 400 here (§2.1).
	if text := outOfRange(p); text != "" {
		return nil, bad("%s", text)
	}
	return &p, nil
}

func (h *Handler) getSession(r *http.Request, _ none) (openvidu.SessionInfo, error) {
	view, err := viewOptions(r, false)
	if err != nil {
		return openvidu.SessionInfo{}, err
	}
	return h.opts.Manager.Session(r.Context(), r.PathValue("sessionId"), view)
}

func (h *Handler) listSessions(r *http.Request, _ none) (list[openvidu.SessionInfo], error) {
	view, err := viewOptions(r, false)
	if err != nil {
		return list[openvidu.SessionInfo]{}, err
	}
	s, err := h.opts.Manager.Sessions(r.Context(), view)
	return listOf(s), err
}

func (h *Handler) closeSession(r *http.Request, _ none) (none, error) {
	err := h.opts.Manager.CloseSession(r.Context(), r.PathValue("sessionId"), openvidu.ReasonSessionClosed)
	return none{}, as(err, openvidu.ErrSessionClosing, http.StatusBadRequest)
}

// oneOf checks an enumeration; absent is "", which Manager takes as the default.
func oneOf(name string, v *string, values ...string) (string, error) {
	if v == nil {
		return "", nil
	}
	if !slices.Contains(values, *v) {
		return "", bad("parameter %q must be one of %s", name, strings.Join(values, ", "))
	}
	return *v, nil
}
