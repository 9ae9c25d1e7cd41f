package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/broadcast"
	"github.com/govidu/govidu/openvidu/studio"
)

// Broadcasts is what the handler needs of the broadcast service.
type Broadcasts interface {
	Check(ctx context.Context, sessionID, name string) error
	Resolve(name, custom string) (layout.Spec, error)
	Start(ctx context.Context, sessionID string, s broadcast.Spec) (broadcast.Broadcast, error)
	Stop(ctx context.Context, sessionID, name string, reason openvidu.Reason) error
	List() []broadcast.Broadcast
	SetLayout(ctx context.Context, sessionID, name string, l layout.Spec) error
	Layout(ctx context.Context, sessionID, name string) (layout.Spec, []studio.Tile, error)
}

var _ Broadcasts = (*broadcast.Service)(nil)

// noCapacityRetry is when a caller may ask again after the machine was too busy to
// compose another picture: a broadcast or recording must end first.
const noCapacityRetry = 5 * time.Second

// broadcastBody holds the parameters of a start (§10); nil is "not given". Name,
// Output and Record are ours.
type broadcastBody struct {
	HasAudio        *bool          `json:"hasAudio"`
	HasVideo        *bool          `json:"hasVideo"`
	RecordingLayout *string        `json:"recordingLayout"`
	CustomLayout    *string        `json:"customLayout"`
	Resolution      *string        `json:"resolution"`
	FrameRate       *int           `json:"frameRate"`
	ShmSize         *int64         `json:"shmSize"`
	MediaNode       *mediaNodeBody `json:"mediaNode"`
	Record          *bool          `json:"record"`
}

// broadcastHead are the parameters that must be there before the session is looked at.
type broadcastHead struct {
	Session      *string `json:"session"`
	BroadcastURL *string `json:"broadcastUrl"`
	Name         *string `json:"name"`
	Output       *string `json:"output"`
}

func (b *broadcastHead) name() string {
	if b.Name == nil {
		return ""
	}
	return *b.Name
}

// startBroadcast checks in the order of recordings (§7.1): what is mandatory, the
// session, the other parameters, ranges.
func (h *Handler) startBroadcast(r *http.Request, body object) (broadcast.Broadcast, error) {
	var none broadcast.Broadcast
	var head broadcastHead
	if err := fill(body, &head); err != nil {
		return none, err
	}
	output, err := oneOf("output", head.Output, broadcast.RTMP, broadcast.HLS)
	switch {
	case err != nil:
		return none, err
	case head.Session == nil:
		return none, bad(`parameter "session" is mandatory`)
	case head.BroadcastURL == nil && output != broadcast.HLS:
		return none, bad(`parameter "broadcastUrl" is mandatory`)
	}
	if err := h.opts.Broadcasts.Check(r.Context(), *head.Session, head.name()); err != nil {
		return none, broadcastRefusal(err)
	}
	spec, err := h.broadcastSpec(body, &head, output)
	if err != nil {
		return none, broadcastRefusal(err)
	}
	started, err := h.opts.Broadcasts.Start(r.Context(), *head.Session, spec)
	return started, broadcastRefusal(err)
}

// broadcastSpec makes a spec of the request. What is not given has the contract's
// default (§7.2), not the session's: those are for its recordings.
func (h *Handler) broadcastSpec(body object, head *broadcastHead, output string) (broadcast.Spec, error) {
	spec := broadcast.Spec{Name: head.name(), Output: output}
	if output == "" {
		spec.Output = broadcast.RTMP
	}
	var b broadcastBody
	if err := fill(body, &b); err != nil {
		return spec, err
	}
	p, err := (&recordingBody{
		HasAudio: b.HasAudio, HasVideo: b.HasVideo, RecordingLayout: b.RecordingLayout, CustomLayout: b.CustomLayout,
		Resolution: b.Resolution, FrameRate: b.FrameRate, ShmSize: b.ShmSize, MediaNode: b.MediaNode,
	}).over(openvidu.DefaultRecordingProperties())
	if err != nil {
		return spec, err
	}
	give(&spec.Record, b.Record)
	if spec.Name != "" && !broadcast.ValidName(spec.Name) {
		return spec, bad(`parameter "name" may hold letters, digits, "_", "-" and "~", at most 128`)
	}
	if spec.Output == broadcast.RTMP {
		if spec.Record {
			return spec, bad(`parameter "record" belongs to output HLS; record the session for a file of it`)
		}
		if spec.Target, err = broadcast.ParseTarget(*head.BroadcastURL); err != nil {
			return spec, bad(`parameter "broadcastUrl" %s`, err.Error())
		}
	}
	if text := outOfRange(p); text != "" {
		return spec, &Error{Status: http.StatusUnprocessableEntity, Text: text}
	}
	spec.HasAudio, spec.HasVideo, spec.FrameRate, spec.RecordingLayout = p.HasAudio, p.HasVideo, p.FrameRate, p.RecordingLayout
	if spec.Width, spec.Height, err = sides(p.Resolution); err != nil {
		return spec, err
	}
	spec.Layout, err = h.opts.Broadcasts.Resolve(p.RecordingLayout, p.CustomLayout)
	return spec, err
}

