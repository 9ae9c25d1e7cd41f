package hubs_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/hubs"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/internal/workers/workerstest"
	"github.com/govidu/govidu/pipeline"
)

// room is a Director with described ports, each fed by a unitSource.
type room struct {
	*table
	farm *workerstest.Farm
	w    *workerstest.Worker
}

func newRoom(t testing.TB, n int, config ...func(*workers.Config)) *room {
	t.Helper()
	farm := workerstest.New(t, workerstest.Script{}, config...)
	return roomOf(t, farm, hubs.Deps{Pool: farm.Pool}, n)
}

func roomOf(t testing.TB, farm *workerstest.Farm, d hubs.Deps, n int) *room {
	t.Helper()
	w := elementtest.NewWith(t, []pipeline.Converter{pipeline.NewEncoder()}, append(unitTypes(), hubs.Types(d)...)...)
	r := &room{table: &table{World: w, t: t, hub: w.Create("Director", nil)}, farm: farm}
	r.w = farm.Worker(t, 0)
	for range n {
		r.join(nil)
	}
	return r
}

// join adds a port with a source s<n>, described with more.
func (r *room) join(more map[string]any) int {
	r.t.Helper()
	i := len(r.ports)
	port := r.Create("HubPort", map[string]any{"hub": r.hub})
	source := r.Element("UnitSource", nil).(*unitSource)
	r.ports, r.sources = append(r.ports, port), append(r.sources, source)
	r.describe(i, more)
	r.Call(source, "connect", map[string]any{"sink": port})
	return i
}

func (r *room) describe(i int, more map[string]any) {
	r.t.Helper()
	s := map[string]any{"streamId": fmt.Sprint("s", i+1), "connectionId": fmt.Sprint("c", i+1), "name": fmt.Sprint("Name ", i+1)}
	for k, v := range more {
		s[k] = v
	}
	r.Call(r.hub, "describePort", map[string]any{"port": r.ports[i].ID(), "source": s})
}

// film sends a picture of each source.
func (r *room) film() {
	for _, s := range r.sources {
		s.send(pipeline.Video, workerstest.Unit(codec.VP8, true), true)
		s.send(pipeline.Audio, workerstest.Unit(codec.Opus, true), true)
	}
}

// tiles describes a view as the worker was told last: inputs, or "avatar".
func (r *room) tiles(name string) string {
	v, ok := r.w.Views()[name]
	if !ok {
		return "none"
	}
	var list []string
	for _, t := range v.Tiles {
		what := t.Input
		if what == "" {
			what = "avatar"
		}
		list = append(list, fmt.Sprintf("%s@%d,%d,%dx%d", what, t.X, t.Y, t.Width, t.Height))
	}
	return strings.Join(list, " ")
}

func (r *room) shows(name, want string) {
	r.t.Helper()
	got := ""
	defer func() {
		if r.t.Failed() {
			r.t.Logf("view %s shows %s", name, got)
		}
	}()
	r.farm.Wait(r.t, name+" to show "+want, func() bool { got = r.tiles(name); return got == want })
}

func view(director elements.Object, more map[string]any) map[string]any {
	p := map[string]any{"director": director}
	for k, v := range more {
		p[k] = v
	}
	return p
}

func TestDirectorContract(t *testing.T) {
	family, _ := types(t, workerstest.Script{})
	elementtest.Run(t, family, elementtest.Case{Type: "View", Hub: "Director", HubParam: "director", Ancestors: []string{"MediaElement", "MediaObject"}})
}

