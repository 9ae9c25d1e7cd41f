// Package muxtest is the contract suite of recorder.Muxer: whatever the
// container, what was flushed survives, any prefix of a file recovers and plays,
// and a finished file has its true duration and can be seeked. It needs ffmpeg.
package muxtest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
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
)

// Case is one container with what to put in; an empty name leaves a kind out.
type Case struct {
	Container    recorder.Container
	Video, Audio codec.Name
}

// Name is the case's, for subtests.
func (c Case) Name() string {
	return strings.Trim(string(c.Container)+"_"+string(c.Video)+"_"+string(c.Audio), "_")
}

const length = 3 * time.Second

// Created is the instant of time zero in the suite's files.
var Created = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Units makes the packets of a case in order of time: three seconds of a
// 160×120 picture with a keyframe per second, and of a tone.
func Units(t testing.TB, c Case) []*pipeline.Packet {
	t.Helper()
	var units []*pipeline.Packet
	add := func(f *pipeline.Format, frames []codectest.Frame) {
		for _, frame := range frames {
			units = append(units, &pipeline.Packet{Format: f, Payload: frame.Data, PTS: frame.PTS, Key: frame.Key})
		}
	}
	if c.Video != "" {
		f := &pipeline.Format{Kind: pipeline.Video, Codec: c.Video, Framing: pipeline.Unit, ClockRate: 90000}
		add(f, codectest.Frames(t, c.Video, codectest.Clip{Length: length}))
	}
	switch c.Audio {
	case "":
	case codec.Opus:
		f := &pipeline.Format{Kind: pipeline.Audio, Codec: codec.Opus, Framing: pipeline.Unit, ClockRate: 48000, Channels: 2}
		add(f, codectest.Frames(t, codec.Opus, codectest.Clip{Length: length}))
	case codec.AAC:
		f := &pipeline.Format{Kind: pipeline.Audio, Codec: codec.AAC, Framing: pipeline.Unit, ClockRate: 48000, Channels: 2}
		add(f, aacFrames(t))
	default: // PCMU and PCMA: 20 ms of silence each
		f := &pipeline.Format{Kind: pipeline.Audio, Codec: c.Audio, Framing: pipeline.Unit, ClockRate: 8000, Channels: 1}
		for at := time.Duration(0); at < length; at += 20 * time.Millisecond {
			units = append(units, &pipeline.Packet{Format: f, Payload: bytes.Repeat([]byte{0xd5}, 160), PTS: at, Key: true})
		}
	}
	slices.SortStableFunc(units, func(a, b *pipeline.Packet) int { return int(a.PTS - b.PTS) })
	return units
}

// aacFrames is a tone in bare AAC frames.
func aacFrames(t testing.TB) (frames []codectest.Frame) {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:sample_rate=48000:duration=%g", length.Seconds()),
		"-ac", "2", "-c:a", "aac", "-f", "adts", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	for len(out) > 7 {
		n := int(out[3]&3)<<11 | int(out[4])<<3 | int(out[5]>>5)
		at := time.Duration(len(frames)) * 1024 * time.Second / 48000
		frames = append(frames, codectest.Frame{Data: out[7:n], PTS: at, Key: true})
		out = out[n:]
	}
	return frames
}

// Mux writes units, adding each track at its first usable unit, and calls after
// behind each of them. It does not close the Muxer.
func Mux(t testing.TB, c Case, m recorder.Media, units []*pipeline.Packet, after func(i int, mux recorder.Muxer)) recorder.Muxer {
	t.Helper()
	mux, err := recorder.NewMuxer(c.Container, m, Created)
	if err != nil {
		t.Fatal(err)
	}
	tracks := map[pipeline.Kind]int{}
	for i, u := range units {
		track, ok := tracks[u.Format.Kind]
		if !ok {
			f, ok := recorder.Describe(u)
			if !ok {
				t.Fatalf("unit %d of %s does not describe its track", i, u.Format.Codec)
			}
			if track, err = mux.AddTrack(f); err != nil {
				t.Fatal(err)
			}
			tracks[u.Format.Kind] = track
		}
		if err := mux.Write(track, u); err != nil {
			t.Fatal(err)
		}
		if after != nil {
			after(i, mux)
		}
	}
	return mux
}

// repair repairs a copy of b.
func repair(c Case, b []byte) (*Disk, recorder.Summary, error) {
	d := NewDisk()
	d.b = slices.Clone(b)
	s, err := recorder.Repair(c.Container, d, int64(len(b)))
	return d, s, err
}

