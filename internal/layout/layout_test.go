package layout

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

func people(n int) (list []Source) {
	for i := range n {
		list = append(list, Source{ID: fmt.Sprint("s", i+1), ConnectionID: fmt.Sprint("c", i+1), TypeOfVideo: "CAMERA", Name: fmt.Sprint("n", i+1)})
	}
	return list
}

func draw(tiles []Tile) string {
	var b strings.Builder
	for i, t := range tiles {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s:%d,%d,%dx%d", t.ID, t.X, t.Y, t.Width, t.Height)
		if t.Z != 0 {
			fmt.Fprintf(&b, "/%d", t.Z)
		}
	}
	return b.String()
}

func TestArrange(t *testing.T) {
	screen, big, speaks := people(3), people(3), people(3)
	screen[1].TypeOfVideo = "SCREEN"
	big[2].Big = true
	speaks[1].Speaking = true
	bigSpeaks := people(3)
	bigSpeaks[1].Speaking, bigSpeaks[2].Big = true, true
	for _, c := range []struct {
		name    string
		spec    Spec
		w, h    int
		sources []Source
		want    string
	}{
		{"nobody", Spec{}, 1280, 720, nil, ""},
		{"one", Spec{}, 1280, 720, people(1), "s1:0,0,1280x720"},
		{"two", Spec{Layout: BestFit}, 1280, 720, people(2), "s1:0,120,640x480 s2:640,120,640x480"},
		{"three", Spec{}, 1280, 720, people(3), "s1:0,0,640x360 s2:640,0,640x360 s3:320,360,640x360"},
		{"four", Spec{}, 1280, 720, people(4), "s1:0,0,640x360 s2:640,0,640x360 s3:0,360,640x360 s4:640,360,640x360"},
		{"two upright", Spec{}, 720, 1280, people(2), "s1:0,100,720x540 s2:0,640,720x540"},
		{"a big one", Spec{}, 1280, 720, big, "s3:0,0,1024x720 s1:1024,168,256x192 s2:1024,360,256x192"},
		{"vertical", Spec{Layout: VerticalPresentation}, 1280, 720, people(3), "s1:0,0,1024x720 s2:1024,168,256x192 s3:1024,360,256x192"},
		{"vertical alone", Spec{Layout: VerticalPresentation}, 1280, 720, people(1), "s1:0,0,1280x720"},
		{"horizontal", Spec{Layout: HorizontalPresentation}, 1280, 720, people(3), "s1:0,0,1280x576 s2:384,576,256x144 s3:640,576,256x144"},
		{"focus", Spec{Layout: HorizontalPresentation, Focus: "s2"}, 1280, 720, people(2), "s2:0,0,1280x576 s1:512,576,256x144"},
		{"focus by connection", Spec{Layout: HorizontalPresentation, Focus: "c2"}, 1280, 720, people(2), "s2:0,0,1280x576 s1:512,576,256x144"},
		{"focus is gone", Spec{Layout: HorizontalPresentation, Focus: "x"}, 1280, 720, people(2), "s1:0,0,1280x576 s2:512,576,256x144"},
		{"a screen", Spec{Layout: PictureInPicture}, 1280, 720, screen, "s2:0,0,1280x720 s1:732,558,256x144/1 s3:1006,558,256x144/1"},
		{"speaker", Spec{Layout: Speaker}, 1280, 720, speaks, "s2:0,0,1280x576 s1:384,576,256x144 s3:640,576,256x144"},
		{"speaker, but another is big", Spec{Layout: Speaker}, 1280, 720, bigSpeaks, "s3:0,0,1280x576 s1:384,576,256x144 s2:640,576,256x144"},
		{"speaker, but another has the focus", Spec{Layout: Speaker, Focus: "s1"}, 1280, 720, speaks, "s1:0,0,1280x576 s2:384,576,256x144 s3:640,576,256x144"},
		{"portrait", Spec{Layout: Portrait}, 720, 1280, people(3), "s1:0,0,720x426 s2:0,426,720x426 s3:0,852,720x428"},
		{"custom", Spec{Layout: Custom, Tiles: []TileSpec{
			{Match: Match{StreamID: "s3"}, Width: 0.5, Height: 1, Z: 2}, {Match: Match{Name: "nobody"}, Width: 1, Height: 1}, {X: 0.5, Width: 0.5, Height: 1},
		}}, 1280, 720, people(3), "s1:640,0,640x720 s3:0,0,640x720/2"},
		{"rest", Spec{Layout: Custom, Tiles: []TileSpec{{Match: Match{Index: 2}, Width: 1, Height: 0.5}}, Rest: &Region{Y: 0.5, Width: 1, Height: 0.5, Z: -1}},
			1280, 720, people(3), "s1:0,360,640x360/-1 s3:640,360,640x360/-1 s2:0,0,1280x360"},
		{"match all fields", Spec{Layout: Custom, Tiles: []TileSpec{{Match: Match{ConnectionID: "c2", TypeOfVideo: "SCREEN", Name: "n2", Index: 2}, Width: 1, Height: 1}}},
			100, 100, screen, "s2:0,0,100x100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.spec.Validate(); err != nil {
				t.Fatal(err)
			}
			if got := draw(c.spec.Arrange(c.w, c.h, c.sources)); got != c.want {
				t.Errorf("tiles %s\nwant  %s", got, c.want)
			}
		})
	}
}

