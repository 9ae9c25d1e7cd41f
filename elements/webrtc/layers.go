package webrtc

import (
	"context"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/webrtc/transport"
	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/internal/kerr"
)

// layerSender is what a transport.Sender offers that chooses among the layers of
// its source: simulcast encodings and the layers of scalable streams.
type layerSender interface {
	// SetLayerWish bounds what is sent: at most these layers (anyLayer is no bound)
	// and, when they are above 0, the smallest picture that fills width and height in
	// pixels. What the bandwidth does not carry is left out all the same.
	SetLayerWish(spatial, temporal, maxWidth, maxHeight int)
	// Layer is what is sent now, −1 and −1 while that is nothing.
	Layer() (spatial, temporal int)
}

// layerReceiver is what a transport.Receiver offers that tells the layers it gets.
type layerReceiver interface {
	Layers() []layers.LayerStats
}

// CanLayer says whether this build forwards video by layers.
func CanLayer() bool {
	_, ok := any((*transport.Sender)(nil)).(layerSender)
	return ok
}

// Bounds of a wish; anyLayer is the transport's word for none.
const (
	anyLayer = 127
	maxLayer = 7     // spatial and temporal
	maxSize  = 16384 // in pixels
)

type layeredParams struct {
	endpointParams
	// Simulcast takes all encodings of a peer that offers several of its video; else
	// it is answered as Kurento does, and sends one.
	Simulcast bool `json:"simulcast" default:"false"`
	// Orientation lets the peer send its pictures turned and say how, which receivers
	// are told; recorders and mixers do not turn them back. Else the peer turns them.
	Orientation bool `json:"orientation" default:"false"`
}

func newLayeredEndpoint(engine *transport.Engine, d Defaults) func(context.Context, elements.Env, layeredParams) (*Endpoint, error) {
	return func(_ context.Context, env elements.Env, p layeredParams) (*Endpoint, error) {
		if !CanLayer() {
			return nil, kerr.New(kerr.MediaObjectOperationNotSupported, "Video is not forwarded by layers here")
		}
		return makeEndpoint(engine, d, env, p)
	}
}

type preferredLayerParams struct {
	Spatial   int `json:"spatial" default:"-1"`
	Temporal  int `json:"temporal" default:"-1"`
	MaxWidth  int `json:"maxWidth" default:"0"`
	MaxHeight int `json:"maxHeight" default:"0"`
}

// VideoLayer is one layer of the video that a peer sends: its spatial rank from
// the smallest picture, its temporal layer, the simulcast encoding's rid if there
// is one, the picture in pixels (0 until known), frames per second and bits per
// second with all layers that it needs, and whether it comes now.
type VideoLayer struct {
	Spatial   int     `json:"spatial"`
	Temporal  int     `json:"temporal"`
	RID       string  `json:"rid"`
	Width     int     `json:"width"`
	Height    int     `json:"height"`
	FrameRate float64 `json:"frameRate"`
	Bps       int     `json:"bps"`
	Active    bool    `json:"active"`
}

// CurrentLayer is the layer that a peer is sent, −1 and −1 while none is.
type CurrentLayer struct {
	Spatial  int `json:"spatial"`
	Temporal int `json:"temporal"`
}

// SetPreferredLayer bounds the layers that the peer is sent of a source that has
// some: by number, −1 being any, or by the size of picture that it shows, 0 being
// any. The bandwidth may allow less. kerr.MediaObjectIllegalParam for what is out
// of range, kerr.MediaObjectOperationNotSupported where video is not forwarded by
// layers.
func (e *Endpoint) SetPreferredLayer(_ context.Context, p preferredLayerParams) (elements.None, error) {
	if p.Spatial < -1 || p.Spatial > maxLayer || p.Temporal < -1 || p.Temporal > maxLayer {
		return elements.None{}, kerr.New(kerr.MediaObjectIllegalParam, "A layer is from -1, which is any, to %d", maxLayer)
	}
	if p.MaxWidth < 0 || p.MaxWidth > maxSize || p.MaxHeight < 0 || p.MaxHeight > maxSize {
		return elements.None{}, kerr.New(kerr.MediaObjectIllegalParam, "A size is from 0, which is any, to %d", maxSize)
	}
	s, ok := any(e.peer.Sender(videoKind)).(layerSender)
	if !ok {
		return elements.None{}, kerr.New(kerr.MediaObjectOperationNotSupported, "Video is not forwarded by layers here")
	}
	for _, layer := range []*int{&p.Spatial, &p.Temporal} {
		if *layer < 0 {
			*layer = anyLayer
		}
	}
	s.SetLayerWish(p.Spatial, p.Temporal, p.MaxWidth, p.MaxHeight)
	return elements.None{}, nil
}

// Layers lists what the peer sends, from the smallest up; empty without layers.
func (e *Endpoint) Layers() []VideoLayer {
	out := []VideoLayer{}
	r, ok := any(e.peer.Receiver(videoKind)).(layerReceiver)
	if !ok {
		return out
	}
	for _, l := range r.Layers() {
		out = append(out, VideoLayer{
			Spatial: l.Spatial, Temporal: l.Temporal, RID: l.RID, Width: l.Width, Height: l.Height,
			FrameRate: l.FrameRate, Bps: l.Bps, Active: l.Active,
		})
	}
	return out
}

// CurrentLayer is what the peer is sent.
func (e *Endpoint) CurrentLayer() CurrentLayer {
	s, ok := any(e.peer.Sender(videoKind)).(layerSender)
	if !ok {
		return CurrentLayer{-1, -1}
	}
	spatial, temporal := s.Layer()
	return CurrentLayer{spatial, temporal}
}
