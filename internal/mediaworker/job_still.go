//go:build gst

package mediaworker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"os"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

const (
	// stillTime bounds the whole, stillSeek the search for the exact picture: in a
	// file with few keyframes the nearest one of them is shown instead.
	stillTime    = 10 * time.Second
	stillSeek    = 5 * time.Second
	stillQuality = 85
	maxStill     = 4096
)

// stillJob reads a file and gives one picture of it. The call takes its time: the
// process does nothing else.
type stillJob struct{ w *worker }

func newStill(w *worker, _ json.RawMessage) (job, error) {
	gst.NoAddresses() // for good: a process does one job
	return &stillJob{w}, nil
}

func (j *stillJob) addInput(in *input) error {
	return kerr.New(kerr.MediaObjectIllegalParam, "A still has no input '%s'", in.params.Name)
}

func (j *stillJob) removeInput(*input) {}

func (j *stillJob) call(method string, params json.RawMessage, files []*os.File) (any, error) {
	defer closeAll(files)
	if method != wire.MethodStill {
		return nil, errMethod(method)
	}
	var p wire.StillParams
	if err := decodeParams(params, &p); err != nil {
		return nil, err
	}
	if len(files) != 1 || p.Width < 0 || p.Width > maxStill {
		return nil, kerr.New(kerr.MediaObjectIllegalParam, "A still takes one descriptor, and at most %d pixels", maxStill)
	}
	s := &stillSearch{width: p.Width, end: time.Now().Add(stillTime), got: make(chan stillFrame, 1), shown: make(chan string, maxTracks)}
	return s.take(files[0], p.AtMs)
}

func (j *stillJob) message(gst.Message) bool { return false }

func (j *stillJob) close() {}

// stillSearch is one search for a picture.
type stillSearch struct {
	width int
	pipe  *gst.Pipeline
	end   time.Time
	eos   bool
	shown chan string // the kinds of the file's streams, "" when there are no more
	got   chan stillFrame

	mu   sync.Mutex
	sink *gst.Element
}

type stillFrame struct {
	pix           []byte
	width, height int
}

func unreadable(format string, args ...any) error {
	return kerr.New(kerr.MediaObjectNotAvailable, "No picture of the file: %s", fmt.Sprintf(format, args...))
}

// take finds the picture. File and pipeline are its own.
func (s *stillSearch) take(f *os.File, atMs int64) (*wire.StillResult, error) {
	pipe, err := gst.NewPipeline("still", gst.Never)
	if err != nil {
		return nil, err
	}
	s.pipe = pipe
	defer func() { _ = pipe.SetState(gst.Null) }()
	src, err := gst.Make("fdsrc", "source")
	if err != nil {
		return nil, err
	}
	if err := src.Set("fd", fmt.Sprint(f.Fd())); err != nil {
		return nil, err
	}
	any, err := gst.Make("decodebin", "any")
	if err != nil {
		return nil, err
	}
	if err := pipe.Add(src, any); err != nil {
		return nil, err
	}
	if err := src.Link(any); err != nil {
		return nil, err
	}
	any.OnPadAdded(s.found)
	any.OnSignal("no-more-pads", func() { s.tell("") })
	_ = pipe.SetState(gst.Paused) // the bus tells why, if it does not
	if err := s.streams(); err != nil {
		return nil, err
	}
	if err := s.wait(s.end); err != nil {
		return nil, err
	}
	s.seek(atMs)
	_ = pipe.SetState(gst.Playing)
	for {
		select {
		case p := <-s.got:
			return p.jpeg()
		default:
		}
		if s.eos && len(s.got) == 0 {
			return nil, unreadable("it ends before")
		}
		if err := s.step(s.end); err != nil {
			return nil, err
		}
	}
}

func (s *stillSearch) tell(kind string) {
	select {
	case s.shown <- kind:
	default:
	}
}

