package openvidu

import (
	"context"
	"errors"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu/auth"
)

// LayerWish bounds the video that a subscriber gets of a stream published in
// layers: by number, −1 being any, or by the size in pixels that it is shown in, 0
// being any. The bandwidth may allow less.
type LayerWish struct {
	Spatial  int `json:"spatialLayer"`
	Temporal int `json:"temporalLayer"`
	Width    int `json:"width"`
	Height   int `json:"height"`
}

// AnyLayer is no bound at all.
func AnyLayer() LayerWish { return LayerWish{Spatial: -1, Temporal: -1} }

// Bounds of a wish: the highest layer, and the largest size in pixels.
const (
	maxLayer     = 7
	maxLayerSize = 16384
)

func (w LayerWish) check() error {
	switch {
	case w.Spatial < -1 || w.Spatial > maxLayer || w.Temporal < -1 || w.Temporal > maxLayer:
		return errf(CodeMissingParameter, ErrInvalid, "spatialLayer and temporalLayer are from -1 (any) to %d", maxLayer)
	case w.Width < 0 || w.Width > maxLayerSize || w.Height < 0 || w.Height > maxLayerSize:
		return errf(CodeMissingParameter, ErrInvalid, "width and height are from 0 (any) to %d", maxLayerSize)
	}
	return nil
}

// StreamLayer is one layer that a publisher sends: Spatial counts from the smallest
// picture; sizes are in pixels, 0 until known; Bps has all layers that it needs.
type StreamLayer struct {
	Spatial   int     `json:"spatialLayer"`
	Temporal  int     `json:"temporalLayer"`
	RID       string  `json:"rid,omitempty"`
	Width     int     `json:"width"`
	Height    int     `json:"height"`
	FrameRate float64 `json:"frameRate"`
	Bps       int     `json:"bps"`
	Active    bool    `json:"active"`
}

// CurrentLayer is what a subscriber is sent, −1 and −1 while that is nothing.
type CurrentLayer struct {
	Spatial  int `json:"spatialLayer"`
	Temporal int `json:"temporalLayer"`
}

// LayerState is a subscription's wish, what it is sent, and what there is; Layers
// is empty for a stream without layers.
type LayerState struct {
	StreamID  string        `json:"streamId"`
	Preferred LayerWish     `json:"preferred"`
	Current   CurrentLayer  `json:"current"`
	Layers    []StreamLayer `json:"layers"`
}

// SetPreferredLayer bounds the layers of a stream that the connection receives; it
// holds when the subscription is negotiated anew. CodeServiceNotEnabled where video
// is not forwarded by layers.
func (c *Connection) SetPreferredLayer(ctx context.Context, streamID string, wish LayerWish, reply func(any)) error {
	state, err := c.layer(ctx, streamID, &wish)
	if err != nil {
		return err
	}
	return c.do(ctx, func() error {
		reply(state)
		return nil
	})
}

// SetPreferredLayer is Connection.SetPreferredLayer for the API:
// ErrSessionNotFound, ErrConnectionNotFound, ErrStreamNotFound, ErrInvalid,
// ErrUnsupported.
func (m *Manager) SetPreferredLayer(ctx context.Context, sessionID, connectionID, streamID string, wish LayerWish) (LayerState, error) {
	c, err := m.active(ctx, sessionID, connectionID)
	if err != nil {
		return LayerState{}, err
	}
	return c.layer(ctx, streamID, &wish)
}

// Layer tells what a connection is sent of a stream; errors as SetPreferredLayer.
func (m *Manager) Layer(ctx context.Context, sessionID, connectionID, streamID string) (LayerState, error) {
	c, err := m.active(ctx, sessionID, connectionID)
	if err != nil {
		return LayerState{}, err
	}
	return c.layer(ctx, streamID, nil)
}

// active gives a connection that has joined.
func (m *Manager) active(ctx context.Context, sessionID, connectionID string) (c *Connection, err error) {
	s, err := m.get(sessionID)
	if err != nil {
		return nil, err
	}
	err = s.do(ctx, func() error {
		if c = s.byID[connectionID]; c == nil || c.hidden {
			return connectionNotFound(connectionID)
		}
		return nil
	})
	return c, err
}

