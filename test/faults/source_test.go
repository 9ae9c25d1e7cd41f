package faults

import (
	"bytes"
	"os/exec"
	"testing"

	"github.com/govidu/govidu/test/actor"
)

// film is some seconds of coded pictures and sound that decoders take.
type film struct {
	video [][]byte // VP8 at 30 fps, a keyframe each half second
	audio [][]byte // Opus, 20 ms each
}

// ffmpeg runs it and gives what it wrote to its standard output.
func ffmpeg(t testing.TB, args ...string) []byte {
	t.Helper()
	var out, said bytes.Buffer
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error", "-nostdin", "-y"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("ffmpeg %v: %v: %s", args, err, said.String())
	}
	return out.Bytes()
}

// newFilm makes three seconds of a moving test picture and a tone.
func newFilm(t testing.TB) *film {
	t.Helper()
	f := &film{}
	var err error
	f.video, err = actor.VP8(ffmpeg(t, "-f", "lavfi", "-i", "testsrc2=s=320x240:r=30", "-t", "3",
		"-pix_fmt", "yuv420p", "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "300k", "-g", "15", "-auto-alt-ref", "0", "-f", "ivf", "-"))
	if err != nil {
		t.Fatal(err)
	}
	f.audio, err = actor.Opus(ffmpeg(t, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", "3",
		"-ac", "2", "-c:a", "libopus", "-b:a", "48k", "-frame_duration", "20", "-page_duration", "20000", "-f", "ogg", "-"))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.video) < 80 || len(f.audio) < 140 {
		t.Fatalf("%d pictures and %d packets of sound", len(f.video), len(f.audio))
	}
	return f
}
