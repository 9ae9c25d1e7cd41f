package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What ffmpeg is told is what the media worker does: a grid without holes.
func TestStackFilter(t *testing.T) {
	for _, c := range []struct {
		tiles int
		one   bool
		want  string
	}{
		{4, false, "[0:v][1:v][2:v][3:v]xstack=inputs=4:layout=0_0|640_0|0_360|640_360"},
		{4, true, "[0:v:0][0:v:1][0:v:2][0:v:3]xstack=inputs=4:layout=0_0|640_0|0_360|640_360"},
	} {
		if got := stackFilter(&grid{tiles: c.tiles}, c.one); got != c.want {
			t.Errorf("%d tiles: %s", c.tiles, got)
		}
	}
	nine := stackFilter(&grid{tiles: 9}, true)
	for _, want := range []string{"[0:v:8]scale=426:240:flags=bilinear[s8];", "xstack=inputs=9:layout=0_0|426_0|852_0|0_240|", ",pad=1280:720"} {
		if !strings.Contains(nine, want) {
			t.Errorf("9 tiles: %s lacks %s", nine, want)
		}
	}
}

func TestComposedVerdict(t *testing.T) {
	all := func(ours, stack, browser, rate float64) []trial {
		return []trial{{Tiles: 4, Side: ourSide, CPU: ours, Rate: rate}, {Tiles: 4, Side: stackSide, CPU: stack, Rate: 25}, {Tiles: 4, Side: browserSide, CPU: browser, Rate: 25},
			{Tiles: 9, Side: ourSide, CPU: 100, Rate: 25}, {Tiles: 9, Side: stackSide, CPU: 1, Rate: 25}}
	}
	for _, c := range []struct {
		name string
		all  []trial
		says string
	}{
		{"good", all(1.2, 1, 2, 25), ""},
		{"dearer than xstack", all(1.3, 1, 4, 25), "1.300 of what xstack takes, above 1.20"},
		{"dearer than a browser", all(1, 1, 1.5, 25), "0.667 of what chromium takes, above 0.60"},
		{"too few pictures", all(1, 1, 2, 20), "20.0 pictures a second of 25"},
		{"nothing to compare with", all(1.2, 1, 2, 25)[:1], ""},
	} {
		if err := composedVerdict(c.all); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	table := composedTable(all(1.2, 1, 2, 25))
	for _, want := range []string{"| 4 | xstack | 1 | 1.000 | 1.000 to 1.000 |  | 25.0 | 0 | 1.20 |", "| 4 | chromium | 1 | 2.000 | 2.000 to 2.000 |  | 25.0 | 0 | 0.60 |"} {
		if !strings.Contains(table, want) {
			t.Errorf("%s\nlacks %s", table, want)
		}
	}
}

// Rounds are added to what there is; a broken file is told of.
func TestKeep(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kept")
	for i := range 3 {
		if err := keep(path, trial{Tiles: i, Side: ourSide, CPU: 0.5}); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := kept(path); err != nil || len(all) != 3 || all[2] != (trial{Tiles: 2, Side: ourSide, CPU: 0.5}) {
		t.Errorf("%v %v", all, err)
	}
	if err := os.WriteFile(path, []byte("{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := kept(path); err == nil {
		t.Error("half a line is read")
	}
	if got := middle([]float64{1, 2, 3, 4}); got != 2.5 {
		t.Errorf("the middle of four is %g", got)
	}
}

// The settings are those of x264 but for how keyframes are placed; a grey part has
// no contrast.
func TestInspectParts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.mp4")
	text := "x\x00x264 - core 164 r3095 - H.264 - options: cabac=0 ref=1 keyint=250 scenecut=0 rc=cbr\x00y"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := encoderSettings(path); err != nil || got != "cabac=0 ref=1 rc=cbr" {
		t.Errorf("%q %v", got, err)
	}
	if err := os.WriteFile(path, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := encoderSettings(path); err == nil {
		t.Error("settings of nothing")
	}
	grey := []byte{0, 0, 200, 0, 0, 0, 0, 200}
	if a, b := contrast(grey, 4, 0, 0, 2, 2), contrast(grey, 4, 2, 0, 2, 2); a != 0 || b < 99 || b > 101 {
		t.Errorf("contrasts %g and %g", a, b)
	}
}
