//go:build gst

package mediaworker

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/workers/wire"
)

// colour is one that tests tell apart after coding.
type colour struct {
	name string
	rgb  [3]int
}

var palette = []colour{
	{"0xff0000", [3]int{255, 0, 0}}, {"0x0000ff", [3]int{0, 0, 255}}, {"0x00ff00", [3]int{0, 255, 0}}, {"0xffff00", [3]int{255, 255, 0}},
	{"0xff00ff", [3]int{255, 0, 255}}, {"0x00ffff", [3]int{0, 255, 255}}, {"0xffffff", [3]int{255, 255, 255}}, {"0x808080", [3]int{128, 128, 128}},
	{"0xff8000", [3]int{255, 128, 0}},
}

var noColour = [3]int{0, 0, 0}

// plain makes coded video of one colour, a second long, to be sent round and round.
func plain(t testing.TB, name codec.Name, c colour, width, height int) []unit {
	t.Helper()
	args := append([]string{"-f", "lavfi", "-i", fmt.Sprintf("color=%s:s=%dx%d:r=30:d=1", c.name, width, height), "-pix_fmt", "yuv420p", "-g", "30"}, ffmpegEncoders[name]...)
	b := ffmpeg(t, nil, append(args, "-")...)
	var units []unit
	add := func(p []byte) {
		units = append(units, unit{p, time.Duration(len(units)) * time.Second / 30, codec.KeyFrameUnit(name, p)})
	}
	if name == codec.H264 {
		for _, p := range byDelimiter(b, func(nal byte) bool { return nal&31 == 9 }) {
			add(p)
		}
		return units
	}
	for b = b[32:]; len(b) >= 12; {
		n := le32(b)
		add(b[12 : 12+n])
		b = b[12+n:]
	}
	return units
}

// hum makes coded sound of one frequency, a second long.
func hum(t testing.TB, hz int) []unit {
	t.Helper()
	b := ffmpeg(t, nil, append(append([]string{"-f", "lavfi", "-i", fmt.Sprintf("sine=%d:r=48000:d=1,volume=2", hz), "-ac", "2"}, ffmpegEncoders[codec.Opus]...), "-")...)
	var units []unit
	for _, p := range oggPackets(b)[2:] {
		units = append(units, unit{p, time.Duration(len(units)) * 20 * time.Millisecond, true})
	}
	return units[:50]
}

// stageRig is a rig with sources that go on until it ends, and what came of its
// outputs.
type stageRig struct {
	*rig
	playing sync.WaitGroup
	over    chan struct{}
	stops   map[uint16]chan struct{}
	ended   map[uint16]chan struct{}
	sendMu  sync.Mutex
	mu      sync.Mutex
	got     map[uint16][]coded
}

func startStage(t *testing.T, kind string, cv any) *stageRig {
	s := &stageRig{rig: startJob(t, kind, cv), over: make(chan struct{}), stops: map[uint16]chan struct{}{}, ended: map[uint16]chan struct{}{}, got: map[uint16][]coded{}}
	s.playing.Go(func() {
		for {
			select {
			case <-s.over:
				return
			case f := <-s.frames:
				s.mu.Lock()
				s.got[f.stream] = append(s.got[f.stream], f)
				s.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		close(s.over)
		s.playing.Wait()
	})
	return s
}

// source announces an input and sends units round and round, late after their
// own time by behind.
func (s *stageRig) source(stream uint16, name string, m wire.Media, units []unit, period, behind time.Duration) {
	s.t.Helper()
	s.must(wire.MethodInput, wire.StreamParams{Stream: stream, Name: name, Media: m})
	stop, ended := make(chan struct{}), make(chan struct{})
	s.stops[stream], s.ended[stream] = stop, ended
	s.sendMu.Lock()
	s.next[stream] = 0
	s.sendMu.Unlock()
	s.playing.Go(func() {
		defer close(ended)
		timer := time.NewTimer(0)
		defer timer.Stop()
		start := gst.Now()
		for round := time.Duration(0); ; round++ {
			for _, u := range units {
				at := start + round*period + u.at
				timer.Reset(at - gst.Now())
				select {
				case <-timer.C:
				case <-stop:
					return
				case <-s.over:
					return
				}
				var flags uint8
				if u.key {
					flags = wire.Key
				}
				s.sendMu.Lock() // send's numbers are one map
				s.send(stream, u.data, at-behind, flags)
				s.sendMu.Unlock()
			}
		}
	})
}

// leave ends a source and its input.
func (s *stageRig) leave(stream uint16, name string) {
	s.t.Helper()
	close(s.stops[stream])
	<-s.ended[stream]
	s.must(wire.MethodNoInput, wire.NameParams{Name: name})
}

func (s *stageRig) show(sc scene) {
	s.t.Helper()
	s.must(wire.MethodCall, wire.CallParams{Method: "scene", Params: encode(sc)})
}

func (s *stageRig) encode(stream uint16, port string, name codec.Name) {
	s.t.Helper()
	s.must(wire.MethodOutput, wire.OutputParams{Stream: stream, Port: port, Media: mediaOf(name), Bitrate: 1_000_000})
}

func (s *stageRig) frames1(stream uint16) []coded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got[stream])
}

