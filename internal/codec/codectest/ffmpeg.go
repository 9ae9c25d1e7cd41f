// Package codectest makes real coded frames for tests with the ffmpeg command
// and asks ffprobe about files. Nothing but tests may import it.
package codectest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
)

// Frame is one access unit, in the shape of pipeline.Unit framing.
type Frame struct {
	Data []byte
	PTS  time.Duration
	Key  bool
}

// Clip says what to encode. Zero fields: 160×120, 25 fps, 2 s, a keyframe per second.
type Clip struct {
	Width, Height, FPS, KeyEvery int
	Length                       time.Duration
}

func (c Clip) withDefaults() Clip {
	if c.Width == 0 {
		c.Width, c.Height = 160, 120
	}
	if c.FPS == 0 {
		c.FPS = 25
	}
	if c.KeyEvery == 0 {
		c.KeyEvery = c.FPS
	}
	if c.Length == 0 {
		c.Length = 2 * time.Second
	}
	return c
}

// NeedFFmpeg fails the test when ffmpeg or ffprobe is missing.
func NeedFFmpeg(t testing.TB) {
	t.Helper()
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("this test needs %s: scripts/install.sh ffmpeg", name)
		}
	}
}

// Frames encodes a test picture or tone with the named codec (VP8, VP9, AV1, H264, opus).
func Frames(t testing.TB, name codec.Name, c Clip) []Frame {
	t.Helper()
	NeedFFmpeg(t)
	c = c.withDefaults()
	seconds := strconv.FormatFloat(c.Length.Seconds(), 'f', 3, 64)
	args := []string{"-v", "error", "-threads", "1", "-f", "lavfi"}
	if name == codec.Opus {
		args = append(args, "-i", "sine=frequency=440:sample_rate=48000:duration="+seconds,
			"-ac", "2", "-c:a", "libopus", "-frame_duration", "20", "-f", "ogg", "-")
		return oggFrames(t, run(t, args))
	}
	args = append(args, "-i", fmt.Sprintf("testsrc=size=%dx%d:rate=%d:duration=%s", c.Width, c.Height, c.FPS, seconds),
		"-pix_fmt", "yuv420p", "-g", strconv.Itoa(c.KeyEvery), "-keyint_min", strconv.Itoa(c.KeyEvery))
	switch name {
	case codec.VP8:
		args = append(args, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "0", "-lag-in-frames", "0", "-f", "ivf", "-")
	case codec.VP9:
		args = append(args, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "0", "-lag-in-frames", "0", "-f", "ivf", "-")
	case codec.AV1:
		args = append(args, "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-f", "ivf", "-")
	case codec.H264:
		args = append(args, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline",
			"-x264-params", "scenecut=0:slices=1", "-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-")
		return annexBFrames(run(t, args), c.FPS)
	default:
		t.Fatalf("no encoder for %s", name)
	}
	return ivfFrames(t, name, run(t, args))
}

func run(t testing.TB, args []string) []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg %v: %v\n%s", args, err, stderr.String())
	}
	return out
}

func ivfFrames(t testing.TB, name codec.Name, b []byte) []Frame {
	t.Helper()
	if len(b) < 32 {
		t.Fatalf("short ivf: %d bytes", len(b))
	}
	rate, scale := binary.LittleEndian.Uint32(b[16:]), binary.LittleEndian.Uint32(b[20:])
	var frames []Frame
	for b = b[32:]; len(b) >= 12; {
		n := int(binary.LittleEndian.Uint32(b))
		pts := time.Duration(binary.LittleEndian.Uint64(b[4:])) * time.Second * time.Duration(scale) / time.Duration(rate)
		data := b[12 : 12+n]
		if name == codec.AV1 && len(data) > 2 && data[0] == 0x12 && data[1] == 0 {
			data = data[2:] // RTP never carries the temporal delimiter
		}
		frames = append(frames, Frame{Data: data, PTS: pts, Key: codec.KeyFrameUnit(name, data)})
		b = b[12+n:]
	}
	return frames
}

func annexBFrames(b []byte, fps int) []Frame {
	var frames []Frame
	var unit []byte
	flush := func() {
		if len(unit) > 0 {
			frames = append(frames, Frame{
				Data: unit, PTS: time.Duration(len(frames)) * time.Second / time.Duration(fps),
				Key: codec.KeyFrameUnit(codec.H264, unit),
			})
			unit = nil
		}
	}
	for nal := range codec.NALUnits(b) {
		if nal[0]&0x1f == 9 { // access unit delimiter
			flush()
			continue
		}
		unit = append(append(unit, 0, 0, 0, 1), nal...)
	}
	flush()
	return frames
}

func oggFrames(t testing.TB, b []byte) []Frame {
	t.Helper()
	var packets [][]byte
	var part []byte
	for len(b) >= 27 && string(b[:4]) == "OggS" {
		segments := b[27 : 27+int(b[26])]
		body := b[27+len(segments):]
		for _, s := range segments {
			part = append(part, body[:s]...)
			body = body[s:]
			if s < 255 {
				packets, part = append(packets, part), nil
			}
		}
		b = body
	}
	if len(packets) < 3 {
		t.Fatalf("short ogg: %d packets", len(packets))
	}
	var frames []Frame
	ticks := 0
	for _, p := range packets[2:] {
		frames = append(frames, Frame{Data: p, PTS: time.Duration(ticks) * time.Second / 48000, Key: true})
		ticks += codec.OpusTicks(p)
	}
	return frames
}

// Probe is what ffprobe says of a file.
type Probe struct {
	Format struct {
		Duration string `json:"duration"`
		Name     string `json:"format_name"`
	} `json:"format"`
	Streams []struct {
		Codec  string `json:"codec_name"`
		Kind   string `json:"codec_type"`
		Width  int    `json:"width"`
		Height int    `json:"height"`
		Frames string `json:"nb_read_packets"`
	} `json:"streams"`
}

// Duration is the container's duration; it fails the test when there is none.
func (p Probe) Duration(t testing.TB) time.Duration {
	t.Helper()
	s, err := strconv.ParseFloat(p.Format.Duration, 64)
	if err != nil {
		t.Fatalf("file has no duration: %q", p.Format.Duration)
	}
	return time.Duration(s * float64(time.Second))
}

// Packets is the number of packets of the first stream of that kind ("video", "audio").
func (p Probe) Packets(kind string) int {
	for _, s := range p.Streams {
		if s.Kind == kind {
			n, _ := strconv.Atoi(s.Frames)
			return n
		}
	}
	return 0
}

// ProbeFile runs ffprobe, counting packets.
func ProbeFile(t testing.TB, path string) Probe {
	t.Helper()
	NeedFFmpeg(t)
	out, err := exec.Command("ffprobe", "-v", "error", "-count_packets", "-show_format", "-show_streams", "-of", "json", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe %s: %v\n%s", path, err, out)
	}
	var p Probe
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatalf("ffprobe %s: %v\n%s", path, err, out)
	}
	return p
}

// MustPlay decodes a whole file and fails the test when ffmpeg has anything to say.
func MustPlay(t testing.TB, path string) {
	t.Helper()
	NeedFFmpeg(t)
	out, err := exec.Command("ffmpeg", "-v", "error", "-threads", "1", "-i", path, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("ffmpeg cannot play %s without complaint: %v\n%s", path, err, out)
	}
}
