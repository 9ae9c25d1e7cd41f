//go:build gst

package mediaworker

import (
	"encoding/json"
	"os"
	"strconv"
	"time"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
)

// detectWidth is the width of the pictures in which faces are looked for: with
// 320 pixels a face of a tenth of the width is found.
const detectWidth = 320

// faceData is where distributions put OpenCV's description of faces; the first
// that exists is used.
var faceData = []string{
	"/usr/share/opencv4/haarcascades/haarcascade_frontalface_default.xml",
	"/usr/local/share/opencv4/haarcascades/haarcascade_frontalface_default.xml",
	"/usr/share/opencv/haarcascades/haarcascade_frontalface_default.xml",
}

// facesEffect draws a picture over each face. Faces are looked for beside the
// stream, a few times a second, while there is a picture.
type facesEffect struct {
	painter *gst.Painter
	gate    *gst.Element
	small   *gst.Pad // what the detector gets
	tap     *gst.Tap // its size
	current *drawing
	faces   faces
	none    bool // nothing is drawn
}

func newFacesEffect(j *filterJob) (effect, error) {
	data := ""
	for _, path := range faceData {
		if _, err := os.Stat(path); err == nil && data == "" {
			data = path
		}
	}
	if data == "" || !gst.Exists("facedetect") {
		return nil, kerr.New(kerr.MediaObjectNotAvailable, "Faces cannot be found here: install gstreamer1.0-opencv and opencv-data")
	}
	// Debian ships no data for noses, mouths and eyes; OpenCV would complain.
	_ = os.Setenv("OPENCV_LOG_LEVEL", "OFF")
	bin, err := j.insert("tee name=head allow-not-linked=true ! valve name=gate drop=true ! "+
		"queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0 ! "+
		"videorate drop-only=true max-rate=5 ! videoscale n-threads=1 qos=false ! videoconvert n-threads=1 qos=false ! "+
		"capsfilter name=small caps=\"video/x-raw,format=RGB,width="+strconv.Itoa(detectWidth)+",pixel-aspect-ratio=1/1\" ! "+
		"facedetect display=false updates=every_frame scale-factor=1.2 min-size-width=28 min-size-height=28 profile="+data+" ! "+
		"fakesink sync=false async=false", "head", "")
	if err != nil {
		return nil, err
	}
	pass, err := bin.Find("head").Request("src_%u")
	if err != nil {
		return nil, err
	}
	src, err := bin.Ghost("src", pass)
	if err != nil {
		return nil, err
	}
	if j.out, err = j.w.newPort("out", "video"); err != nil {
		return nil, err
	}
	j.entry = bin.Pad("sink")
	e := &facesEffect{gate: bin.Find("gate"), painter: j.out.sink.Paint(), small: bin.Find("small").Pad("src")}
	e.tap = e.small.Tap(j.w.pipe.Base(), nil)
	j.w.every(func() { e.draw(time.Now()) })
	return e, src.Link(j.out.sink)
}

func (e *facesEffect) call(method string, raw json.RawMessage) (any, error) {
	if method != "image" {
		return nil, errMethod(method)
	}
	var p pictureParams
	if err := decodeParams(raw, &p); err != nil {
		return nil, err
	}
	e.current = nil
	var err error
	if len(p.Image) > 0 {
		var pic drawing
		if pic, err = p.load(); err == nil {
			e.current = &pic
		}
	}
	drop := "true"
	if e.current != nil {
		drop = "false"
	} else {
		e.faces.list = nil
	}
	if err := e.gate.Set("drop", drop); err != nil {
		return nil, err
	}
	e.draw(time.Now())
	return nil, err
}

// message hears of the faces in one picture, none included.
func (e *facesEffect) message(m gst.Message) bool {
	if m.Type != "element" || m.Structure != "facedetect" {
		return false
	}
	c := e.tap.Counts()
	if e.current != nil && c.Width > 0 && c.Height > 0 {
		now := time.Now()
		e.faces.seen(now, parseFaces(m.Fields["faces"], float64(c.Width), float64(c.Height)))
		e.draw(now)
	}
	return true
}

// draw shows the picture over the faces that live.
func (e *facesEffect) draw(now time.Time) {
	var places []gst.Place
	if e.current != nil {
		for _, f := range e.faces.living(now) {
			p := e.current.place
			places = append(places, gst.Place{
				Picture: p.Picture, X: f.x + p.X*f.w, Y: f.y + p.Y*f.h, W: p.W * f.w, H: p.H * f.h, KeepAspect: p.KeepAspect, Center: p.Center,
			})
		}
	}
	if len(places) == 0 && e.none {
		return
	}
	e.none = len(places) == 0
	e.painter.Set(places)
}

func (e *facesEffect) close() {
	e.tap.Close()
	e.painter.Close()
}
