//go:build gst

package hubs_test

import (
	"testing"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/hubs"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// TestDirectorPictures: what views of a real worker show, at once and after
// changes: grid, focus, portrait, a muted camera, a background; and who is heard.
func TestDirectorPictures(t *testing.T) {
	w := elementtest.NewWith(t, []pipeline.Converter{pipeline.NewEncoder()}, append(unitTypes(), realTypes(t)...)...)
	r := &room{table: &table{World: w, t: t, hub: w.Create("Director", nil)}}
	for i, c := range []string{"red", "blue"} {
		r.join(nil)
		r.sources[i].play(pipeline.Video, colour(t, codec.VP8, c, 320, 180))
		r.sources[i].play(pipeline.Audio, hum(t, 440+440*i))
	}
	grid := r.Element("View", view(r.hub, map[string]any{"width": 640, "height": 360, "layout": map[string]any{"names": false, "background": map[string]any{"color": "#00ff00"}}}))
	tall := r.Element("View", view(r.hub, map[string]any{"width": 360, "height": 640, "hasAudio": false, "layout": map[string]any{"layout": "PORTRAIT", "fit": "cover"}}))
	for _, v := range []elements.Object{grid, tall} {
		sink := r.Element("UnitSink", nil).(*unitSink)
		r.Call(v, "connect", map[string]any{"sink": sink})
		r.sinks = append(r.sinks, sink)
	}
	r.see("grid", 0, codec.VP8, 640, 360, spot{0.25, 0.5, "red"}, spot{0.75, 0.5, "blue"}, spot{0.5, 0.05, "lime"}, spot{0.25, 0.95, "lime"})
	r.see("portrait", 1, codec.VP8, 360, 640, spot{0.5, 0.05, "red"}, spot{0.2, 0.3, "red"}, spot{0.5, 0.6, "blue"}, spot{0.9, 0.8, "blue"})
	r.hear("grid", 0, []int{440, 880}, nil)

	r.Call(grid, "setLayout", map[string]any{"layout": map[string]any{"layout": "PICTURE_IN_PICTURE", "focus": "s2", "names": false, "audio": []any{"s2"}}})
	r.see("picture in picture", 0, codec.VP8, 640, 360, spot{0.2, 0.2, "blue"}, spot{0.88, 0.88, "red"})
	r.hear("the second alone", 0, []int{880}, []int{440})
	r.describe(0, map[string]any{"videoActive": false})
	r.see("an avatar", 0, codec.VP8, 640, 360, spot{0.2, 0.2, "blue"}, spot{0.79, 0.78, avatarOf("s1")})
	r.describe(0, nil)
	r.see("the camera again", 0, codec.VP8, 640, 360, spot{0.88, 0.88, "red"})
	r.Release(r.ports[1])
	r.see("one is left", 0, codec.VP8, 640, 360, spot{0.2, 0.2, "red"}, spot{0.88, 0.88, "red"})
	r.see("one is left", 1, codec.VP8, 360, 640, spot{0.5, 0.5, "red"})
}

// avatarOf enters the ground colour of an avatar into the table of colours.
func avatarOf(id string) string {
	r, g, b := hubs.AvatarColor(id)
	colours["avatar "+id] = [3]int{int(r), int(g), int(b)}
	return "avatar " + id
}
