package layers

import (
	"testing"

	"github.com/govidu/govidu/internal/codec"
)

// TestVP8Described: Chromium sends VP8 without picture ids and temporal layers in its
// payload descriptor when there is a dependency descriptor. These are the beginnings
// of packets that it sent.
func TestVP8Described(t *testing.T) {
	var r Parser
	for i, c := range []struct {
		marker     bool
		payload    string
		descriptor string
		want       Info
	}{
		{false, "\x10\xb0\x28\x00\x9d\x01\x2a\x00\x01\x90\x00", "\x80\x00\x26\x80\x02\x04\x4e\xaa\xaf\x28\x60\x41\x4d\x34\x53\x8a\x09\x40\x40\x3f\xc0\x23\xc0", Info{Begin: true, Key: true}},
		{true, "\x00\x4b\x97", "\x40\x00\x26", Info{End: true}},
		{true, "\x30\xf1\x09", "\xc5\x00\x27", Info{Temporal: 2, Begin: true, End: true, Discardable: true}},
		{true, "\x10\x11\x0f", "\xc3\x00\x28", Info{Temporal: 1, Begin: true, End: true}},
		{true, "\x30\xd1\x0a", "\xc5\x00\x29", Info{Temporal: 2, Begin: true, End: true, Discardable: true}},
		{false, "\x10\xb1\x21", "\x82\x00\x2a", Info{Begin: true}},
		{true, "\x00\x2d\x2f", "\x42\x00\x2a", Info{End: true}},
		// With layers of its own, it is those that count.
		{true, "\xb0\x20\x40\x01", "\xc5\x00\x2b", Info{Temporal: 1, Begin: true, End: true, Discardable: true}},
	} {
		var got Info
		p := packetOf(codec.VP8, uint32(10+i), c.marker, []byte(c.payload)...)
		if i == 1 || i == 6 { // another packet of the same frame
			p.Header.Timestamp--
		}
		r.Read(p, []byte(c.descriptor), &got)
		if got.Temporal != c.want.Temporal || got.Begin != c.want.Begin || got.End != c.want.End || got.Key != c.want.Key || got.Discardable != c.want.Discardable {
			t.Errorf("packet %d: %+v, want %+v", i, got, c.want)
		}
		if i == 0 && (got.Width != 256 || got.Height != 144 || got.up[0] != 3) {
			t.Errorf("keyframe: %d×%d, up %v", got.Width, got.Height, got.up)
		}
	}
}
