package media

import (
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/govidu/govidu/internal/codec/codectest"
)

// expectation is what a file must look and sound like.
type expectation struct {
	File         string   `json:"file"`
	Left         string   `json:"left"`  // colour of the left half
	Right        string   `json:"right"` // and of the right
	Pixels       [][3]any `json:"pixels"`
	Tones        []int    `json:"tones"`  // in Hz, that are heard
	Silent       []int    `json:"silent"` // that are not
	Video, Audio string   // codecs, as ffprobe names them
	MinFrames    int      `json:"minFrames"`
}

const (
	judgeWidth, judgeHeight = 64, 48
	judgeRate               = 8000 // of sound, in Hz
)

// judge decodes a file and compares. Colours are those of most pictures of its
// second half, since recordings may begin while a graph still settles.
func judge(t *testing.T, folder string, line string) {
	t.Helper()
	var x expectation
	if err := json.Unmarshal([]byte(line), &x); err != nil {
		t.Fatalf("expectation %q: %v", line, err)
	}
	path := filepath.Join(folder, x.File)
	if x.Left != "" {
		x.Pixels = append(x.Pixels, [3]any{0.25, 0.5, x.Left}, [3]any{0.75, 0.5, x.Right})
	}
	probe := codectest.ProbeFile(t, path)
	for kind, want := range map[string]string{"video": x.Video, "audio": x.Audio} {
		for _, s := range probe.Streams {
			if s.Kind == kind && want != "" && s.Codec != want {
				t.Errorf("%s: %s is %s, want %s", x.File, kind, s.Codec, want)
			}
		}
	}
	if len(x.Pixels) > 0 {
		judgePixels(t, path, &x)
	}
	if len(x.Tones)+len(x.Silent) > 0 {
		judgeSound(t, path, &x)
	}
}

func decode(t *testing.T, args ...string) []byte {
	t.Helper()
	var stderr strings.Builder
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin"}, args...)...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("ffmpeg %s: %v: %s", args, err, stderr.String())
	}
	return out
}

func judgePixels(t *testing.T, path string, x *expectation) {
	t.Helper()
	b := decode(t, "-i", path, "-an", "-vf", fmt.Sprintf("scale=%d:%d:flags=area", judgeWidth, judgeHeight), "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
	const size = judgeWidth * judgeHeight * 3
	frames := len(b) / size
	if frames < max(x.MinFrames, 12) {
		t.Errorf("%s: %d pictures, want at least %d", x.File, frames, max(x.MinFrames, 12))
		return
	}
	for _, p := range x.Pixels {
		px, py, want := p[0].(float64), p[1].(float64), p[2].(string)
		good, last := 0, ""
		for f := frames / 2; f < frames; f++ {
			at := f*size + (int(py*judgeHeight)*judgeWidth+int(px*judgeWidth))*3
			last = colour(b[at], b[at+1], b[at+2])
			if not, ok := strings.CutPrefix(want, "not "); ok && last != not || last == want {
				good++
			}
		}
		if good*3 < (frames-frames/2)*2 {
			t.Errorf("%s: %.2f, %.2f is %s in %d of %d pictures (last %s)", x.File, px, py, want, good, frames-frames/2, last)
		}
	}
}

// colour names a pixel; "?" when it is none of those in use.
func colour(r, g, b byte) string {
	high := func(x byte) bool { return x > 140 }
	low := func(x byte) bool { return x < 90 }
	switch {
	case high(r) && high(g) && high(b):
		return "white"
	case low(r) && low(g) && low(b):
		return "black"
	case high(r) && low(g) && low(b):
		return "red"
	case low(r) && high(g) && low(b):
		return "green"
	case low(r) && low(g) && high(b):
		return "blue"
	}
	return fmt.Sprintf("? (%d,%d,%d)", r, g, b)
}

func judgeSound(t *testing.T, path string, x *expectation) {
	t.Helper()
	b := decode(t, "-i", path, "-vn", "-ac", "1", "-ar", fmt.Sprint(judgeRate), "-f", "s16le", "-")
	samples := make([]float64, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		samples = append(samples, float64(int16(uint16(b[i])|uint16(b[i+1])<<8))/32768)
	}
	if len(samples) < judgeRate {
		t.Errorf("%s: %d samples of sound, want a second", x.File, len(samples))
		return
	}
	samples = samples[len(samples)/3:]
	for _, hz := range x.Tones {
		if a := amplitude(samples, hz); a < 0.01 {
			t.Errorf("%s: tone of %d Hz has amplitude %.4f, want it heard", x.File, hz, a)
		}
	}
	for _, hz := range x.Silent {
		if a := amplitude(samples, hz); a > 0.005 {
			t.Errorf("%s: tone of %d Hz has amplitude %.4f, want it silent", x.File, hz, a)
		}
	}
}

// amplitude is that of one frequency: the mean over blocks of 50 ms, since a
// stream's clock may be corrected between them (Goertzel's algorithm).
func amplitude(samples []float64, hz int) float64 {
	const block = judgeRate / 20
	sum, n := 0.0, 0
	for ; len(samples) >= block; samples = samples[block:] {
		w := 2 * math.Cos(2*math.Pi*float64(hz)/judgeRate)
		var s1, s2 float64
		for _, v := range samples[:block] {
			s1, s2 = v+w*s1-s2, s1
		}
		sum += math.Sqrt(max(0, s1*s1+s2*s2-w*s1*s2)) * 2 / block
		n++
	}
	return sum / float64(n)
}
