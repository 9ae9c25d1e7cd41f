//go:build gst

package mediaworker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/workers/wire"
)

func startDirector(t *testing.T, latencyMs int) *stageRig {
	t.Helper()
	return startStage(t, wire.KindDirector, wire.DirectorParams{LatencyMs: latencyMs})
}

func (s *stageRig) view(v wire.View) {
	s.t.Helper()
	s.must(wire.MethodCall, wire.CallParams{Method: wire.MethodView, Params: encode(v)})
}

func (s *stageRig) picture(name string, m image.Image) {
	s.t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		s.t.Fatal(err)
	}
	s.must(wire.MethodCall, wire.CallParams{Method: wire.MethodPicture, Params: encode(wire.Picture{Name: name, Image: b.Bytes()})})
}

func flat(width, height int, c color.Color) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.Set(x, y, c)
		}
	}
	return m
}

// colours sends a flat picture of the palette's i-th colour round and round.
func (s *stageRig) colours(stream uint16, input string, i, width, height int) {
	s.t.Helper()
	s.source(stream, input, mediaOf(codec.VP8), plain(s.t, codec.VP8, palette[i], width, height), time.Second, 0)
}

// inputEvent waits for what the director tells of an input.
func (s *stageRig) inputEvent(ok func(wire.InputData) bool) {
	s.t.Helper()
	for {
		var j wire.JobData
		s.event(wire.EventJob, &j)
		var d wire.InputData
		if j.Name == wire.EventInput && json.Unmarshal(j.Data, &d) == nil && ok(d) {
			return
		}
	}
}

