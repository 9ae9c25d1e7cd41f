package actor

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/codec"
)

// Clips have 25 pictures a second, one in keyEvery of them a keyframe, and 50
// packets of Opus.
const (
	PictureTime = 40 * time.Millisecond
	soundTime   = 20 * time.Millisecond
	keyEvery    = 25
)

// Clip is ten seconds, coded.
type Clip struct {
	Number        int // from 1: colour and tone
	Codec         codec.Name
	Width, Height int
	Video, Audio  [][]byte

	kbps int
}

var made = struct {
	sync.Mutex
	clips map[string]*Clip
}{clips: map[string]*Clip{}}

// Make gives the clip of that number (1 to 9), VP8 or H264, with sides in pixels;
// each is encoded once per process, by ffmpeg.
func Make(ctx context.Context, number int, name codec.Name, width, height int) (*Clip, error) {
	return MakeOf(ctx, number, name, width, height, 600)
}

// MakeOf is Make with a bitrate of the video, in kbit/s.
func MakeOf(ctx context.Context, number int, name codec.Name, width, height, kbps int) (*Clip, error) {
	made.Lock()
	defer made.Unlock()
	key := fmt.Sprint(number, name, width, height, kbps)
	if c := made.clips[key]; c != nil {
		return c, nil
	}
	c := &Clip{Number: number, Codec: name, Width: width, Height: height, kbps: kbps}
	if err := c.encode(ctx); err != nil {
		return nil, err
	}
	made.clips[key] = c
	return c, nil
}

func (c *Clip) encode(ctx context.Context) error {
	var raw bytes.Buffer
	for n := range Period {
		raw.Write(paint(c.Number, c.Width, c.Height, n).Pix)
	}
	args := []string{"-f", "rawvideo", "-pix_fmt", "rgba", "-s", fmt.Sprintf("%dx%d", c.Width, c.Height), "-r", "25", "-i", "-",
		"-pix_fmt", "yuv420p", "-g", fmt.Sprint(keyEvery), "-keyint_min", fmt.Sprint(keyEvery), "-b:v", fmt.Sprint(c.kbps, "k"), "-threads", "1"}
	if c.Codec == codec.H264 {
		args = append(args, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline",
			"-x264-params", "scenecut=0:slices=1", "-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-")
	} else {
		args = append(args, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-error-resilient", "1", "-auto-alt-ref", "0", "-lag-in-frames", "0", "-f", "ivf", "-")
	}
	out, err := ffmpeg(ctx, &raw, args...)
	if err != nil {
		return err
	}
	if c.Codec == codec.H264 {
		c.Video = H264(out)
	} else if c.Video, err = VP8(out); err != nil {
		return err
	}
	if out, err = ffmpeg(ctx, nil, "-f", "lavfi", "-i", fmt.Sprintf("aevalsrc='0.1*sin(2*PI*%g*t)':s=48000", Tones[c.Number]), "-t", "10",
		"-ac", "2", "-c:a", "libopus", "-b:a", "48k", "-frame_duration", "20", "-page_duration", "20000", "-f", "ogg", "-"); err != nil {
		return err
	}
	if c.Audio, err = Opus(out); err != nil {
		return err
	}
	if len(c.Video) != Period || len(c.Audio) < 2*Period {
		return fmt.Errorf("%d pictures and %d packets of sound, want %d and %d", len(c.Video), len(c.Audio), Period, 2*Period)
	}
	c.Audio = c.Audio[:2*Period]
	return nil
}

func ffmpeg(ctx context.Context, in *bytes.Buffer, args ...string) ([]byte, error) {
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, "ffmpeg", append([]string{"-nostdin", "-v", "error"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if in != nil {
		cmd.Stdin = in
	}
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ffmpeg %v: %w: %s", args, err, said.String())
	}
	return out.Bytes(), nil
}