// Run is the suite.
func Run(t *testing.T, c Case) {
	codectest.NeedFFmpeg(t)
	units := Units(t, c)
	t.Run("plays with its duration", func(t *testing.T) { plays(t, c, units) })
	t.Run("seeks", func(t *testing.T) { seeks(t, c, units) })
	t.Run("flushed survives", func(t *testing.T) { flushed(t, c, units) })
	t.Run("every prefix recovers", func(t *testing.T) { prefixes(t, c, units) })
	t.Run("closing may be cut off", func(t *testing.T) { cutClose(t, c, units) })
	t.Run("full disk", func(t *testing.T) { fullDisk(t, c, units) })
	t.Run("refuses other codecs", func(t *testing.T) { refuses(t, c) })
	if c.Video != "" && c.Audio != "" {
		t.Run("late track", func(t *testing.T) { lateTrack(t, c, units) })
		t.Run("tracks begin apart", func(t *testing.T) { apart(t, c, units) })
	}
}

func closed(t testing.TB, c Case, units []*pipeline.Packet) *Disk {
	t.Helper()
	d := NewDisk()
	if err := Mux(t, c, d, units, nil).Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

func save(t testing.TB, c Case, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x."+string(c.Container))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func count(units []*pipeline.Packet, k pipeline.Kind) (n int) {
	for _, u := range units {
		if u.Format.Kind == k {
			n++
		}
	}
	return n
}

func expect(t testing.TB, path string, units []*pipeline.Packet, want time.Duration) {
	t.Helper()
	p := codectest.ProbeFile(t, path)
	if got := p.Duration(t); (got - want).Abs() > 50*time.Millisecond {
		t.Errorf("duration %v, want %v within 50 ms", got, want)
	}
	if v, a := p.Packets("video"), p.Packets("audio"); v != count(units, pipeline.Video) || a != count(units, pipeline.Audio) {
		t.Errorf("%d video and %d audio packets, want %d and %d", v, a, count(units, pipeline.Video), count(units, pipeline.Audio))
	}
	codectest.MustPlay(t, path)
}

func plays(t *testing.T, c Case, units []*pipeline.Packet) {
	path := save(t, c, closed(t, c, units).Bytes())
	expect(t, path, units, length)
	for _, s := range codectest.ProbeFile(t, path).Streams {
		if s.Kind == "video" && (s.Width != 160 || s.Height != 120) {
			t.Errorf("picture %d×%d, want 160×120", s.Width, s.Height)
		}
	}
}

// seeks reads packets from 2 s on: with an index, ffprobe starts at the keyframe there.
func seeks(t *testing.T, c Case, units []*pipeline.Packet) {
	path := save(t, c, closed(t, c, units).Bytes())
	kind := "v:0"
	if c.Video == "" {
		kind = "a:0"
	}
	out, err := exec.Command("ffprobe", "-v", "error", "-read_intervals", "2.1%+#1", "-select_streams", kind,
		"-show_entries", "packet=pts_time", "-of", "csv=p=0", path).CombinedOutput()
	first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || !strings.HasPrefix(first, "2.") {
		t.Errorf("first packet after a seek to 2.1 s is at %q, want one at 2 s: %v", out, err)
	}
}

func flushed(t *testing.T, c Case, units []*pipeline.Packet) {
	d := NewDisk()
	Mux(t, c, d, units, func(i int, mux recorder.Muxer) {
		if i%75 != 74 {
			return
		}
		if err := mux.Flush(); err != nil {
			t.Fatal(err)
		}
		repaired, sum, err := repair(c, d.Bytes())
		if err != nil {
			t.Fatalf("after unit %d: %v", i, err)
		}
		var n int64
		for _, tr := range sum.Tracks {
			n += tr.Units
		}
		if n != int64(i)+1 {
			t.Errorf("%d units after a flush behind %d", n, i+1)
		}
		expect(t, save(t, c, repaired.Bytes()), units[:i+1], units[i].PTS+30*time.Millisecond)
	})
}

func prefixes(t *testing.T, c Case, units []*pipeline.Packet) {
	d := NewDisk()
	mux := Mux(t, c, d, units, nil)
	if err := mux.Flush(); err != nil {
		t.Fatal(err)
	}
	whole := d.Bytes()
	rnd := rand.New(rand.NewPCG(5, 6))
	cuts := []int{0, 1, 11, 40, 4000, len(whole) - 1, len(whole)}
	for range 24 {
		cuts = append(cuts, rnd.IntN(len(whole)))
	}
	slices.Sort(cuts)
	last, played := time.Duration(0), 0
	for _, cut := range cuts {
		d, sum, err := repair(c, whole[:cut])
		if err != nil {
			if !errors.Is(err, recorder.ErrEmpty) && cut > 64 || last > 0 {
				t.Fatalf("cut at %d of %d: %v", cut, len(whole), err)
			}
			continue
		}
		if sum.Duration < last {
			t.Errorf("cut at %d: %v, a shorter prefix gave %v", cut, sum.Duration, last)
		}
		last = sum.Duration
		once := d.Bytes()
		if again, sum2, err := repair(c, once); err != nil || sum2.Duration != last || !bytes.Equal(again.Bytes(), once) {
			t.Errorf("cut at %d: repairing twice gives another file: %v then %v, %v", cut, last, sum2.Duration, err)
		}
		if played++; played%4 == 0 || cut == len(whole) {
			path := save(t, c, once)
			codectest.MustPlay(t, path)
			if got := codectest.ProbeFile(t, path).Duration(t); (got - last).Abs() > 50*time.Millisecond {
				t.Errorf("cut at %d: ffprobe says %v, the repair %v", cut, got, last)
			}
		}
	}
	if last < length-50*time.Millisecond {
		t.Errorf("the whole file is repaired to %v, want %v", last, length)
	}
}

// cutClose lets the disk die at each write of Close: all media is there afterwards.
func cutClose(t *testing.T, c Case, units []*pipeline.Packet) {
	for writes := range 40 {
		d := NewDisk()
		mux := Mux(t, c, d, units, nil)
		if err := mux.Flush(); err != nil {
			t.Fatal(err)
		}
		d.Err, d.Writes = errors.New("the plug was pulled"), writes
		if err := mux.Close(); err == nil {
			least := 2
			if c.Container == recorder.FLV {
				least = 1 // the duration: FLV has no index
			}
			if writes < least {
				t.Fatalf("Close with %d writes gives no error", writes)
			}
			return
		}
		repaired, _, err := repair(c, d.Bytes())
		if err != nil {
			t.Fatalf("cut at write %d: %v", writes, err)
		}
		if writes%4 == 1 {
			expect(t, save(t, c, repaired.Bytes()), units, length)
		}
	}
	t.Fatal("Close takes more than 40 writes for three seconds")
}

// fullDisk checks that what fits plays, without repair.
func fullDisk(t *testing.T, c Case, units []*pipeline.Packet) {
	whole := len(closed(t, c, units).Bytes())
	full := errors.New("full")
	d := NewDisk()
	d.Err, d.Room = full, int64(whole*2/3)
	mux, err := recorder.NewMuxer(c.Container, d, Created)
	if err != nil {
		t.Fatal(err)
	}
	tracks := map[pipeline.Kind]int{}
	for _, u := range units {
		track, ok := tracks[u.Format.Kind]
		if !ok {
			f, _ := recorder.Describe(u)
			if track, err = mux.AddTrack(f); err != nil {
				t.Fatal(err)
			}
			tracks[u.Format.Kind] = track
		}
		if err = mux.Write(track, u); err == nil {
			err = mux.Flush()
		}
		if err != nil {
			break
		}
	}
	if !errors.Is(err, full) {
		t.Fatalf("writing to a full disk gives %v", err)
	}
	if err := mux.Close(); !errors.Is(err, full) {
		t.Errorf("Close on a full disk gives %v", err)
	}
	path := save(t, c, d.Bytes())
	codectest.MustPlay(t, path)
	if got := codectest.ProbeFile(t, path).Duration(t); got < length/3 {
		t.Errorf("%v can be played of a file two thirds of which fit", got)
	}
}

func refuses(t *testing.T, c Case) {
	mux, err := recorder.NewMuxer(c.Container, NewDisk(), Created)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []pipeline.Format{
		{Kind: pipeline.Video, Codec: codec.H265, Framing: pipeline.Unit, ClockRate: 90000, Width: 16, Height: 16},
		{Kind: pipeline.Audio, Codec: codec.Opus, Framing: pipeline.RTP, ClockRate: 48000, Channels: 2},
		{Kind: pipeline.Data},
	} {
		if _, err := mux.AddTrack(f); !errors.Is(err, recorder.ErrFormat) {
			t.Errorf("AddTrack(%v %s) gives %v, want ErrFormat", f.Kind, f.Codec, err)
		}
	}
	if err := mux.Write(0, &pipeline.Packet{Payload: []byte{1}}); !errors.Is(err, recorder.ErrFormat) {
		t.Errorf("Write to a track that was never added gives %v, want ErrFormat", err)
	}
}

// lateTrack has sound from the beginning and the picture from its second keyframe on.
func lateTrack(t *testing.T, c Case, units []*pipeline.Packet) {
	var late []*pipeline.Packet
	for _, u := range units {
		if u.Format.Kind == pipeline.Audio || u.PTS >= time.Second {
			late = append(late, u)
		}
	}
	expect(t, save(t, c, closed(t, c, late).Bytes()), late, length)
}

// apart has the sound begin half a second after the picture: what plays together stays together.
func apart(t *testing.T, c Case, units []*pipeline.Packet) {
	const delay = 500 * time.Millisecond
	var later []*pipeline.Packet
	for _, u := range units {
		if u.Format.Kind == pipeline.Video || u.PTS >= delay {
			later = append(later, u)
		}
	}
	path := save(t, c, closed(t, c, later).Bytes())
	out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", "a:0", "-read_intervals", "%+#1",
		"-show_entries", "packet=pts_time", "-of", "csv=p=0", path).CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || !strings.HasPrefix(got, "0.50") && !strings.HasPrefix(got, "0.51") {
		t.Errorf("the sound begins at %q s, want 0.5: %v", got, err)
	}
	expect(t, path, later, length)
}
