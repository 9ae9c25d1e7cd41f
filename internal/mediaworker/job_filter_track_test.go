package mediaworker

import (
	"math"
	"testing"
	"time"
)

// What facedetect of GStreamer 1.22 says, in its own escapes.
const (
	oneFace = `{ "face\,\ x\=\(uint\)150\,\ y\=\(uint\)75\,\ width\=\(uint\)100\,\ height\=\(uint\)50\;" }`
	allOf   = `{ "face\,\ x\=\(uint\)10\,\ y\=\(uint\)20\,\ width\=\(uint\)30\,\ height\=\(uint\)40\,\ nose-\>x\=\(uint\)1\,\ nose-\>y\=\(uint\)2\,\ nose-\>width\=\(uint\)3\,\ nose-\>height\=\(uint\)4\;", "face\,\ x\=\(uint\)200\,\ y\=\(uint\)20\,\ width\=\(uint\)0\,\ height\=\(uint\)40\;" }`
)

func TestParseFaces(t *testing.T) {
	for text, want := range map[string][]face{
		oneFace:         {{x: 0.5, y: 0.375, w: 1. / 3, h: 0.25}},
		allOf:           {{x: 10. / 300, y: 0.1, w: 0.1, h: 0.2}},
		"{  }":          nil,
		"":              nil,
		"x=(uint)1, y=": nil,
	} {
		got := parseFaces(text, 300, 200)
		if len(got) != len(want) {
			t.Errorf("%s gives %v", text, got)
			continue
		}
		for i := range got {
			if math.Abs(got[i].x-want[i].x)+math.Abs(got[i].y-want[i].y)+math.Abs(got[i].w-want[i].w)+math.Abs(got[i].h-want[i].h) > 1e-9 {
				t.Errorf("%s gives %v, want %v", text, got, want)
			}
		}
	}
}

// TestFacesOverTime: a face keeps its picture through a miss, follows smoothly,
// ends after faceLife, and is another one when it is far away.
func TestFacesOverTime(t *testing.T) {
	var s faces
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	a := face{x: 0.2, y: 0.2, w: 0.2, h: 0.2}
	s.seen(at(0), []face{a})
	s.seen(at(200), nil)
	if n := len(s.living(at(900))); n != 1 {
		t.Fatalf("%d faces after a miss", n)
	}
	moved := a
	moved.x = 0.3
	s.seen(at(400), []face{moved})
	if l := s.living(at(400)); len(l) != 1 || l[0].x <= 0.2 || l[0].x >= 0.3 {
		t.Errorf("it follows to %v", l)
	}
	for i := range 20 {
		s.seen(at(400+i), []face{moved, {x: 0.7, y: 0.7, w: 0.2, h: 0.2}})
	}
	if l := s.living(at(420)); len(l) != 2 || math.Abs(l[0].x-0.3) > 0.001 {
		t.Errorf("two faces: %v", l)
	}
	if l := s.living(at(1600)); len(l) != 0 {
		t.Errorf("faces live on: %v", l)
	}
	var many []face
	for i := range 50 {
		many = append(many, face{x: float64(i % 10), y: float64(i / 10), w: 0.1, h: 0.1})
	}
	s.seen(at(2000), many)
	if n := len(s.living(at(2000))); n != maxFaces {
		t.Errorf("%d faces", n)
	}
}
