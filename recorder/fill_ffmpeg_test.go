package recorder_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
	"github.com/govidu/govidu/recorder/muxtest"
)

// What is lost or was never sent of the sound is filled: who counts samples
// hears as much as the times say, and the manifest names the hole.
func TestFileFillsSound(t *testing.T) {
	for _, c := range []recorder.Container{recorder.WebM, recorder.Matroska, recorder.MP4} {
		dir := t.TempDir()
		name := "x." + string(c)
		f, err := recorder.Create(dir, name, recorder.Options{Expect: []pipeline.Kind{pipeline.Audio}})
		if err != nil {
			t.Fatal(err)
		}
		var kept []*pipeline.Packet
		for _, u := range muxtest.Units(t, muxtest.Case{Container: c, Audio: codec.Opus}) {
			switch {
			case u.PTS >= time.Second && u.PTS < 2*time.Second:
				continue
			case u.PTS >= 2*time.Second:
				u.Gap = u.PTS == 2*time.Second
				u.PTS += 33 * time.Millisecond // no whole number of frames
			}
			kept = append(kept, u)
		}
		write(t, f, kept)
		m, err := f.Close()
		if err != nil {
			t.Fatal(err)
		}
		if want := []recorder.ManifestGap{{Kind: "AUDIO", FromMs: 1000, ToMs: 2033}}; !slices.EqualFunc(m.Gaps, want, func(a, b recorder.ManifestGap) bool {
			return a.Kind == b.Kind && a.FromMs == b.FromMs && a.ToMs == b.ToMs
		}) {
			t.Errorf("%s: gaps %+v, want %+v", c, m.Gaps, want)
		}
		file := filepath.Join(dir, name)
		if n := codectest.ProbeFile(t, file).Packets("audio"); n < 152 || n > 156 {
			t.Errorf("%s: %d packets, want 100 of sound and as many as 1033 ms need", c, n)
		}
		codectest.MustPlay(t, file)
	}
}

// What is kept while a file waits is mended when the sender has told which
// instants its timestamps are, and not waited for longer than for a track.
func TestFileMendsTheBeginning(t *testing.T) {
	const late = 180 * time.Millisecond
	units := muxtest.Units(t, vp8Opus)
	for what, report := range map[string]bool{"reports": true, "no reports": false} {
		t.Run(what, func(t *testing.T) {
			epoch := time.Now()
			sender := pipeline.NewSenderClock(epoch)
			clocks := map[pipeline.Kind]*pipeline.Clock{pipeline.Audio: sender.Track(48000), pipeline.Video: sender.Track(90000)}
			dir := t.TempDir()
			f, err := recorder.Create(dir, "x.webm", recorder.Options{Expect: both(), Epoch: epoch, Wait: 2 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			for _, u := range units {
				c, stamp, arrival := clocks[u.Format.Kind], uint32(int64(u.PTS)*int64(u.Format.ClockRate)/int64(time.Second)), epoch.Add(u.PTS)
				if u.Format.Kind == pipeline.Video {
					arrival = arrival.Add(late)
				}
				p := *u
				p.PTS, p.Fix = c.PTS(stamp, arrival), c.Fix()
				if report && u.PTS >= 400*time.Millisecond && c.Waits() {
					c.Report(stamp, epoch.Add(u.PTS).Round(0), arrival)
				}
				if err := f.Write(&p); err != nil {
					t.Fatal(err)
				}
			}
			m, err := f.Close()
			if err != nil {
				t.Fatal(err)
			}
			v, a, want := m.Tracks[0], m.Tracks[1], int64(0)
			if !report {
				want = late.Milliseconds()
			}
			near(t, "picture's beginning against sound's", v.FirstPtsMs-a.FirstPtsMs, want, 2)
			if len(m.Gaps) > 0 || a.Units > 152 {
				t.Errorf("gaps %v, %d units of sound", m.Gaps, a.Units)
			}
			codectest.MustPlay(t, filepath.Join(dir, "x.webm"))
		})
	}
}

// The tracks of one sender in files of their own lie where they belong by what
// their manifests say of their zeros.
func TestFilesOfOneTrackEach(t *testing.T) {
	const late = 180 * time.Millisecond
	epoch := time.Now()
	sender := pipeline.NewSenderClock(epoch)
	clocks := map[pipeline.Kind]*pipeline.Clock{pipeline.Audio: sender.Track(48000), pipeline.Video: sender.Track(90000)}
	dir := t.TempDir()
	files := map[pipeline.Kind]*recorder.File{}
	for _, k := range both() {
		f, err := recorder.Create(dir, k.String()+".webm", recorder.Options{Expect: []pipeline.Kind{k}, Epoch: epoch})
		if err != nil {
			t.Fatal(err)
		}
		files[k] = f
	}
	for _, u := range muxtest.Units(t, vp8Opus) {
		c, stamp, arrival := clocks[u.Format.Kind], uint32(int64(u.PTS)*int64(u.Format.ClockRate)/int64(time.Second)), epoch.Add(u.PTS)
		if u.Format.Kind == pipeline.Video {
			arrival = arrival.Add(late)
		}
		p := *u
		p.PTS, p.Fix = c.PTS(stamp, arrival), c.Fix()
		if u.PTS >= 400*time.Millisecond && c.Waits() {
			c.Report(stamp, epoch.Add(u.PTS).Round(0), arrival)
		}
		if err := files[u.Format.Kind].Write(&p); err != nil {
			t.Fatal(err)
		}
	}
	zero := map[pipeline.Kind]int64{}
	for k, f := range files {
		m, err := f.Close()
		if err != nil || m.Clock == nil {
			t.Fatalf("%s: %v, clock %v", k, err, m.Clock)
		}
		zero[k] = m.Clock.ZeroUs / 1000
	}
	near(t, "zero of the sound's file", zero[pipeline.Audio], zero[pipeline.Video], 2)
}