// sides reads a resolution that outOfRange has passed.
func sides(resolution string) (width, height int, err error) {
	m := resolutionForm.FindStringSubmatch(resolution)
	if m == nil {
		return 0, 0, bad(`parameter "resolution" must be WIDTHxHEIGHT`)
	}
	if width, err = strconv.Atoi(m[1]); err != nil {
		return 0, 0, err
	}
	height, err = strconv.Atoi(m[2])
	return width, height, err
}

func (h *Handler) stopBroadcast(r *http.Request, body object) (done, error) {
	var b struct {
		Session *string `json:"session"`
		Name    *string `json:"name"`
	}
	if err := fill(body, &b); err != nil {
		return done{}, err
	}
	if b.Session == nil {
		return done{}, bad(`parameter "session" is mandatory`)
	}
	name := ""
	give(&name, b.Name)
	return done{}, broadcastRefusal(h.opts.Broadcasts.Stop(r.Context(), *b.Session, name, openvidu.ReasonBroadcastStopped))
}

// broadcastList has the list form of recordings.
type broadcastList struct {
	Count int                   `json:"count"`
	Items []broadcast.Broadcast `json:"items"`
}

func (h *Handler) listBroadcasts(*http.Request, none) (broadcastList, error) {
	items := h.opts.Broadcasts.List()
	return broadcastList{len(items), items}, nil
}

// layoutAnswer is a layout and where everybody is by it.
type layoutAnswer struct {
	Layout layout.Spec   `json:"layout"`
	Tiles  []studio.Tile `json:"tiles"`
}

func (h *Handler) getBroadcastLayout(r *http.Request, _ none) (layoutAnswer, error) {
	l, tiles, err := h.opts.Broadcasts.Layout(r.Context(), r.PathValue("sessionId"), r.PathValue("name"))
	if tiles == nil {
		tiles = []studio.Tile{}
	}
	return layoutAnswer{l, tiles}, broadcastRefusal(err)
}

func (h *Handler) setBroadcastLayout(r *http.Request, body object) (layoutAnswer, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return layoutAnswer{}, bad("body could not be read")
	}
	l, err := layout.Parse(text)
	if err != nil {
		return layoutAnswer{}, bad("%s", cutText(err.Error()))
	}
	if err := h.opts.Broadcasts.SetLayout(r.Context(), r.PathValue("sessionId"), r.PathValue("name"), l); err != nil {
		return layoutAnswer{}, broadcastRefusal(err)
	}
	return h.getBroadcastLayout(r, none{})
}

// broadcastRefusal gives the errors of broadcasts their statuses; others are left to
// the table of rooms.
func broadcastRefusal(err error) error {
	if e, ok := errors.AsType[*broadcast.StartError](err); ok {
		return &Error{Status: http.StatusInternalServerError, Text: e.Error(), Plain: true}
	}
	switch {
	case errors.Is(err, broadcast.ErrConflict), errors.Is(err, broadcast.ErrNotBroadcasting):
		return empty(http.StatusConflict)
	case errors.Is(err, broadcast.ErrNotFound):
		return empty(http.StatusNotFound)
	case errors.Is(err, broadcast.ErrLayout):
		return bad("%s", refusalText(err, broadcast.ErrLayout))
	case errors.Is(err, broadcast.ErrNoCapacity):
		return &Error{Status: http.StatusServiceUnavailable, Text: refusalText(err, broadcast.ErrNoCapacity), RetryAfter: noCapacityRetry}
	case errors.Is(err, broadcast.ErrClosed):
		return busy(broadcast.ErrClosed.Error())
	}
	return err
}

// broadcasts guards the calls of broadcasting: 501 while it is off.
func (h *Handler) broadcasts(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if h.opts.Broadcasts == nil {
			writeError(w, r, empty(http.StatusNotImplemented))
			return
		}
		f(w, r)
	}
}
