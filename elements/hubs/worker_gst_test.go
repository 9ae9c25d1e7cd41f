//go:build gst

package hubs_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/elements/hubs"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/pipeline"
)

// patience bounds the waits of tests with real workers.
const patience = 30 * time.Second

// worker builds the media worker, once.
var worker = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "worker")
	if err != nil {
		return "", err
	}
	atEnd = append(atEnd, func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "mediaworker")
	cmd := exec.Command("go", "build", "-tags", "gst", "-o", path, "github.com/govidu/govidu/cmd/mediaworker")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the media worker: %w\n%s", err, out)
	}
	return path, nil
})

func realTypes(t *testing.T) []elements.Type {
	t.Helper()
	path, err := worker()
	if err != nil {
		t.Fatal(err)
	}
	pool := workers.NewPool(workers.Config{Binary: path, Cores: 64, Warm: -1})
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
	})
	return hubs.Types(hubs.Deps{Pool: pool})
}

func ffmpeg(t testing.TB, args ...string) []byte {
	t.Helper()
	var said strings.Builder
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-y", "-threads", "1"}, args...)...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg %v: %v\n%s", args, err, said.String())
	}
	return out
}

var colours = map[string][3]int{"red": {255, 0, 0}, "blue": {0, 0, 255}, "lime": {0, 255, 0}, "yellow": {255, 255, 0}, "black": {}}

// colour is a clip of one colour; key frames are those that codec says.
func colour(t testing.TB, name codec.Name, colour string, width, height int) clip {
	t.Helper()
	args := []string{"-f", "lavfi", "-i", fmt.Sprintf("color=%s:s=%dx%d:r=30:d=1", colour, width, height), "-pix_fmt", "yuv420p", "-g", "15"}
	if name == codec.H264 {
		args = append(args, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-x264-params", "aud=1:repeat-headers=1:slices=1", "-f", "h264", "-")
	} else {
		args = append(args, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "0", "-f", "ivf", "-")
	}
	b := ffmpeg(t, args...)
	c := clip{step: time.Second / 30}
	add := func(p []byte) { c.units = append(c.units, unit{p, codec.KeyFrameUnit(name, p)}) }
	if name == codec.H264 {
		const delimiter = "\x00\x00\x00\x01\x09"
		for _, p := range strings.Split(string(b), delimiter)[1:] {
			add([]byte(delimiter + p))
		}
	} else {
		for b = b[32:]; len(b) >= 12; {
			n := int(binary.LittleEndian.Uint32(b))
			add(b[12 : 12+n])
			b = b[12+n:]
		}
	}
	if len(c.units) != 30 || !c.units[0].key {
		t.Fatalf("ffmpeg made %d frames of %s", len(c.units), name)
	}
	return c
}

// hum is a tone in Opus.
func hum(t testing.TB, hz int) clip {
	t.Helper()
	b := ffmpeg(t, "-f", "lavfi", "-i", fmt.Sprintf("sine=%d:r=48000:d=1,volume=2", hz), "-ac", "2", "-c:a", "libopus", "-f", "ogg", "-")
	c := clip{step: 20 * time.Millisecond}
	for _, p := range oggPackets(b)[2:52] {
		c.units = append(c.units, unit{p, true})
	}
	return c
}

func oggPackets(b []byte) (packets [][]byte) {
	var p []byte
	for len(b) >= 27 {
		n := int(b[26])
		lengths, body := b[27:27+n], b[27+n:]
		for _, l := range lengths {
			p = append(p, body[:l]...)
			body = body[l:]
			if l < 255 {
				packets, p = append(packets, p), nil
			}
		}
		b = body
	}
	return packets
}

// picture decodes the latest frames from a keyframe on and gives the last
// picture; nil when there is none of that size.
func picture(t testing.TB, frames []*pipeline.Packet, name codec.Name, width, height int) []byte {
	t.Helper()
	from := -1
	for i, p := range frames {
		if p.Key {
			from = i
		}
	}
	if from < 0 {
		return nil
	}
	file := filepath.Join(t.TempDir(), "frames")
	var b []byte
	if name == codec.VP8 {
		b = make([]byte, 32)
		copy(b, "DKIF\x00\x00\x20\x00VP80")
		binary.LittleEndian.PutUint32(b[16:], 30)
		binary.LittleEndian.PutUint32(b[20:], 1)
	}
	for i, p := range frames[from:] {
		if name == codec.VP8 {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Payload)))
			b = binary.LittleEndian.AppendUint64(b, uint64(i))
		}
		b = append(b, p.Payload...)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	format := map[codec.Name]string{codec.VP8: "ivf", codec.H264: "h264"}[name]
	raw := ffmpeg(t, "-f", format, "-i", file, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
	one := width * height * 3
	if len(raw) == 0 || len(raw)%one != 0 {
		return nil
	}
	return raw[len(raw)-one:]
}

