package sync

import (
	"testing"

	"github.com/govidu/govidu/internal/codec/codectest"
)

func TestMain(m *testing.M) { m.Run() }

// TestMeasure: the measuring itself, on a file whose sound is known to be late.
func TestMeasure(t *testing.T) {
	codectest.NeedFFmpeg(t)
	file := t.TempDir() + "/known.mkv"
	ffmpeg(t, "-f", "lavfi", "-i", "color=c=0x202020:s=64x48:r=25,drawbox=enable='between(mod(n,25),12,16)':c=white:t=fill",
		"-f", "lavfi", "-i", "aevalsrc='if(between(mod(n,48000),26880,31679),0.5*sin(2*PI*1000*n/48000),0)':s=48000", "-t", "5", "-c:v", "ffv1", "-c:a", "pcm_s16le", file)
	r := measure(t, file)
	if len(r.off) != 5 || r.frames != 125 || r.back != 0 {
		t.Fatalf("%d pairs in %d pictures, want 5 in 125", len(r.off), r.frames)
	}
	for _, d := range r.off { // the beep begins at 560 ms, the flash at 480
		if d.Milliseconds() < -82 || d.Milliseconds() > -78 {
			t.Errorf("picture minus sound %v, want -80 ms", d)
		}
	}
}
