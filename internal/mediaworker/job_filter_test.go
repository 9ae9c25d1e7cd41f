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
	"slices"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

// Pictures of our own making: a drawn face, and a QR code of codeText.
const (
	facePicture = "../../elements/filters/testdata/face.png"
	codePicture = "../../elements/filters/testdata/qr.png"
	codeText    = "https://govidu.example/qr?a=1&b=2"
)

var green, black, white = [3]int{0, 255, 0}, [3]int{0, 0, 0}, [3]int{255, 255, 255}

// still makes coded video of one picture in the middle of a grey frame.
func still(t testing.TB, file string, width, height, frames int) []unit {
	t.Helper()
	b := ffmpeg(t, nil, append([]string{
		"-loop", "1", "-r", "30", "-i", file, "-frames:v", fmt.Sprint(frames), "-pix_fmt", "yuv420p", "-g", "30",
		"-vf", fmt.Sprintf("pad=%d:%d:(ow-iw)/2:(oh-ih)/2:white", width, height), "-b:v", "3M",
	}, append(ffmpegEncoders[codec.VP8], "-")...)...)
	var units []unit
	for b = b[32:]; len(b) >= 12; {
		n := le32(b)
		units = append(units, unit{b[12 : 12+n], time.Duration(len(units)) * time.Second / 30, codec.KeyFrameUnit(codec.VP8, b[12:12+n])})
		b = b[12+n:]
	}
	return units
}

// run plays units to a filter over and over until the test ends.
func (r *rig) run(units []unit) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-end:
				return
			default:
				r.play(1, units, end)
			}
		}
	}()
	return func() { close(end); <-done }
}

// until collects frames of a stream, a keyframe each time, until the picture is
// as wanted.
func (r *rig) until(stream uint16, width, height int, what string, ok func(shown) bool) {
	r.t.Helper()
	limit := time.After(patience)
	for {
		for len(r.frames) > 0 {
			<-r.frames
		}
		r.must(wire.MethodKeyFrame, wire.IDParams{Stream: stream})
		var frames []coded
		for len(frames) < 10 {
			select {
			case f := <-r.frames:
				if f.stream == stream && (f.key || len(frames) > 0) {
					frames = append(frames, f)
				}
			case <-limit:
				r.t.Fatalf("never seen: %s", what)
			}
		}
		if ok(decodePictures(r.t, codec.VP8, frames, width, height)) {
			return
		}
	}
}

func (r *rig) call(method string, params any) error {
	return r.ask(wire.MethodCall, wire.CallParams{Method: method, Params: encode(params)}, nil)
}

func startFilter(t testing.TB, p filterParams, from, to codec.Name) *rig {
	t.Helper()
	r := startJob(t, "filter", p)
	input1(r, from)
	encodeTo(r, 10, to, 2_000_000)
	return r
}

func TestFilterFlips(t *testing.T) {
	r := startFilter(t, filterParams{Effect: "element", Kind: "video", Element: "videoflip", Properties: []filterSetting{{"method", "enum", "horizontal-flip"}}}, codec.VP8, codec.VP8)
	defer r.run(pictures(t, codec.VP8, 192, 128, 60))()
	halves := func(left, right [3]int) func(shown) bool {
		return func(p shown) bool { return near(p.at(0.25, 0.5), left) && near(p.at(0.75, 0.5), right) }
	}
	r.until(10, 192, 128, "the flip", halves(blue, red))
	if err := r.call("property", filterSetting{"method", "enum", "none"}); err != nil {
		t.Fatal(err)
	}
	r.until(10, 192, 128, "no flip any more", halves(red, blue))
	for _, s := range []filterSetting{{"method", "enum", "sideways"}, {"nosuch", "int", "1"}} {
		if err := r.call("property", s); err == nil || err.(*wire.Error).Code != int(kerr.MarshallError) {
			t.Errorf("%v: %v", s, err)
		}
	}
	if err := r.call("location", nil); err == nil {
		t.Error("an unknown call is answered")
	}
}

// TestFilterTurns: an effect that changes the frame's size.
func TestFilterTurns(t *testing.T) {
	r := startFilter(t, filterParams{Effect: "element", Kind: "video", Element: "videoflip", Properties: []filterSetting{{"method", "enum", "clockwise"}}}, codec.VP8, codec.VP8)
	defer r.run(pictures(t, codec.VP8, 192, 128, 60))()
	r.until(10, 128, 192, "red above blue", func(p shown) bool { return near(p.at(0.5, 0.25), red) && near(p.at(0.5, 0.75), blue) })
}