// spot is a place in parts of the picture and the colour that shall be there.
type spot struct {
	x, y   float64
	colour string
}

// see waits until a port's picture has the colours.
func (b *table) see(what string, sink int, name codec.Name, width, height int, spots ...spot) {
	b.t.Helper()
	wrong := "no picture"
	in := b.sinks[sink].got[pipeline.Video]
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if l := in.Link(); l != nil {
			l.Feedback(pipeline.Feedback{Wish: pipeline.WishKeyFrame})
		}
		rgb := picture(b.t, in.Packets(), name, width, height)
		if rgb == nil {
			continue
		}
		wrong = ""
		for _, s := range spots {
			i := 3 * (int(s.y*float64(height))*width + int(s.x*float64(width)))
			for k, want := range colours[s.colour] {
				if d := int(rgb[i+k]) - want; d > 40 || d < -40 {
					wrong += fmt.Sprintf("%v is %v; ", s, rgb[i:i+3])
					break
				}
			}
		}
		if wrong == "" {
			return
		}
	}
	b.t.Fatalf("%s: %s", what, wrong)
}

// share gives the part of a frequency in what a port has sent of late (Goertzel),
// and the root mean square of all.
func share(samples []float64, hz float64) float64 {
	w := 2 * math.Pi * hz / 48000
	var s1, s2, sum float64
	for _, v := range samples {
		s1, s2 = v+2*math.Cos(w)*s1-s2, s1
		sum += v * v
	}
	power := s1*s1 + s2*s2 - 2*math.Cos(w)*s1*s2
	return 2 * power / float64(len(samples)) / max(sum, 1e-9)
}

// hear waits until a port sends tones, and none of others.
func (b *table) hear(what string, sink int, has, not []int) {
	b.t.Helper()
	wrong := "no sound"
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		frames := b.sinks[sink].frames(pipeline.Audio)
		if len(frames) < 40 {
			continue
		}
		samples := sound(b.t, frames[len(frames)-40:])
		samples = samples[len(samples)/2:]
		var rms float64
		for _, v := range samples {
			rms += v * v
		}
		rms = math.Sqrt(rms / float64(len(samples)))
		wrong = ""
		for _, hz := range has {
			if s := share(samples, float64(hz)); rms < 0.02 || s < 0.6/float64(len(has)) {
				wrong += fmt.Sprintf("%d Hz is %.3f of rms %.3f; ", hz, s, rms)
			}
		}
		for _, hz := range not {
			if s := share(samples, float64(hz)); rms > 0.01 && s > 0.02 {
				wrong += fmt.Sprintf("%d Hz is %.3f of rms %.3f; ", hz, s, rms)
			}
		}
		if wrong == "" {
			return
		}
	}
	b.t.Fatalf("%s: %s", what, wrong)
}

