// Package all is the visible table of every type in this build. Nothing
// registers itself: what is not named here does not exist.
package all

import (
	"slices"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/core"
	"github.com/govidu/govidu/elements/filters"
	"github.com/govidu/govidu/elements/hubs"
	"github.com/govidu/govidu/elements/rtp"
	"github.com/govidu/govidu/elements/uri"
	"github.com/govidu/govidu/elements/webrtc"
	"github.com/govidu/govidu/elements/webrtc/transport"
)

// Deps is what the families need of the process.
type Deps struct {
	// WebRTC carries the media of WebRtcEndpoints; it must outlive every object.
	WebRTC *transport.Engine
	// Endpoints are the properties that WebRtcEndpoints begin with.
	Endpoints webrtc.Defaults
	// URI is what players may read and recorders write.
	URI uri.Deps
	// RTP are the ports of RtpEndpoints.
	RTP rtp.Deps
	// Hubs and Filters need workers.
	Hubs    hubs.Deps
	Filters filters.Deps
}

// Types lists every type of this build.
func Types(d Deps) []elements.Type {
	return slices.Concat(
		elements.Types(),                    // abstract ancestors, MediaPipeline
		core.Types(),                        // PassThrough
		webrtc.Types(d.WebRTC, d.Endpoints), // WebRtcEndpoint
		rtp.Types(d.RTP),                    // RtpEndpoint
		uri.Types(d.URI),                    // PlayerEndpoint, RecorderEndpoint, HttpPostEndpoint
		hubs.Types(d.Hubs),                  // HubPort, Composite, Dispatcher, DispatcherOneToMany, Mixer, AlphaBlending
		filters.Types(d.Filters),            // GStreamerFilter, ImageOverlayFilter, FaceOverlayFilter, ZBarFilter
	)
}
