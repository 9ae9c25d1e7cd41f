package rest

import (
	"net/http"

	"github.com/govidu/govidu/openvidu"
)

// The calls about layers are ours, beside the contract. 404 for an unknown session,
// connection or a stream that the connection does not receive, 501 where the media
// node does not forward by layers.

// layerBody is the body of PUT …/layer/{streamId}; what is absent is any.
type layerBody struct {
	SpatialLayer  *int `json:"spatialLayer"`
	TemporalLayer *int `json:"temporalLayer"`
	Width         *int `json:"width"`
	Height        *int `json:"height"`
}

func (h *Handler) getLayer(r *http.Request, _ none) (openvidu.LayerState, error) {
	return h.opts.Manager.Layer(r.Context(), r.PathValue("sessionId"), r.PathValue("connectionId"), r.PathValue("streamId"))
}

func (h *Handler) setLayer(r *http.Request, b layerBody) (openvidu.LayerState, error) {
	wish := openvidu.AnyLayer()
	for _, v := range []struct{ to, from *int }{
		{&wish.Spatial, b.SpatialLayer}, {&wish.Temporal, b.TemporalLayer}, {&wish.Width, b.Width}, {&wish.Height, b.Height},
	} {
		if v.from != nil {
			*v.to = *v.from
		}
	}
	return h.opts.Manager.SetPreferredLayer(r.Context(), r.PathValue("sessionId"), r.PathValue("connectionId"), r.PathValue("streamId"), wish)
}