func TestFitAndNames(t *testing.T) {
	no, yes := false, true
	s := Spec{Layout: Custom, Fit: "cover", Names: &no, Tiles: []TileSpec{{Width: 1, Height: 1, Fit: "contain", Name: &yes}, {Width: 1, Height: 1}}, Rest: &Region{Width: 1, Height: 1}}
	tiles := s.Arrange(100, 100, people(3))
	for i, want := range []Tile{{Cover: false, Name: true}, {Cover: true}, {Cover: true}} {
		if tiles[i].Cover != want.Cover || tiles[i].Name != want.Name {
			t.Errorf("tile %d: %+v", i, tiles[i])
		}
	}
	s = Spec{}
	if x := s.Arrange(100, 100, people(1))[0]; x.Cover || !x.Name {
		t.Errorf("by default: %+v", x)
	}
}

// check is what holds of every arrangement.
func check(t testing.TB, what string, tiles []Tile, w, h int, overlap func(a, b Tile) bool) {
	t.Helper()
	seen := map[string]bool{}
	for i, a := range tiles {
		if a.X < 0 || a.Y < 0 || a.Width < 2 || a.Height < 2 || a.X+a.Width > w || a.Y+a.Height > h || (a.X|a.Y|a.Width|a.Height)&1 != 0 {
			t.Errorf("%s: tile %+v is odd or outside of %dx%d", what, a, w, h)
		}
		if seen[a.ID] {
			t.Errorf("%s: %s is shown twice", what, a.ID)
		}
		seen[a.ID] = true
		for _, b := range tiles[:i] {
			if a.X < b.X+b.Width && b.X < a.X+a.Width && a.Y < b.Y+b.Height && b.Y < a.Y+a.Height && !overlap(a, b) {
				t.Errorf("%s: %+v lies over %+v", what, a, b)
			}
		}
	}
}

// TestArrangeHolds: whatever the canvas and the number, tiles are inside, even
// and not over each other, and nobody is missing on canvases of a usual size.
func TestArrangeHolds(t *testing.T) {
	sizes := [][2]int{{1280, 720}, {1920, 1080}, {1281, 721}, {719, 1279}, {640, 480}, {101, 99}, {1999, 100}, {100, 1999}, {16, 16}, {7, 3}, {2, 2}, {1, 1}, {0, 0}}
	for _, name := range layouts {
		if name == Custom {
			continue
		}
		for _, size := range sizes {
			for _, n := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 16, 17, 25, 31, 49, 64, 99, 100} {
				for _, mark := range []func([]Source){func([]Source) {}, func(l []Source) { l[0].Big, l[len(l)/2].Big = true, true }, func(l []Source) { l[len(l)-1].Speaking = true }} {
					list := people(n)
					if n > 0 {
						mark(list)
					}
					s := Spec{Layout: name}
					what := fmt.Sprintf("%s %v n=%d", name, size, n)
					tiles := s.Arrange(size[0], size[1], list)
					check(t, what, tiles, size[0], size[1], func(a, b Tile) bool { return name == PictureInPicture && a.Z != b.Z })
					if size[0] >= 640 && size[1] >= 480 && len(tiles) != n {
						t.Errorf("%s: %d tiles", what, len(tiles))
					}
					custom := Spec{Layout: Custom, Rest: &Region{Layout: name, X: 0.1, Y: 0.33, Width: 0.77, Height: 0.5}}
					check(t, "rest "+what, custom.Arrange(size[0], size[1], list), size[0], size[1], func(a, b Tile) bool { return name == PictureInPicture && a.Z != b.Z })
					if t.Failed() {
						return
					}
				}
			}
		}
	}
}

// TestCustomNeighbours: places that share an edge neither overlap nor leave a gap.
func TestCustomNeighbours(t *testing.T) {
	for w := 30; w < 1300; w += 13 {
		s := Spec{Layout: Custom}
		const n = 7
		for i := range n {
			s.Tiles = append(s.Tiles, TileSpec{X: float64(i) / n, Width: 1.0 / n, Height: 1})
		}
		tiles := s.Arrange(w, w, people(n))
		check(t, fmt.Sprint(w), tiles, w, w, func(a, b Tile) bool { return false })
		for i := 1; i < len(tiles); i++ {
			if tiles[i].X != tiles[i-1].X+tiles[i-1].Width {
				t.Fatalf("a gap at %d: %s", w, draw(tiles))
			}
		}
	}
}

