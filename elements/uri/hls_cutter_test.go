package uri

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
	"github.com/govidu/govidu/recorder/muxtest"
)

// reel gives a row of three seconds over and over: 25 pictures a second with a
// keyframe each second, and AAC.
type reel []*pipeline.Packet

func newReel(t testing.TB) reel {
	codectest.NeedFFmpeg(t)
	return muxtest.Units(t, muxtest.Case{Container: recorder.MP4, Video: codec.H264, Audio: codec.AAC})
}

// between are the units of a stretch of time that keep wants, by PTS.
func (r reel) between(from, to time.Duration, keep func(*pipeline.Packet) bool) (out []*pipeline.Packet) {
	const round = 3 * time.Second
	for zero := from / round * round; zero < to; zero += round {
		for _, u := range r {
			p := *u
			if p.PTS += zero; p.PTS >= from && p.PTS < to && u.PTS < round && (keep == nil || keep(&p)) {
				out = append(out, &p)
			}
		}
	}
	return out
}

func only(k pipeline.Kind) func(*pipeline.Packet) bool {
	return func(p *pipeline.Packet) bool { return p.Format.Kind == k }
}

// projection is a cutter and what players see of its playlist.
type projection struct {
	t     *testing.T
	list  *hlsList
	cut   *hlsCutter
	asked int

	began     bool
	texts     []string
	segments  []*playlist.MediaSegment // all there were, in order
	files     map[string][]byte
	order     []string // of initialisations and segments, for a player that reads them in turn
	sequence  int
	target    int
	fullest   int
	lastBreak int
}

var epoch = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func newProjection(t *testing.T, segment, part time.Duration) *projection {
	x := &projection{t: t, list: newHLSList(4, int(segment/time.Second), part), files: map[string][]byte{}}
	x.cut = &hlsCutter{list: x.list, epoch: epoch, want: segment, part: part, needKey: func() { x.asked++ }, log: slog.New(slog.DiscardHandler)}
	x.list.begin(nil)
	return x
}

// show feeds units and looks at the playlist after each.
func (x *projection) show(units []*pipeline.Packet) {
	x.t.Helper()
	var err error
	if !x.began {
		x.began = true
		var formats [2]*pipeline.Format
		for _, p := range units {
			if i := liveIndex(p.Format.Kind); formats[i] == nil {
				if f, ok := recorder.Describe(p); ok {
					formats[i] = &f
				}
			}
		}
		err = x.cut.begin(formats, formats[0] != nil, units[:1])
		units = units[1:]
	}
	for _, p := range units {
		if err == nil {
			err = x.cut.add(p)
			x.look()
		}
	}
	if err != nil {
		x.t.Fatal(err)
	}
}

// finish ends the stream.
func (x *projection) finish() {
	x.t.Helper()
	if err := x.cut.finish(); err != nil {
		x.t.Fatal(err)
	}
	x.list.end()
	x.look()
	if text := x.texts[len(x.texts)-1]; !strings.HasSuffix(text, hlsEnd) || strings.Contains(text, "PRELOAD-HINT") {
		x.t.Errorf("the last playlist does not end:\n%s", text)
	}
}

// get is a file of the stream.
func (x *projection) get(name string) []byte {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	a := x.list.get(ctx, name, "", "")
	if a.status != 0 || len(a.data) == 0 {
		x.t.Fatalf("%s: status %d, %d bytes\n%s", name, a.status, len(a.data), x.texts[len(x.texts)-1])
	}
	return a.data
}

