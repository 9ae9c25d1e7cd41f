//go:build gst

package mediaworker

import (
	"slices"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/workers/wire"
)

// Ready tells what this platform's GStreamer has. It starts GStreamer.
func Ready() wire.ReadyData {
	gst.Init()
	r := wire.ReadyData{Version: gst.Version(), Encoders: []string{}, Decoders: []string{}, Elements: []string{}}
	for _, c := range codecOrder {
		if slices.ContainsFunc(encoders[c], encoding.exists) {
			r.Encoders = append(r.Encoders, string(c))
		}
		if slices.ContainsFunc(decoders[c], decoding.exists) {
			r.Decoders = append(r.Decoders, string(c))
		}
	}
	for _, e := range slices.Concat(filterElements, otherElements) {
		if gst.Exists(e) {
			r.Elements = append(r.Elements, e)
		}
	}
	return r
}
