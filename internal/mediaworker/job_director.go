//go:build gst

package mediaworker

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

const (
	// directorLatency is how late units may come when nobody says.
	directorLatency = 300 * time.Millisecond
	// directorPause is how long coded frames may lie before they are taken, several
	// at once.
	directorPause = 40 * time.Millisecond
	// directorSlack is added for taking, decoding and drawing, to picture and sound
	// alike.
	directorSlack = directorPause + 40*time.Millisecond
	// directorBehind is how long after its time a view finds the frames it needs
	// when the machine did not let it draw.
	directorBehind = 300 * time.Millisecond
	// What comes more than directorEarly before it is due is taken for a source
	// whose clock is wrong, as what is always late is.
	directorEarly = 1500 * time.Millisecond
	maxViews      = 32
	// levelsEvery is the shortest time between two reports of levels: looks come
	// with first pictures too.
	levelsEvery = 150 * time.Millisecond
	// directorHead is how far before the start time begins: units that were
	// captured before it, and come late, are shown at their time.
	directorHead = 10 * time.Second
)

// director shows its inputs in views (wire.View). Each input is decoded once into
// a store of frames, from which every view draws what it shows: views share
// nothing else, so none can hold up another, and inputs come and go without a
// view being touched.
type director struct {
	w       *worker
	latency time.Duration // of a view behind its PTS
	sound   *mixdown
	inputs  map[string]*reel
	// stores are those of inputs and of what views show; one outlives its input
	// until the server ends that, so that a new decoder goes on in it.
	stores   map[string]*gst.FrameStore
	views    map[string]*view
	pictures map[string]*sourceImage
	// moved says by how much sources are moved in time, by pairOf: pictures and
	// sound of one source together, or its lips would not fit.
	moved map[string]time.Duration

	levelsAt time.Time // when levels were told last
	loud     bool      // there were any
}

// reel is a video input.
type reel struct {
	sink  *gst.Element
	tap   *gst.Tap
	told  wire.InputData
	count uint64
	due   time.Duration // when views show the first picture of this flow, by gst.Now; 0: none has come
	late  int           // looks in a row
	early int
}

func newDirector(w *worker, params json.RawMessage) (job, error) {
	var p wire.DirectorParams
	if err := decodeParams(params, &p); err != nil {
		return nil, err
	}
	if p.LatencyMs < 0 || p.LatencyMs > 5000 {
		return nil, kerr.New(kerr.MediaObjectIllegalParam, "A latency of %d ms", p.LatencyMs)
	}
	d := &director{w: w, latency: directorLatency + directorSlack, inputs: map[string]*reel{}, stores: map[string]*gst.FrameStore{},
		views: map[string]*view{}, pictures: map[string]*sourceImage{}, moved: map[string]time.Duration{}}
	if p.LatencyMs > 0 {
		d.latency = time.Duration(p.LatencyMs)*time.Millisecond + directorSlack
	}
	d.sound = newMixdown(w, d.latency, true)
	w.med.inlet.Pause(directorPause)
	w.every(d.look)
	w.listened = append(w.listened, d.listened)
	return d, nil
}

// pairOf is what the picture and the sound of one source have in common: the
// number in video/7 and audio/7.
func pairOf(input string) string {
	if _, n, ok := strings.Cut(input, "/"); ok {
		return n
	}
	return input
}

func (d *director) addInput(in *input) error {
	name := in.params.Name
	if in.params.Kind == "audio" {
		if err := d.sound.addInput(in); err != nil {
			return err
		}
		d.sound.move(name, d.moved[pairOf(name)])
		return nil
	}
	sink, err := d.w.addBin("appsink name=frames sync=false async=false max-buffers=4 enable-last-sample=false qos=false wait-on-eos=false")
	if err != nil {
		return err
	}
	d.store(name).Fill(sink.Find("frames"))
	r := &reel{sink: sink, told: wire.InputData{Input: name}}
	d.inputs[name] = r
	if err := in.out.Link(sink.Pad("sink")); err != nil {
		return err
	}
	r.tap = in.out.Tap(d.w.pipe.Base(), func() { d.w.post(d.look) })
	return sink.SyncState()
}

// removeInput takes the decoder off its store.
func (d *director) removeInput(in *input) {
	name := in.params.Name
	if in.params.Kind == "audio" {
		d.sound.removeInput(in)
		return
	}
	r := d.inputs[name]
	if r == nil {
		return
	}
	delete(d.inputs, name)
	// The decoder first: nothing here blocks it, and it pushes into no void.
	in.bin.LockState(true)
	_ = in.bin.SetState(gst.Null)
	if r.tap != nil {
		r.tap.Close()
	}
	in.out.Unlink(r.sink.Pad("sink"))
	d.w.dropBin(r.sink)
}

