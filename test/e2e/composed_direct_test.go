package e2e

import (
	"encoding/json"
	"fmt"
	"image"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/test/actor"
)

// moment is an instant by the players' clock.
type moment struct{ before, after time.Duration }

// around says when a call was made and when it had been answered.
func (c *cast) around(f func()) moment {
	before := time.Since(c.begin)
	f()
	return moment{before, time.Since(c.begin)}
}

// start begins a recording of everybody and waits until all are seen.
func (c *cast) start(properties map[string]any) (rec recording) {
	c.t.Helper()
	properties["session"] = c.session
	c.s.rest(200, "POST", "/recordings/start", properties, &rec)
	c.placed(rec.ID)
	return rec
}

// stop ends it and fetches the film.
func (c *cast) stop(t *testing.T, id string) (film string, length float64) {
	t.Helper()
	c.s.rest(200, "POST", "/recordings/stop/"+id, nil, nil)
	ready := c.s.recordingIs(id, "ready")
	film = c.s.fetch(id, ready.Name+".mp4")
	keep(t, film)
	plays(t, film)
	return film, ready.Duration
}

// unwrap makes numbers of clips that begin anew into ones that only rise, from the
// clip's beginning; near is about where the first one is.
func unwrap(numbers []int, near time.Duration) []int {
	list := make([]int, len(numbers))
	at := int(near / actor.PictureTime)
	for i, n := range numbers {
		at += actor.Steps(at%actor.Period, n)
		list[i] = at
	}
	return list
}