// found takes the first stream of pictures, on the thread that found it. Sound is
// left unlinked.
func (s *stillSearch) found(pad *gst.Pad) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sink != nil || len(pad.Caps()) < 6 || pad.Caps()[:6] != "video/" {
		return
	}
	scale := ""
	if s.width > 0 {
		scale = fmt.Sprintf(",width=%d", s.width)
	}
	bin, err := gst.ParseBin("videoconvert n-threads=1 ! videoscale add-borders=false ! video/x-raw,format=RGB,pixel-aspect-ratio=1/1"+scale+
		" ! appsink name=sink sync=false max-buffers=1 enable-last-sample=false", true)
	if err != nil {
		return
	}
	sink := bin.Find("sink")
	in := sink.Pad("sink")
	got := s.got
	sink.OnSample(func(x gst.Sample) {
		if len(got) == cap(got) || len(x.Data) == 0 {
			return
		}
		p := stillFrame{bytes.Clone(x.Data), capsInt(in.Caps(), "width"), capsInt(in.Caps(), "height")}
		select {
		case got <- p:
		default:
		}
	})
	if s.pipe.Add(bin) != nil || pad.Link(bin.Pad("sink")) != nil || bin.SyncState() != nil {
		return
	}
	s.sink = sink
	s.tell("video")
}

// streams waits until pictures are found, or it is known that there are none.
func (s *stillSearch) streams() error {
	for {
		select {
		case kind := <-s.shown:
			s.mu.Lock()
			have := s.sink != nil
			s.mu.Unlock()
			if have {
				return nil
			}
			if kind == "" {
				return kerr.New(kerr.UnsupportedMediaType, "The file has no pictures that can be decoded")
			}
		default:
		}
		if err := s.step(s.end); err != nil {
			return err
		}
		if s.eos {
			return kerr.New(kerr.UnsupportedMediaType, "The file has no pictures")
		}
	}
}

// step hears the bus for a moment.
func (s *stillSearch) step(end time.Time) error {
	if time.Now().After(end) {
		return unreadable("it takes too long")
	}
	m, ok := s.pipe.Pop(50 * time.Millisecond)
	switch {
	case !ok:
	case m.Type == "error":
		return unreadable("%s", m.Text)
	case m.Type == "eos":
		s.eos = true
	}
	return nil
}

// wait waits for the pipeline to have a picture in its hands.
func (s *stillSearch) wait(end time.Time) error {
	for !s.pipe.Settled(gst.Paused) {
		if err := s.step(end); err != nil {
			return err
		}
		if s.eos {
			return nil
		}
	}
	return nil
}

// seek goes to the place, or as near as the file allows. Of a file in fragments
// without an index only the first is known to the demuxer, so that its middle is
// early in it.
func (s *stillSearch) seek(atMs int64) {
	at, flags := time.Duration(atMs)*time.Millisecond, gst.SeekFlush|gst.SeekAccurate
	length := s.pipe.Length()
	if atMs < 0 {
		at, flags = length/2, gst.SeekFlush|gst.SeekKeyUnit
	}
	if length > 0 && at >= length { // what is behind the end is at the end
		at, flags = length, gst.SeekFlush|gst.SeekKeyUnit
	}
	if at <= 0 || !s.pipe.Seek(1, flags, at, gst.Never) {
		return
	}
	if s.wait(time.Now().Add(stillSeek)) != nil {
		s.pipe.Seek(1, gst.SeekFlush|gst.SeekKeyUnit, at, gst.Never)
		_ = s.wait(time.Now().Add(stillSeek / 2))
	}
}

// jpeg makes the picture what the server wants.
func (p stillFrame) jpeg() (*wire.StillResult, error) {
	stride := (3*p.width + 3) &^ 3
	if p.width < 1 || p.height < 1 || len(p.pix) < stride*p.height {
		return nil, unreadable("it has %dx%d pixels", p.width, p.height)
	}
	m := image.NewRGBA(image.Rect(0, 0, p.width, p.height))
	for y := range p.height {
		from, to := p.pix[y*stride:], m.Pix[y*m.Stride:]
		for x := range p.width {
			to[4*x], to[4*x+1], to[4*x+2], to[4*x+3] = from[3*x], from[3*x+1], from[3*x+2], 255
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: stillQuality}); err != nil {
		return nil, unreadable("%v", err)
	}
	return &wire.StillResult{Image: b.Bytes(), Width: p.width, Height: p.height}, nil
}