// forget hears that an input ends for good, and its last picture with it.
func (d *director) forget(name string) {
	if d.stores[name] != nil {
		delete(d.stores, name)
		for _, v := range d.views {
			if v.shows(name) {
				d.arrange(v)
			}
		}
		d.prune()
	}
	pair := pairOf(name)
	for other := range d.w.inputs {
		if pairOf(other) == pair {
			return
		}
	}
	delete(d.moved, pair)
}

// store is where an input's frames are, or will be.
func (d *director) store(name string) *gst.FrameStore {
	s := d.stores[name]
	if s == nil {
		s = gst.NewFrameStore(d.w.pipe.Base(), d.latency+directorBehind)
		s.SetOffset(d.moved[pairOf(name)])
		d.stores[name] = s
	}
	return s
}

// prune forgets stores that nobody fills or shows.
func (d *director) prune() {
	for name := range d.stores {
		if d.inputs[name] != nil || d.w.inputs[name] != nil {
			continue
		}
		shown := false
		for _, v := range d.views {
			shown = shown || v.shows(name)
		}
		if !shown {
			delete(d.stores, name)
		}
	}
}

// look notes what became of the inputs: first pictures, sizes, stalls, and whether
// they come in time.
func (d *director) look() {
	for name, r := range d.inputs {
		if r.tap == nil {
			continue
		}
		c := r.tap.Counts()
		now := wire.InputData{Input: name, Width: c.Width, Height: c.Height}
		now.Flowing = d.flows(name, r, c)
		if now != r.told && (now.Flowing || r.told.Flowing) {
			r.told = now
			if !now.Flowing {
				r.tap.Arm()
			}
			d.w.event(wire.EventInput, now)
		}
		if c.Buffers != r.count {
			r.count = c.Buffers
			d.punctual(name, r, c.Lateness)
		}
	}
	d.tellLevels()
	for name, by := range d.sound.astray() {
		pair := pairOf(name)
		d.move(pair, d.moved[pair]+by, name)
	}
}

// flows tells whether views show pictures of an input: that is a latency after the
// first one has come, and until then its place would be empty.
func (d *director) flows(name string, r *reel, c gst.Counts) bool {
	at := gst.Now()
	if c.Buffers == 0 || at-c.Last >= wire.StallAfterMs*time.Millisecond {
		r.due = 0
		return false
	}
	if r.due == 0 {
		r.due = c.Last + max(0, d.latency+d.moved[pairOf(name)]-c.Lateness)
		time.AfterFunc(r.due-at, func() { d.w.post(d.look) })
	}
	return at >= r.due
}

// tellLevels says how loud everybody is, and once that nobody is any more.
func (d *director) tellLevels() {
	if time.Since(d.levelsAt) < levelsEvery {
		return
	}
	levels := d.sound.levels()
	if levels != nil || d.loud {
		d.levelsAt = time.Now()
		d.w.event(wire.EventLevels, wire.LevelsData{Levels: levels})
	}
	d.loud = levels != nil
}

// punctual moves a source that has been late, or much too early, for lateTicks
// looks in a row.
func (d *director) punctual(name string, r *reel, lateness time.Duration) {
	pair := pairOf(name)
	over := lateness - d.moved[pair] - d.latency + directorSlack/2
	if over <= 0 {
		r.late = 0
	} else {
		r.late++
	}
	if over > -directorEarly-d.latency {
		r.early = 0
	} else {
		r.early++
	}
	if r.late >= lateTicks || r.early >= lateTicks {
		r.late, r.early = 0, 0
		d.move(pair, d.moved[pair]+over+pictureCushion, name)
	}
}

// move shows and plays a source that much after its own time.
func (d *director) move(pair string, to time.Duration, because string) {
	d.moved[pair] = to
	for name, s := range d.stores {
		if pairOf(name) == pair {
			s.SetOffset(to)
		}
	}
	for name, r := range d.inputs {
		if pairOf(name) == pair && !r.told.Flowing {
			r.due = 0 // it is another now
		}
	}
	for name, in := range d.w.inputs {
		if pairOf(name) == pair && in.params.Kind == "audio" {
			d.sound.move(name, to)
		}
	}
	d.w.log.Info("a source's time line is moved", "input", because, "by", to)
}

// listened hears that encodings began or ended.
func (d *director) listened() {
	busy := map[string]bool{}
	for _, o := range d.w.outputs {
		busy[o.port] = true
	}
	for name, v := range d.views {
		if v.canvas != nil && !v.ended {
			v.canvas.Busy(busy[wire.VideoPort(name)])
		}
	}
}