// sound decodes Opus to mono at 48 kHz.
func sound(t testing.TB, frames []*pipeline.Packet) []float64 {
	t.Helper()
	var b []byte
	granule, page := uint64(0), uint32(0)
	add := func(p []byte, kind byte) {
		head := append([]byte("OggS\x00"), kind)
		head = binary.LittleEndian.AppendUint64(head, granule)
		head = binary.LittleEndian.AppendUint32(head, 7)
		head = binary.LittleEndian.AppendUint32(head, page)
		head = append(head, 0, 0, 0, 0, byte(len(p)/255+1))
		for n := len(p); ; n -= 255 {
			head = append(head, byte(min(n, 255)))
			if n < 255 {
				break
			}
		}
		whole := append(head, p...)
		var crc uint32
		for _, x := range whole {
			crc ^= uint32(x) << 24
			for range 8 {
				if crc&0x80000000 != 0 {
					crc = crc<<1 ^ 0x04c11db7
				} else {
					crc <<= 1
				}
			}
		}
		binary.LittleEndian.PutUint32(whole[22:], crc)
		b = append(b, whole...)
		page++
	}
	add(codec.OpusHead(2, 312), 2)
	add([]byte("OpusTags\x04\x00\x00\x00test\x00\x00\x00\x00"), 0)
	for _, f := range frames {
		granule += uint64(codec.OpusTicks(f.Payload))
		add(f.Payload, 0)
	}
	file := filepath.Join(t.TempDir(), "frames.ogg")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	raw := ffmpeg(t, "-i", file, "-ar", "48000", "-ac", "1", "-f", "s16le", "-")
	s := make([]float64, len(raw)/2)
	for i := range s {
		s[i] = float64(int16(binary.LittleEndian.Uint16(raw[2*i:]))) / 32768
	}
	return s
}

// TestRealComposite: four sources of two codecs, receivers of two codecs, one
// who leaves, sound, and a killed worker.
func TestRealComposite(t *testing.T) {
	b := newTable(t, realTypes(t), "Composite", map[string]any{"width": 320, "height": 240, "framerate": 15}, 0)
	names := []string{"red", "blue", "lime", "yellow"}
	tones := []int{400, 1000, 1700, 2600}
	for i, name := range names {
		codecs := []codec.Name{codec.VP8, codec.H264}
		in, out := codecs[i%2], codecs[i/2]
		b.add(string(in), string(out))
		b.sources[i].play(pipeline.Video, colour(t, in, name, 160, 120))
		b.sources[i].play(pipeline.Audio, hum(t, tones[i]))
	}
	four := []spot{{0.1, 0.1, "red"}, {0.4, 0.4, "red"}, {0.6, 0.1, "blue"}, {0.9, 0.4, "blue"}, {0.1, 0.6, "lime"}, {0.9, 0.9, "yellow"}}
	b.see("VP8", 0, codec.VP8, 320, 240, four...)
	b.see("H264", 3, codec.H264, 320, 240, four...)
	for i := range tones {
		var others []int
		for j, hz := range tones {
			if j != i {
				others = append(others, hz)
			}
		}
		b.hear(fmt.Sprintf("port %d", i+1), i, others, tones[i:i+1])
	}
	if dot := b.Call(b.hub, "getGstreamerDot", nil).(string); !strings.Contains(dot, "compositor") {
		t.Errorf("the graph has no compositor: %.300s", dot)
	}

	pid := workerOf(t)
	begun := time.Now()
	if err := syscall.Kill(pid, syscall.SIGSEGV); err != nil {
		t.Fatal(err)
	}
	b.WaitEvents(b.hub, "Error", 1)
	b.WaitEvents(b.ports[3], "Error", 1)
	t.Logf("told %v after the crash", time.Since(begun))
	for _, s := range b.sinks {
		before := len(s.frames(pipeline.Video))
		elementtest.Eventually(t, "the picture comes again", func() bool { return len(s.frames(pipeline.Video)) > before+5 })
	}
	t.Logf("pictures again %v after the crash", time.Since(begun))
	b.see("after the crash", 0, codec.VP8, 320, 240, four...)
	b.hear("after the crash", 0, tones[1:], tones[:1])

	b.Call(b.sources[1], "disconnect", map[string]any{"sink": b.ports[1]})
	b.see("three", 0, codec.VP8, 320, 240, spot{0.25, 0.25, "red"}, spot{0.75, 0.25, "lime"}, spot{0.25, 0.75, "yellow"}, spot{0.75, 0.75, "black"})
	b.hear("three", 0, tones[2:], tones[:2])
	b.Release(b.ports[2])
	b.see("two", 0, codec.VP8, 320, 240, spot{0.25, 0.9, "red"}, spot{0.75, 0.1, "yellow"})
	b.Release(b.hub)
}