func TestDirectorView(t *testing.T) {
	r := newRoom(t, 2)
	if kind, params := r.w.Kind(); kind != wire.KindDirector || string(params) != `{"latencyMs":300}` {
		t.Errorf("job %s %s", kind, params)
	}
	v := r.Create("View", view(r.hub, nil))
	r.shows("v1", "avatar@0,120,640x480 avatar@640,120,640x480")
	r.film()
	r.shows("v1", "video/1@0,120,640x480 video/2@640,120,640x480")
	told := r.w.Views()["v1"]
	if told.Width != 1280 || told.Height != 720 || told.Framerate != 25 || !told.Sound || !told.All || len(told.Hears) != 0 || len(told.Overlays) != 2 {
		t.Errorf("told %+v", told)
	}
	pictures := r.w.Pictures()
	if len(pictures) != 2 {
		t.Errorf("%d pictures are known, want the two names", len(pictures))
	}
	for _, o := range told.Overlays {
		c, err := png.DecodeConfig(bytes.NewReader(pictures[o.Picture]))
		if err != nil || c.Width != o.Width || c.Height != o.Height || o.Y+o.Height > 600 || o.Y < 500 {
			t.Errorf("label %+v: %v %v", o, c, err)
		}
	}
	r.join(map[string]any{"big": true})
	r.film()
	r.shows("v1", "video/3@0,0,1024x720 video/1@1024,168,256x192 video/2@1024,360,256x192")
	if got := r.Call(v, "getTiles", nil).([]any); len(got) != 3 || got[0].(map[string]any)["streamId"] != "s3" || got[0].(map[string]any)["name"] != "Name 3" {
		t.Errorf("tiles %v", got)
	}
	r.Release(r.ports[2])
	r.shows("v1", "video/1@0,120,640x480 video/2@640,120,640x480")
	r.Call(r.sources[0], "disconnect", map[string]any{"sink": r.ports[0]})
	r.shows("v1", "video/2@0,0,1280x720")
	if got := r.Call(r.hub, "getViews", nil).([]any); !slices.Equal(got, []any{v.ID()}) {
		t.Errorf("views %v", got)
	}
	r.Release(v)
	r.farm.Wait(t, "the view to end", func() bool { return len(r.w.Views()) == 0 && len(r.w.Pictures()) == 0 })
	if got := r.Call(r.hub, "getViews", nil).([]any); len(got) != 0 {
		t.Errorf("views %v", got)
	}
}

// TestDirectorAvatars: whoever has no picture to show is an avatar, until it has one.
func TestDirectorAvatars(t *testing.T) {
	r := newRoom(t, 1)
	r.Create("View", view(r.hub, nil))
	const picture, avatar = "video/1@0,0,1280x720", "avatar@0,0,1280x720"
	r.film()
	r.shows("v1", picture)
	r.describe(0, map[string]any{"videoActive": false})
	r.shows("v1", avatar)
	told := r.w.Views()["v1"]
	m, err := png.Decode(bytes.NewReader(r.w.Pictures()[told.Tiles[0].Picture]))
	if err != nil || m.Bounds().Dx() != 640 || m.Bounds().Dy() != 360 || len(told.Overlays) != 0 {
		t.Errorf("avatar: %v %v, %d labels", err, m, len(told.Overlays))
	}
	r.describe(0, nil)
	r.shows("v1", picture)
	r.w.Input("video/1", false, 0, 0)
	r.shows("v1", avatar)
	r.w.Input("video/1", true, 640, 360)
	r.shows("v1", picture)
	r.Call(r.sources[0], "disconnect", map[string]any{"sink": r.ports[0], "mediaType": "VIDEO"})
	r.shows("v1", avatar) // it is heard still
	r.Call(r.sources[0], "connect", map[string]any{"sink": r.ports[0], "mediaType": "VIDEO"})
	r.shows("v1", picture)
}

// TestDirectorSound: who is heard follows audioActive and the layout.
func TestDirectorSound(t *testing.T) {
	r := newRoom(t, 3)
	v := r.Create("View", view(r.hub, map[string]any{"hasVideo": false}))
	hears := func(want string) {
		t.Helper()
		r.farm.Wait(t, "to hear "+want, func() bool {
			told, ok := r.w.Views()["v1"]
			return ok && fmt.Sprint(told.All, told.Hears) == want
		})
	}
	hears("true []")
	if told := r.w.Views()["v1"]; told.Width != 0 || told.Framerate != 0 || len(told.Tiles) != 0 {
		t.Errorf("a view without pictures is %+v", told)
	}
	r.describe(1, map[string]any{"audioActive": false})
	hears("false [audio/1 audio/3]")
	r.Call(v, "setLayout", map[string]any{"layout": map[string]any{"audio": []any{"s1", "c2"}}})
	hears("false [audio/1]")
	r.Call(v, "setLayout", map[string]any{"layout": map[string]any{"audio": []any{}}})
	hears("false []")
	r.Call(v, "setLayout", map[string]any{"layout": map[string]any{}})
	r.describe(1, nil)
	hears("true []")
}