func (d *director) call(method string, params json.RawMessage, files []*os.File) (any, error) {
	closeAll(files)
	switch method {
	case wire.MethodView:
		var v wire.View
		if err := decodeParams(params, &v); err != nil {
			return nil, err
		}
		return nil, d.setView(v)
	case wire.MethodNoView:
		var p wire.NameParams
		if err := decodeParams(params, &p); err != nil {
			return nil, err
		}
		return nil, d.dropView(p.Name)
	case wire.MethodPicture:
		var p wire.Picture
		if err := decodeParams(params, &p); err != nil {
			return nil, err
		}
		return nil, d.setPicture(p)
	case wire.MethodNoPicture:
		var p wire.NameParams
		if err := decodeParams(params, &p); err != nil {
			return nil, err
		}
		d.dropPicture(p.Name)
		return nil, nil
	}
	return nil, errMethod(method)
}

// setView begins a view or changes it. What is refused changes nothing.
func (d *director) setView(to wire.View) error {
	if err := checkView(to); err != nil {
		return err
	}
	v := d.views[to.Name]
	if v == nil && len(d.views) >= maxViews {
		return kerr.New(kerr.MediaObjectIllegalParam, "There are %d views already", maxViews)
	}
	if v != nil && (v.is.Width != to.Width || v.is.Height != to.Height || v.is.Framerate != to.Framerate) {
		return kerr.New(kerr.MediaObjectIllegalParam, "View '%s' has %dx%d at %d pictures per second for good", to.Name, v.is.Width, v.is.Height, v.is.Framerate)
	}
	if v == nil {
		v = &view{d: d, name: to.Name, is: to}
		if to.Width > 0 {
			if err := v.open(); err != nil {
				return err
			}
		}
		d.views[to.Name] = v
	}
	v.is = to
	d.arrange(v)
	d.prune()
	d.listened()
	return d.mix()
}

func (d *director) dropView(name string) error {
	v := d.views[name]
	if v == nil {
		return nil
	}
	delete(d.views, name)
	v.close()
	d.prune()
	return d.mix()
}

// mix makes the audio ports what the views hear.
func (d *director) mix() error {
	sc := scene{Mix: map[string][]string{}}
	for name, v := range d.views {
		switch {
		case !v.is.Sound:
		case v.is.All:
			sc.Minus = append(sc.Minus, wire.AudioPort(name)) // no input has that name
		default:
			sc.Mix[wire.AudioPort(name)] = v.is.Hears
		}
	}
	return d.sound.ports(sc)
}

func (d *director) message(gst.Message) bool { return false }

// close ends views and mix. The base brings the pipeline to Null.
func (d *director) close() {
	d.sound.close()
	for _, v := range d.views {
		v.stop()
	}
	for _, r := range d.inputs {
		if r.tap != nil {
			r.tap.Close()
			r.tap = nil
		}
	}
}

// checkView refuses what cannot be shown.
func checkView(v wire.View) error {
	bad := func(format string, args ...any) error { return kerr.New(kerr.MediaObjectIllegalParam, format, args...) }
	switch {
	case v.Name == "" || len(v.Name) > 100:
		return bad("A view needs a name")
	case v.Width == 0 && v.Height == 0:
		if !v.Sound {
			return bad("View '%s' has neither picture nor sound", v.Name)
		}
	case v.Width < 16 || v.Height < 16 || v.Width > 4096 || v.Height > 4096 || v.Width&1 != 0 || v.Height&1 != 0:
		return bad("No view of %dx%d", v.Width, v.Height)
	case v.Framerate < 1 || v.Framerate > wire.MaxFramerate:
		return bad("No view of %d pictures per second", v.Framerate)
	}
	if len(v.Tiles) > 100 || len(v.Overlays) > 32 {
		return bad("View '%s' has %d tiles and %d overlays", v.Name, len(v.Tiles), len(v.Overlays))
	}
	for _, t := range v.Tiles {
		if t.X < 0 || t.Y < 0 || t.Width < 2 || t.Height < 2 || t.X > v.Width-t.Width || t.Y > v.Height-t.Height || (t.X|t.Y|t.Width|t.Height)&1 != 0 {
			return bad("A tile of %dx%d at %d,%d is not within the view, or not even", t.Width, t.Height, t.X, t.Y)
		}
		if (t.Input == "") == (t.Picture == "") {
			return bad("A tile shows an input or a picture")
		}
	}
	for _, o := range v.Overlays {
		if o.Width < 1 || o.Height < 1 || o.Width > 4096 || o.Height > 4096 || max(o.X, -o.X, o.Y, -o.Y) > 8192 {
			return bad("No overlay of %dx%d at %d,%d", o.Width, o.Height, o.X, o.Y)
		}
	}
	_, err := colorOf(v.Color)
	return err
}

// colorOf reads #rrggbb; "" is black.
func colorOf(s string) (rgb [3]uint8, err error) {
	if s == "" {
		return rgb, nil
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "#"), 16, 24)
	if err != nil || len(s) != 7 || s[0] != '#' {
		return rgb, kerr.New(kerr.MediaObjectIllegalParam, "'%s' is no color", s)
	}
	return [3]uint8{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}