// workerOf finds the one worker that is our child.
func workerOf(t *testing.T) int {
	t.Helper()
	list, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range list {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		var pid, parent int
		var state byte
		i := strings.LastIndexByte(string(text), ')')
		fmt.Sscanf(string(text), "%d", &pid)
		fmt.Sscanf(string(text[i+2:]), "%c %d", &state, &parent)
		if parent == os.Getpid() && strings.Contains(string(text[:i]), "(mediaworker") && state != 'Z' {
			return pid
		}
	}
	t.Fatal("no worker runs")
	return 0
}

func TestRealAlphaBlending(t *testing.T) {
	b := newTable(t, realTypes(t), "AlphaBlending", nil, 3)
	for i, c := range []clip{colour(t, codec.VP8, "red", 320, 240), colour(t, codec.VP8, "blue", 160, 120), colour(t, codec.VP8, "lime", 160, 120)} {
		b.sources[i].play(pipeline.Video, c)
	}
	place := func(port int, x, y, width, height float64, z int) {
		b.Call(b.hub, "setPortProperties", map[string]any{
			"relativeX": x, "relativeY": y, "zOrder": z, "relativeWidth": width, "relativeHeight": height, "port": b.ports[port]})
	}
	b.Call(b.hub, "setMaster", map[string]any{"source": b.ports[0], "zOrder": 1})
	place(1, 0.5, 0.5, 0.5, 0.5, 5)
	place(2, 0.25, 0.25, 0.5, 0.5, 3)
	b.see("blue over green", 2, codec.VP8, 320, 240, spot{0.1, 0.1, "red"}, spot{0.3, 0.3, "lime"}, spot{0.6, 0.6, "blue"}, spot{0.9, 0.9, "blue"})
	place(2, 0.25, 0.25, 0.5, 0.5, 8)
	b.see("green over blue", 2, codec.VP8, 320, 240, spot{0.1, 0.1, "red"}, spot{0.3, 0.3, "lime"}, spot{0.6, 0.6, "lime"}, spot{0.9, 0.9, "blue"})
}

func TestRealMixer(t *testing.T) {
	b := newTable(t, realTypes(t), "Mixer", nil, 3)
	for i, hz := range []int{400, 1000, 2600} {
		b.sources[i].play(pipeline.Audio, hum(t, hz))
	}
	b.sources[0].play(pipeline.Video, colour(t, codec.VP8, "red", 160, 120))
	call := func(op, media string, source, sink int) {
		t.Helper()
		b.Call(b.hub, op, map[string]any{"media": media, "source": b.ports[source], "sink": b.ports[sink]})
	}
	call("connect", "AUDIO", 0, 2)
	call("connect", "VIDEO", 0, 2)
	b.hear("one", 2, []int{400}, []int{1000, 2600})
	b.see("video is routed", 2, codec.VP8, 160, 120, spot{0.5, 0.5, "red"})
	call("connect", "AUDIO", 1, 2)
	b.hear("two", 2, []int{400, 1000}, []int{2600})
	call("connect", "AUDIO", 2, 2)
	b.hear("three, itself too", 2, []int{400, 1000, 2600}, nil)
	call("disconnect", "AUDIO", 2, 2)
	call("disconnect", "AUDIO", 0, 2)
	b.hear("one again", 2, []int{1000}, []int{400, 2600})
}