// decodeAll gives every picture of a row that begins with a keyframe.
func decodeAll(t testing.TB, frames []coded, width, height int) []shown {
	t.Helper()
	file := filepath.Join(t.TempDir(), "all.h264")
	var b []byte
	for _, f := range frames {
		b = append(b, f.data...)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	raw := ffmpeg(t, nil, "-i", file, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
	var all []shown
	for one := width * height * 3; len(raw) >= one; raw = raw[one:] {
		all = append(all, shown{width, height, 1, raw[:one]})
	}
	return all
}

// even25 fails unless frames are exactly a 25th of a second apart, none missing.
func even25(t testing.TB, what string, frames []coded) {
	t.Helper()
	if len(frames) < 25 {
		t.Errorf("%s: %d pictures", what, len(frames))
	}
	for i := 1; i < len(frames); i++ {
		if d := frames[i].pts - frames[i-1].pts; d != 40*time.Millisecond || frames[i].gap {
			t.Errorf("%s: picture %d of %d comes %v after the one before, gap %v", what, i, len(frames), d, frames[i].gap)
			return
		}
	}
}

func grid(n, columns, rows, width, height int) (tiles []wire.Tile) {
	w, h := width/columns&^1, height/rows&^1
	for i := range n {
		tiles = append(tiles, wire.Tile{Input: fmt.Sprintf("video/%d", i+1), X: i % columns * w, Y: i / columns * h, Width: w, Height: h, Cover: true})
	}
	return tiles
}

func TestDirectorGrid(t *testing.T) {
	const width, height = 480, 360
	for _, c := range []struct{ n, columns, rows int }{{1, 1, 1}, {2, 2, 1}, {4, 2, 2}, {9, 3, 3}} {
		t.Run(fmt.Sprint(c.n), func(t *testing.T) {
			t.Parallel()
			s := startDirector(t, 100)
			s.view(wire.View{Name: "v", Width: width, Height: height, Framerate: 25, Tiles: grid(c.n, c.columns, c.rows, width, height)})
			s.encode(100, "video:v", codec.H264)
			for i := range c.n {
				name := codec.VP8
				if i%2 == 1 {
					name = codec.H264
				}
				s.source(uint16(i+1), fmt.Sprintf("video/%d", i+1), mediaOf(name), plain(t, name, palette[i], 160, 120), time.Second, 0)
			}
			s.see(100, codec.H264, width, height, "grid", gridCells(palette[:c.n], c.columns, c.rows))
			if code := s.close(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestDirectorLayers: order, cover and contain, a picture's tile, backdrop, colour
// and an overlay with alpha.
func TestDirectorLayers(t *testing.T) {
	const width, height = 320, 240
	s := startDirector(t, 100)
	red, blue, green := palette[0].rgb, palette[1].rgb, palette[2].rgb
	base := wire.View{Name: "v", Width: width, Height: height, Framerate: 25, Color: "#808080"}
	s.view(base)
	s.encode(100, "video:v", codec.H264)
	s.see(100, codec.H264, width, height, "color", []cell{{0.5, 0.5, palette[7].rgb}})
	s.colours(1, "video/1", 0, 160, 120)
	s.colours(2, "video/2", 1, 160, 120)
	low := wire.Tile{Input: "video/1", X: 0, Y: 0, Width: 240, Height: 240, Cover: true, Z: 1}
	high := wire.Tile{Input: "video/2", X: 160, Y: 0, Width: 160, Height: 240, Cover: true, Z: 2}
	v := base
	v.Tiles = []wire.Tile{high, low}
	s.view(v)
	s.see(100, codec.H264, width, height, "z", []cell{{0.2, 0.5, red}, {0.6, 0.5, blue}, {0.9, 0.05, blue}})
	v.Tiles[0].Z, v.Tiles[1].Z = 1, 2
	s.view(v)
	s.see(100, codec.H264, width, height, "z the other way", []cell{{0.2, 0.5, red}, {0.6, 0.5, red}, {0.9, 0.5, blue}})
	// 4:3 whole in a place of 320x120: 160x120 in its middle.
	v.Tiles = []wire.Tile{{Input: "video/1", X: 0, Y: 60, Width: 320, Height: 120}}
	s.view(v)
	s.see(100, codec.H264, width, height, "contain", []cell{{0.5, 0.5, red}, {0.28, 0.3, red}, {0.22, 0.5, palette[7].rgb}, {0.78, 0.5, palette[7].rgb}, {0.5, 0.2, palette[7].rgb}})
	s.picture("back", flat(64, 64, color.NRGBA{255, 255, 0, 255}))
	s.picture("face", flat(50, 100, color.NRGBA{0, 255, 0, 255}))
	s.picture("logo", flat(10, 10, color.NRGBA{0, 0, 255, 128}))
	v.Backdrop = "back"
	v.Tiles = append(v.Tiles, wire.Tile{Picture: "face", X: 0, Y: 0, Width: 100, Height: 60}, wire.Tile{Picture: "nobody", X: 200, Y: 0, Width: 20, Height: 20})
	v.Overlays = []wire.Overlay{{Picture: "logo", X: 241, Y: 181, Width: 200, Height: 200}, {Picture: "logo", X: 150, Y: 110, Width: 20, Height: 20}}
	s.view(v)
	yellow := palette[3].rgb
	s.see(100, codec.H264, width, height, "pictures", []cell{{0.5, 0.35, red}, {0.1, 0.95, yellow}, {0.155, 0.12, green}, {0.02, 0.12, yellow}, {0.65, 0.05, yellow},
		{0.9, 0.9, [3]int{127, 127, 128}}, {0.5, 0.5, [3]int{127, 0, 128}}})
	s.must(wire.MethodCall, wire.CallParams{Method: wire.MethodNoPicture, Params: encode(wire.NameParams{Name: "logo"})})
	s.see(100, codec.H264, width, height, "a picture goes", []cell{{0.9, 0.9, yellow}, {0.5, 0.5, red}})
}

// TestDirectorCover: what hangs over is cut off on both sides, not squeezed.
func TestDirectorCover(t *testing.T) {
	s := startDirector(t, 100)
	s.source(1, "video/1", mediaOf(codec.VP8), pictures(t, codec.VP8, 320, 160, 30), time.Second, 0)
	s.view(wire.View{Name: "v", Width: 80, Height: 160, Framerate: 25, Tiles: []wire.Tile{{Input: "video/1", Width: 80, Height: 160, Cover: true}}})
	s.encode(100, "video:v", codec.H264)
	s.see(100, codec.H264, 80, 160, "cover", []cell{{0.2, 0.5, palette[0].rgb}, {0.8, 0.05, palette[1].rgb}, {0.4, 0.95, palette[0].rgb}, {0.6, 0.5, palette[1].rgb}})
}

// TestDirectorAtomic: of 20 changes none is seen by half, and no picture is lost.
func TestDirectorAtomic(t *testing.T) {
	const width, height = 320, 120
	s := startDirector(t, 100)
	s.colours(1, "video/1", 0, 160, 120)
	s.colours(2, "video/2", 1, 160, 120)
	v := wire.View{Name: "v", Width: width, Height: height, Framerate: 25, Tiles: []wire.Tile{
		{Input: "video/1", X: 0, Y: 0, Width: 160, Height: 120}, {Input: "video/2", X: 160, Y: 0, Width: 160, Height: 120}}}
	s.view(v)
	s.encode(99, "video:v", codec.H264)
	s.see(99, codec.H264, width, height, "begin", gridCells(palette[:2], 2, 1))
	s.encode(100, "video:v", codec.H264)
	s.until("pictures", func() bool { return len(s.frames1(100)) > 2 })
	for range 20 {
		n := len(s.frames1(100))
		v.Tiles[0].X, v.Tiles[1].X = v.Tiles[1].X, v.Tiles[0].X
		s.view(v)
		s.until("pictures after a change", func() bool { return len(s.frames1(100)) > n+2 })
	}
	frames := s.frames1(100)
	even25(t, "changes", frames)
	changes, last := 0, [3]int{}
	for i, p := range decodeAll(t, frames, width, height) {
		l, r := p.at(0.25, 0.5), p.at(0.75, 0.5)
		switch {
		case near(l, palette[0].rgb) && near(r, palette[1].rgb), near(l, palette[1].rgb) && near(r, palette[0].rgb):
		default:
			t.Fatalf("picture %d of %d shows %v and %v", i, len(frames), l, r)
		}
		if i > 0 && !near(l, last) {
			changes++
		}
		last = l
	}
	if changes != 20 {
		t.Errorf("%d changes were seen, want 20", changes)
	}
}

func (s *stageRig) until(what string, ok func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("never: %s", what)
		}
	}
}

// TestDirectorViewsComeAndGo: beside a view that goes on, others come and go, and
// so do inputs of it; the input that both show has one decoder.
func TestDirectorViewsComeAndGo(t *testing.T) {
	s := startDirector(t, 100)
	s.colours(1, "video/1", 0, 320, 240)
	s.colours(2, "video/2", 1, 160, 120)
	s.view(wire.View{Name: "a", Width: 320, Height: 240, Framerate: 25, Sound: true, All: true, Tiles: grid(2, 2, 1, 320, 240)})
	s.encode(100, "video:a", codec.H264)
	s.encode(101, "video:a", codec.H264)
	s.see(101, codec.H264, 320, 240, "both", gridCells(palette[:2], 2, 1))
	for n := range 5 {
		other := wire.View{Name: "b", Width: 160, Height: 120, Framerate: 15 + n, Tiles: []wire.Tile{{Input: "video/1", Width: 160, Height: 120}}}
		s.view(other)
		s.encode(uint16(200+n), "video:b", codec.H264)
		s.see(uint16(200+n), codec.H264, 160, 120, "the other", []cell{{0.5, 0.5, palette[0].rgb}})
		var dot string
		if err := s.ask(wire.MethodDot, nil, &dot); err != nil {
			t.Fatal(err)
		}
		if n := decoderCount(dot); n != 2 {
			t.Errorf("%d decoders of 2 inputs", n)
		}
		stream := uint16(20 + n)
		s.colours(stream, "video/3", 2, 160, 120)
		s.must(wire.MethodCall, wire.CallParams{Method: wire.MethodNoView, Params: encode(wire.NameParams{Name: "b"})})
		s.leave(stream, "video/3")
		s.must(wire.MethodNoOutput, wire.IDParams{Stream: uint16(200 + n)})
	}
	s.leave(2, "video/2")
	s.see(101, codec.H264, 320, 240, "one is gone", gridCells([]colour{palette[0], {rgb: noColour}}, 2, 1))
	even25(t, "the view that went on", s.frames1(100))
	if code := s.close(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestDirectorSizeAndCodecChange: a source changes its size, then its codec; its
// tile never shows anything else.
func TestDirectorSizeAndCodecChange(t *testing.T) {
	s := startDirector(t, 100)
	units := slices.Concat(plain(t, codec.VP8, palette[1], 320, 240), shift(plain(t, codec.VP8, palette[1], 96, 64), time.Second))
	s.source(1, "video/1", mediaOf(codec.VP8), units, 2*time.Second, 0)
	s.view(wire.View{Name: "v", Width: 160, Height: 120, Framerate: 25, Color: "#00ff00", Tiles: []wire.Tile{{Input: "video/1", Width: 160, Height: 120, Cover: true}}})
	s.inputEvent(func(d wire.InputData) bool {
		return d.Input == "video/1" && d.Flowing && d.Width == 320 && d.Height == 240
	})
	s.encode(99, "video:v", codec.H264)
	s.see(99, codec.H264, 160, 120, "begin", []cell{{0.5, 0.5, palette[1].rgb}})
	s.encode(100, "video:v", codec.H264)
	s.inputEvent(func(d wire.InputData) bool { return d.Width == 96 && d.Height == 64 })
	s.inputEvent(func(d wire.InputData) bool { return d.Width == 320 && d.Height == 240 })
	close(s.stops[1])
	<-s.ended[1]
	s.source(2, "video/1", mediaOf(codec.H264), plain(t, codec.H264, palette[1], 200, 150), time.Second, 0)
	s.inputEvent(func(d wire.InputData) bool { return d.Width == 200 && d.Height == 150 })
	n := len(s.frames1(100))
	s.until("pictures after the change", func() bool { return len(s.frames1(100)) > n+25 })
	frames := s.frames1(100)
	even25(t, "size and codec", frames)
	for i, p := range decodeAll(t, frames, 160, 120) {
		for _, c := range []cell{{0.5, 0.5, palette[1].rgb}, {0.05, 0.05, palette[1].rgb}, {0.95, 0.95, palette[1].rgb}} {
			if at := p.at(c.x, c.y); !near(at, c.rgb) {
				t.Fatalf("picture %d of %d has %v at %.2f %.2f", i, len(frames), at, c.x, c.y)
			}
		}
	}
}

// TestDirectorStall: an input that brings nothing is told of, keeps its last
// picture, and is told of when it goes on.
func TestDirectorStall(t *testing.T) {
	s := startDirector(t, 100)
	s.colours(1, "video/1", 0, 160, 120)
	s.view(wire.View{Name: "v", Width: 160, Height: 120, Framerate: 25, Tiles: []wire.Tile{{Input: "video/1", Width: 160, Height: 120}}})
	s.encode(100, "video:v", codec.H264)
	s.see(100, codec.H264, 160, 120, "flows", []cell{{0.5, 0.5, palette[0].rgb}})
	close(s.stops[1])
	<-s.ended[1]
	s.inputEvent(func(d wire.InputData) bool { return d.Input == "video/1" && !d.Flowing })
	s.see(100, codec.H264, 160, 120, "stalls", []cell{{0.5, 0.5, palette[0].rgb}})
	s.colours(2, "video/1", 1, 160, 120)
	s.inputEvent(func(d wire.InputData) bool { return d.Input == "video/1" && d.Flowing })
	s.see(100, codec.H264, 160, 120, "goes on", []cell{{0.5, 0.5, palette[1].rgb}})
}

// TestDirectorFirstPicture: who replaces a picture by an input when that is told to
// flow never sees an empty place.
func TestDirectorFirstPicture(t *testing.T) {
	s := startDirector(t, 600)
	s.picture("avatar", flat(16, 12, color.NRGBA{uint8(palette[0].rgb[0]), uint8(palette[0].rgb[1]), uint8(palette[0].rgb[2]), 255}))
	tile := wire.Tile{Picture: "avatar", Width: 160, Height: 120}
	s.view(wire.View{Name: "v", Width: 160, Height: 120, Framerate: 25, Tiles: []wire.Tile{tile}})
	s.encode(100, "video:v", codec.H264)
	s.see(100, codec.H264, 160, 120, "avatar", []cell{{0.5, 0.5, palette[0].rgb}})
	s.colours(1, "video/1", 1, 160, 120)
	s.inputEvent(func(d wire.InputData) bool { return d.Input == "video/1" && d.Flowing })
	tile.Picture, tile.Input = "", "video/1"
	s.view(wire.View{Name: "v", Width: 160, Height: 120, Framerate: 25, Tiles: []wire.Tile{tile}})
	n := len(s.frames1(100))
	s.until("pictures after the first", func() bool { return len(s.frames1(100)) > n+25 })
	frames := s.frames1(100)
	even25(t, "avatar and picture", frames)
	for i, p := range decodeAll(t, frames, 160, 120) {
		if at := p.at(0.5, 0.5); !near(at, palette[0].rgb) && !near(at, palette[1].rgb) {
			t.Errorf("picture %d of %d shows %v", i, len(frames), at)
		}
	}
}

// TestDirectorSound: a view hears what it names, or all.
func TestDirectorSound(t *testing.T) {
	s := startDirector(t, 100)
	for i, hz := range []int{400, 1000, 2600} {
		s.source(uint16(i+1), fmt.Sprintf("audio/%d", i+1), mediaOf(codec.Opus), hum(t, hz), time.Second, 0)
	}
	s.view(wire.View{Name: "v", Sound: true, All: true})
	s.encode(100, "audio:v", codec.Opus)
	s.hears(100, "all", []int{400, 1000, 2600}, nil)
	s.view(wire.View{Name: "v", Sound: true, Hears: []string{"audio/1", "audio/3", "audio/9"}})
	s.hears(100, "one is mute", []int{400, 2600}, []int{1000})
	s.view(wire.View{Name: "v", Sound: true})
	s.hears(100, "all are mute", nil, nil)
}

// TestDirectorLevels: how loud each input is comes without anybody who listens, and
// its end is told.
func TestDirectorLevels(t *testing.T) {
	s := startDirector(t, 100)
	s.source(1, "audio/1", mediaOf(codec.Opus), hum(t, 1000), time.Second, 0)
	s.source(2, "audio/2", mediaOf(codec.Opus), hum(t, 0), time.Second, 0)
	levels := func(what string, ok func(map[string]int) bool) {
		t.Helper()
		for last := (map[string]int)(nil); ; {
			var j wire.JobData
			s.event(wire.EventJob, &j)
			var d wire.LevelsData
			if j.Name != wire.EventLevels || json.Unmarshal(j.Data, &d) != nil {
				continue
			}
			if ok(d.Levels) {
				t.Logf("%s: %v", what, d.Levels)
				return
			}
			if last = d.Levels; len(last) > 2 {
				t.Fatalf("%s: levels %v", what, last)
			}
		}
	}
	levels("a tone and silence", func(l map[string]int) bool {
		return l["audio/1"] > 0 && l["audio/1"] < 40 && l["audio/2"] > 70
	})
	for id := range uint16(2) {
		close(s.stops[id+1])
		<-s.ended[id+1]
	}
	levels("nothing", func(l map[string]int) bool { return len(l) == 0 })
}

// TestDirectorLatePair: picture and sound of a source that is always too late are
// seen and heard, moved together.
func TestDirectorLatePair(t *testing.T) {
	s := startDirector(t, 100)
	s.view(wire.View{Name: "v", Width: 160, Height: 120, Framerate: 25, Sound: true, All: true, Tiles: []wire.Tile{{Input: "video/7", Width: 160, Height: 120}}})
	s.encode(100, "video:v", codec.H264)
	s.encode(101, "audio:v", codec.Opus)
	units := slices.Concat(plain(t, codec.VP8, palette[1], 160, 120), shift(plain(t, codec.VP8, palette[2], 160, 120), time.Second))
	s.source(1, "video/7", mediaOf(codec.VP8), units, 2*time.Second, 900*time.Millisecond)
	s.source(2, "audio/7", mediaOf(codec.Opus), hum(t, 1000), time.Second, 700*time.Millisecond)
	s.hears(101, "late sound", []int{1000}, nil)
	s.see(100, codec.H264, 160, 120, "late picture", []cell{{0.5, 0.5, palette[1].rgb}})
	s.see(100, codec.H264, 160, 120, "late picture goes on", []cell{{0.5, 0.5, palette[2].rgb}})
	s.hears(101, "late sound still", []int{1000}, nil)
}

func TestDirectorRefuses(t *testing.T) {
	s := startDirector(t, 0)
	ok := wire.View{Name: "v", Width: 64, Height: 64, Framerate: 25}
	s.view(ok)
	bad := func(f func(*wire.View)) {
		t.Helper()
		v := ok
		f(&v)
		if err := s.ask(wire.MethodCall, wire.CallParams{Method: wire.MethodView, Params: encode(v)}, nil); err == nil {
			t.Errorf("a view as %+v", v)
		}
	}
	bad(func(v *wire.View) { v.Name = "" })
	bad(func(v *wire.View) { v.Width = 66 })
	bad(func(v *wire.View) { v.Name, v.Width = "w", 65 })
	bad(func(v *wire.View) { v.Name, v.Framerate = "w", 0 })
	bad(func(v *wire.View) { v.Color = "red" })
	bad(func(v *wire.View) { v.Tiles = []wire.Tile{{Input: "a", X: 2, Width: 64, Height: 64}} })
	bad(func(v *wire.View) { v.Tiles = []wire.Tile{{Input: "a", Width: 63, Height: 64}} })
	bad(func(v *wire.View) { v.Tiles = []wire.Tile{{Width: 64, Height: 64}} })
	bad(func(v *wire.View) { v.Overlays = []wire.Overlay{{Picture: "a"}} })
	for _, image := range [][]byte{nil, []byte("no image"), make([]byte, 3<<20)[:2<<20+1]} {
		if err := s.ask(wire.MethodCall, wire.CallParams{Method: wire.MethodPicture, Params: encode(wire.Picture{Name: "p", Image: image})}, nil); err == nil {
			t.Errorf("a picture of %d bytes", len(image))
		}
	}
	if err := s.ask(wire.MethodCall, wire.CallParams{Method: wire.MethodNoView, Params: encode(wire.NameParams{Name: "nobody"})}, nil); err != nil {
		t.Error(err)
	}
}

// TestDirectorCloseAtOnce: it ends in order, whatever has just begun.
func TestDirectorCloseAtOnce(t *testing.T) {
	units := plain(t, codec.VP8, palette[0], 160, 120)
	for n := range 5 {
		r := startJob(t, wire.KindDirector, wire.DirectorParams{})
		if n > 0 {
			v := wire.View{Name: "v", Width: 320, Height: 240, Framerate: 25, Sound: true, All: true, Tiles: grid(2, 2, 1, 320, 240)}
			r.must(wire.MethodCall, wire.CallParams{Method: wire.MethodView, Params: encode(v)})
		}
		if n > 1 {
			r.must(wire.MethodInput, wire.StreamParams{Stream: 1, Name: "video/1", Media: mediaOf(codec.VP8)})
			r.must(wire.MethodOutput, wire.OutputParams{Stream: 100, Port: "video:v", Media: mediaOf(codec.H264)})
		}
		if n > 2 {
			r.send(1, units[0].data, 0, wire.Key)
		}
		if code := r.close(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
}

// decoderCount counts the decoders of pictures in a drawing of the graph.
func decoderCount(dot string) int {
	n := 0
	for _, e := range []string{"<GstVP8Dec>", "<avdec_vp8>", "GstVP8Dec\\n", "avdec_vp8\\n"} {
		n += bytes.Count([]byte(dot), []byte(e))
	}
	return n
}