// forget drops what came so far.
func (s *stageRig) forget(stream uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got[stream] = nil
}

// cell is a place in the picture and the colour that is to be there.
type cell struct {
	x, y float64
	rgb  [3]int
}

// see waits until the picture has the colours.
func (s *stageRig) see(stream uint16, name codec.Name, width, height int, what string, cells []cell) {
	s.t.Helper()
	wrong := "no picture"
	for end := time.Now().Add(patience); time.Now().Before(end); {
		s.forget(stream) // first: the keyframe may come before the answer
		s.must(wire.MethodKeyFrame, wire.IDParams{Stream: stream})
		var frames []coded
		for time.Now().Before(end) {
			frames = s.frames1(stream)
			if i := slices.IndexFunc(frames, func(c coded) bool { return c.key }); i >= 0 && len(frames) >= i+4 {
				frames = frames[i:]
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if len(frames) == 0 || !frames[0].key {
			break
		}
		p := decodePictures(s.t, name, frames, width, height)
		wrong = ""
		for _, c := range cells {
			if at := p.at(c.x, c.y); !near(at, c.rgb) {
				wrong += fmt.Sprintf("at %.2f %.2f is %v, want %v; ", c.x, c.y, at, c.rgb)
			}
		}
		if wrong == "" {
			return
		}
	}
	s.t.Fatalf("%s: %s", what, wrong)
}

// gridCells are the middles and near-corners of n cells and the colours of the
// palette in order.
func gridCells(colours []colour, columns, rows int) (all []cell) {
	w, h := 1/float64(columns), 1/float64(rows)
	for i := range columns * rows {
		rgb := noColour
		if i < len(colours) {
			rgb = colours[i].rgb
		}
		x, y := float64(i%columns)*w, float64(i/columns)*h
		for _, d := range [][2]float64{{0.5, 0.5}, {0.1, 0.1}, {0.9, 0.9}} {
			all = append(all, cell{x + d[0]*w, y + d[1]*h, rgb})
		}
	}
	return all
}

func TestCompositeGrid(t *testing.T) {
	const width, height = 480, 360
	for _, c := range []struct{ n, columns, rows int }{{1, 1, 1}, {2, 2, 1}, {4, 2, 2}, {9, 3, 3}} {
		t.Run(fmt.Sprint(c.n), func(t *testing.T) {
			t.Parallel()
			s := startStage(t, "composite", canvas{width, height, 15})
			s.encode(100, "video", codec.VP8)
			s.encode(101, "video", codec.H264)
			var sc scene
			for i := range c.n {
				name := codec.VP8
				if i%2 == 1 {
					name = codec.H264
				}
				input := fmt.Sprintf("video/%d", i+1)
				sc.Grid = append(sc.Grid, input)
				s.source(uint16(i+1), input, mediaOf(name), plain(t, name, palette[i], 160, 120), time.Second, 0)
			}
			s.show(sc)
			s.see(100, codec.VP8, width, height, "VP8", gridCells(palette[:c.n], c.columns, c.rows))
			s.see(101, codec.H264, width, height, "H264", gridCells(palette[:c.n], c.columns, c.rows))
			if code := s.close(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// TestCompositeJoinAndLeave: inputs come, go, and come again, the rest goes on,
// and the picture's time never stumbles.
func TestCompositeJoinAndLeave(t *testing.T) {
	const width, height = 320, 240
	s := startStage(t, "composite", canvas{width, height, 15})
	s.encode(100, "video", codec.VP8)
	s.encode(102, "video", codec.VP8) // is only counted
	grid := func(n ...int) scene {
		var sc scene
		for _, i := range n {
			sc.Grid = append(sc.Grid, fmt.Sprintf("video/%d", i))
		}
		return sc
	}
	join := func(stream uint16, n int) {
		s.source(stream, fmt.Sprintf("video/%d", n), mediaOf(codec.VP8), plain(t, codec.VP8, palette[n-1], 160, 120), time.Second, 0)
	}
	s.show(grid())
	s.see(100, codec.VP8, width, height, "nobody", []cell{{0.5, 0.5, noColour}})
	join(1, 1)
	s.show(grid(1))
	s.see(100, codec.VP8, width, height, "one", gridCells(palette[:1], 1, 1))
	join(2, 2)
	join(3, 3)
	s.show(grid(1, 2, 3))
	s.see(100, codec.VP8, width, height, "three", gridCells(palette[:3], 2, 2))
	s.leave(2, "video/2")
	s.see(100, codec.VP8, width, height, "an input is gone", gridCells([]colour{palette[0], palette[2]}, 2, 1))
	s.show(grid(3))
	s.see(100, codec.VP8, width, height, "one is not in the scene", gridCells(palette[2:3], 1, 1))
	join(4, 2)
	s.show(grid(1, 2, 3))
	s.see(100, codec.VP8, width, height, "it came again", gridCells(palette[:3], 2, 2))
	for n := range uint16(12) {
		join(20+n, 5)
		s.leave(20+n, "video/5")
	}
	s.see(100, codec.VP8, width, height, "after many joins and leaves", gridCells(palette[:3], 2, 2))
	all := s.frames1(102)
	for i := 1; i < len(all); i++ {
		if d := all[i].pts - all[i-1].pts; d <= 0 || (d+time.Second/30)/(time.Second/15)*(time.Second/15)-d > time.Millisecond*2 {
			t.Errorf("picture %d of %d comes %v after the one before", i, len(all), d)
			break
		}
	}
	if len(all) < 30 {
		t.Errorf("%d pictures", len(all))
	}
	if code := s.close(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestCompositeLateSource: pictures that always come too late for their own
// time are seen nevertheless.
func TestCompositeLateSource(t *testing.T) {
	s := startStage(t, "composite", canvas{160, 120, 15})
	s.encode(100, "video", codec.VP8)
	s.show(scene{Grid: []string{"a", "b"}})
	s.source(1, "a", mediaOf(codec.VP8), plain(t, codec.VP8, palette[0], 160, 120), time.Second, 0)
	s.source(2, "b", mediaOf(codec.VP8), append(plain(t, codec.VP8, palette[1], 160, 120), shift(plain(t, codec.VP8, palette[2], 160, 120), time.Second)...), 2*time.Second, 700*time.Millisecond)
	// Both of its colours come, so it is not one old picture.
	s.see(100, codec.VP8, 160, 120, "late source, first colour", gridCells(palette[:2], 2, 1))
	s.see(100, codec.VP8, 160, 120, "late source, second colour", gridCells([]colour{palette[0], palette[2]}, 2, 1))
	s.see(100, codec.VP8, 160, 120, "late source, first colour again", gridCells(palette[:2], 2, 1))
}

func shift(units []unit, by time.Duration) []unit {
	for i := range units {
		units[i].at += by
	}
	return units
}

// TestCompositeSizeChange: a source changes its size, the cell stays.
func TestCompositeSizeChange(t *testing.T) {
	s := startStage(t, "composite", canvas{320, 240, 15})
	s.encode(100, "video", codec.VP8)
	s.show(scene{Grid: []string{"a", "b"}})
	s.source(1, "a", mediaOf(codec.VP8), plain(t, codec.VP8, palette[0], 160, 120), time.Second, 0)
	units := append(plain(t, codec.VP8, palette[1], 320, 240), shift(plain(t, codec.VP8, palette[3], 96, 64), time.Second)...)
	s.source(2, "b", mediaOf(codec.VP8), units, 2*time.Second, 0)
	s.see(100, codec.VP8, 320, 240, "large", gridCells(palette[:2], 2, 1))
	s.see(100, codec.VP8, 320, 240, "small", gridCells([]colour{palette[0], palette[3]}, 2, 1))
}

func TestAlphaBlending(t *testing.T) {
	s := startStage(t, "composite", canvas{Framerate: 15})
	s.encode(100, "video", codec.VP8)
	s.source(1, "m", mediaOf(codec.VP8), plain(t, codec.VP8, palette[0], 320, 240), time.Second, 0)
	s.source(2, "a", mediaOf(codec.H264), plain(t, codec.H264, palette[1], 160, 120), time.Second, 0)
	s.source(3, "b", mediaOf(codec.VP8), plain(t, codec.VP8, palette[2], 160, 120), time.Second, 0)
	s.encode(101, "x", codec.Opus)
	s.show(scene{Layers: []layer{{"a", 0, 0, 1, 1}}, Minus: []string{"x"}})
	s.hears(101, "a port without sources", nil, nil) // 0.8 s have passed
	if n := len(s.frames1(100)); n > 0 {
		t.Errorf("%d pictures without a master", n)
	}
	m, a, b := layer{"m", 0, 0, 1, 1}, layer{"a", 0.5, 0.5, 0.5, 0.5}, layer{"b", 0.25, 0.25, 0.5, 0.5}
	s.show(scene{Master: "m", Layers: []layer{m, a, b}})
	red, blue, green := palette[0].rgb, palette[1].rgb, palette[2].rgb
	s.see(100, codec.VP8, 320, 240, "b over a", []cell{{0.1, 0.1, red}, {0.9, 0.9, blue}, {0.6, 0.6, green}, {0.3, 0.3, green}})
	s.show(scene{Master: "m", Layers: []layer{m, b, a}})
	s.see(100, codec.VP8, 320, 240, "a over b", []cell{{0.1, 0.1, red}, {0.9, 0.9, blue}, {0.6, 0.6, blue}, {0.3, 0.3, green}})
	// Another master, of another size: the canvas and the coded size follow.
	s.show(scene{Master: "a", Layers: []layer{{"a", 0, 0, 1, 1}, {"m", 0, 0, 0.5, 0.5}}})
	s.see(100, codec.VP8, 160, 120, "another master", []cell{{0.25, 0.25, red}, {0.75, 0.75, blue}})
}

// hears waits until a port's sound has the frequencies and none of the others.
func (s *stageRig) hears(stream uint16, what string, has, not []int) {
	s.t.Helper()
	wrong := "nothing"
	for end := time.Now().Add(patience); time.Now().Before(end); {
		s.forget(stream)
		for len(s.frames1(stream)) < 40 && time.Now().Before(end) {
			time.Sleep(10 * time.Millisecond)
		}
		if len(s.frames1(stream)) < 40 {
			break
		}
		samples := decodeSound(s.t, codec.Opus, s.frames1(stream)[:40])
		samples = samples[len(samples)/2:]
		rms, _ := energy(samples, 1)
		var bad []string
		for _, hz := range has {
			if _, share := energy(samples, float64(hz)); rms < 0.02 || share < 0.6/float64(len(has)) {
				bad = append(bad, fmt.Sprintf("%d Hz has a share of %.3f of rms %.3f", hz, share, rms))
			}
		}
		for _, hz := range not {
			if _, share := energy(samples, float64(hz)); rms > 0.01 && share > 0.02 {
				bad = append(bad, fmt.Sprintf("%d Hz has a share of %.3f of rms %.3f", hz, share, rms))
			}
		}
		if len(has) == 0 && rms > 0.01 {
			bad = append(bad, fmt.Sprintf("rms is %.3f", rms))
		}
		if wrong = strings.Join(bad, "; "); wrong == "" {
			return
		}
	}
	s.t.Fatalf("%s: %s", what, wrong)
}

// TestMixMinus: each port hears all others and not itself.
func TestMixMinus(t *testing.T) {
	s := startStage(t, "composite", canvas{64, 64, 15})
	tones := []int{400, 1000, 2600}
	var ports []string
	for i, hz := range tones {
		ports = append(ports, fmt.Sprintf("audio/%d", i+1))
		s.encode(uint16(100+i), ports[i], codec.Opus) // before the port is there
		s.source(uint16(i+1), ports[i], mediaOf(codec.Opus), hum(t, hz), time.Second, 0)
	}
	s.encode(110, "audio/4", codec.Opus)
	s.show(scene{Minus: append(ports, "audio/4")})
	s.hears(100, "first", []int{1000, 2600}, []int{400})
	s.hears(101, "second", []int{400, 2600}, []int{1000})
	s.hears(102, "third", []int{400, 1000}, []int{2600})
	s.hears(110, "one that says nothing", tones, nil)
	s.leave(3, "audio/3")
	s.hears(100, "first, when the third has left", []int{1000}, []int{400, 2600})
	s.leave(2, "audio/2")
	s.hears(100, "first, when alone", nil, nil)
	if code := s.close(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestMixer: ports hear what the scene names, of sources early and late.
func TestMixer(t *testing.T) {
	s := startStage(t, "mixer", canvas{})
	s.source(1, "a", mediaOf(codec.Opus), hum(t, 400), time.Second, 0)
	s.source(2, "b", mediaOf(codec.Opus), hum(t, 1000), time.Second, 600*time.Millisecond)
	s.source(3, "c", mediaOf(codec.Opus), hum(t, 2600), time.Second, -600*time.Millisecond)
	s.encode(100, "x", codec.Opus)
	s.encode(101, "y", codec.Opus)
	s.show(scene{Mix: map[string][]string{"x": {"a", "b"}, "y": {"b", "c"}}})
	s.hears(100, "x", []int{400, 1000}, []int{2600})
	s.hears(101, "y", []int{1000, 2600}, []int{400})
	s.show(scene{Mix: map[string][]string{"x": {"c"}}})
	s.hears(100, "x, changed", []int{2600}, []int{400, 1000})
	if err := s.ask(wire.MethodInput, wire.StreamParams{Stream: 9, Name: "v", Media: mediaOf(codec.VP8)}, nil); err == nil {
		t.Error("a mixer takes video")
	}
	if err := s.ask(wire.MethodCall, wire.CallParams{Method: "nonsense"}, nil); err == nil {
		t.Error("a call that nobody knows has no error")
	}
	if err := s.ask(wire.MethodCall, wire.CallParams{Method: "scene", Params: []byte(`{"grid":3}`)}, nil); err == nil {
		t.Error("nonsense is a scene")
	}
}

func TestCompositeRefusesCanvas(t *testing.T) {
	for _, cv := range []canvas{{100_000, 10, 15}, {10, 0, 15}, {-2, -2, 15}, {64, 64, 1000}} {
		r := newRig(t)
		if err := r.ask(wire.MethodStart, wire.StartParams{Kind: "composite", Params: encode(cv)}, nil); err == nil {
			t.Errorf("a canvas of %+v", cv)
		}
	}
}
