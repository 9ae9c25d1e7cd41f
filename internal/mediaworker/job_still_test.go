//go:build gst

package mediaworker

import (
	"bytes"
	"encoding/json"
	"image"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/workers/wire"
)

// askFile is ask with a descriptor beside the line.
func (r *rig) askFile(method string, params any, f *os.File, result any) error {
	r.t.Helper()
	r.mu.Lock()
	r.ids++
	id, ch := r.ids, make(chan wire.Message, 1)
	r.answers[id] = ch
	r.mu.Unlock()
	line := append(encode(wire.Message{ID: id, Method: method, Params: encode(params)}), '\n')
	raw, err := r.ctl.SyscallConn()
	if err != nil {
		r.t.Fatal(err)
	}
	if e := raw.Control(func(fd uintptr) { err = unix.Sendmsg(int(fd), line, unix.UnixRights(int(f.Fd())), nil, 0) }); e != nil || err != nil {
		r.t.Fatal(e, err)
	}
	select {
	case m := <-ch:
		if m.Error != nil {
			return m.Error
		}
		return json.Unmarshal(m.Result, result)
	case <-time.After(patience):
		r.t.Fatalf("no answer to %s", method)
		return nil
	}
}

// stillOf asks for a picture of a file.
func stillOf(t *testing.T, file string, p wire.StillParams) (wire.StillResult, error) {
	t.Helper()
	r := startJob(t, wire.KindStill, nil)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out wire.StillResult
	err = r.askFile(wire.MethodCall, wire.CallParams{Method: wire.MethodStill, Params: encode(p)}, f, &out)
	if code := r.close(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	return out, err
}

func TestStill(t *testing.T) {
	dir := t.TempDir()
	make := func(name string, more ...string) string {
		file := filepath.Join(dir, name)
		args := []string{"-f", "lavfi", "-i", "color=red:s=320x180:r=10:d=2", "-f", "lavfi", "-i", "color=blue:s=320x180:r=10:d=4", "-f", "lavfi", "-i", "sine=400:d=6",
			"-filter_complex", "[0][1]concat=n=2[v]", "-map", "[v]", "-map", "2", "-pix_fmt", "yuv420p", "-g", "10"}
		ffmpeg(t, nil, append(append(args, more...), file)...)
		return file
	}
	mp4 := make("a.mp4", "-c:v", "libx264", "-c:a", "aac")
	fragmented := make("f.mp4", "-c:v", "libx264", "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov")
	webm := make("a.webm", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus")
	red, blue := palette[0].rgb, palette[1].rgb
	for _, c := range []struct {
		file         string
		at           int64
		width        int
		wantW, wantH int
		rgb          [3]int
		what         string
	}{
		{mp4, -1, 160, 160, 90, blue, "middle of MP4"},
		{mp4, 1500, 0, 320, 180, red, "MP4 as it is"},
		{mp4, 2500, 480, 480, 270, blue, "MP4, larger"},
		{mp4, 60000, 160, 160, 90, blue, "behind the end of MP4"},
		{fragmented, -1, 160, 160, 90, red, "fragments, of which only the first is known"},
		{webm, -1, 160, 160, 90, blue, "middle of WebM"},
		{webm, 500, 160, 160, 90, red, "WebM"},
	} {
		got, err := stillOf(t, c.file, wire.StillParams{AtMs: c.at, Width: c.width})
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		m, kind, err := image.Decode(bytes.NewReader(got.Image))
		if err != nil || kind != "jpeg" || m.Bounds().Dx() != c.wantW || m.Bounds().Dy() != c.wantH || got.Width != c.wantW || got.Height != c.wantH {
			t.Errorf("%s: %v, a %s of %v, said %dx%d", c.what, err, kind, m.Bounds(), got.Width, got.Height)
			continue
		}
		r, g, b, _ := m.At(c.wantW/2, c.wantH/2).RGBA()
		if at := [3]int{int(r >> 8), int(g >> 8), int(b >> 8)}; !near(at, c.rgb) {
			t.Errorf("%s: %v", c.what, at)
		}
	}
}

func TestStillRefuses(t *testing.T) {
	dir := t.TempDir()
	sound := filepath.Join(dir, "sound.mp4")
	ffmpeg(t, nil, "-f", "lavfi", "-i", "sine=400:d=2", "-c:a", "aac", sound)
	noise, empty := filepath.Join(dir, "noise"), filepath.Join(dir, "empty")
	for name, b := range map[string][]byte{noise: bytes.Repeat([]byte("no film at all "), 4000), empty: nil} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{sound, noise, empty} {
		if got, err := stillOf(t, file, wire.StillParams{AtMs: -1}); err == nil {
			t.Errorf("%s: a picture of %dx%d", filepath.Base(file), got.Width, got.Height)
		} else {
			t.Logf("%s: %v", filepath.Base(file), err)
		}
	}
	r := startJob(t, wire.KindStill, nil)
	if err := r.ask(wire.MethodCall, wire.CallParams{Method: wire.MethodStill, Params: encode(wire.StillParams{})}, nil); err == nil {
		t.Error("a picture of nothing")
	}
	if err := r.ask(wire.MethodInput, wire.StreamParams{Stream: 1, Name: "in", Media: mediaOf(codec.VP8)}, nil); err == nil {
		t.Error("a still takes inputs")
	}
}