// look reads the playlist as a player would, with a reader of another make, and
// holds it to the rules of RFC 8216.
func (x *projection) look() {
	x.t.Helper()
	x.list.mu.Lock()
	text := ""
	if len(x.list.segments) > 0 {
		text = string(x.list.media())
	}
	x.list.mu.Unlock()
	if text == "" || len(x.texts) > 0 && x.texts[len(x.texts)-1] == text {
		return
	}
	x.texts = append(x.texts, text)
	var m playlist.Media
	if err := m.Unmarshal([]byte(text)); err != nil {
		x.t.Fatalf("playlist cannot be read: %v\n%s", err, text)
	}
	bad := func(format string, args ...any) {
		x.t.Helper()
		x.t.Fatalf(format+"\n%s", append(args, text)...)
	}
	switch {
	case !m.IndependentSegments || m.Version < 7:
		bad("version %d, independent segments %v", m.Version, m.IndependentSegments)
	case m.TargetDuration < x.target:
		bad("the target goes from %d to %d", x.target, m.TargetDuration)
	case m.MediaSequence < x.sequence:
		bad("the sequence goes from %d to %d", x.sequence, m.MediaSequence)
	case len(m.Segments) > x.list.window:
		bad("%d segments", len(m.Segments))
	}
	x.target, x.sequence = m.TargetDuration, m.MediaSequence
	init, broken := "", 0
	if m.DiscontinuitySequence != nil {
		broken = *m.DiscontinuitySequence
	}
	if broken < x.lastBreak {
		bad("the discontinuity sequence goes from %d to %d", x.lastBreak, broken)
	}
	x.lastBreak = broken
	lines := strings.Split(text, "\n")
	for i, s := range m.Segments {
		if got := int(math.Round(s.Duration.Seconds())); got > m.TargetDuration {
			bad("segment of %v, target %d", s.Duration, m.TargetDuration)
		}
		if s.DateTime == nil {
			bad("a segment without a time")
		}
		number := m.MediaSequence + i
		if want := hlsSegmentName(uint64(number)); s.URI != want {
			bad("segment %d is called %s", number, s.URI)
		}
		// The reader at hand knows one EXT-X-MAP; there is one for each period.
		at := indexOf(lines, s.URI)
		for _, line := range lines[:at] {
			if name, ok := strings.CutPrefix(line, `#EXT-X-MAP:URI="`); ok {
				init = strings.TrimSuffix(name, `"`)
			}
		}
		if number == len(x.segments) {
			x.segments = append(x.segments, s)
			for _, name := range []string{init, s.URI} {
				if x.files[name] == nil {
					x.files[name] = x.get(name)
					x.order = append(x.order, name)
				}
			}
			if number > 0 {
				x.follows(x.segments[number-1], s, bad)
			}
			for j, p := range s.Parts {
				x.piece(number, j, p)
			}
		} else if number > len(x.segments) {
			bad("segment %d was never seen, nor one after %d", number, len(x.segments)-1)
		}
	}
	if s := m.Segments; x.list.part > 0 && !m.Endlist {
		if last := s[len(s)-1]; len(last.Parts) == 0 || m.PreloadHint == nil && x.cut.frag != nil {
			bad("no parts, or no hint")
		}
	}
	x.fullest = max(x.fullest, x.list.size())
}

// follows checks that a segment begins where the one before ends, or tells of a
// discontinuity.
func (x *projection) follows(before, s *playlist.MediaSegment, bad func(string, ...any)) {
	x.t.Helper()
	off := s.DateTime.Sub(before.DateTime.Add(before.Duration)).Abs()
	if !s.Discontinuity && off > 2*time.Millisecond {
		bad("segment %s is %v off", s.URI, off)
	}
}

// piece checks that a part is the right bytes of its segment.
func (x *projection) piece(number, j int, p *playlist.MediaPart) {
	x.t.Helper()
	if p.Duration > x.list.part+time.Millisecond {
		x.t.Errorf("part %s has %v", p.URI, p.Duration)
	}
	if (j == 0) != p.Independent && x.cut.tracks[1].format != nil && j == 0 {
		x.t.Errorf("part %s: independent %v", p.URI, p.Independent)
	}
	segment := x.files[hlsSegmentName(uint64(number))]
	if data := x.get(p.URI); !bytes.Contains(segment, data) || j == 0 && !bytes.HasPrefix(segment, data) {
		x.t.Errorf("part %s is not of segment %d", p.URI, number)
	}
}

func indexOf(list []string, s string) int {
	for i, x := range list {
		if x == s {
			return i
		}
	}
	return 0
}

// breaks is how many discontinuities there were.
func (x *projection) breaks() (n int) {
	for _, s := range x.segments {
		if s.Discontinuity {
			n++
		}
	}
	return n
}

// length is that of all segments.
func (x *projection) length() (d time.Duration) {
	for _, s := range x.segments {
		d += s.Duration
	}
	return d
}

// film puts what was served of a period (from 1) into a file, and plays it.
func (x *projection) film(period int) string {
	x.t.Helper()
	var b []byte
	for i, name := range x.order {
		if name != hlsInitName(period) {
			continue
		}
		b = append(b, x.files[name]...)
		for _, name := range x.order[i+1:] {
			if strings.HasPrefix(name, "init") {
				break
			}
			b = append(b, x.files[name]...)
		}
	}
	path := filepath.Join(x.t.TempDir(), fmt.Sprint(period, ".mp4"))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		x.t.Fatal(err)
	}
	codectest.MustPlay(x.t, path)
	return path
}

