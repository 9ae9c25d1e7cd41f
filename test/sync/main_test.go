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
	ffmpeg(t, "-f", "lavfi", "-i", flashing(320, 180),
		"-f", "lavfi", "-i", "aevalsrc='if(between(mod(n,48000),26880,31679),0.5*sin(2*PI*1000*n/48000),0)':s=48000", "-t", "5", "-c:v", "ffv1", "-c:a", "pcm_s16le", file)
	r := measure(t, file, file, 0)
	if len(r.Off) != 5 || r.Frames != 125 || r.Back != 0 || len(r.Held) != 0 {
		t.Fatalf("%d pairs in %d pictures, %d held, want 5 in 125, 0", len(r.Off), r.Frames, len(r.Held))
	}
	for _, d := range r.Off { // the beep begins at 560 ms, the flash at 480
		if d.Milliseconds() < -82 || d.Milliseconds() > -78 {
			t.Errorf("picture minus sound %v, want -80 ms", d)
		}
	}
	// Pictures 33 to 38 are another of picture 32: the second flash begins late,
	// which is no offset. So it is when they are not there at all.
	for name, filter := range map[string]string{
		"shown again": "select='not(between(n,33,38))',fps=25:round=up", "left out": "select='not(between(n,33,38))'",
	} {
		held := t.TempDir() + "/held.mkv"
		ffmpeg(t, "-i", file, "-vf", filter, "-fps_mode", "passthrough", "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "copy", held)
		if r := measure(t, held, held, 0); len(r.Off) != 4 || len(r.Held) != 1 {
			t.Errorf("%s: %d pairs and %d held, want 4 and 1", name, len(r.Off), len(r.Held))
		}
	}
}
