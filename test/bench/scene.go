package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// scene is one piece of work, the same for both sides.
type scene struct {
	name, title string
	inputs      int
	sound       bool // each input has a voice, and the mix comes out
	large       bool // the input is 1280x720
	width       int  // of the output
	height      int
	fps         int
	codec       string // of the output: VP8 or H264
	bitrate     int    // of the output, bps
	work        work

	// Of a round.
	from         []sockets
	video, audio *sink
}

type work int

const (
	compositing work = iota
	transcoding
	overlaying
	flipping
	directing
)

// sockets send one input; a side may insist on the port they have.
type sockets struct{ video, sound *net.UDPConn }

// scenes are all of them. Sizes and rates of compositing are those of a Composite
// without parameters.
func scenes() []*scene {
	composite := func(n int) *scene {
		return &scene{name: fmt.Sprintf("composite%d", n), title: fmt.Sprintf("composite of %d, VP8 800x600p15", n), inputs: n, sound: true,
			width: 800, height: 600, fps: 15, codec: "VP8", bitrate: 1_000_000, work: compositing}
	}
	return []*scene{
		composite(4), composite(9),
		{name: "transcode", title: "transcode VP8 to H264, 1280x720p30", inputs: 1, large: true, width: 1280, height: 720, fps: 30, codec: "H264", bitrate: 1_500_000, work: transcoding},
		{name: "overlay", title: "image overlay, VP8 640x480p30", inputs: 1, width: 640, height: 480, fps: 30, codec: "VP8", bitrate: 1_000_000, work: overlaying},
		{name: "flip", title: "horizontal flip, VP8 640x480p30", inputs: 1, width: 640, height: 480, fps: 30, codec: "VP8", bitrate: 1_000_000, work: flipping},
	}
}

// open opens the sockets of a round.
func (s *scene) open() (err error) {
	s.from = nil
	for range s.inputs {
		var x sockets
		if x.video, err = loopback(); err != nil {
			return err
		}
		if s.sound {
			if x.sound, err = loopback(); err != nil {
				return err
			}
		}
		s.from = append(s.from, x)
	}
	if s.video, err = newSink(s.codec); err != nil {
		return err
	}
	s.audio, err = newSink("opus")
	return err
}

func loopback() (*net.UDPConn, error) {
	return net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
}

func (s *scene) shut() {
	for _, x := range s.from {
		x.video.Close()
		if x.sound != nil {
			x.sound.Close()
		}
	}
	s.video.close()
	s.audio.close()
}

// flowing waits for the first pictures, and sound where there is some.
func (s *scene) flowing(ctx context.Context) error {
	for begin := time.Now(); time.Since(begin) < 20*time.Second; {
		c := s.counts()
		if c.frames >= 2 && (!s.sound || c.sounds >= 2) {
			return nil
		}
		if err := sleep(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	c := s.counts()
	return fmt.Errorf("nothing comes out: %d pictures, %d packets of sound in 20 s", c.frames, c.sounds)
}

func (s *scene) counts() counts {
	frames, _, bytes := s.video.counts()
	_, sounds, more := s.audio.counts()
	return counts{frames, sounds, bytes + more}
}

func (s *scene) decode(ctx context.Context, path string) (decoded, sampled int, err error) {
	return s.video.decode(ctx, path, s.width, s.height)
}

// cell is where input i of a composite is seen: ceil(sqrt n) columns, even sides.
func (s *scene) cell(i int) (x, y, width, height int) {
	columns := 1
	for columns*columns < s.inputs {
		columns++
	}
	rows := (s.inputs + columns - 1) / columns
	width, height = s.width/columns&^1, s.height/rows&^1
	return i % columns * width, i / columns * height, width, height
}

// The image of the overlay: a quarter of the picture's sides, a quarter in.
const imagePart = 0.25

// The settings of elements on both sides, in the language of gst-launch-1.0. The
// node's own graph is checked to have them.
func (s *scene) encoder() string {
	const vp8 = "vp8enc deadline=1 cpu-used=8 threads=1 end-usage=cbr lag-in-frames=0 keyframe-max-dist=1000000000 timebase=1/90000 target-bitrate=%d " +
		"buffer-size=1000 buffer-initial-size=500 buffer-optimal-size=600 min-quantizer=4 max-quantizer=56 undershoot=100 overshoot=15 static-threshold=1 error-resilient=default"
	const x264 = "x264enc tune=zerolatency speed-preset=superfast threads=1 bitrate=%d vbv-buf-capacity=600 key-int-max=1000000000 bframes=0 b-adapt=false byte-stream=true aud=false " +
		"option-string=scenecut=0:repeat-headers=1"
	if s.codec == "H264" {
		return fmt.Sprintf(x264, s.bitrate/1000)
	}
	return fmt.Sprintf(vp8, s.bitrate)
}

// voice are the settings of the mix's encoder.
const voice = "opusenc frame-size=20 bitrate-type=vbr complexity=5 inband-fec=true packet-loss-percentage=5 bitrate=64000"

// inGraph looks for an element with its settings in a graph in DOT, as GStreamer
// writes it: a setting at its default is left out there.
func inGraph(dot, element string) error {
	words := strings.Fields(element)
	_, label, ok := strings.Cut(dot, `label="`+className[words[0]]+`\n`)
	if !ok {
		return fmt.Errorf("the node's graph has no %s", words[0])
	}
	label, _, _ = strings.Cut(label, "\n")
	var wrong []error
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		if now, ok := setting(label, key); ok && !same(now, value) {
			wrong = append(wrong, fmt.Errorf("the node's %s has %s=%s, compared with %s", words[0], key, now, value))
		}
	}
	return errors.Join(wrong...)
}

// className is an element's type in a graph.
var className = map[string]string{"vp8enc": "GstVP8Enc", "x264enc": "GstX264Enc", "opusenc": "GstOpusEnc"}

// setting finds name=value among a label's lines.
func setting(label, name string) (string, bool) {
	label, _, _ = strings.Cut(label, `";`)
	label = strings.TrimSuffix(label, `"`)
	for line := range strings.SplitSeq(label, `\n`) {
		if v, ok := strings.CutPrefix(line, name+"="); ok {
			return strings.ReplaceAll(v, `\"`, ""), true
		}
	}
	return "", false
}

// same compares values of a setting; graphs write truth in capitals.
func same(a, b string) bool { return strings.EqualFold(a, b) }
