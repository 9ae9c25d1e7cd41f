//go:build gst

package mediaworker

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
)

const (
	// pictureLatency is how late a picture may come and still be seen at its
	// time; pictureSlack is added for the compositor's own work.
	pictureLatency = 100 * time.Millisecond
	pictureSlack   = 40 * time.Millisecond
	// A source whose pictures have come too late for lateTicks looks in a row is
	// moved, so that they come pictureCushion before it would be too late.
	lateTicks      = 5
	pictureCushion = 60 * time.Millisecond
)

// canvas are the job's parameters. Without a framerate there is no picture,
// without a width it is that of the scene's master.
type canvas struct {
	Width     int `json:"width"`
	Height    int `json:"height"`
	Framerate int `json:"framerate"`
}

// composite shows its video inputs in one picture (raw port "video") and mixes
// its audio inputs into raw ports that the scene names.
type composite struct {
	w      *worker
	canvas canvas
	scene  scene
	sound  *mixdown

	mixer    *gst.Element // the compositor; nil without a picture
	filter   *gst.Element // its caps
	gate     *gst.Element // a tee behind it, when the canvas is not known at first
	out      *port        // nil until the canvas is known
	black    *gst.Element // the input that is always there
	pictures map[string]*visual
}

// visual is a video input.
type visual struct {
	pad    *gst.Pad // the compositor's
	tap    *gst.Tap
	seen   bool // it has brought a picture
	width  int
	height int
	place  string // as the pad was told
	late   int
	count  uint64
	offset time.Duration
}

// newComposite makes the jobs composite and mixer; the latter has no picture.
func newComposite(w *worker, params json.RawMessage) (job, error) {
	c := &composite{w: w, pictures: map[string]*visual{}}
	if err := decodeParams(params, &c.canvas); err != nil {
		return nil, err
	}
	if v := c.canvas; v.Width < 0 || v.Height < 0 || v.Width > 4096 || v.Height > 4096 || v.Framerate < 0 || v.Framerate > 60 || (v.Width == 0) != (v.Height == 0) {
		return nil, kerr.New(kerr.MediaObjectIllegalParam, "No canvas of %dx%d at %d pictures per second", v.Width, v.Height, v.Framerate)
	}
	if c.canvas.Framerate > 0 {
		if err := c.paint(); err != nil {
			return nil, err
		}
		w.every(c.look)
	}
	c.sound = newMixdown(w, mixLatency, false)
	return c, nil
}

// paint makes the picture's part of the pipeline. Without the one black input
// that is always there, the compositor's time would start over when the first
// other one comes; it is transparent and costs nothing.
func (c *composite) paint() error {
	var err error
	c.mixer, err = c.w.addBorn("compositor", fmt.Sprintf("force-live=true ignore-inactive-pads=true background=black max-threads=1 "+
		"latency=%d min-upstream-latency=%d", pictureSlack, pictureLatency))
	if err != nil {
		return err
	}
	if c.filter, err = c.w.addElement("capsfilter"); err != nil {
		return err
	}
	if err := c.mixer.Link(c.filter); err != nil {
		return err
	}
	// A live source is late by one of its pictures, and the compositor waits for
	// it: let that be short.
	c.black, err = c.w.addBin("videotestsrc is-live=true pattern=black ! capsfilter caps=video/x-raw,format=I420,width=16,height=16,framerate=30/1 ! queue")
	if err != nil {
		return err
	}
	pad, err := c.mixer.Request("sink_%u")
	if err != nil {
		return err
	}
	if err := pad.SetAll("alpha", "0", "zorder", "0", "width", "16", "height", "16"); err != nil {
		return err
	}
	if err := c.black.Pad("src").Link(pad); err != nil {
		return err
	}
	if c.canvas.Width > 0 {
		return c.show(c.canvas.Width, c.canvas.Height)
	}
	// Until the master's size is known the picture goes nowhere.
	c.filter.SetCaps(c.caps(16, 16))
	if c.gate, err = c.w.addElement("tee", "allow-not-linked", "true"); err != nil {
		return err
	}
	return c.filter.Link(c.gate)
}

func (c *composite) caps(width, height int) string {
	return fmt.Sprintf("video/x-raw,format=I420,width=%d,height=%d,framerate=%d/1,pixel-aspect-ratio=1/1", width, height, c.canvas.Framerate)
}

// show makes the canvas that size.
func (c *composite) show(width, height int) error {
	c.filter.SetCaps(c.caps(width, height))
	c.canvas.Width, c.canvas.Height = width, height
	if c.out != nil {
		return nil
	}
	out, err := c.w.newPort("video", "video")
	if err != nil {
		return err
	}
	c.out = out
	src := c.filter.Pad("src")
	if c.gate != nil {
		if src, err = c.gate.Request("src_%u"); err != nil {
			return err
		}
	}
	return src.Link(out.sink)
}