// layer sets the wish, if there is one, and tells the state. Browser and API share
// one wish; the last one holds.
func (c *Connection) layer(ctx context.Context, streamID string, wish *LayerWish) (state LayerState, err error) {
	var sub *subscription
	var sink, source *endpoint
	if err := c.do(ctx, func() error {
		if err := c.may("setPreferredLayer", auth.Target{}); err != nil {
			return err
		}
		if wish != nil {
			if err := wish.check(); err != nil {
				return err
			}
		}
		st, err := c.s.find(legacyStream(c.s, streamID))
		if err != nil {
			return err
		}
		if sub = c.subs[st.id]; sub == nil || !sub.ready {
			return errf(CodeUserNotStreaming, ErrStreamNotFound, "connection %s does not receive stream %s", c.id, st.id)
		}
		sink, source = sub.ep, st.ep
		state = LayerState{StreamID: st.id, Preferred: sub.wish(), Layers: []StreamLayer{}}
		return nil
	}); err != nil {
		return state, err
	}
	err = c.onWork(func(ctx context.Context) error {
		if wish != nil {
			if err := sink.wish(ctx, *wish); err != nil {
				return err
			}
		}
		return state.read(ctx, sink, source)
	})
	if err != nil {
		return state, layerError(err)
	}
	if wish == nil {
		return state, nil
	}
	state.Preferred = *wish
	return state, c.commit(func() error {
		if sub.preferred = wish; sub.ep != sink {
			sub.applyWish() // it was negotiated anew meanwhile
		}
		return nil
	})
}

// wish is what the subscriber asked for.
func (sub *subscription) wish() LayerWish {
	if sub.preferred == nil {
		return AnyLayer()
	}
	return *sub.preferred
}

// applyWish tells a new endpoint what was wished of the one before.
func (sub *subscription) applyWish() {
	if sub.preferred == nil {
		return
	}
	ep, wish := sub.ep, *sub.preferred
	sub.c.later(func() {
		if ep.released.Load() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), sub.c.s.m.opts.MediaTimeout)
		defer cancel()
		if err := ep.wish(ctx, wish); err != nil {
			sub.c.log.Warn("layer not set", obs.AttrStream, ep.streamID, obs.AttrErr, err)
		}
	})
}

// wish tells the node. Media goroutine only.
func (ep *endpoint) wish(ctx context.Context, w LayerWish) error {
	return ep.media.client.Invoke(ctx, ep.id, "setPreferredLayer", map[string]any{
		"spatial": w.Spatial, "temporal": w.Temporal, "maxWidth": w.Width, "maxHeight": w.Height,
	}, nil)
}

// read asks the node for both ends. Media goroutine only.
func (s *LayerState) read(ctx context.Context, sink, source *endpoint) error {
	var now struct{ Spatial, Temporal int }
	if err := sink.media.client.Invoke(ctx, sink.id, "getCurrentLayer", nil, &now); err != nil {
		return err
	}
	s.Current = CurrentLayer{now.Spatial, now.Temporal}
	var list []struct {
		Spatial, Temporal  int
		RID                string
		Width, Height, Bps int
		FrameRate          float64
		Active             bool
	}
	if err := source.media.client.Invoke(ctx, source.id, "getLayers", nil, &list); err != nil {
		return err
	}
	s.Layers = make([]StreamLayer, len(list))
	for i, l := range list {
		s.Layers[i] = StreamLayer{l.Spatial, l.Temporal, l.RID, l.Width, l.Height, l.FrameRate, l.Bps, l.Active}
	}
	return nil
}

// layerError tells a node that has no layers from one that failed.
func layerError(err error) error {
	// MalformedTransaction is what Kurento answers to an operation that it has not got.
	for _, code := range []kerr.Code{kerr.MediaObjectOperationNotSupported, kerr.MediaObjectMethodNotFound, kerr.MalformedTransaction} {
		if errors.Is(err, code) {
			return errf(CodeServiceNotEnabled, ErrUnsupported, "the media node does not forward video by layers")
		}
	}
	return mediaError(err)
}
