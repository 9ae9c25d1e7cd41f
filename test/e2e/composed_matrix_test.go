package e2e

import (
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/draw"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/test/actor"
)

// everyCombination runs each layout with each number of publishers, which takes
// minutes: `make test-faults`.
func everyCombination() bool { return os.Getenv("GOVIDU_COMPOSED") == "1" }

// stage is the custom layout of these tests: two places, one over the other and
// cut to fill, and a row for the rest.
const stage = `{"layout": "CUSTOM", "background": {"color": "#203060"}, "names": false,
	"tiles": [
		{"match": {"index": 1}, "x": 0.05, "y": 0.05, "width": 0.6, "height": 0.6},
		{"match": {"index": 2}, "x": 0.6, "y": 0.15, "width": 0.3, "height": 0.32, "z": 1, "fit": "cover"}],
	"rest": {"layout": "BEST_FIT", "x": 0.05, "y": 0.72, "width": 0.9, "height": 0.25}}`

// documents are the layouts that are chosen as CUSTOM, by a document in a folder.
var documents = map[string]string{
	layout.Custom: stage, layout.Speaker: `{"layout": "SPEAKER"}`, layout.Portrait: `{"layout": "PORTRAIT"}`,
}

// layoutsFolder makes a folder of custom layouts with some documents.
func layoutsFolder(t *testing.T, documents map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range documents {
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name, "layout.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// TestComposedLayouts has the unmodified openvidu-node-client record players whose
// pictures are numbered: every tile is where the layout puts it and shows the right
// one, all of them at the same time, and nothing stands still or goes back.
func TestComposedLayouts(t *testing.T) {
	layouts, numbers := layouts, []int{1, 2, 4, 9}
	if !everyCombination() {
		layouts, numbers = []string{layout.PictureInPicture, layout.Custom}, []int{2}
	}
	for i := range slices.Max(numbers) {
		clipOf(t, i+1, 640, 360) // encoded before anything is measured
	}
	s := startServer(t, "--recording-custom-layout="+layoutsFolder(t, documents))
	n := newNodeClient(t, s)
	n.ok("createSession", map[string]any{"properties": map[string]any{"customSessionId": "stage", "forcedVideoCodec": "NONE"}}, nil)
	c := newCast(t, s, "stage")
	for _, number := range numbers {
		c.until(number)
		for _, name := range layouts {
			t.Run(fmt.Sprintf("%s-%d", name, number), func(t *testing.T) { recordLayout(t, c, n, name) })
		}
	}
	c.saveStrips()
	s.healthy()
}

// TestComposedLayoutsChromium is the same with pages in Chromium, which draw their
// numbers by the clock and send what their encoder makes of it. What two pages of
// a busy browser show at one moment is not as close as what players do.
func TestComposedLayoutsChromium(t *testing.T) {
	if !everyCombination() {
		t.Skip("minutes long; TestComposed has pages of Chromium, too")
	}
	s := startServer(t, "--recording-custom-layout="+layoutsFolder(t, documents))
	n := newNodeClient(t, s)
	n.ok("createSession", map[string]any{"properties": map[string]any{"customSessionId": "stage"}}, nil)
	c := newCast(t, s, "stage")
	c.pages = true
	for number := range 2 {
		token, id := s.connection("stage", "PUBLISHER", nil)
		p := openPage(t, fmt.Sprint("player ", number+1))
		p.join(token, fmt.Sprintf(`{"clientData":"Player %d"}`, number+1))
		rgb := actor.Colors[number+1]
		cam := p.publish(map[string]any{"clock": map[string]any{
			"color": fmt.Sprintf("rgb(%d,%d,%d)", rgb.R, rgb.G, rgb.B), "begin": c.begin.UnixMilli(), "period": actor.Period,
		}})
		c.players = append(c.players, &player{streamID: cam.StreamID, connection: id})
		p.warm()
		for _, name := range layouts {
			if name == layout.Speaker {
				continue // its fake devices beep in turn: TestSpeakerView
			}
			t.Run(fmt.Sprintf("%s-%d", name, number+1), func(t *testing.T) { recordLayout(t, c, n, name) })
		}
	}
	s.healthy()
}

// warm waits until a page sends every picture: Chromium leaves some out until it
// knows how much its network carries.
func (p *page) warm() {
	p.t.Helper()
	type sending struct {
		Video struct{ At, Frames float64 }
	}
	var first sending
	p.call("outbound", nil, &first)
	eventually(p.t, 2*eventDeadline, p.name+" sends every picture", func() error {
		var now sending
		p.call("outbound", nil, &now)
		if now.Video.At-first.Video.At < 2000 {
			return errors.New("too early to tell")
		}
		rate := (now.Video.Frames - first.Video.Frames) * 1000 / (now.Video.At - first.Video.At)
		first = now
		return want(rate > 24.4, "%.1f a second", rate)
	})
}

var layouts = []string{layout.BestFit, layout.PictureInPicture, layout.VerticalPresentation, layout.HorizontalPresentation, layout.Speaker, layout.Portrait, layout.Custom}

func recordLayout(t *testing.T, c *cast, n *nodeClient, name string) {
	width, height := 1280, 720
	if name == layout.Portrait {
		width, height = height, width
	}
	c, n = c.in(t), &nodeClient{t, n.b}
	s, numbers := c.s, len(c.players)
	properties := map[string]any{"name": strings.ToLower(name), "outputMode": "COMPOSED", "resolution": fmt.Sprintf("%dx%d", width, height), "frameRate": 25, "recordingLayout": name}
	document, custom := documents[name]
	if custom {
		properties["recordingLayout"], properties["customLayout"] = layout.Custom, name
	}
	var rec nodeRecording
	n.ok("startRecording", map[string]any{"session": c.session, "properties": properties}, &rec)
	now := c.placed(rec.ID)
	if name == layout.Speaker { // one of those who are equally loud, soon
		runFor(t, 2*time.Second, "a speaker is found", func() error { return nil })
		now = c.placed(rec.ID)
	}
	runFor(t, 3500*time.Millisecond, "everybody is recorded", func() error { return nil })
	n.ok("stopRecording", map[string]any{"recording": rec.ID}, nil)
	ready := s.recordingIs(rec.ID, "ready")

	spec := layout.Spec{Layout: name}
	background := [3]byte{}
	if custom {
		var err error
		if spec, err = layout.Parse([]byte(document)); err != nil {
			t.Fatal(err)
		}
	}
	if name == layout.Custom {
		background = [3]byte{0x20, 0x30, 0x60}
	}
	places := c.places(t, spec, now, width, height)

	film := s.fetch(rec.ID, rec.Properties.Name+".mp4")
	keep(t, film)
	plays(t, film)
	longest := forward(t, times(t, film))
	look := look(t, film, width, height, places, background)
	for _, f := range look.faults {
		t.Error(f)
	}
	v := judge(look.counters)
	t.Logf("%.2f s, the longest step %.3f s; %v", ready.Duration, longest, v)
	if v.pictures < 50 {
		t.Fatalf("%d pictures show everybody", v.pictures)
	}
	if v.backward != 0 && strictTimes() {
		t.Errorf("%d numbers go back", v.backward)
	}
	least, apart := 0.98, 1
	if c.pages {
		least, apart = 0.9, 2
	}
	if v.within(apart) < least && strictTimes() {
		t.Errorf("%.3f of the pictures have all tiles within %d, want %.2f", v.within(apart), apart, least)
	}
	if v.distinct < least && strictTimes() {
		t.Errorf("%.3f of the pictures are distinct, want %.2f", v.distinct, least)
	}
	if v.broken > v.pictures/10 || strictTimes() && v.broken != 0 {
		t.Errorf("%d of %d pictures are broken", v.broken, v.pictures)
	}
	for i, amplitude := range tones(t, film, ready.Duration-3, 2.5) {
		if heard := amplitude > 0.02; heard != (i <= numbers) && i > 0 && !c.pages {
			t.Errorf("the tone of %d has amplitude %.3f", i, amplitude)
		}
	}
	c.strips[name] = append(c.strips[name], shrink(frameAt(t, film, time.Duration((ready.Duration-1)*float64(time.Second)), width, height)))
	n.ok("deleteRecording", map[string]any{"recording": rec.ID}, nil)
}

// placed waits until everybody has a picture.
func (c *cast) placed(id string) (now layoutState) {
	c.t.Helper()
	eventually(c.t, eventDeadline, "everybody is in the picture", func() error {
		c.s.rest(200, "GET", "/recordings/"+id+"/layout", nil, &now)
		for _, tile := range now.Tiles {
			if tile.Avatar {
				return fmt.Errorf("no picture of %s yet", tile.StreamID)
			}
		}
		return want(len(now.Tiles) == len(c.players), "%d tiles", len(now.Tiles))
	})
	return now
}

// places works out where everybody must be, and demands that the server says so.
func (c *cast) places(t *testing.T, spec layout.Spec, now layoutState, width, height int) (list []place) {
	t.Helper()
	var sources []layout.Source
	for i, id := range c.streams() {
		sources = append(sources, layout.Source{ID: id, ConnectionID: c.players[i].connection, TypeOfVideo: "CAMERA", Name: fmt.Sprintf("Player %d", i+1), Width: 640, Height: 360})
	}
	if spec.Layout == layout.Speaker {
		large := slices.MaxFunc(now.Tiles, func(a, b layoutTile) int { return a.Width - b.Width })
		for i := range sources {
			sources[i].Speaking = sources[i].ID == large.StreamID
		}
	}
	tiles := spec.Arrange(width, height, sources)
	if len(tiles) != len(sources) || len(now.Tiles) != len(tiles) {
		t.Fatalf("%d tiles, and %d in the API, for %d participants", len(tiles), len(now.Tiles), len(sources))
	}
	for i, tile := range tiles {
		said := now.Tiles[i]
		if said.StreamID != tile.ID || said.X != tile.X || said.Y != tile.Y || said.Width != tile.Width || said.Height != tile.Height {
			t.Errorf("tile %d is %+v, the API says %+v", i, tile, said)
		}
		number := slices.Index(c.streams(), tile.ID) + 1
		if tile.Name && said.Name != fmt.Sprintf("Player %d", number) {
			t.Errorf("tile %d is called %q", i, said.Name)
		}
		list = append(list, placeOf(number, image.Rect(tile.X, tile.Y, tile.X+tile.Width, tile.Y+tile.Height), tile.Z, tile.Cover))
	}
	return list
}

// shrink makes a small picture.
func shrink(f frame) image.Image {
	from, to := image.NewRGBA(image.Rect(0, 0, f.width, f.height)), image.NewRGBA(image.Rect(0, 0, f.width/5, f.height/5))
	for i := range f.width * f.height {
		copy(from.Pix[4*i:], f.rgb[3*i:3*i+3])
		from.Pix[4*i+3] = 255
	}
	draw.CatmullRom.Scale(to, to.Rect, from, from.Rect, draw.Src, nil)
	return to
}

// saveStrips writes a picture of each layout, its numbers of participants side by
// side, to the folder GOVIDU_PICTURES: those in docs/recording are made so.
func (c *cast) saveStrips() {
	folder := os.Getenv("GOVIDU_PICTURES")
	if folder == "" {
		return
	}
	const gap = 8
	for name, list := range c.strips {
		one := list[0].Bounds()
		strip := image.NewRGBA(image.Rect(0, 0, len(list)*(one.Dx()+gap)-gap, one.Dy()))
		draw.Draw(strip, strip.Rect, image.White, image.Point{}, draw.Src)
		for i, m := range list {
			draw.Draw(strip, one.Add(image.Pt(i*(one.Dx()+gap), 0)), m, image.Point{}, draw.Src)
		}
		file, err := os.Create(filepath.Join(folder, "film-"+strings.ReplaceAll(strings.ToLower(name), "_", "-")+".png"))
		if err != nil {
			c.t.Fatal(err)
		}
		if err := errors.Join(png.Encode(file, strip), file.Close()); err != nil {
			c.t.Fatal(err)
		}
	}
}

// keep copies a film to the folder GOVIDU_KEEP, to look at it.
func keep(t *testing.T, film string) {
	t.Helper()
	folder := os.Getenv("GOVIDU_KEEP")
	if folder == "" {
		return
	}
	data, err := os.ReadFile(film)
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, strings.ReplaceAll(t.Name(), "/", "-")+".mp4"), data, 0o600)
	}
	if err != nil {
		t.Log(err)
	}
}