// TestDirectorLayout: a layout is on its way when the call returns; a bad one
// changes nothing.
func TestDirectorLayout(t *testing.T) {
	r := newRoom(t, 2)
	v := r.Create("View", view(r.hub, map[string]any{"layout": map[string]any{"layout": "HORIZONTAL_PRESENTATION", "names": false}}))
	r.film()
	r.shows("v1", "video/1@0,0,1280x576 video/2@512,576,256x144")
	const large = "video/2@0,0,1280x576 video/1@512,576,256x144"
	r.Call(v, "setLayout", map[string]any{"layout": map[string]any{"layout": "SPEAKER"}})
	r.Call(v, "setSpeaker", map[string]any{"streamId": "s2"})
	r.shows("v1", large)
	for _, bad := range []map[string]any{{"layout": "NOPE"}, {"layuot": "SPEAKER"}, {"background": map[string]any{"color": "red"}}, {"background": map[string]any{"image": "http://x/"}}} {
		_, err := r.Invoke(v, "setLayout", map[string]any{"layout": bad})
		elementtest.Code(t, err, kerr.MarshallError, "")
		_, err = r.TryCreate("View", view(r.hub, map[string]any{"layout": bad}))
		elementtest.Code(t, err, kerr.MarshallError, "")
	}
	_, err := r.Invoke(v, "setLayout", map[string]any{"layout": "SPEAKER"})
	elementtest.Code(t, err, kerr.MarshallError, "'layout' parameter should be a object")
	r.shows("v1", large)
	if got := string(r.Call(v, "getLayout", nil).(json.RawMessage)); got != `{"layout":"SPEAKER"}` {
		t.Errorf("layout %s", got)
	}
}

// TestDirectorSpeaker: who is heard is shown large, unless somebody says who
// speaks, or the speaker is muted.
func TestDirectorSpeaker(t *testing.T) {
	r := newRoom(t, 2)
	v := r.Create("View", view(r.hub, map[string]any{"layout": map[string]any{"layout": "SPEAKER", "names": false}}))
	r.film()
	const first, second = "video/1@0,0,1280x576 video/2@512,576,256x144", "video/2@0,0,1280x576 video/1@512,576,256x144"
	r.shows("v1", first)
	speak := func(one, two int) {
		for range 12 {
			r.w.Event(wire.EventLevels, wire.LevelsData{Levels: map[string]int{"audio/1": one, "audio/2": two, "audio/9": 0}})
		}
	}
	speak(wire.Silence, 20)
	r.shows("v1", second)
	speak(20, wire.Silence)
	r.shows("v1", first)
	r.Call(v, "setSpeaker", map[string]any{"streamId": "s2"})
	r.shows("v1", second)
	r.Call(v, "setSpeaker", map[string]any{"streamId": ""})
	r.shows("v1", first)
	r.describe(0, map[string]any{"audioActive": false})
	speak(10, 30)
	r.shows("v1", second)
	r.describe(0, map[string]any{"big": true})
	r.shows("v1", first)
}

// TestDirectorTwoViews: one decoding, several pictures; each has its encoders.
func TestDirectorTwoViews(t *testing.T) {
	r := newRoom(t, 2)
	a := r.Element("View", view(r.hub, nil))
	b := r.Element("View", view(r.hub, map[string]any{"width": 720, "height": 1280, "layout": map[string]any{"layout": "PORTRAIT"}, "videoBitrate": 900000, "hasAudio": false}))
	sink := r.Element("UnitSink", map[string]any{"video": "H264"}).(*unitSink)
	other := r.Element("UnitSink", nil).(*unitSink)
	r.Call(a, "connect", map[string]any{"sink": sink})
	r.Call(b, "connect", map[string]any{"sink": other})
	r.film()
	r.farm.Wait(t, "media of both", func() bool {
		return len(sink.frames(pipeline.Video)) > 0 && len(sink.frames(pipeline.Audio)) > 0 && len(other.frames(pipeline.Video)) > 0
	})
	var got []string
	for _, o := range r.w.Outputs() {
		got = append(got, fmt.Sprint(o.Port, " ", o.Codec, " ", o.Bitrate))
	}
	slices.Sort(got)
	if want := []string{"audio:v1 opus 0", "video:v1 H264 1958400", "video:v2 VP8 900000"}; !slices.Equal(got, want) {
		t.Errorf("encodings %q, want %q", got, want)
	}
	if got := r.w.Inputs(); len(got) != 4 {
		t.Errorf("inputs %v", got)
	}
	r.Release(a)
	r.farm.Wait(t, "its encoders to end", func() bool { return len(r.w.Outputs()) == 1 && len(r.w.Views()) == 1 })
}

