package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
)

const (
	composedGroup = composedFPS * 2
	// composedLength is that of the files which ffmpeg reads.
	composedLength = 2 * time.Minute
	mostTiles      = 9
)

// grid is what is to be composed.
type grid struct {
	tiles   int
	sources *composedFiles
}

// cell is where input i is seen; even sides.
func (g *grid) cell(i int) (x, y, width, height int) {
	columns := int(math.Ceil(math.Sqrt(float64(g.tiles))))
	width, height = composedWidth/columns&^1, composedHeight/columns&^1
	return i % columns * width, i / columns * height, width, height
}

// composedFiles are the inputs: files for ffmpeg, and the same as RTP payloads.
// They differ in where they begin.
type composedFiles struct {
	paths []string
	units []unit
}

// rows are the inputs as RTP, sent by send.
func (f *composedFiles) rows(n int, send func(i int) func([]byte)) (out []row) {
	const picture = time.Second / composedFPS
	for i := range n {
		out = append(out, row{newStream(f.units, videoType, uint32(3000+i), 90000/composedFPS, picture, picture*time.Duration(i)/time.Duration(n), i*composedGroup), send(i)})
	}
	return out
}

func composedSources(ctx context.Context, dir string) (*composedFiles, error) {
	path := filepath.Join(dir, "tile.ivf")
	if _, err := os.Stat(path); err != nil {
		half := filepath.Join(dir, "half-tile.ivf")
		err := ffmpeg(ctx, "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=640x360:rate=%d,rotate=a='0.15*sin(t)':fillcolor=gray,noise=alls=6:allf=t", composedFPS),
			"-t", fmt.Sprint(sourceLength.Seconds()), "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "6", "-b:v", "700k", "-maxrate", "700k", "-bufsize", "700k",
			"-g", fmt.Sprint(composedGroup), "-keyint_min", fmt.Sprint(composedGroup), "-auto-alt-ref", "0", "-lag-in-frames", "0", "-error-resilient", "1", "-pix_fmt", "yuv420p", half)
		if err != nil {
			return nil, err
		}
		if err := os.Rename(half, path); err != nil {
			return nil, err
		}
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r, _, err := ivfreader.NewWith(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	out := &composedFiles{}
	var frames [][]byte
	cut := &codecs.VP8Payloader{}
	for {
		frame, _, err := r.ParseNextFrame()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || len(frame) == 0 {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		if (len(frames)%composedGroup == 0) != (frame[0]&1 == 0) {
			return nil, fmt.Errorf("read %s: picture %d is no keyframe, or should be none", path, len(frames))
		}
		frames = append(frames, frame)
		out.units = append(out.units, unit{cut.Payload(mtu-12, frame), frame[0]&1 == 0})
	}
	for i := range mostTiles {
		to := filepath.Join(dir, fmt.Sprintf("tile-%d.ivf", i))
		if err := os.WriteFile(to, ivf(raw[:32], frames, i*composedGroup), 0o600); err != nil {
			return nil, err
		}
		out.paths = append(out.paths, to)
	}
	return out, nil
}

// ivf is a file of composedLength that goes round and round in frames.
func ivf(header []byte, frames [][]byte, from int) []byte {
	n := int(composedLength.Seconds()) * composedFPS
	out := bytes.Clone(header)
	binary.LittleEndian.PutUint32(out[24:], uint32(n))
	for i := range n {
		frame := frames[(from+i)%len(frames)]
		out = binary.LittleEndian.AppendUint32(out, uint32(len(frame)))
		out = binary.LittleEndian.AppendUint64(out, uint64(i))
		out = append(out, frame...)
	}
	return out
}

// inspect reads what a side has made: rate, bitrate, the encoder's settings; and
// fails when a tile shows nothing.
func inspect(ctx context.Context, path string, tiles int, t *trial) error {
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-select_streams", "v", "-count_packets", "-show_entries", "stream=width,height,nb_read_packets:format=duration,size", "-of", "default=nw=1", path).Output()
	if err != nil {
		return fmt.Errorf("probe %s: %w", path, err)
	}
	v := map[string]float64{}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		v[key], _ = strconv.ParseFloat(value, 64)
	}
	if v["width"] != composedWidth || v["height"] != composedHeight || v["duration"] <= 0 {
		return fmt.Errorf("%s has %s", path, out)
	}
	t.Rate, t.Kbps = v["nb_read_packets"]/v["duration"], v["size"]*8/1000/v["duration"]
	if t.settings, err = encoderSettings(path); err != nil {
		return err
	}
	const w, h = 320, 180
	raw, err := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-ss", fmt.Sprint(v["duration"]/2), "-i", path, "-frames:v", "1", "-vf", fmt.Sprintf("scale=%d:%d", w, h), "-pix_fmt", "gray", "-f", "rawvideo", "-").Output()
	if err != nil || len(raw) != w*h {
		return fmt.Errorf("decode %s: %d bytes, %w", path, len(raw), err)
	}
	columns := int(math.Ceil(math.Sqrt(float64(tiles))))
	for i := range tiles {
		if s := contrast(raw, w, i%columns*w/columns, i/columns*h/columns, w/columns, h/columns); s < 10 {
			return fmt.Errorf("%s: tile %d shows nothing (contrast %.1f)", path, i+1, s)
		}
	}
	return nil
}

// contrast is the standard deviation of a part of a grey picture.
func contrast(grey []byte, stride, x, y, w, h int) float64 {
	var sum, square float64
	for j := y; j < y+h; j++ {
		for _, b := range grey[j*stride+x : j*stride+x+w] {
			sum += float64(b)
			square += float64(b) * float64(b)
		}
	}
	n := float64(w * h)
	return math.Sqrt(max(0, square/n-sum/n*sum/n))
}

var x264Options = regexp.MustCompile(`x264 - core [^\x00]*? options: ([ -~]+)`)

// encoderSettings are those that x264 writes into its first picture, less how keys
// are placed, which who asks for them decides.
func encoderSettings(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	m := x264Options.FindSubmatch(b)
	if m == nil {
		return "", fmt.Errorf("%s does not tell of x264", path)
	}
	var out []string
	for _, f := range strings.Fields(string(m[1])) {
		key, _, _ := strings.Cut(f, "=")
		switch key {
		case "keyint", "keyint_min", "open_gop", "scenecut", "intra_refresh", "stitchable":
		default:
			out = append(out, f)
		}
	}
	return strings.Join(out, " "), nil
}
