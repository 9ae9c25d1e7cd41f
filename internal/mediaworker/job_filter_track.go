package mediaworker

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// faceLife is how long a face that is not found any more keeps its picture.
	faceLife = time.Second
	maxFaces = 16
	// follow is the weight of where a face is now; the rest is where it was, or
	// pictures would tremble.
	follow = 0.6
)

// face is a box in fractions of the frame.
type face struct {
	x, y, w, h float64
	at         time.Time // last found
}

// faces are those of a stream over time.
type faces struct{ list []face }

// near tells whether two boxes are one face a moment later.
func (f face) near(g face) bool {
	dx, dy := f.x+f.w/2-g.x-g.w/2, f.y+f.h/2-g.y-g.h/2
	size := math.Max(f.w, g.w)
	return math.Abs(dx) < size*0.7 && math.Abs(dy) < math.Max(f.h, g.h)*0.7 && f.w < 2*g.w && g.w < 2*f.w
}

// seen takes what was found in one picture.
func (s *faces) seen(now time.Time, found []face) {
	taken := make([]bool, len(s.list))
	for _, g := range found {
		best := -1
		for i, f := range s.list {
			if !taken[i] && f.near(g) && (best < 0 || math.Abs(f.x-g.x)+math.Abs(f.y-g.y) < math.Abs(s.list[best].x-g.x)+math.Abs(s.list[best].y-g.y)) {
				best = i
			}
		}
		g.at = now
		if best < 0 {
			if len(s.list) < maxFaces {
				s.list, taken = append(s.list, g), append(taken, true)
			}
			continue
		}
		taken[best] = true
		f := s.list[best]
		mix := func(was, is float64) float64 { return was + follow*(is-was) }
		s.list[best] = face{mix(f.x, g.x), mix(f.y, g.y), mix(f.w, g.w), mix(f.h, g.h), now}
	}
	s.living(now)
}

// living forgets the faces that were not found for faceLife, and gives the others.
func (s *faces) living(now time.Time) []face {
	kept := s.list[:0]
	for _, f := range s.list {
		if now.Sub(f.at) < faceLife {
			kept = append(kept, f)
		}
	}
	s.list = kept
	return kept
}

// faceBox is one face in the text of a message of facedetect; the fields of eyes,
// nose and mouth follow the box and have longer names.
var faceBox = regexp.MustCompile(`[ ,]x=\(uint\)(\d+), y=\(uint\)(\d+), width=\(uint\)(\d+), height=\(uint\)(\d+)`)

// parseFaces reads the boxes out of GStreamer's text of a list of structures, in
// pictures of a size. Nested text has escapes, which are of no interest here.
func parseFaces(text string, width, height float64) (out []face) {
	text = strings.NewReplacer(`\`, "", `"`, "").Replace(text)
	for _, m := range faceBox.FindAllStringSubmatch(text, maxFaces) {
		var v [4]float64
		for i := range v {
			v[i], _ = strconv.ParseFloat(m[i+1], 64)
		}
		if v[2] > 0 && v[3] > 0 {
			out = append(out, face{x: v[0] / width, y: v[1] / height, w: v[2] / width, h: v[3] / height})
		}
	}
	return out
}