// TestDirectorCrash: the next worker is told all again, pictures before the views
// that show them, and avatars stand in until it has pictures.
func TestDirectorCrash(t *testing.T) {
	r := newRoom(t, 2)
	v := r.Create("View", view(r.hub, map[string]any{"layout": map[string]any{"background": map[string]any{"color": "#102030"}}}))
	r.film()
	r.shows("v1", "video/1@0,120,640x480 video/2@640,120,640x480")
	r.w.Crash()
	for _, o := range []elements.Object{r.hub, r.ports[0], v} {
		e := r.WaitEvents(o, "Error", 1)[0]
		if text := e.Data["description"].(string); !strings.Contains(text, "another one takes over") {
			t.Errorf("error of %s says %q", o.ID(), text)
		}
	}
	r.w = r.farm.Worker(t, 1)
	r.shows("v1", "avatar@0,120,640x480 avatar@640,120,640x480")
	absent := func() []int64 {
		var list []int64
		for _, tile := range r.Call(v, "getTiles", nil).([]any) {
			list = append(list, tile.(map[string]any)["absentMs"].(int64))
		}
		return list
	}
	if got := absent(); !slices.Equal(got, []int64{-1, -1}) {
		t.Errorf("while the pictures are away, they are for %v ms", got)
	}
	r.film()
	r.shows("v1", "video/1@0,120,640x480 video/2@640,120,640x480")
	if got := absent(); got[0] < 1 || got[1] < 1 {
		t.Errorf("the pictures were away for %v ms", got)
	}
	known := map[string]bool{}
	for _, q := range r.w.Requests(wire.MethodCall) {
		var c wire.CallParams
		var p wire.Picture
		var told wire.View
		if err := json.Unmarshal(q.Params, &c); err != nil {
			t.Fatal(err)
		}
		switch c.Method {
		case wire.MethodPicture:
			json.Unmarshal(c.Params, &p)
			known[p.Name] = true
		case wire.MethodView:
			json.Unmarshal(c.Params, &told)
			if told.Color != "#102030" {
				t.Errorf("colour %q", told.Color)
			}
			for _, x := range told.Tiles {
				if x.Picture != "" && !known[x.Picture] {
					t.Errorf("picture %s is shown before it is known", x.Picture)
				}
			}
		}
	}
}

// TestDirectorFull: a view for which there is no processor time is refused, and
// there is room again when another is released.
func TestDirectorFull(t *testing.T) {
	r := newRoom(t, 0, func(c *workers.Config) { c.Cores = 0.8 })
	first := r.Create("View", view(r.hub, nil))
	second := r.Create("View", view(r.hub, nil))
	_, err := r.TryCreate("View", view(r.hub, nil))
	elementtest.Code(t, err, kerr.NotEnoughResources, "try again in 5 s")
	r.Release(first)
	r.Create("View", view(r.hub, nil))
	r.Release(second)
}

// Decoding counts: with more sources a view does not fit any more.
func TestDirectorFullOfSources(t *testing.T) {
	for n, fits := range map[int]bool{1: true, 9: false} {
		r := newRoom(t, n, func(c *workers.Config) { c.Cores = 0.7 })
		r.Create("View", map[string]any{"director": r.hub, "width": 640, "height": 360}) // the first always fits
		_, err := r.TryCreate("View", map[string]any{"director": r.hub})
		if !fits {
			elementtest.Code(t, err, kerr.NotEnoughResources, "try again in 5 s")
		} else if err != nil {
			t.Errorf("with %d sources: %v", n, err)
		}
	}
}

func TestDirectorRefuses(t *testing.T) {
	r := newRoom(t, 1)
	for _, p := range []map[string]any{{"width": 2}, {"height": 5000}, {"framerate": 121}, {"framerate": -1}, {"videoBitrate": -1}, {"hasAudio": false, "hasVideo": false}} {
		_, err := r.TryCreate("View", view(r.hub, p))
		elementtest.Code(t, err, kerr.MediaObjectIllegalParam, "not possible")
	}
	_, err := r.TryCreate("Director", map[string]any{"latencyMs": -1})
	elementtest.Code(t, err, kerr.MediaObjectIllegalParam, "not possible")
	stranger := r.Create("HubPort", map[string]any{"hub": r.Create("Dispatcher", nil)})
	_, err = r.Invoke(r.hub, "describePort", map[string]any{"port": stranger, "source": map[string]any{"streamId": "x"}})
	elementtest.Code(t, err, kerr.ConnectError, "does not belong")
	_, err = r.Invoke(r.hub, "describePort", map[string]any{"port": r.ports[0], "source": map[string]any{}})
	elementtest.Code(t, err, kerr.MarshallError, "streamId")
	_, err = r.Invoke(r.hub, "describePort", map[string]any{"port": r.ports[0], "source": map[string]any{"streamId": strings.Repeat("x", 300)}})
	elementtest.Code(t, err, kerr.MediaObjectIllegalParam, "longer")
	_, err = r.Invoke(r.hub, "describePort", map[string]any{"port": r.ports[0], "source": map[string]any{"streamId": ""}})
	elementtest.Code(t, err, kerr.MediaObjectIllegalParam, "no streamId")
	v := r.Create("View", view(r.hub, nil))
	source := r.Element("View", view(r.hub, nil))
	r.Release(r.hub)
	_, err = r.Invoke(source, "connect", map[string]any{"sink": r.Element("UnitSink", nil)})
	if err == nil {
		t.Error("a view of a released director can be connected")
	}
	_, err = r.TryCreate("View", view(r.hub, nil))
	elementtest.Code(t, err, kerr.MediaObjectNotFound, "not found")
	r.Release(v)
}

