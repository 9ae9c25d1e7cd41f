//go:build gst

package mediaworker

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/workers/wire"
)

// ffmpeg runs it and gives what it wrote to standard output.
func ffmpeg(t testing.TB, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-y"}, args...)...)
	if in != nil {
		cmd = exec.Command("ffmpeg", append([]string{"-v", "error", "-y"}, args...)...)
		cmd.Stdin = bytes.NewReader(in)
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, said.Bytes())
	}
	return out.Bytes()
}

var ffmpegEncoders = map[codec.Name][]string{
	codec.VP8:  {"-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "0", "-f", "ivf"},
	codec.VP9:  {"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-f", "ivf"},
	codec.AV1:  {"-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-f", "ivf"},
	codec.H264: {"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-x264-params", "aud=1:repeat-headers=1", "-f", "h264"},
	codec.H265: {"-c:v", "libx265", "-preset", "ultrafast", "-tune", "zerolatency", "-x265-params", "aud=1:repeat-headers=1:log-level=0:pools=1", "-f", "hevc"},
	codec.Opus: {"-c:a", "libopus", "-f", "ogg"},
	codec.PCMU: {"-ar", "8000", "-ac", "1", "-c:a", "pcm_mulaw", "-f", "mulaw"},
	codec.PCMA: {"-ar", "8000", "-ac", "1", "-c:a", "pcm_alaw", "-f", "alaw"},
	codec.AAC:  {"-c:a", "aac", "-ar", "48000", "-ac", "2", "-f", "adts"},
}

// pictures makes coded video, left half of the picture red and the right blue.
func pictures(t testing.TB, name codec.Name, width, height, frames int) []unit {
	t.Helper()
	// ffmpeg's sources have even sizes; odd ones are scaled.
	half := fmt.Sprintf("s=%dx%d:r=30:d=%g", (width+3)/4*2, (height+1)/2*2, float64(frames)/30)
	args := append([]string{"-f", "lavfi", "-i", "color=red:" + half, "-f", "lavfi", "-i", "color=blue:" + half, "-filter_complex", fmt.Sprintf("hstack,format=yuv420p,scale=%d:%d", width, height), "-pix_fmt", "yuv420p", "-g", "1000"}, ffmpegEncoders[name]...)
	b := ffmpeg(t, nil, append(args, "-")...)
	var parts [][]byte
	switch name {
	case codec.H264:
		parts = byDelimiter(b, func(nal byte) bool { return nal&31 == 9 })
	case codec.H265:
		parts = byDelimiter(b, func(nal byte) bool { return nal>>1&63 == 35 })
	default:
		for b = b[32:]; len(b) >= 12; {
			n := le32(b)
			parts = append(parts, b[12:12+n])
			b = b[12+n:]
		}
	}
	var units []unit
	for i, p := range parts {
		key := codec.KeyFrameUnit(name, p)
		if name == codec.H265 {
			key = i == 0
		}
		units = append(units, unit{p, time.Duration(i) * time.Second / 30, key})
	}
	if len(units) != frames || !units[0].key {
		t.Fatalf("ffmpeg made %d frames of %s", len(units), name)
	}
	return units
}

func byDelimiter(b []byte, delimiter func(byte) bool) (parts [][]byte) {
	start := -1
	for i := 0; i+4 < len(b); i++ {
		if b[i] == 0 && b[i+1] == 0 && b[i+2] == 0 && b[i+3] == 1 && delimiter(b[i+4]) {
			if start >= 0 {
				parts = append(parts, b[start:i])
			}
			start = i
		}
	}
	return append(parts, b[start:])
}

// tone makes coded sound of 1 kHz.
func tone(t testing.TB, name codec.Name, length time.Duration) []unit {
	t.Helper()
	args := append([]string{"-f", "lavfi", "-i", fmt.Sprintf("sine=1000:r=48000:d=%g,volume=4", length.Seconds()), "-ac", "2"}, ffmpegEncoders[name]...)
	b := ffmpeg(t, nil, append(args, "-")...)
	var units []unit
	step := 20 * time.Millisecond
	add := func(p []byte) { units = append(units, unit{p, time.Duration(len(units)) * step, true}) }
	switch name {
	case codec.Opus:
		for i, p := range oggPackets(b) {
			if i >= 2 {
				add(p)
			}
		}
	case codec.AAC:
		step = 1024 * time.Second / 48000
		for len(b) >= 7 {
			n := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
			add(b[:n])
			b = b[n:]
		}
	default:
		for ; len(b) >= 160; b = b[160:] {
			add(b[:160])
		}
	}
	return units
}

func oggPackets(b []byte) (packets [][]byte) {
	var p []byte
	for len(b) >= 27 {
		n := int(b[26])
		table, body := b[27:27+n], b[27+n:]
		for _, l := range table {
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

// shown is what ffmpeg decodes frames to: the last picture, as RGB.
type shown struct {
	width, height, count int
	rgb                  []byte
}

// at gives the colour at a place, in parts of the width and the height.
func (p shown) at(x, y float64) [3]int {
	i := 3 * (int(y*float64(p.height))*p.width + int(x*float64(p.width)))
	return [3]int{int(p.rgb[i]), int(p.rgb[i+1]), int(p.rgb[i+2])}
}

func near(a, b [3]int) bool {
	for i := range a {
		if d := a[i] - b[i]; d > 40 || d < -40 {
			return false
		}
	}
	return true
}

// decodePictures decodes with ffmpeg; width and height are what must come out.
func decodePictures(t testing.TB, name codec.Name, frames []coded, width, height int) shown {
	t.Helper()
	ext := map[codec.Name]string{codec.H264: "h264", codec.H265: "hevc"}[name]
	var b []byte
	if ext == "" {
		ext = "ivf"
		head := make([]byte, 32)
		copy(head, "DKIF")
		head[6] = 32
		copy(head[8:], map[codec.Name]string{codec.VP8: "VP80", codec.VP9: "VP90", codec.AV1: "AV01"}[name])
		binary.LittleEndian.PutUint16(head[12:], uint16(width))
		binary.LittleEndian.PutUint16(head[14:], uint16(height))
		binary.LittleEndian.PutUint32(head[16:], 30)
		binary.LittleEndian.PutUint32(head[20:], 1)
		b = head
	}
	for i, f := range frames {
		if ext == "ivf" {
			b = binary.LittleEndian.AppendUint32(b, uint32(len(f.data)))
			b = binary.LittleEndian.AppendUint64(b, uint64(i))
		}
		b = append(b, f.data...)
	}
	file := filepath.Join(t.TempDir(), "out."+ext)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	size, err := exec.Command("ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=width,height", "-of", "csv=p=0", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Fields(string(size))
	if want := fmt.Sprintf("%d,%d", width, height); len(lines) == 0 || strings.TrimRight(lines[len(lines)-1], ",") != want {
		t.Fatalf("%s: the last of %d frames is %v, want %s", name, len(lines), lines[max(0, len(lines)-1):], want)
	}
	raw := ffmpeg(t, nil, "-i", file, "-vf", fmt.Sprintf("scale=%d:%d", width, height), "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
	one := width * height * 3
	if len(raw) < one {
		t.Fatalf("%s: no picture was decoded", name)
	}
	return shown{width, height, len(raw) / one, raw[len(raw)-one:]}
}

// decodeSound decodes with ffmpeg to mono at 48 kHz.
func decodeSound(t testing.TB, name codec.Name, frames []coded) []float64 {
	t.Helper()
	var b []byte
	var args []string
	switch name {
	case codec.Opus:
		args = []string{"-f", "ogg"}
		b = ogg(frames)
	case codec.AAC:
		args = []string{"-f", "aac"}
		for _, f := range frames {
			n := len(f.data) + 7
			// ADTS: LC, 48 kHz, stereo.
			b = append(b, 0xff, 0xf1, 1<<6|3<<2, 2<<6|byte(n>>11), byte(n>>3), byte(n<<5)|0x1f, 0xfc)
			b = append(b, f.data...)
		}
	default:
		args = []string{"-f", map[codec.Name]string{codec.PCMU: "mulaw", codec.PCMA: "alaw"}[name], "-ar", "8000", "-ac", "1"}
		for _, f := range frames {
			b = append(b, f.data...)
		}
	}
	raw := ffmpeg(t, b, append(args, "-i", "-", "-ar", "48000", "-ac", "1", "-f", "s16le", "-")...)
	s := make([]float64, len(raw)/2)
	for i := range s {
		s[i] = float64(int16(binary.LittleEndian.Uint16(raw[2*i:]))) / 32768
	}
	return s
}

func ogg(frames []coded) []byte {
	var out []byte
	granule, page := uint64(0), uint32(0)
	add := func(p []byte, first bool) {
		b := []byte("OggS\x00\x00")
		if first {
			b[5] = 2
		}
		b = binary.LittleEndian.AppendUint64(b, granule)
		b = binary.LittleEndian.AppendUint32(b, 7)
		b = binary.LittleEndian.AppendUint32(b, page)
		b = append(b, 0, 0, 0, 0, byte(len(p)/255+1))
		for n := len(p); ; n -= 255 {
			b = append(b, byte(min(n, 255)))
			if n < 255 {
				break
			}
		}
		b = append(b, p...)
		var crc uint32
		for _, x := range b {
			crc ^= uint32(x) << 24
			for range 8 {
				if crc&0x80000000 != 0 {
					crc = crc<<1 ^ 0x04c11db7
				} else {
					crc <<= 1
				}
			}
		}
		binary.LittleEndian.PutUint32(b[22:], crc)
		out = append(out, b...)
		page++
	}
	add(codec.OpusHead(2, 312), true)
	add([]byte("OpusTags\x04\x00\x00\x00test\x00\x00\x00\x00"), false)
	for _, f := range frames {
		granule += uint64(codec.OpusTicks(f.data))
		add(f.data, false)
	}
	return out
}

// energy gives the root mean square and the share of a frequency in it.
func energy(s []float64, hz float64) (rms, share float64) {
	var sum, re, im float64
	for i, v := range s {
		a := 2 * math.Pi * hz * float64(i) / 48000
		sum, re, im = sum+v*v, re+v*math.Cos(a), im+v*math.Sin(a)
	}
	n := float64(len(s))
	return math.Sqrt(sum / n), 2 * (re*re + im*im) / n / max(sum, 1e-9)
}

func mediaOf(name codec.Name) wire.Media {
	m := wire.Media{Kind: "audio", Codec: string(name)}
	switch name {
	case codec.Opus, codec.AAC:
		m.ClockRate, m.Channels = 48000, 2
	case codec.PCMU, codec.PCMA:
		m.ClockRate, m.Channels = 8000, 1
	default:
		m.Kind, m.ClockRate = "video", 90000
	}
	return m
}
