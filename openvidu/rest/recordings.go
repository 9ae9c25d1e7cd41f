package rest

import (
	"net/http"
	"regexp"
	"strconv"

	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/recording"
)

// recordingBody holds recording properties as a request gives them: nil is "not
// given" (§7.1, §7.2).
type recordingBody struct {
	Name                *string        `json:"name"`
	OutputMode          *string        `json:"outputMode"`
	HasAudio            *bool          `json:"hasAudio"`
	HasVideo            *bool          `json:"hasVideo"`
	RecordingLayout     *string        `json:"recordingLayout"`
	CustomLayout        *string        `json:"customLayout"`
	Resolution          *string        `json:"resolution"`
	FrameRate           *int           `json:"frameRate"`
	ShmSize             *int64         `json:"shmSize"`
	IgnoreFailedStreams *bool          `json:"ignoreFailedStreams"`
	MediaNode           *mediaNodeBody `json:"mediaNode"`
}

// over lays what was given over the properties p. It refuses wrong enumeration
// values and names with 400; ranges are outOfRange's.
func (b *recordingBody) over(p openvidu.RecordingProperties) (openvidu.RecordingProperties, error) {
	mode, err := oneOf("outputMode", b.OutputMode, openvidu.OutputComposed, openvidu.OutputComposedQuickStart, openvidu.OutputIndividual)
	if err != nil {
		return p, err
	}
	layout, err := oneOf("recordingLayout", b.RecordingLayout, "BEST_FIT", "PICTURE_IN_PICTURE", "VERTICAL_PRESENTATION", "HORIZONTAL_PRESENTATION", "CUSTOM")
	if err != nil {
		return p, err
	}
	if b.Name != nil && *b.Name != "" {
		if !recordingNameForm.MatchString(*b.Name) {
			return p, bad(`parameter "name" may hold letters, digits, "_", "-" and "~", at most 128`)
		}
		p.Name = *b.Name
	}
	if mode != "" {
		p.OutputMode = mode
	}
	if layout != "" {
		p.RecordingLayout = layout
	}
	if b.CustomLayout != nil {
		if len(*b.CustomLayout) > 2048 {
			return p, bad(`parameter "customLayout" is longer than 2048 bytes`)
		}
		p.CustomLayout = *b.CustomLayout
	}
	give(&p.HasAudio, b.HasAudio)
	give(&p.HasVideo, b.HasVideo)
	give(&p.Resolution, b.Resolution)
	give(&p.FrameRate, b.FrameRate)
	give(&p.ShmSize, b.ShmSize)
	give(&p.IgnoreFailedStreams, b.IgnoreFailedStreams)
	if b.MediaNode != nil {
		p.MediaNodeID = b.MediaNode.ID
	}
	return p, nil
}

func give[T any](to *T, v *T) {
	if v != nil {
		*to = *v
	}
}

var resolutionForm = regexp.MustCompile(`^([0-9]{3,4})x([0-9]{3,4})$`)

const minShmSize = 134217728

// outOfRange says which property is out of its range, or "".
func outOfRange(p openvidu.RecordingProperties) string {
	m := resolutionForm.FindStringSubmatch(p.Resolution)
	ok := m != nil
	for _, side := range m[min(1, len(m)):] {
		n, _ := strconv.Atoi(side) // three or four digits
		ok = ok && n >= 100 && n <= 1999
	}
	switch {
	case !ok:
		return `parameter "resolution" must be WIDTHxHEIGHT, each between 100 and 1999`
	case p.FrameRate < 1 || p.FrameRate > 120:
		return `parameter "frameRate" must be between 1 and 120`
	case p.ShmSize < minShmSize:
		return `parameter "shmSize" must be at least 134217728`
	case !p.HasAudio && !p.HasVideo:
		return `parameters "hasAudio" and "hasVideo" cannot both be false`
	}
	return ""
}

// startRecording checks in the order of §7.1: the session before the parameters.
func (h *Handler) startRecording(r *http.Request, body object) (recording.Recording, error) {
	var first struct {
		Session *string `json:"session"`
	}
	if err := fill(body, &first); err != nil {
		return recording.Recording{}, err
	}
	if first.Session == nil {
		return recording.Recording{}, bad(`parameter "session" is mandatory`)
	}
	defaults, err := h.opts.Recordings.Check(r.Context(), *first.Session)
	if err != nil {
		return recording.Recording{}, err
	}
	var b recordingBody
	if err := fill(body, &b); err != nil {
		return recording.Recording{}, err
	}
	p, err := b.over(defaults)
	if err != nil {
		return recording.Recording{}, err
	}
	if p.Composed() && defaults.Composed() {
		// Of two composed modes the session's own wins: a quick-start session keeps
		// its browser open, another does not have one.
		p.OutputMode = defaults.OutputMode
	}
	if text := outOfRange(p); text != "" {
		return recording.Recording{}, &Error{Status: http.StatusUnprocessableEntity, Text: text}
	}
	rec, err := h.opts.Recordings.Start(r.Context(), *first.Session, p)
	return rec, capacityError(err)
}

func (h *Handler) stopRecording(r *http.Request, _ none) (recording.Recording, error) {
	return h.opts.Recordings.Stop(r.Context(), r.PathValue("recordingId"), openvidu.ReasonRecordingStopped)
}

func (h *Handler) getRecording(r *http.Request, _ none) (recording.Recording, error) {
	return h.opts.Recordings.Get(r.PathValue("recordingId"))
}

// recordingList is the list form of recordings, which differs from all others (§7.3).
type recordingList struct {
	Count int                   `json:"count"`
	Items []recording.Recording `json:"items"`
}

func (h *Handler) listRecordings(*http.Request, none) (recordingList, error) {
	items, err := h.opts.Recordings.List()
	if items == nil {
		items = []recording.Recording{}
	}
	return recordingList{len(items), items}, err
}

func (h *Handler) deleteRecording(r *http.Request, _ none) (none, error) {
	return none{}, h.opts.Recordings.Delete(r.PathValue("recordingId"))
}

// recordings guards the calls of the recording module: 501 while it is off.
func (h *Handler) recordings(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if h.opts.Recordings == nil {
			writeError(w, r, empty(http.StatusNotImplemented))
			return
		}
		f(w, r)
	}
}
