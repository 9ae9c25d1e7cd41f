package studio

import (
	"context"
	"fmt"
	"sync"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/kms/client"
)

// ViewSpec describes a view. Width and Height are pixels, even; FrameRate is
// pictures per second, 1 to MaxFrameRate; VideoBitrate is bit/s, 0 lets the node choose by size
// and rate. Images of the layout are files below the layouts folder, http(s) or
// data: URLs.
type ViewSpec struct {
	Width, Height, FrameRate int
	HasAudio, HasVideo       bool
	Layout                   layout.Spec
	VideoBitrate             int
}

// MaxFrameRate is the highest rate a view is composed at: that of the contract
// (§7.1).
const MaxFrameRate = 120

// View is a composed picture and mix of a session: an element whose AUDIO and
// VIDEO can be connected to recorders and other outputs. Its rate and size stay,
// its layout may change at any time.
type View struct {
	studio *Studio
	id     client.ID

	mu     sync.Mutex // one change at a time; guards layout
	layout layout.Spec
}

// Tile is a place of the picture as it is now, in pixels. Avatar says that the
// name is shown instead of a picture, AbsentMs for how long it was when the
// composing process was last replaced: -1 while it is.
type Tile struct {
	StreamID     string `json:"streamId"`
	ConnectionID string `json:"connectionId"`
	X            int    `json:"x"`
	Y            int    `json:"y"`
	Width        int    `json:"width"`
	Height       int    `json:"height"`
	Z            int    `json:"z"`
	Avatar       bool   `json:"avatar"`
	Name         string `json:"name"`
	AbsentMs     int    `json:"absentMs,omitempty"`
}

// NewView makes a view: *Error of kind ErrLayout, ErrNoCapacity, ErrUnavailable,
// ErrLost or ErrMedia.
func (s *Studio) NewView(ctx context.Context, spec ViewSpec) (*View, error) {
	st := s.stage
	if st.lost() {
		return nil, refuse(ErrLost, ErrLost.Error())
	}
	if spec.FrameRate > MaxFrameRate && spec.HasVideo {
		return nil, refuse(ErrLayout, fmt.Sprintf("pictures are composed at %d per second at most, %d were asked for", MaxFrameRate, spec.FrameRate))
	}
	full, err := st.service.inline(spec.Layout)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, st.service.opts.CallTimeout)
	defer cancel()
	params := map[string]any{"director": st.director, "hasAudio": spec.HasAudio, "hasVideo": spec.HasVideo, "layout": full}
	if spec.HasVideo {
		params["width"], params["height"], params["framerate"] = spec.Width&^1, spec.Height&^1, spec.FrameRate
		params["videoBitrate"] = spec.VideoBitrate
	}
	id, err := st.media.Create(ctx, "View", params)
	if err != nil {
		return nil, st.mediaError("compose the picture", err)
	}
	return &View{studio: s, id: id, layout: spec.Layout}, nil
}

// ID is the view's element on the studio's node.
func (v *View) ID() client.ID { return v.id }

// SetLayout places everybody anew, from one picture to the next. Errors are those of
// NewView; the old layout stays then.
func (v *View) SetLayout(ctx context.Context, spec layout.Spec) error {
	full, err := v.studio.stage.service.inline(spec)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := v.invoke(ctx, "change the layout", "setLayout", map[string]any{"layout": full}, nil); err != nil {
		return err
	}
	v.layout = spec
	return nil
}

// Layout is the layout as it was last set.
func (v *View) Layout() layout.Spec {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.layout
}

// Tiles are the places as they are now.
func (v *View) Tiles(ctx context.Context) ([]Tile, error) {
	tiles := []Tile{}
	err := v.invoke(ctx, "read the tiles", "getTiles", nil, &tiles)
	return tiles, err
}

// SetSpeaker says which stream speaks, for layouts that show the speaker big.
func (v *View) SetSpeaker(ctx context.Context, streamID string) error {
	return v.invoke(ctx, "name the speaker", "setSpeaker", map[string]any{"streamId": streamID}, nil)
}

// Close frees the view. A lost node has freed it already.
func (v *View) Close(ctx context.Context) error {
	st := v.studio.stage
	if st.lost() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, st.service.opts.CallTimeout)
	defer cancel()
	return st.mediaError("end the picture", st.media.Release(ctx, v.id))
}

func (v *View) invoke(ctx context.Context, what, op string, params, result any) error {
	st := v.studio.stage
	if st.lost() {
		return refuse(ErrLost, what+": "+ErrLost.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, st.service.opts.CallTimeout)
	defer cancel()
	return st.mediaError(what, st.media.Invoke(ctx, v.id, op, params, result))
}