// TestComposedDirected changes the layout of a running recording and pauses it
// three times. The players' numbers are the clock: a picture's number tells when it
// was sent, which is before it is composed, and pausing tells how long before.
func TestComposedDirected(t *testing.T) {
	const width, height, changes, pauses = 640, 360, 4, 3
	s := startServer(t)
	s.session(map[string]any{"customSessionId": "directed", "forcedVideoCodec": "NONE"})
	c := newCast(t, s, "directed")
	c.until(2)
	rec := c.start(map[string]any{"resolution": fmt.Sprintf("%dx%d", width, height), "frameRate": 25})
	path := "/recordings/" + rec.ID
	names := []string{layout.BestFit, layout.PictureInPicture}
	var places [2][]place
	for i, name := range names {
		spec := layout.Spec{Layout: name}
		var now layoutState
		s.rest(200, "PUT", path+"/layout", spec, &now)
		places[i] = c.places(t, spec, now, width, height)
	}
	s.rest(200, "PUT", path+"/layout", layout.Spec{Layout: names[0]}, nil)
	pass := func(what string) { runFor(t, 1500*time.Millisecond, what, func() error { return nil }) }

	pass("the first layout")
	settled := time.Since(c.begin)
	var calls []moment
	for i := range changes {
		calls = append(calls, c.around(func() { s.rest(200, "PUT", path+"/layout", layout.Spec{Layout: names[(i+1)%2]}, nil) }))
		pass("the next layout")
	}
	var paused, resumed []moment
	for range pauses {
		paused = append(paused, c.around(func() { s.rest(200, "POST", path+"/pause", nil, nil) }))
		pass("a pause")
		resumed = append(resumed, c.around(func() { s.rest(200, "POST", path+"/resume", nil, nil) }))
		pass("it goes on")
	}
	film, length := c.stop(t, rec.ID)
	at := times(t, film)
	longest := forward(t, at)

	// Every picture is in one of the two layouts, whole.
	var numbers, shown []int
	var rows [][]int
	broken := 0
	watch(t, film, width, height, func(i int, f frame) {
		for l, list := range places {
			row := []int{f.read(list[0]), f.read(list[1])}
			if !slices.Contains(row, -1) {
				numbers, shown, rows = append(numbers, row[0]), append(shown, l), append(rows, row)
				return
			}
		}
		if len(numbers) > 0 {
			broken++
		}
	})
	if len(numbers) < 100 {
		t.Fatalf("%d pictures can be read", len(numbers))
	}
	if strictTimes() && broken > 0 || broken > len(numbers)/10 {
		t.Errorf("%d pictures are in neither layout", broken)
	}
	if v := judge(rows); strictTimes() && v.within(1) < 0.99 {
		t.Errorf("the participants are apart: %v", v)
	}
	numbers = unwrap(numbers, settled-1500*time.Millisecond)

	// Pauses: what was sent meanwhile is missing, and nothing else.
	type cut struct{ last, next int }
	var cuts []cut
	lost := 0
	for i := 1; i < len(numbers); i++ {
		switch d := numbers[i] - numbers[i-1]; {
		case d < 0 && strictTimes():
			t.Errorf("number %d comes after %d", numbers[i], numbers[i-1])
		case d > 20:
			cuts = append(cuts, cut{numbers[i-1], numbers[i]})
		case d > 1:
			lost += d - 1
			t.Logf("picture %d of %d: %d comes after %d", i, len(numbers), numbers[i], numbers[i-1])
		}
	}
	if len(cuts) > pauses && !strictTimes() {
		t.Logf("the machine is too busy: the film jumps at %v, %d pictures of %v", cuts, len(numbers), length)
		return
	}
	if len(cuts) != pauses {
		t.Fatalf("the film jumps at %v, want %d times: %d pictures can be read, from %d to %d, %d cannot; the pauses were %v to %v",
			cuts, pauses, len(numbers), numbers[0], numbers[len(numbers)-1], broken, paused, resumed)
	}
	if strictTimes() && lost > 0 {
		t.Errorf("%d numbers are missing outside of the pauses", lost)
	}
	behind := time.Duration(0) // how old pictures are when they are recorded, at most
	away := time.Duration(0)
	for i := range pauses {
		sent := time.Duration(cuts[i].last+1) * actor.PictureTime
		behind = max(behind, paused[i].after-sent)
		away += resumed[i].after - paused[i].after
		gap := time.Duration(cuts[i].next-cuts[i].last-1) * actor.PictureTime
		t.Logf("pause %d: asked for at %v, over at %v: the film leaves out %v from %v on", i, paused[i], resumed[i], gap, sent)
		if d := gap - (resumed[i].after - paused[i].after); strictTimes() && (d > 120*time.Millisecond || d < -120*time.Millisecond) {
			t.Errorf("pause %d took %v, and the film leaves out %v", i, resumed[i].after-paused[i].after, gap)
		}
	}
	var last float64
	if len(at) > 0 {
		last = at[len(at)-1] - at[0] + actor.PictureTime.Seconds()
	}
	pictures := time.Duration(numbers[len(numbers)-1]+1-numbers[0])*actor.PictureTime - away
	t.Logf("%d pictures in %.2f s, the file has %.2f s, %v were sent outside of pauses; the longest step is %.3f s; %d lost, %d broken; pictures are %v old",
		len(numbers), last, length, pictures, longest, lost, broken, behind)
	if err := near(time.Duration(length*float64(time.Second)), pictures+time.Duration(len(at)-len(numbers))*actor.PictureTime, 250*time.Millisecond); err != nil && strictTimes() {
		t.Errorf("length of the file: %v", err)
	}
	if longest > 0.085 && strictTimes() {
		t.Errorf("the film stands still for %.3f s", longest)
	}
	if behind <= 0 && strictTimes() {
		t.Errorf("pictures are %v old when they are recorded", behind)
	}

	// Changes: when the first changed picture was recorded, after the call.
	var changed []int
	for i := 1; i < len(shown); i++ {
		if shown[i] != shown[i-1] && (numbers[i] >= int(settled/actor.PictureTime)-15 || !strictTimes()) {
			changed = append(changed, numbers[i])
		}
	}
	if len(changed) < changes || strictTimes() && len(changed) != changes {
		t.Fatalf("the layout changes at the numbers %v, want %d times", changed, changes)
	}
	for i, n := range changed[:changes] {
		took := time.Duration(n)*actor.PictureTime + behind - calls[i].before
		t.Logf("change %d: asked for at %v, the first changed picture was sent at %v and recorded %v after the call", i, calls[i], time.Duration(n)*actor.PictureTime, took)
		if took > 200*time.Millisecond && strictTimes() {
			t.Errorf("change %d is seen %v after the call", i, took)
		}
	}
}

