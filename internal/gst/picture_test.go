//go:build gst

package gst

import (
	"fmt"
	"image"
	"image/color"
	"testing"
	"time"
)

// TestPictures paints a half green, half clear picture into black frames of
// several formats, and reads the pixels.
func TestPictures(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 20, 10))
	for y := range 10 {
		for x := range 10 {
			m.SetNRGBA(x, y, color.NRGBA{0, 255, 0, 255})
		}
	}
	pic := NewPicture(m)
	if pic == nil || NewPicture(image.NewNRGBA(image.Rectangle{})) != nil {
		t.Fatal("pictures")
	}
	for _, c := range []struct {
		format string
		place  Place
		green  [][2]int // pixels of 80x40
		black  [][2]int
	}{
		{"I420", Place{X: 0.5, Y: 0.5, W: 0.5, H: 0.5}, [][2]int{{42, 22}, {57, 37}}, [][2]int{{2, 2}, {38, 30}, {63, 30}, {78, 38}, {50, 17}}},
		{"RGB", Place{X: 0.5, Y: 0.5, W: 0.5, H: 0.5}, [][2]int{{42, 22}, {57, 37}}, [][2]int{{2, 2}, {38, 30}, {63, 30}}},
		{"NV12", Place{X: -0.25, Y: -0.25, W: 1, H: 0.5}, [][2]int{{2, 2}, {17, 7}}, [][2]int{{23, 2}, {2, 13}}},
		{"I420", Place{W: 1, H: 1, KeepAspect: true}, [][2]int{{2, 2}, {37, 37}}, [][2]int{{43, 20}}},
		{"I420", Place{W: 0.25, H: 1, KeepAspect: true, Center: true}, [][2]int{{3, 18}, {8, 22}}, [][2]int{{3, 8}, {3, 32}, {13, 20}}},
	} {
		t.Run(fmt.Sprint(c.format, c.place.X, c.place.KeepAspect, c.place.Center), func(t *testing.T) {
			p, err := NewPipeline("p", Never)
			if err != nil {
				t.Fatal(err)
			}
			b, err := ParseBin("videotestsrc pattern=black num-buffers=3 ! video/x-raw,width=80,height=40,format="+c.format+
				" ! identity name=at ! videoconvert ! video/x-raw,format=RGB ! appsink name=sink sync=false", false)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Add(b); err != nil {
				t.Fatal(err)
			}
			paint := b.Find("at").Pad("src").Paint()
			q := c.place
			q.Picture = pic
			paint.Set([]Place{q, {Picture: pic, X: 3, W: 1, H: 1}, {Picture: pic}})
			frames := make(chan []byte, 3)
			b.Find("sink").OnSample(func(s Sample) { frames <- append([]byte(nil), s.Data...) })
			if err := p.SetState(Playing); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = p.SetState(Null) }()
			var f []byte
			select {
			case f = <-frames:
			case <-time.After(10 * time.Second):
				t.Fatal("no frame")
			}
			at := func(xy [2]int) [3]byte { i := (xy[1]*80 + xy[0]) * 3; return [3]byte(f[i : i+3]) }
			for _, xy := range c.green {
				if v := at(xy); v[1] < 200 || v[0] > 60 || v[2] > 60 {
					t.Errorf("pixel %v is %v, want green", xy, v)
				}
			}
			for _, xy := range c.black {
				if v := at(xy); v[1] > 60 {
					t.Errorf("pixel %v is %v, want black", xy, v)
				}
			}
			paint.Set(nil)
			paint.Close()
		})
	}
}