// times are the PTS of a file's packets of a kind (v, a), in seconds.
func times(t testing.TB, path, kind string) (out []float64) {
	t.Helper()
	text, err := exec.Command("ffprobe", "-v", "error", "-select_streams", kind, "-show_entries", "packet=pts_time", "-of", "csv=p=0", path).Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	for _, line := range strings.Fields(string(text)) {
		v, err := strconv.ParseFloat(strings.Trim(line, ","), 64)
		if err != nil {
			t.Fatalf("time %q", line)
		}
		out = append(out, v)
	}
	return out
}

// even fails when packets do not follow each other by about step.
func even(t testing.TB, what string, list []float64, step, tolerance float64) {
	t.Helper()
	for i := 1; i < len(list); i++ {
		if d := list[i] - list[i-1]; d < step-tolerance || d > step+tolerance {
			t.Errorf("%s: packet %d at %.3f comes %.3f after the one before, want %.3f", what, i, list[i], d, step)
			return
		}
	}
}

func TestHLSSegments(t *testing.T) {
	r := newReel(t)
	const end = 20 * time.Second
	for name, keep := range map[string]func(*pipeline.Packet) bool{"both": nil, "sound": only(pipeline.Audio), "picture": only(pipeline.Video)} {
		for _, part := range []time.Duration{0, 500 * time.Millisecond} {
			t.Run(fmt.Sprint(name, " parts ", part), func(t *testing.T) {
				x := newProjection(t, 2*time.Second, part)
				x.show(r.between(0, end, keep))
				x.finish()
				if n := len(x.segments); n < 9 || n > 11 || x.target != 2 || x.breaks() != 0 || x.sequence == 0 {
					t.Errorf("%d segments, target %d, %d discontinuities, first %d", n, x.target, x.breaks(), x.sequence)
				}
				if d := x.length() - end; d.Abs() > 60*time.Millisecond {
					t.Errorf("segments last %v, want %v", x.length(), end)
				}
				film := x.film(1)
				v, a := times(t, film, "v"), times(t, film, "a")
				even(t, "pictures", v, 0.04, 0.001)
				even(t, "sound", a, 1024.0/48000, 0.012) // the reel's end is a frame and a bit
				if wantV, wantA := keep == nil || name == "picture", keep == nil || name == "sound"; (len(v) == 500) != wantV || (len(a) > 920) != wantA {
					t.Errorf("%d pictures, %d of sound", len(v), len(a))
				}
				index := string(x.get(hlsIndex))
				var m playlist.Multivariant
				if err := m.Unmarshal([]byte(index)); err != nil || len(m.Variants) != 1 {
					t.Fatalf("%v\n%s", err, index)
				}
				got := strings.Join(m.Variants[0].Codecs, ",")
				if got != map[string]string{"both": "avc1.42c00b,mp4a.40.2", "sound": "mp4a.40.2", "picture": "avc1.42c00b"}[name] {
					t.Errorf("codecs %s", got)
				}
				if wide := name != "sound"; strings.Contains(index, "RESOLUTION=160x120,FRAME-RATE=25.000") != wide || m.Variants[0].Bandwidth < 10_000 || m.Variants[0].Bandwidth < *m.Variants[0].AverageBandwidth {
					t.Errorf("multivariant playlist:\n%s", index)
				}
			})
		}
	}
}

// After a hole in time, as a worker's crash makes it, players are told.
func TestHLSGap(t *testing.T) {
	r := newReel(t)
	x := newProjection(t, 2*time.Second, 500*time.Millisecond)
	x.show(r.between(0, 5500*time.Millisecond, nil))
	x.show(r.between(9500*time.Millisecond, 16*time.Second, nil)) // from 10 s, where the next keyframe is
	x.finish()
	if x.breaks() != 1 || x.asked == 0 {
		t.Errorf("%d discontinuities, asked for %d keyframes", x.breaks(), x.asked)
	}
	if d := x.length(); (d - 11500*time.Millisecond).Abs() > 100*time.Millisecond {
		t.Errorf("segments last %v", d)
	}
	even(t, "pictures", times(t, x.film(1), "v"), 0.04, 0.001)
	even(t, "pictures", times(t, x.film(2), "v"), 0.04, 0.001)
	if !strings.Contains(x.texts[len(x.texts)-1], "#EXT-X-DISCONTINUITY-SEQUENCE:1\n") && x.sequence > 3 {
		t.Errorf("the discontinuity left the playlist uncounted:\n%s", x.texts[len(x.texts)-1])
	}
}

