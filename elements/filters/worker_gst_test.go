//go:build gst

package filters

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image/color"
	"log/slog"
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
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

var _ Opener = (*fetch.Policy)(nil)

// worker builds the real media worker once.
var worker = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "mediaworker")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "mediaworker")
	cmd := exec.Command("go", "build", "-tags", "gst", "-o", path, "../../cmd/mediaworker")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// studio is a world with real workers and a folder of files.
type studio struct {
	*elementtest.World
	t    *testing.T
	pool *workers.Pool
	dir  string
}

func newStudio(t *testing.T) *studio {
	t.Helper()
	codectest.NeedFFmpeg(t)
	path, err := worker()
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if testing.Verbose() {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	pool := workers.NewPool(workers.Config{Binary: path, Cores: 64, Log: log})
	t.Cleanup(func() { pool.Close() })
	dir := t.TempDir()
	w := elementtest.NewWith(t, []pipeline.Converter{pipeline.NewDepacketizer(), pipeline.NewPacketizer(), pipeline.NewEncoder(), workers.NewDecoder(pool)},
		Types(Deps{Pool: pool, Images: &fetch.Policy{FileRoots: []string{dir}}})...)
	return &studio{w, t, pool, dir}
}

// file puts a file into the folder and gives its URI.
func (s *studio) file(name string, b []byte) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
	return "file://" + path
}

func (s *studio) ffmpeg(args ...string) []byte {
	s.t.Helper()
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-y"}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, said.Bytes())
	}
	return out.Bytes()
}

// film makes VP8 of an ffmpeg input, a second of it at 30 fps.
func (s *studio) film(args ...string) (units [][]byte) {
	s.t.Helper()
	b := s.ffmpeg(append(args, "-frames:v", "30", "-pix_fmt", "yuv420p", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "0", "-g", "15", "-b:v", "3M", "-f", "ivf", "-")...)
	for b = b[32:]; len(b) >= 12; {
		n := int(binary.LittleEndian.Uint32(b))
		units = append(units, b[12:12+n])
		b = b[12+n:]
	}
	return units
}

// halves is red on the left and blue on the right.
func (s *studio) halves() [][]byte {
	return s.film("-f", "lavfi", "-i", "color=red:s=160x240:r=30", "-f", "lavfi", "-i", "color=blue:s=160x240:r=30", "-filter_complex", "hstack")
}

// still is a picture on white, 640x480.
func (s *studio) still(file string) [][]byte {
	return s.film("-loop", "1", "-r", "30", "-i", file, "-vf", "pad=640:480:(ow-iw)/2:(oh-ih)/2:white")
}

// play pushes units into an element at their pace until the test ends.
func (s *studio) play(f elements.Element, units [][]byte) {
	s.t.Helper()
	source := s.Element("TestSource", nil)
	s.Call(source, "connect", map[string]any{"sink": f})
	out, err := source.Output(pipeline.Video, "")
	if err != nil {
		s.t.Fatal(err)
	}
	end, done := make(chan struct{}), make(chan struct{})
	s.t.Cleanup(func() { close(end); <-done })
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Second / 30)
		defer tick.Stop()
		for i := 0; ; i++ {
			u := units[i%len(units)]
			out.Push(&pipeline.Packet{Format: &vp8, Payload: u, Key: codec.KeyFrameUnit(codec.VP8, u), Arrival: time.Now(), PTS: time.Since(s.Pipeline.Graph().Epoch())})
			select {
			case <-tick.C:
			case <-end:
				return
			}
		}
	}()
}

// frame is a decoded picture.
type frame struct {
	w, h int
	rgb  []byte
}

func (f frame) at(x, y float64) color.RGBA {
	p := f.rgb[3*(int(y*float64(f.h))*f.w+int(x*float64(f.w))):]
	return color.RGBA{p[0], p[1], p[2], 255}
}

func is(a, b color.RGBA) bool {
	near := func(x, y uint8) bool { return max(x, y)-min(x, y) < 45 }
	return near(a.R, b.R) && near(a.G, b.G) && near(a.B, b.B)
}

var (
	red   = color.RGBA{255, 0, 0, 255}
	blue  = color.RGBA{0, 0, 255, 255}
	green = color.RGBA{0, 255, 0, 255}
)

// see waits until what an element sends as VP8 looks as wanted.
func (s *studio) see(f elements.Element, w, h int, what string, ok func(frame) bool) {
	s.t.Helper()
	out, err := f.Output(pipeline.Video, "")
	if err != nil {
		s.t.Fatal(err)
	}
	for limit := time.Now().Add(30 * time.Second); time.Now().Before(limit); {
		sink := pipelinetest.NewSink(pipeline.UnitOf(pipeline.Video, codec.VP8))
		link, err := out.Connect(sink)
		if err != nil {
			s.t.Fatal(err)
		}
		var list []*pipeline.Packet
		for len(list) < 8 && time.Now().Before(limit) {
			link.Feedback(pipeline.Feedback{Wish: pipeline.WishKeyFrame})
			time.Sleep(20 * time.Millisecond)
			list = sink.Packets()
			for len(list) > 0 && !list[0].Key {
				list = list[1:]
			}
		}
		out.Disconnect(link)
		if len(list) < 8 {
			break
		}
		b := append([]byte("DKIF\x00\x00\x20\x00VP80"), make([]byte, 20)...)
		binary.LittleEndian.PutUint16(b[12:], uint16(w))
		binary.LittleEndian.PutUint16(b[14:], uint16(h))
		b[16], b[20] = 30, 1
		for i, p := range list {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(p.Payload)))
			b = binary.LittleEndian.AppendUint64(b, uint64(i))
			b = append(b, p.Payload...)
		}
		file := filepath.Join(s.dir, "seen.ivf")
		if err := os.WriteFile(file, b, 0o600); err != nil {
			s.t.Fatal(err)
		}
		rgb := s.ffmpeg("-i", file, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
		if n := w * h * 3; len(rgb) >= n && len(rgb)%n == 0 && ok(frame{w, h, rgb[len(rgb)-n:]}) {
			return
		}
	}
	s.t.Fatalf("never seen: %s", what)
}