func (c *composite) addInput(in *input) error {
	if in.params.Kind == "audio" {
		return c.sound.addInput(in)
	}
	if c.mixer == nil {
		return kerr.New(kerr.UnsupportedMediaType, "The mixer takes no pictures")
	}
	pad, err := c.mixer.Request("sink_%u")
	if err != nil {
		return err
	}
	// What waits for the decoder may wait as long as the mixer is late.
	if err := in.bin.Find("src").SetAll("min-latency", "0", "max-latency", strconv.Itoa(int(10*time.Second))); err != nil {
		return err
	}
	p := &visual{pad: pad}
	c.pictures[in.params.Name] = p
	if err := pad.SetAll("alpha", "0", "width", "16", "height", "16"); err != nil {
		return err
	}
	if err := in.out.Link(pad); err != nil {
		return err
	}
	p.tap = in.out.Tap(c.w.pipe.Base(), func() { c.w.post(c.look) })
	return nil
}

func (c *composite) removeInput(in *input) {
	if in.params.Kind == "audio" {
		c.sound.removeInput(in)
		return
	}
	p := c.pictures[in.params.Name]
	if p == nil {
		return
	}
	delete(c.pictures, in.params.Name)
	// A decoder that waits for the compositor is set free by this.
	c.mixer.Release(p.pad)
	if p.tap != nil {
		in.bin.LockState(true)
		_ = in.bin.SetState(gst.Null)
		p.tap.Close()
	}
	c.arrange()
}

// look notes which inputs have brought pictures, of which size, and whether they
// come in time.
func (c *composite) look() {
	changed := false
	for name, p := range c.pictures {
		if p.tap == nil {
			continue
		}
		n := p.tap.Counts()
		if n.Buffers == 0 {
			continue
		}
		if !p.seen || n.Width != p.width || n.Height != p.height {
			p.seen, p.width, p.height = true, n.Width, n.Height
			changed = true
		}
		if n.Buffers == p.count {
			continue
		}
		p.count = n.Buffers
		// What is late is dropped by the compositor. A time line that is always
		// late shall be seen nevertheless.
		over := n.Lateness - p.offset - pictureLatency - pictureSlack
		if over <= 0 {
			p.late = 0
		} else if p.late++; p.late >= lateTicks {
			p.late = 0
			p.offset += over + pictureCushion
			p.pad.SetOffset(p.offset)
			c.w.log.Info("an input's time line is moved", "input", name, "by", p.offset)
		}
	}
	if changed {
		c.arrange()
	}
}

// arrange places the pictures.
func (c *composite) arrange() {
	if c.mixer == nil {
		return
	}
	if m := c.pictures[c.scene.Master]; m != nil && m.seen && (m.width&^1 != c.canvas.Width || m.height&^1 != c.canvas.Height) {
		if err := c.show(max(m.width&^1, 2), max(m.height&^1, 2)); err != nil {
			c.w.fatal("STREAM_ERROR_FAILED", kerr.UnexpectedError, err.Error())
			return
		}
	}
	places := c.scene.place(c.canvas.Width, c.canvas.Height, func(name string) bool {
		p := c.pictures[name]
		return p != nil && p.seen
	})
	order := c.scene.order()
	for name, p := range c.pictures {
		props := []string{"alpha", "0"}
		if r, ok := places[name]; ok {
			props = []string{
				"xpos", strconv.Itoa(r.x), "ypos", strconv.Itoa(r.y), "width", strconv.Itoa(r.width), "height", strconv.Itoa(r.height),
				"zorder", strconv.Itoa(slices.Index(order, name) + 1), "alpha", "1",
			}
		}
		text := strings.Join(props, " ")
		if text == p.place {
			continue
		}
		p.place = text
		if err := p.pad.SetAll(props...); err != nil {
			c.w.log.Error("picture not placed", "input", name, "error", err)
		}
	}
}

// call: "scene" replaces the scene.
func (c *composite) call(method string, params json.RawMessage, files []*os.File) (any, error) {
	closeAll(files)
	if method != "scene" {
		return nil, errMethod(method)
	}
	var s scene
	if err := decodeParams(params, &s); err != nil {
		return nil, err
	}
	c.scene = s
	c.arrange()
	return nil, c.sound.ports(s)
}

func (c *composite) message(gst.Message) bool { return false }

// close ends the mix and the pictures' taps. The base brings the pipeline to Null.
func (c *composite) close() {
	c.sound.close()
	for _, p := range c.pictures {
		if p.tap != nil {
			p.tap.Close()
		}
	}
	clear(c.pictures)
}

// order is the pile from the lowest up.
func (s *scene) order() []string {
	names := append([]string{}, s.Grid...)
	for _, l := range s.Layers {
		names = append(names, l.Input)
	}
	return names
}