func TestParse(t *testing.T) {
	tile := `{"x":0,"y":0,"width":1,"height":1}`
	for text, want := range map[string]string{
		``: "", `null`: "", `{}`: "", ` {"layout":"SPEAKER","names":false} `: "",
		`{"layout":"CUSTOM","tiles":[` + tile + `],"background":{"color":"#12aBcd"},"logo":{"image":"a.png","x":0.8,"y":0,"width":0.2}}`: "",
		`{"layuot":"BEST_FIT"}`:              `unknown field "layuot"`,
		`{"layout":"BEST FIT"}`:              `layout "BEST FIT" is none of BEST_FIT`,
		`{"layout":7}`:                       `layout cannot be a number`,
		`[]`:                                 `cannot be a array`,
		`{} {}`:                              `text follows`,
		`{`:                                  `unexpected EOF`,
		`{"fit":"stretch"}`:                  `fit "stretch" is none of contain, cover`,
		`{"layout":"CUSTOM"}`:                `needs tiles or rest`,
		`{"tiles":[` + tile + `]}`:           `belong to layout CUSTOM`,
		`{"background":{"color":"red"}}`:     `a colour is #rrggbb`,
		`{"background":{"color":"#12345g"}}`: `a colour is #rrggbb`,
		`{"logo":{"x":0,"y":0,"width":0.1}}`: `logo.image is missing`,
		`{"logo":{"image":"a","x":0,"y":0}}`: `must be above 0`,
		`{"focus":"` + strings.Repeat("x", 257) + `"}`:                                                     `focus is longer`,
		`{"logo":{"image":"` + strings.Repeat("x", 5000) + `","x":0,"y":0,"width":1}}`:                     `longer than 4096`,
		`{"audio":[` + strings.Repeat(`"a",`, 300) + `"a"]}`:                                               `at most 256`,
		`{"layout":"CUSTOM","tiles":[{"x":0.5,"y":0,"width":0.6,"height":1}]}`:                             `tiles[0] leads out of the canvas`,
		`{"layout":"CUSTOM","tiles":[{"x":-0.5,"y":0,"width":0.6,"height":1}]}`:                            `fractions of the canvas`,
		`{"layout":"CUSTOM","tiles":[{"x":0,"y":0,"width":0,"height":1}]}`:                                 `must be above 0`,
		`{"layout":"CUSTOM","tiles":[{"x":0,"y":0,"width":1,"height":1,"z":5000}]}`:                        `z 5000`,
		`{"layout":"CUSTOM","tiles":[{"x":0,"y":0,"width":1,"height":1,"match":{"index":-1}}]}`:            `counts from 1`,
		`{"layout":"CUSTOM","tiles":[{"x":0,"y":0,"width":1,"height":1,"match":{"typeOfVideo":"MOVIE"}}]}`: `is none of CAMERA`,
		`{"layout":"CUSTOM","tiles":[` + strings.Repeat(tile+",", 64) + tile + `]}`:                        `at most 64`,
		`{"layout":"CUSTOM","rest":{"layout":"CUSTOM","x":0,"y":0,"width":1,"height":1}}`:                  `rest.layout "CUSTOM" is none of`,
		`{"layout":"CUSTOM","rest":{"x":0,"y":0,"width":1,"height":2}}`:                                    `rest: x, y, width`,
		`{"background":{"image":"` + strings.Repeat("x", MaxDocument) + `"}}`:                              `at most 8388608 are read`,
	} {
		_, err := Parse([]byte(text))
		switch {
		case want == "" && err != nil:
			t.Errorf("%.80s: %v", text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%.80s: error %v, want %s", text, err, want)
		case err != nil && len(err.Error()) > 400:
			t.Errorf("%.80s: error of %d bytes", text, len(err.Error()))
		}
	}
	bad := Spec{Layout: Custom, Tiles: []TileSpec{{X: math.NaN(), Width: 1, Height: 1}}}
	if bad.Validate() == nil {
		t.Error("NaN is taken for a fraction")
	}
}

// TestRoundTrip: what getLayout answers can be set again.
func TestRoundTrip(t *testing.T) {
	no := false
	for _, s := range []Spec{{}, {Layout: Speaker, Names: &no, Audio: []string{}}, {Layout: Custom, Tiles: []TileSpec{{Width: 1, Height: 1, Match: Match{Index: 3}}}, Rest: &Region{Width: 1, Height: 1}}} {
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
		}
		if again, _ := json.Marshal(back); string(again) != string(raw) {
			t.Errorf("%s became %s", raw, again)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"layout":"CUSTOM","tiles":[{"x":0,"y":0.3333,"width":0.5,"height":0.25,"z":3}],"rest":{"layout":"SPEAKER","x":0.5,"y":0,"width":0.5,"height":1}}`), 1281, 719)
	f.Add([]byte(`{"layout":"PICTURE_IN_PICTURE","focus":"s3"}`), 100, 1999)
	f.Fuzz(func(t *testing.T, text []byte, w, h int) {
		s, err := Parse(text)
		if err != nil {
			return
		}
		w, h = min(max(w, 0), 5000), min(max(h, 0), 5000)
		tiles := s.Arrange(w, h, people(9))
		check(t, string(text), tiles, w, h, func(a, b Tile) bool { return true })
		if !slices.IsSortedFunc(tiles, func(a, b Tile) int { return a.Z - b.Z }) {
			t.Errorf("not in order of z: %s", draw(tiles))
		}
	})
}