func flipped(f frame) bool { return is(f.at(0.25, 0.5), blue) && is(f.at(0.75, 0.5), red) }

func straight(f frame) bool { return is(f.at(0.25, 0.5), red) && is(f.at(0.75, 0.5), blue) }

// TestFlipSurvivesCrashes: the flip is seen flipped, changes while it runs, and
// is as it was after its worker died.
func TestFlipSurvivesCrashes(t *testing.T) {
	s := newStudio(t)
	f := s.Element("GStreamerFilter", command("videoflip method=horizontal-flip", "VIDEO"))
	s.play(f, s.halves())
	s.see(f, 320, 240, "the flip", flipped)
	s.Call(f, "setElementProperty", map[string]any{"propertyName": "method", "propertyValue": "none"})
	s.see(f, 320, 240, "no flip", straight)
	s.Call(f, "setElementProperty", map[string]any{"propertyName": "method", "propertyValue": "horizontal-flip"})
	for n := range 2 {
		pid := f.(*GStreamerFilter).job.PID()
		if err := syscall.Kill(pid, syscall.SIGSEGV); err != nil {
			t.Fatal(err)
		}
		e := s.WaitEvents(f, "Error", n+1)[n]
		if !strings.Contains(fmt.Sprint(e.Data["description"]), "another one takes over") {
			t.Errorf("event %v", e.Data)
		}
		s.see(f, 320, 240, "the flip after the crash", flipped)
	}
	dot, err := f.(*GStreamerFilter).WorkerDot(t.Context())
	if err != nil || !strings.Contains(dot, "GstVideoFlip") {
		t.Errorf("graph of %d bytes, %v", len(dot), err)
	}
}

func TestImageIsSeenAtItsPlace(t *testing.T) {
	s := newStudio(t)
	f := s.Element("ImageOverlayFilter", nil)
	square := drawing(16, 16)
	for i := 0; i < len(square.Pix); i += 4 {
		copy(square.Pix[i:], []byte{0, 255, 0, 255})
	}
	image := image1("logo")
	image["uri"] = s.file("logo.png", pngOf(t, square))
	image["offsetXPercent"], image["offsetYPercent"], image["widthPercent"], image["heightPercent"] = 0.5, 0.25, 0.25, 0.25
	s.play(f, s.halves())
	s.Call(f, "addImage", image)
	s.see(f, 320, 240, "the image", func(f frame) bool {
		return is(f.at(0.55, 0.3), green) && is(f.at(0.65, 0.45), green) && is(f.at(0.85, 0.3), blue) && is(f.at(0.4, 0.3), red) && is(f.at(0.55, 0.6), blue)
	})
	image["center"], image["widthPercent"] = true, 0.5 // as high as the box, in the middle of its width
	s.Call(f, "addImage", image)
	s.see(f, 320, 240, "the image in the middle of a wider box", func(f frame) bool {
		return is(f.at(0.55, 0.3), blue) && is(f.at(0.75, 0.3), green) && is(f.at(0.95, 0.3), blue)
	})
	s.Call(f, "removeImage", map[string]any{"id": "logo"})
	s.see(f, 320, 240, "no image", straight)
}

func TestFaceGetsItsOverlay(t *testing.T) {
	s := newStudio(t)
	f := s.Element("FaceOverlayFilter", nil)
	square := drawing(16, 16)
	for i := 0; i < len(square.Pix); i += 4 {
		copy(square.Pix[i:], []byte{0, 255, 0, 255})
	}
	s.play(f, s.still("testdata/face.png"))
	// A hat: above the face's box, which is about 300 to 500 by 150 to 350.
	hat := func(f frame) bool {
		return is(f.at(400./640, 100./480), green) && !is(f.at(400./640, 250./480), green) && !is(f.at(0.2, 0.2), green)
	}
	s.Call(f, "setOverlayedImage", map[string]any{"uri": s.file("hat.png", pngOf(t, square)), "offsetXPercent": 0, "offsetYPercent": -0.5, "widthPercent": 1, "heightPercent": 0.5})
	s.see(f, 640, 480, "the hat", hat)
	s.Call(f, "unsetOverlayedImage", nil)
	s.see(f, 640, 480, "no hat", func(f frame) bool { return !is(f.at(400./640, 100./480), green) })
}

func TestCodeIsFound(t *testing.T) {
	s := newStudio(t)
	f := s.Element("ZBarFilter", nil)
	s.play(f, s.still("testdata/qr.png"))
	got := s.WaitEvents(f, "CodeFound", 2)
	for _, e := range got {
		if e.Data["codeType"] != "QR-Code" || e.Data["value"] != "https://govidu.example/qr?a=1&b=2" {
			t.Errorf("event %v", e.Data)
		}
	}
}

// TestHostileTouchesNothing is scoreboard X7's second half: 300 hostile strings
// start no process and open nothing.
func TestHostileTouchesNothing(t *testing.T) {
	s := newStudio(t)
	files := elementtest.Files()
	for _, text := range hostile() {
		if _, err := s.TryCreate("GStreamerFilter", map[string]any{"command": text}); err == nil {
			t.Errorf("%q is accepted", clip(text))
		}
	}
	if now := elementtest.Files(); now != files {
		t.Errorf("%d open files, were %d", now, files)
	}
	if _, started := s.pool.Platform(); started {
		t.Error("a worker was started")
	}
}