func TestFilterCaps(t *testing.T) {
	r := startFilter(t, filterParams{Effect: "element", Kind: "video", Element: "capsfilter", Properties: []filterSetting{{"caps", "caps", "video/x-raw,format=GRAY8,width=96,height=64,framerate=10/1"}}}, codec.VP8, codec.VP8)
	defer r.run(pictures(t, codec.VP8, 192, 128, 60))()
	r.until(10, 96, 64, "a small grey picture", func(p shown) bool {
		c := p.at(0.25, 0.5)
		return max(c[0], c[1], c[2])-min(c[0], c[1], c[2]) < 20
	})
	got := r.collect(10, 12)
	if d := got[11].pts - got[1].pts; d < 900*time.Millisecond || d > 1100*time.Millisecond {
		t.Errorf("ten frames take %v, want a second", d)
	}
}

// TestFilterText: what would be markup and what would be quoting is text.
func TestFilterText(t *testing.T) {
	r := startFilter(t, filterParams{Effect: "element", Kind: "video", Element: "textoverlay", Properties: []filterSetting{
		{"text", "string", `"\303" &lt;b&gt; &amp; ` + "\u2588\u2588\u2588"}, {"font-desc", "string", "Sans 40"}, {"valignment", "enum", "center"}, {"halignment", "enum", "center"},
	}}, codec.VP8, codec.VP8)
	defer r.run(pictures(t, codec.VP8, 320, 240, 60))()
	bright := func(p shown) (n int) {
		for i := 0; i < len(p.rgb); i += 3 {
			if near([3]int{int(p.rgb[i]), int(p.rgb[i+1]), int(p.rgb[i+2])}, white) {
				n++
			}
		}
		return n
	}
	var with int
	r.until(10, 320, 240, "text", func(p shown) bool { with = bright(p); return with > 500 })
	if err := r.call("property", filterSetting{"text", "string", ""}); err != nil {
		t.Fatal(err)
	}
	r.until(10, 320, 240, "no text any more", func(p shown) bool { return bright(p) < with/10 })
}

// TestFilterEveryElement: each element of the list makes raw media of raw media.
func TestFilterEveryElement(t *testing.T) {
	picture, sound := pictures(t, codec.VP8, 192, 128, 5), tone(t, codec.Opus, 200*time.Millisecond)
	have := Ready().Elements
	for _, name := range filterElements {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !slices.Contains(have, name) {
				t.Fatalf("%s is not installed", name)
			}
			kind, from, units := "video", codec.VP8, picture
			if slices.Contains([]string{"volume", "freeverb", "stereo", "pitch", "level"}, name) || len(name) > 5 && (name[:5] == "audio" || name[:5] == "equal") {
				kind, from, units = "audio", codec.Opus, sound
			}
			r := startJob(t, "filter", filterParams{Effect: "element", Kind: kind, Element: name})
			input1(r, from)
			r.play(1, units, nil)
			var flow wire.FlowData
			r.event(wire.EventFlow, &flow)
			if !flow.Flowing || flow.Kind != kind || flow.Port != "out" {
				t.Errorf("flow is %+v", flow)
			}
		})
	}
}

func TestFilterVolume(t *testing.T) {
	level := func(volume string, live bool) float64 {
		p := filterParams{Effect: "element", Kind: "audio", Element: "volume"}
		if !live {
			p.Properties = []filterSetting{{"volume", "double", volume}}
		}
		r := startFilter(t, p, codec.Opus, codec.Opus)
		if live {
			if err := r.call("property", filterSetting{"volume", "double", volume}); err != nil {
				t.Fatal(err)
			}
		}
		r.play(1, tone(t, codec.Opus, 1200*time.Millisecond), nil)
		s := decodeSound(t, codec.Opus, r.collect(10, 45))
		rms, share := energy(s[9600:24000], 1000)
		if share < 0.9 && volume != "0" {
			t.Errorf("volume %s: only %.2f of the energy is at 1 kHz", volume, share)
		}
		return rms
	}
	whole, quarter, live, none := level("1", false), level("0.25", false), level("0.25", true), level("0", false)
	for _, q := range []float64{quarter, live} {
		if q < whole*0.2 || q > whole*0.3 {
			t.Errorf("a quarter of %.3f is %.3f", whole, q)
		}
	}
	if none > whole/100 {
		t.Errorf("silence is %.3f", none)
	}
}