// TestComposedTroubles has a participant come late, mute itself, change its
// resolution and its proportions, and lose its network: nobody's place is black or stands still.
func TestComposedTroubles(t *testing.T) {
	const width, height = 640, 360
	spec := layout.Spec{Layout: layout.Custom, Background: &layout.Background{Color: "#203060"}}
	var places []place
	for i := range 4 {
		x, y := float64(i%2)/2, float64(i/2)/2
		spec.Tiles = append(spec.Tiles, layout.TileSpec{Match: layout.Match{Name: fmt.Sprintf("Player %d", i+1)}, X: x, Y: y, Width: 0.5, Height: 0.5})
		places = append(places, placeOf(i+1, image.Rect(i%2*width/2, i/2*height/2, (i%2+1)*width/2, (i/2+1)*height/2), 0, false))
	}
	document, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, "--recording-custom-layout="+layoutsFolder(t, map[string]string{"quarters": string(document)}))
	s.session(map[string]any{"customSessionId": "troubles", "forcedVideoCodec": "NONE"})
	c := newCast(t, s, "troubles")
	c.until(3)
	small, tall := clipOf(t, 2, 320, 180), clipOf(t, 1, 270, 480)
	clipOf(t, 4, 640, 360)
	rec := c.start(map[string]any{"resolution": fmt.Sprintf("%dx%d", width, height), "frameRate": 25, "recordingLayout": "CUSTOM", "customLayout": "quarters"})
	avatar := func(id string, yes bool) {
		t.Helper()
		eventually(t, eventDeadline, fmt.Sprintf("an avatar instead of a picture: %v", yes), func() error {
			var now layoutState
			s.rest(200, "GET", "/recordings/"+rec.ID+"/layout", nil, &now)
			for _, tile := range now.Tiles {
				if tile.StreamID == id {
					return want(tile.Avatar == yes, "%+v", tile)
				}
			}
			return fmt.Errorf("no tile of %s in %+v", id, now.Tiles)
		})
	}
	pass := func(d time.Duration, what string) { runFor(t, d, what, func() error { return nil }) }
	one, two, three := c.players[0], c.players[1], c.players[2]

	pass(2*time.Second, "the first three")
	three.Mute(true) // nobody is told
	late := c.add(4)
	avatar(late.streamID, false)
	one.property("videoActive", false)
	avatar(one.streamID, true)
	one.property("audioActive", false)
	two.Show(small)
	avatar(three.streamID, true)
	pass(2*time.Second, "one is muted, two is small, three is gone")
	quiet := time.Now()
	two.Show(two.clip)
	one.property("videoActive", true)
	one.property("audioActive", true)
	avatar(one.streamID, false)
	three.again()
	avatar(three.streamID, false)
	one.Show(tall)
	pass(3*time.Second, "all are back, one is turned")
	end := time.Now()
	film, length := c.stop(t, rec.ID)
	forward(t, times(t, film))

	states, turned := make([][]int, 4), 0
	watch(t, film, width, height, func(_ int, f frame) {
		for j, p := range places {
			n := f.state(p)
			if n == isUnknown { // turned
				middle, high := p.tile.Min.X+p.tile.Dx()/2, p.tile.Dy()
				p.picture.Min.X, p.picture.Max.X = middle-high*9/32, middle+high*9/32
				if n = f.state(p); n >= 0 {
					turned++
				}
			}
			states[j] = append(states[j], n)
		}
	})
	if turned < 25 {
		t.Errorf("%d pictures show the turned one as it is", turned)
	}
	for j, want := range []string{"PAP", "P", "PAP", "EAP"} {
		list := stretches(states[j])
		t.Logf("player %d: %v", j+1, list)
		if got := shape(list); !follows(got, want) || strictTimes() && got != want && got != "A"+want {
			t.Errorf("player %d is seen as %s in %v, want %s", j+1, got, list, want)
		}
		for _, s := range list {
			if s.kind == 'B' || s.kind == 'X' && s.pictures > 2 && strictTimes() {
				t.Errorf("player %d: %v", j+1, s)
			}
			if most := 60; s.kind == 'S' && s.pictures > most && strictTimes() {
				t.Errorf("player %d stands still for %d pictures, want %d at most", j+1, s.pictures, most)
			}
		}
	}
	// Sound is recorded when it is as old as pictures are: a third of a second.
	middle := length - end.Sub(quiet).Seconds() - 1 + 0.34
	for i, amplitude := range tones(t, film, middle-0.3, 0.6) {
		if heard := amplitude > 0.02; i > 0 && heard != (i == 2 || i == 4) {
			t.Errorf("the tone of %d has amplitude %.3f at %.2f s, when 1 is muted and 3 is gone", i, amplitude, middle)
		}
	}
	for i, amplitude := range tones(t, film, length-2.2, 2) {
		if heard := amplitude > 0.02; i > 0 && heard != (i <= 4) {
			t.Errorf("the tone of %d has amplitude %.3f at the end", i, amplitude)
		}
	}
}