// files answers URLs from memory.
type files map[string][]byte

func (f files) Open(_ context.Context, uri string, limit int64) (io.ReadCloser, error) {
	b, ok := f[uri]
	if !ok || int64(len(b)) > limit {
		return nil, fmt.Errorf("no such thing")
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func drawing(w, h int) []byte {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		m.Set(i%w, i/w, color.NRGBA{uint8(i), uint8(i / 7), 200, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// TestDirectorImages: backgrounds and logos from each kind of place; what cannot
// be used is refused with the reason, and the view stays.
func TestDirectorImages(t *testing.T) {
	wide := drawing(400, 100)
	damaged := bytes.Clone(drawing(100, 100))[:300]
	farm := workerstest.New(t, workerstest.Script{})
	r := roomOf(t, farm, hubs.Deps{Pool: farm.Pool, Images: files{
		"http://a/b.png": wide, "file:///logo.png": drawing(40, 20), "http://a/text": []byte("text"), "http://a/bad": damaged, "http://a/huge.png": drawing(5000, 1),
	}}, 0)
	v := r.Create("View", view(r.hub, map[string]any{"layout": map[string]any{
		"background": map[string]any{"image": "http://a/b.png"}, "logo": map[string]any{"image": "file:///logo.png", "x": 0.9, "y": 0.1, "width": 0.1}}}))
	r.farm.Wait(t, "the view", func() bool { return len(r.w.Views()) == 1 })
	check := func() {
		t.Helper()
		told := r.w.Views()["v1"]
		pictures := r.w.Pictures()
		if c, err := png.DecodeConfig(bytes.NewReader(pictures[told.Backdrop])); err != nil || c.Width != 1280 || c.Height != 720 {
			t.Errorf("backdrop %v %v", c, err)
		}
		if len(told.Overlays) != 1 || told.Overlays[0].X != 1152 || told.Overlays[0].Y != 72 || told.Overlays[0].Width != 128 || told.Overlays[0].Height != 64 || pictures[told.Overlays[0].Picture] == nil {
			t.Errorf("overlays %+v", told.Overlays)
		}
	}
	check()
	for image, want := range map[string]string{
		"http://a/none.png": "cannot be opened", "http://a/text": "neither PNG nor JPEG", "http://a/bad": "damaged", "http://a/huge.png": "5000x1 pixels",
		"/etc/passwd": "it is no data:", "data:image/png,xx": "a data URL here",
		"data:image/png;base64,%%": "no base64", "data:image/png;base64,aGk=": "neither PNG nor JPEG",
	} {
		_, err := r.Invoke(v, "setLayout", map[string]any{"layout": map[string]any{"background": map[string]any{"image": image}}})
		elementtest.Code(t, err, kerr.MarshallError, want)
	}
	check()
	data := "data:image/png;base64," + base64.StdEncoding.EncodeToString(wide)
	r.Call(v, "setLayout", map[string]any{"layout": map[string]any{"background": map[string]any{"image": data}}})
	r.farm.Wait(t, "the logo to go", func() bool { return len(r.w.Pictures()) == 1 && len(r.w.Views()["v1"].Overlays) == 0 })
	_, err := r.Invoke(v, "setLayout", map[string]any{"layout": map[string]any{"logo": map[string]any{"image": data, "x": 0, "y": 0.9, "width": 1}}})
	elementtest.Code(t, err, kerr.MarshallError, "leads out of the canvas")
}
