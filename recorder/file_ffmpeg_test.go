package recorder_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
	"github.com/govidu/govidu/recorder/muxtest"
)

var vp8Opus = muxtest.Case{Container: recorder.WebM, Video: codec.VP8, Audio: codec.Opus}

// shift copies units to a later time.
func shift(units []*pipeline.Packet, by time.Duration) []*pipeline.Packet {
	var out []*pipeline.Packet
	for _, u := range units {
		c := *u
		c.PTS += by
		out = append(out, &c)
	}
	return out
}

func write(t testing.TB, f *recorder.File, units []*pipeline.Packet) {
	t.Helper()
	for _, u := range units {
		if err := f.Write(u); err != nil {
			t.Fatal(err)
		}
	}
}

func both() []pipeline.Kind { return []pipeline.Kind{pipeline.Audio, pipeline.Video} }

func manifestOf(t testing.TB, dir, name string) recorder.Manifest {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	m, err := recorder.ReadManifest(root, name)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func near(t testing.TB, what string, got, want, within int64) {
	t.Helper()
	if max(got-want, want-got) > within {
		t.Errorf("%s is %d, want %d within %d", what, got, want, within)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	epoch := time.Now().Add(-time.Minute)
	f, err := recorder.Create(filepath.Join(dir, "new"), "a/b/x.webm", recorder.Options{Expect: both(), Epoch: epoch, NodeID: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "new", "a", "b", "x.webm")
	if m := manifestOf(t, filepath.Dir(path), "x.webm"); m.Status != recorder.Recording || m.ProcessID != recorder.ProcessID() || m.NodeID != "n1" {
		t.Errorf("sidecar before the first byte: %+v", m)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file has its name before it is final")
	}
	units := shift(muxtest.Units(t, vp8Opus), 40*time.Second)
	write(t, f, units)
	m, err := f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, again := f.Close(); again != nil {
		t.Errorf("second Close: %v", again)
	}
	if err := f.Write(units[0]); !errors.Is(err, recorder.ErrClosed) {
		t.Errorf("Write after Close: %v", err)
	}
	near(t, "startTime", m.StartTime, epoch.Add(40*time.Second).UnixMilli(), 1)
	near(t, "durationMs", m.DurationMs, 3000, 50)
	near(t, "endTime", m.EndTime, m.StartTime+3000, 50)
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if m.Status != recorder.Final || m.Size != st.Size() || len(m.SHA256) != 64 || len(m.Tracks) != 2 || len(m.Gaps) != 0 {
		t.Errorf("manifest %+v", m)
	}
	if saved := manifestOf(t, filepath.Dir(path), "x.webm"); saved.SHA256 != m.SHA256 || saved.Status != recorder.Final {
		t.Errorf("saved manifest %+v", saved)
	}
	if v := m.Tracks[0]; v.Kind != "VIDEO" || v.Codec != codec.VP8 || v.Units != 75 || v.Width != 160 || v.Height != 120 || v.FirstPtsMs != 0 || v.LastPtsMs != 2960 {
		t.Errorf("video track %+v", v)
	}
	p := codectest.ProbeFile(t, path)
	near(t, "duration", p.Duration(t).Milliseconds(), 3000, 50)
	codectest.MustPlay(t, path)
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(left) != 3 {
		t.Errorf("files left: %v, want the media, its sidecar and its log", left)
	}
}

// The picture comes 600 ms after the sound: the sound before it is not lost, and
// both keep their places.
func TestFileWaitsForBoth(t *testing.T) {
	dir := t.TempDir()
	f, err := recorder.Create(dir, "x.webm", recorder.Options{Expect: both()})
	if err != nil {
		t.Fatal(err)
	}
	var units []*pipeline.Packet
	for _, u := range muxtest.Units(t, vp8Opus) {
		if u.Format.Kind == pipeline.Video {
			u.PTS += 600 * time.Millisecond
		}
		units = append(units, u)
	}
	slices.SortStableFunc(units, func(a, b *pipeline.Packet) int { return int(a.PTS - b.PTS) })
	write(t, f, units)
	m, err := f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if v, a := m.Tracks[0], m.Tracks[1]; v.FirstPtsMs != 600 || a.FirstPtsMs != 0 || a.Units != 151 && a.Units != 150 || v.Units != 75 {
		t.Errorf("tracks %+v", m.Tracks)
	}
	near(t, "duration", codectest.ProbeFile(t, filepath.Join(dir, "x.webm")).Duration(t).Milliseconds(), 3600, 50)
}

// A picture that never comes does not keep the sound from the file.
func TestFileWaitIsBounded(t *testing.T) {
	for _, c := range []recorder.Container{recorder.WebM, recorder.MP4} {
		dir := t.TempDir()
		name := "x." + string(c)
		f, err := recorder.Create(dir, name, recorder.Options{Expect: both(), Wait: 50 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		units := muxtest.Units(t, muxtest.Case{Container: c, Audio: codec.Opus})
		write(t, f, units[:10])
		deadline, tick := time.After(10*time.Second), time.NewTicker(5*time.Millisecond)
		for over := false; !over && f.Progress().Tracks == nil; {
			select {
			case <-deadline:
				over = true
			case <-tick.C:
			}
		}
		tick.Stop()
		if n := len(f.Progress().Tracks); n != 1 {
			t.Fatalf("%d tracks are written while the picture does not come, want 1", n)
		}
		write(t, f, units[10:])
		if _, err := f.Close(); err != nil {
			t.Fatal(err)
		}
		near(t, "duration", codectest.ProbeFile(t, filepath.Join(dir, name)).Duration(t).Milliseconds(), 3000, 50)
	}
}

func TestFilePause(t *testing.T) {
	for _, c := range []muxtest.Case{vp8Opus, {Container: recorder.MP4, Video: codec.H264, Audio: codec.Opus}} {
		t.Run(c.Name(), func(t *testing.T) {
			dir := t.TempDir()
			name := "x." + string(c.Container)
			f, err := recorder.Create(dir, name, recorder.Options{Expect: both()})
			if err != nil {
				t.Fatal(err)
			}
			units := muxtest.Units(t, c)
			for _, u := range units { // paused from 0.5 s to 1.5 s: goes on at the keyframe of 2 s
				switch {
				case u.PTS == 500*time.Millisecond:
					f.Pause()
				case u.PTS >= 1500*time.Millisecond && u.PTS < 1520*time.Millisecond:
					f.Resume()
				}
				if err := f.Write(u); err != nil {
					t.Fatal(err)
				}
			}
			m, err := f.Close()
			if err != nil {
				t.Fatal(err)
			}
			near(t, "durationMs", m.DurationMs, 1500, 50)
			near(t, "endTime - startTime", m.EndTime-m.StartTime, 3000, 50)
			path := filepath.Join(dir, name)
			near(t, "duration", codectest.ProbeFile(t, path).Duration(t).Milliseconds(), 1500, 50)
			codectest.MustPlay(t, path)
		})
	}
}

func TestFileGapsAndCodecs(t *testing.T) {
	dir := t.TempDir()
	f, err := recorder.Create(dir, "x.webm", recorder.Options{Expect: both()})
	if err != nil {
		t.Fatal(err)
	}
	var kept []*pipeline.Packet
	for _, u := range muxtest.Units(t, vp8Opus) {
		if u.Format.Kind == pipeline.Video {
			if u.PTS >= 400*time.Millisecond && u.PTS < time.Second {
				continue
			}
			u.Gap = u.PTS == time.Second || u.PTS == 0 // at its beginning nothing was lost
		}
		kept = append(kept, u)
	}
	write(t, f, kept)
	other := &pipeline.Packet{Format: &pipeline.Format{Kind: pipeline.Video, Codec: codec.VP9, Framing: pipeline.Unit}, Payload: []byte{1}, Key: true}
	if err := f.Write(other); !errors.Is(err, recorder.ErrCodecChanged) {
		t.Errorf("another codec in the same track gives %v, want ErrCodecChanged", err)
	}
	other.Format = &pipeline.Format{Kind: pipeline.Video, Codec: codec.H264, Framing: pipeline.Unit}
	if err := f.Write(other); !errors.Is(err, recorder.ErrFormat) {
		t.Errorf("H264 into WebM gives %v, want ErrFormat", err)
	}
	m, err := f.Close()
	if err != nil {
		t.Fatal(err)
	}
	want := []recorder.ManifestGap{{Kind: "VIDEO", FromMs: 400, ToMs: 1000}}
	if !slices.Equal(m.Gaps, want) {
		t.Errorf("gaps %v, want %v", m.Gaps, want)
	}
	codectest.MustPlay(t, filepath.Join(dir, "x.webm"))
}

// A picture whose size changes goes on in the same file.
func TestFileSizeChange(t *testing.T) {
	dir := t.TempDir()
	f, err := recorder.Create(dir, "x.webm", recorder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	format := &pipeline.Format{Kind: pipeline.Video, Codec: codec.VP8, Framing: pipeline.Unit, ClockRate: 90000}
	at := time.Duration(0)
	for _, clip := range []codectest.Clip{{Width: 320, Height: 240}, {Width: 160, Height: 120}} {
		for _, frame := range codectest.Frames(t, codec.VP8, clip) {
			write(t, f, []*pipeline.Packet{{Format: format, Payload: frame.Data, PTS: at + frame.PTS, Key: frame.Key}})
		}
		at += 2 * time.Second
	}
	if _, err := f.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x.webm")
	near(t, "duration", codectest.ProbeFile(t, path).Duration(t).Milliseconds(), 4000, 50)
	codectest.MustPlay(t, path)
}

func TestFileStaysInItsRoot(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(root, "out")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"../x.webm", "out/x.webm", "/x.webm", "a/../../x.webm"} {
		if f, err := recorder.Create(root, name, recorder.Options{}); err == nil {
			f.Close()
			t.Errorf("%s leaves the root", name)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("files outside the root: %v", left)
	}
}

func TestFileNameIsTaken(t *testing.T) {
	dir := t.TempDir()
	f, err := recorder.Create(dir, "x.webm", recorder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if second, err := recorder.Create(dir, "x.webm", recorder.Options{}); err == nil {
		second.Close()
		t.Error("two recordings write to one file")
	}
	if m, err := f.Close(); !errors.Is(err, recorder.ErrEmpty) && err != nil || m.Status != recorder.Failed || m.Reason == "" {
		t.Errorf("a recording without media ends with %v, %+v", err, m)
	}
	if _, err := os.Stat(filepath.Join(dir, "x.webm.part")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty .part is left: %v", err)
	}
	// Somebody else's .part is put aside, not written over.
	if err := os.WriteFile(filepath.Join(dir, "y.webm.part"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	y, err := recorder.Create(dir, "y.webm", recorder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	write(t, y, muxtest.Units(t, muxtest.Case{Container: recorder.WebM, Audio: codec.Opus}))
	if _, err := y.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "y.webm.part.1")); err != nil || string(b) != "precious" {
		t.Errorf("foreign file after a recording of its name: %q, %v", b, err)
	}
}

func TestRecoverLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700), os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	ours := `{"schema":1,"file":"a.webm","container":"webm","status":"recording","processId":"` + recorder.ProcessID() + `"}`
	put("a.webm.part", "being written")
	put(".a.webm.manifest.json", ours)
	put("b.webm.part", "no sidecar")
	put("c.webm", "final")
	put(".c.webm.manifest.json", `{"schema":1,"file":"c.webm","container":"webm","status":"final","processId":"dead"}`)
	put("d.webm.part", "of another node")
	put(".d.webm.manifest.json", `{"schema":1,"file":"d.webm","container":"webm","status":"recording","processId":"dead","nodeId":"n2"}`)
	put("sub/e.webm.part", "with a torn sidecar")
	put("sub/.e.webm.manifest.json", `{"schema":1,"fi`)
	put("f.webm.part", "with a sidecar that points elsewhere")
	put(".f.webm.manifest.json", `{"schema":1,"file":"../c.webm","container":"webm","status":"recording","processId":"dead"}`)
	put("g.webm.part", "this was never media")
	put(".g.webm.manifest.json", `{"schema":1,"file":"g.webm","container":"webm","status":"recording","processId":"dead"}`)
	put(".h.webm.manifest.json", `{"schema":1,"file":"h.webm","container":"webm","status":"recording","processId":"dead"}`)

	put(".package.manifest.json", "somebody else's")

	for round := range 2 {
		report, err := recorder.Recover(context.Background(), []string{dir, filepath.Join(dir, "missing")}, recorder.RecoverOptions{NodeID: "n1"})
		if err != nil {
			t.Fatal(err)
		}
		if want := 2 - 2*round; len(report.Quarantined) != want || len(report.Files) != want {
			t.Fatalf("round %d: %d put aside, %d handled, want %d each: %+v", round, len(report.Quarantined), len(report.Files), want, report)
		}
		for _, r := range report.Files {
			if r.Err == nil || r.Manifest.Status != recorder.Failed || r.Manifest.Reason == "" || manifestOf(t, dir, r.Name).Status != recorder.Failed {
				t.Errorf("%s: %v, %+v", r.Name, r.Err, r.Manifest)
			}
		}
	}
	for name, text := range map[string]string{
		"a.webm.part": "being written", ".a.webm.manifest.json": ours, "b.webm.part": "no sidecar", "c.webm": "final",
		"d.webm.part": "of another node", "sub/e.webm.part": "with a torn sidecar", "f.webm.part": "with a sidecar that points elsewhere",
		".package.manifest.json": "somebody else's", "g.webm.part": "this was never media", "quarantine/e.webm.manifest.json": `{"schema":1,"fi`,
	} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != text {
			t.Errorf("%s: %q, %v; want %q", name, b, err, text)
		}
	}
}

// A single picture is shown, in a file that was closed and in one that was not.
func TestOnePicture(t *testing.T) {
	codectest.NeedFFmpeg(t)
	for _, c := range []muxtest.Case{
		{Container: recorder.MP4, Video: codec.H264, Audio: codec.AAC},
		{Container: recorder.Matroska, Video: codec.H264, Audio: codec.Opus},
	} {
		dir, name := t.TempDir(), "x."+string(c.Container)
		f, err := recorder.Create(dir, name, recorder.Options{Expect: both()})
		if err != nil {
			t.Fatal(err)
		}
		pictures := 0
		for _, u := range muxtest.Units(t, c) {
			if u.Format.Kind == pipeline.Video {
				if pictures++; pictures > 1 {
					continue
				}
				u.PTS += 180 * time.Millisecond // the sound is first
			}
			if u.PTS < 300*time.Millisecond {
				write(t, f, []*pipeline.Packet{u})
			}
		}
		if _, err := f.Close(); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("ffmpeg", "-v", "error", "-nostdin", "-i", filepath.Join(dir, name), "-map", "0:v", "-fps_mode", "passthrough", "-f", "framemd5", "-").CombinedOutput()
		if n := strings.Count(string(out), "\n0,"); err != nil || n != 1 {
			t.Errorf("%s: %d pictures are shown, %v: %s", c.Name(), n, err, out)
		}
	}
}

// A keyframe whose parameter sets were lost begins no picture, and so not the file's
// time either: zero of its clock is its first picture.
func TestFileBeginsWithAPicture(t *testing.T) {
	dir := t.TempDir()
	f, err := recorder.Create(dir, "x.mkv", recorder.Options{Expect: []pipeline.Kind{pipeline.Video}})
	if err != nil {
		t.Fatal(err)
	}
	var first time.Duration
	for _, u := range muxtest.Units(t, muxtest.Case{Container: recorder.Matroska, Video: codec.H264}) {
		if u.Key && u.PTS == 0 {
			u.Payload = append([]byte{0, 0, 0, 1, 0x65}, bytes.Repeat([]byte{0x88}, 64)...) // an IDR slice alone
		} else if u.Key && first == 0 {
			first = u.PTS
		}
		if err := f.Write(u); err != nil {
			t.Fatal(err)
		}
	}
	m, err := f.Close()
	if err != nil {
		t.Fatal(err)
	}
	if m.Clock == nil || m.Clock.PtsUs != first.Microseconds() || first == 0 {
		t.Errorf("the clock is %+v, the first whole keyframe is at %v", m.Clock, first)
	}
	codectest.MustPlay(t, filepath.Join(dir, "x.mkv"))
}