// What a place shows instead of a numbered picture.
const (
	isAvatar     = -1
	isBlack      = -2
	isBackground = -3
	isUnknown    = -4
)

// state reads a place of the layout above.
func (f frame) state(p place) int {
	if n := f.read(p); n >= 0 {
		return n
	}
	r := p.tile
	corners, first := 0, [3]byte{}
	for i, at := range []image.Point{{r.Min.X + 8, r.Min.Y + 8}, {r.Max.X - 8, r.Min.Y + 8}, {r.Max.X - 8, r.Max.Y - 8}, {r.Min.X + 8, r.Max.Y - 8}} {
		x, y, z := f.at(at.X, at.Y)
		if i == 0 {
			first = [3]byte{x, y, z}
		}
		if abs(x, first[0]) < 12 && abs(y, first[1]) < 12 && abs(z, first[2]) < 12 {
			corners++
		}
	}
	plain := f.deviation(r.Min.X+4, r.Min.Y+4, r.Dx()-8, r.Dy()-8) < 3
	switch {
	case corners < 4:
		return isUnknown
	case max(first[0], first[1], first[2]) < 20:
		return isBlack
	case plain && abs(first[0], 0x20) < 20 && abs(first[1], 0x30) < 20 && abs(first[2], 0x60) < 20:
		return isBackground
	case !plain:
		return isAvatar
	}
	return isUnknown
}

// stretch is a number of pictures in which a place shows the same: P a living
// picture, S one that stands still, A an avatar, E nothing, B black, X anything else.
type stretch struct {
	kind     byte
	pictures int
}

func (s stretch) String() string { return fmt.Sprintf("%c%d", s.kind, s.pictures) }

func stretches(states []int) (list []stretch) {
	for i := 0; i < len(states); {
		j := i + 1
		for j < len(states) && states[j] == states[i] {
			j++
		}
		kind := byte('P')
		switch n := states[i]; {
		case n >= 0 && j-i >= 5:
			kind = 'S'
		case n < 0:
			kind = "XEBA"[n-isUnknown]
		}
		if last := len(list) - 1; last >= 0 && list[last].kind == kind {
			list[last].pictures += j - i
		} else {
			list = append(list, stretch{kind, j - i})
		}
		i = j
	}
	return list
}

// follows tells whether all of want is in got, in that order: on a busy machine
// there may be more.
func follows(got, want string) bool {
	for _, k := range want {
		_, rest, ok := strings.Cut(got, string(k))
		if !ok {
			return false
		}
		got = rest
	}
	return true
}

// shape is the order of what a place showed, without short stills and changes.
func shape(list []stretch) (kinds string) {
	for _, s := range list {
		if s.kind == 'S' || s.kind == 'X' || len(kinds) > 0 && kinds[len(kinds)-1] == s.kind {
			continue
		}
		kinds += string(s.kind)
	}
	return kinds
}