// A picture of another size begins a period; the sound goes on.
func TestHLSSizeChanges(t *testing.T) {
	r := newReel(t)
	f := &pipeline.Format{Kind: pipeline.Video, Codec: codec.H264, Framing: pipeline.Unit, ClockRate: 90000}
	var wide reel
	for _, frame := range codectest.Frames(t, codec.H264, codectest.Clip{Width: 320, Height: 240, Length: 3 * time.Second}) {
		wide = append(wide, &pipeline.Packet{Format: f, Payload: frame.Data, PTS: frame.PTS, Key: frame.Key})
	}
	x := newProjection(t, 2*time.Second, 0)
	x.show(r.between(0, 7*time.Second, nil))
	var rest []*pipeline.Packet
	sound, picture := r.between(7*time.Second, 14*time.Second, only(pipeline.Audio)), wide.between(6*time.Second, 13*time.Second, nil)
	for len(sound)+len(picture) > 0 {
		if len(picture) == 0 || len(sound) > 0 && sound[0].PTS < picture[0].PTS+time.Second {
			rest, sound = append(rest, sound[0]), sound[1:]
			continue
		}
		p := *picture[0]
		p.PTS += time.Second
		rest, picture = append(rest, &p), picture[1:]
	}
	x.show(rest)
	x.finish()
	if x.breaks() != 1 {
		t.Errorf("%d discontinuities", x.breaks())
	}
	if p := codectest.ProbeFile(t, x.film(2)); p.Packets("video") == 0 || p.Packets("audio") == 0 {
		t.Errorf("after the change: %+v", p)
	}
	if index := string(x.get(hlsIndex)); !strings.Contains(index, "RESOLUTION=320x240") {
		t.Errorf("index:\n%s", index)
	}
}

// Sound that ceases is silence, so that players go on; and it comes back.
func TestHLSSilence(t *testing.T) {
	r := newReel(t)
	x := newProjection(t, 2*time.Second, 0)
	x.show(r.between(0, 16*time.Second, func(p *pipeline.Packet) bool {
		return p.Format.Kind == pipeline.Video || p.PTS < 5*time.Second || p.PTS > 11*time.Second
	}))
	x.finish()
	if x.breaks() != 0 {
		t.Errorf("%d discontinuities", x.breaks())
	}
	film := x.film(1)
	even(t, "sound", times(t, film, "a"), 1024.0/48000, 0.022)
	for at, loud := range map[int]bool{2: true, 7: false, 13: true} {
		out, err := exec.Command("ffmpeg", "-v", "error", "-ss", fmt.Sprint(at), "-t", "2", "-i", film, "-f", "s16le", "-ac", "1", "-").Output()
		if err != nil {
			t.Fatal(err)
		}
		peak := 0
		for i := 0; i+1 < len(out); i += 2 {
			peak = max(peak, int(int16(uint16(out[i])|uint16(out[i+1])<<8)))
		}
		if peak > 500 != loud || len(out) < 150_000 {
			t.Errorf("from %d s the sound is up to %d, %d bytes", at, peak, len(out))
		}
	}
}

// A source that is to have sound and has none yet is silent in the same tracks.
func TestHLSNoSoundYet(t *testing.T) {
	r := newReel(t)
	x := newProjection(t, 2*time.Second, 0)
	video := r.between(0, 8*time.Second, only(pipeline.Video))
	f, _ := recorder.Describe(video[0])
	x.began = true
	if err := x.cut.begin([2]*pipeline.Format{nil, &f}, true, video[:1]); err != nil {
		t.Fatal(err)
	}
	x.show(video[1:])
	x.show(r.between(8*time.Second, 14*time.Second, nil))
	x.finish()
	for period := range x.breaks() + 1 {
		if a := times(t, x.film(period+1), "a"); len(a) == 0 {
			t.Errorf("period %d has no sound", period+1)
		}
	}
}

// A picture that ceases stands still, so that the sound goes on.
func TestHLSStill(t *testing.T) {
	r := newReel(t)
	x := newProjection(t, 2*time.Second, 0)
	x.show(r.between(0, 20*time.Second, func(p *pipeline.Packet) bool {
		return p.Format.Kind == pipeline.Audio || p.PTS < 5*time.Second || p.PTS > 11300*time.Millisecond
	}))
	x.finish()
	if x.breaks() != 0 || x.asked == 0 || (x.length()-20*time.Second).Abs() > 100*time.Millisecond {
		t.Errorf("%d discontinuities, asked for %d keyframes, %v", x.breaks(), x.asked, x.length())
	}
	v := times(t, x.film(1), "v")
	last, early := 0.0, 0
	for _, at := range v {
		if at-last > 2 {
			t.Errorf("no picture from %.2f to %.2f", last, at)
		}
		if at > 11.2 && at < 11.98 {
			early++
		}
		last = at
	}
	if early > 1 { // one is the keyframe that stands still
		t.Errorf("%d pictures refer to one that was not shown", early)
	}
}

