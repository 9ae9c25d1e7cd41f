package e2e

import (
	"testing"
)

// TestSpeakerView: in the layout SPEAKER who is heard is large. Both players send a
// tone of one strength, so who is muted decides.
func TestSpeakerView(t *testing.T) {
	s := startServer(t)
	c := newCast(t, s, s.session(map[string]any{"forcedVideoCodec": "NONE"}))
	c.until(2)
	rec := c.start(map[string]any{"outputMode": "COMPOSED", "resolution": "640x360", "frameRate": 10})
	path := "/recordings/" + rec.ID + "/layout"
	s.rest(200, "PUT", path, map[string]any{"layout": "SPEAKER"}, nil)
	large := func(player int) {
		t.Helper()
		eventually(t, eventDeadline, "the other one is large", func() error {
			var now layoutState
			s.rest(200, "GET", path, nil, &now)
			best := 0
			for i, tile := range now.Tiles {
				if tile.Width > now.Tiles[best].Width {
					best = i
				}
			}
			return want(len(now.Tiles) == 2 && now.Tiles[best].StreamID == c.players[player].streamID, "tiles %+v", now.Tiles)
		})
	}
	for _, silent := range []int{0, 1, 0} {
		c.players[silent].property("audioActive", false)
		large(1 - silent)
		c.players[silent].property("audioActive", true)
	}
	s.rest(200, "POST", "/recordings/stop/"+rec.ID, nil, nil)
	s.recordingIs(rec.ID, "ready")
	s.healthy()
}