func square(t testing.TB, c color.Color) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 16, 16))
	for i := range 256 {
		m.Set(i%16, i/16, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFilterImages(t *testing.T) {
	r := startFilter(t, filterParams{Effect: "images", Kind: "video"}, codec.VP8, codec.VP8)
	defer r.run(pictures(t, codec.VP8, 192, 128, 60))()
	r.until(10, 192, 128, "the video", func(p shown) bool { return near(p.at(0.3, 0.3), red) && near(p.at(0.8, 0.8), blue) })
	set := func(p pictureParams) {
		t.Helper()
		if err := r.call("image", p); err != nil {
			t.Fatal(err)
		}
	}
	set(pictureParams{Slot: 0, Order: 2, Image: square(t, color.NRGBA{0, 255, 0, 255}), X: 0.25, Y: 0.25, Width: 0.25, Height: 0.25})
	set(pictureParams{Slot: 1, Order: 1, Image: square(t, color.White), X: 0.375, Y: 0.25, Width: 0.25, Height: 0.25})
	r.until(10, 192, 128, "green over white", func(p shown) bool {
		return near(p.at(0.3, 0.3), green) && near(p.at(0.45, 0.45), green) && near(p.at(0.58, 0.4), white) && near(p.at(0.1, 0.4), red) && near(p.at(0.7, 0.4), blue)
	})
	set(pictureParams{Slot: 1, Order: 3, Image: square(t, color.White), X: 0.375, Y: 0.25, Width: 0.25, Height: 0.25})
	r.until(10, 192, 128, "white over green", func(p shown) bool { return near(p.at(0.3, 0.3), green) && near(p.at(0.45, 0.45), white) })
	set(pictureParams{Slot: 0})
	set(pictureParams{Slot: 5})
	r.until(10, 192, 128, "white alone", func(p shown) bool { return near(p.at(0.3, 0.3), red) && near(p.at(0.45, 0.45), white) })
	if r.call("image", pictureParams{Slot: 99}) == nil || r.call("image", pictureParams{Image: []byte("no picture")}) == nil {
		t.Error("nonsense is accepted")
	}
}

func TestFilterFaces(t *testing.T) {
	r := startFilter(t, filterParams{Effect: "faces", Kind: "video"}, codec.VP8, codec.VP8)
	stop := r.run(still(t, facePicture, 640, 480, 60))
	// The face is about 300 to 500 by 150 to 350: its middle is green, the rest not.
	place := pictureParams{Image: square(t, color.NRGBA{0, 255, 0, 255}), X: 0.25, Y: 0.25, Width: 0.5, Height: 0.5}
	face := func(p shown) bool { return near(p.at(400./640, 250./480), green) }
	r.until(10, 640, 480, "the bare face", func(p shown) bool { return !face(p) })
	if err := r.call("image", place); err != nil {
		t.Fatal(err)
	}
	r.until(10, 640, 480, "the covered face", func(p shown) bool {
		return face(p) && !near(p.at(0.2, 0.5), green) && !near(p.at(400./640, 130./480), green)
	})
	if err := r.call("image", pictureParams{}); err != nil {
		t.Fatal(err)
	}
	r.until(10, 640, 480, "the bare face again", func(p shown) bool { return !face(p) })
	if err := r.call("image", place); err != nil {
		t.Fatal(err)
	}
	r.until(10, 640, 480, "the covered face again", face)
	stop()
	// Nobody there any more: the picture goes within about a second.
	defer r.run(pictures(t, codec.VP8, 640, 480, 30))()
	r.until(10, 640, 480, "no face, no picture", func(p shown) bool { return near(p.at(400./640, 250./480), blue) })
}

func TestFilterCodes(t *testing.T) {
	r := startJob(t, "filter", filterParams{Effect: "codes", Kind: "video"})
	input1(r, codec.VP8)
	defer r.run(still(t, codePicture, 640, 480, 60))()
	for range 2 {
		var e wire.JobData
		r.event(wire.EventJob, &e)
		var c foundCode
		if err := json.Unmarshal(e.Data, &c); err != nil || e.Name != "code" || c.CodeType != "QR-Code" || c.Value != codeText {
			t.Fatalf("event %s %s, %v", e.Name, e.Data, err)
		}
	}
}

func TestFilterRefusals(t *testing.T) {
	for _, c := range []struct {
		p    filterParams
		code kerr.Code
	}{
		{filterParams{Effect: "element", Kind: "video", Element: "filesrc"}, kerr.MarshallError},
		{filterParams{Effect: "element", Kind: "video", Element: "videoflip ! filesink location=/tmp/x"}, kerr.MarshallError},
		{filterParams{Effect: "element", Kind: "video", Element: "videoflip", Properties: []filterSetting{{"location", "string", "/x"}}}, kerr.MarshallError},
		{filterParams{Effect: "element", Kind: "smell", Element: "videoflip"}, kerr.MediaObjectIllegalParam},
		{filterParams{Effect: "nothing", Kind: "video"}, kerr.MediaObjectIllegalParam},
	} {
		r := newRig(t)
		err := r.ask(wire.MethodStart, wire.StartParams{Kind: "filter", Params: encode(c.p)}, nil)
		if e, ok := err.(*wire.Error); !ok || e.Code != int(c.code) {
			t.Errorf("%+v: %v, want %d", c.p, err, int(c.code))
		}
		r.end()
	}
	r := startJob(t, "filter", filterParams{Effect: "images", Kind: "video"})
	for _, p := range []wire.StreamParams{{Stream: 1, Name: "other", Media: mediaOf(codec.VP8)}, {Stream: 1, Name: "in", Media: mediaOf(codec.Opus)}} {
		if r.ask(wire.MethodInput, p, nil) == nil {
			t.Errorf("input %+v is taken", p)
		}
	}
	if err := r.call("check", nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/tmp/x"); err == nil {
		t.Error("a file was made")
	}
}