// A kind that comes later begins a period with both.
func TestHLSLateKind(t *testing.T) {
	r := newReel(t)
	for name, k := range map[string]pipeline.Kind{"sound": pipeline.Audio, "picture": pipeline.Video} {
		t.Run(name, func(t *testing.T) {
			x := newProjection(t, 2*time.Second, 0)
			x.show(r.between(0, 5*time.Second, func(p *pipeline.Packet) bool { return p.Format.Kind != k }))
			x.show(r.between(5*time.Second, 12*time.Second, nil))
			x.finish()
			if x.breaks() != 1 {
				t.Errorf("%d discontinuities", x.breaks())
			}
			for _, text := range x.texts {
				if strings.Contains(text, "init1.mp4") && strings.Contains(text, "init2.mp4") {
					t.Errorf("players that begin now must change their tracks:\n%s", text)
				}
			}
			if p := codectest.ProbeFile(t, x.film(2)); p.Packets("video") < 140 || p.Packets("audio") < 280 {
				t.Errorf("then: %+v", p)
			}
		})
	}
}

// A source that gives no keyframe gets longer segments, up to a bound.
func TestHLSWithoutKeyframes(t *testing.T) {
	r := newReel(t)
	few := func(every time.Duration) func(*pipeline.Packet) bool {
		return func(p *pipeline.Packet) bool {
			p.Key = p.Key && (p.Format.Kind == pipeline.Audio || p.PTS%every == 0)
			return true
		}
	}
	x := newProjection(t, 2*time.Second, 0)
	x.show(r.between(0, 24*time.Second, few(6*time.Second)))
	x.finish()
	if x.target != 6 || len(x.segments) != 4 || x.breaks() != 0 {
		t.Errorf("target %d, %d segments, %d discontinuities", x.target, len(x.segments), x.breaks())
	}
	x = newProjection(t, 2*time.Second, 0)
	x.show(r.between(0, 45*time.Second, few(time.Hour)))
	x.finish()
	if x.target > 12 || x.asked == 0 {
		t.Errorf("without any keyframe: target %d, asked %d times", x.target, x.asked)
	}
	for i := range x.breaks() + 1 {
		x.film(i + 1)
	}
}

// What a stream holds is bounded, however large its pictures are.
func TestHLSIsBounded(t *testing.T) {
	r := newReel(t)
	x := newProjection(t, 2*time.Second, 0)
	fat := r.between(0, 40*time.Second, only(pipeline.Video))
	pad := append([]byte{0, 0, 0, 1, 12}, bytes.Repeat([]byte{0xff}, 400_000)...) // filler (H.264 §7.3.2.7)
	for _, p := range fat {
		p.Payload = append(bytes.Clone(p.Payload), append(pad, 0x80)...)
	}
	x.show(fat)
	x.finish()
	if x.fullest > hlsBytes+3*hlsMost {
		t.Errorf("%d MiB", x.fullest>>20)
	}
	x.list.mu.Lock()
	defer x.list.mu.Unlock()
	if n := len(x.list.segments); n < minHLSSegments {
		t.Errorf("%d segments are left", n)
	}
}

// The silence that is put in decodes, for one channel and two.
func TestHLSSilenceDecodes(t *testing.T) {
	codectest.NeedFFmpeg(t)
	for channels := uint16(1); channels <= 2; channels++ {
		f := pipeline.UnitOf(pipeline.Audio, codec.AAC)
		f.ClockRate, f.Channels = 48000, channels
		f, _ = recorder.Describe(&pipeline.Packet{Format: &f})
		x := newProjection(t, 2*time.Second, 0)
		p := &pipeline.Packet{Format: &f, Payload: hlsSilence(&f), Key: true}
		var units []*pipeline.Packet
		for i := range 300 {
			q := *p
			q.PTS = time.Duration(i) * aacLength(&f)
			units = append(units, &q)
		}
		x.show(units)
		x.finish()
		if a := times(t, x.film(1), "a"); len(a) != 300 {
			t.Errorf("%d frames", len(a))
		}
	}
}
