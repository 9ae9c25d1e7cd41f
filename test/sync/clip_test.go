package sync

import (
	"bytes"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/test/actor"
)

const (
	frameTime = 40 * time.Millisecond // of a picture
	soundTime = 20 * time.Millisecond // of a packet of sound
	// eventEvery is how often there is a flash with a beep, both beginning
	// eventAt after the full second.
	eventEvery = time.Second
	eventAt    = 480 * time.Millisecond
	keyEvery   = 10 // pictures: as soon as a browser answers a request, on the average
)

// clip is ten seconds that can be repeated.
type clip struct {
	codec codec.Name
	video [][]byte // 640×360, 25 a second
	audio [][]byte // Opus
}

func ffmpeg(t testing.TB, args ...string) (out, said []byte) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("ffmpeg", append([]string{"-nostdin", "-nostats", "-hide_banner", "-y"}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg %v: %v: %s", args, err, stderr.String())
	}
	return stdout.Bytes(), stderr.Bytes()
}

var clips = struct {
	sync.Mutex
	of map[codec.Name]*clip
}{of: map[codec.Name]*clip{}}

// flashing is ffmpeg's source of the picture.
func flashing(width, height int) string {
	return fmt.Sprintf("color=c=0x202020:s=%dx%d:r=25[a];color=c=0x606060:s=40x%d:r=25[b];[a][b]overlay=x=%d+mod(n*23\\,%d):y=0,"+
		"noise=alls=14:allf=t+u,drawbox=enable='between(mod(n,25),12,16)':c=white:t=fill", width, height, height, (width-lookWidth)/2, lookWidth-40)
}

// clipOf makes the clip, once. A flash is five white pictures on dark noise, on
// which a bar moves; a beep 100 ms of 1 kHz in silence.
func clipOf(t testing.TB, name codec.Name) *clip {
	t.Helper()
	clips.Lock()
	defer clips.Unlock()
	if c := clips.of[name]; c != nil {
		return c
	}
	c := &clip{codec: name}
	in := []string{"-f", "lavfi", "-i", flashing(640, 360), "-t", "10", "-pix_fmt", "yuv420p", "-g", "10", "-keyint_min", "10"}
	if name == codec.H264 {
		out, _ := ffmpeg(t, append(in, "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-profile:v", "baseline", "-b:v", "700k",
			"-x264-params", "scenecut=0:slices=1", "-bsf:v", "h264_metadata=aud=insert", "-f", "h264", "-")...)
		c.video = actor.H264(out)
	} else {
		out, _ := ffmpeg(t, append(in, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "700k", "-error-resilient", "1",
			"-auto-alt-ref", "0", "-lag-in-frames", "0", "-f", "ivf", "-")...)
		var err error
		c.video, err = actor.VP8(out)
		must(t, err)
	}
	out, _ := ffmpeg(t, "-f", "lavfi", "-i", "aevalsrc='if(between(mod(n,48000),23040,27839),0.5*sin(2*PI*1000*n/48000),0)':s=48000", "-t", "10",
		"-ac", "2", "-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20", "-page_duration", "20000", "-f", "ogg", "-")
	var err error
	c.audio, err = actor.Opus(out)
	must(t, err)
	if len(c.video) != 250 || len(c.audio) < 500 {
		t.Fatalf("%d pictures and %d packets of sound, want 250 and 500", len(c.video), len(c.audio))
	}
	c.audio = c.audio[:500]
	clips.of[name] = c
	return c
}
