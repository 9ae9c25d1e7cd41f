package workers

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

func TestAssembly(t *testing.T) {
	h := func(frame uint32, fragment uint8, flags uint8) wire.Header {
		return wire.Header{Frame: frame, Fragment: fragment, Flags: flags}
	}
	type in struct {
		h    wire.Header
		data string
	}
	for _, row := range []struct {
		what string
		in   []in
		want []string // ! before a frame that follows a loss
	}{
		{"whole frames, over the wrap", []in{{h(1<<32-1, 0, 0), "a"}, {h(0, 0, 0), "b"}}, []string{"a", "b"}},
		{"fragments", []in{{h(5, 0, wire.More), "a"}, {h(5, 1, wire.More), "b"}, {h(5, 2, 0), "c"}}, []string{"abc"}},
		{"a frame is missing", []in{{h(5, 0, 0), "a"}, {h(7, 0, 0), "b"}, {h(8, 0, 0), "c"}}, []string{"a", "!b", "c"}},
		{"the end of a frame is missing", []in{{h(5, 0, wire.More), "a"}, {h(6, 0, 0), "b"}}, []string{"!b"}},
		{"the middle of a frame is missing", []in{{h(5, 0, wire.More), "a"}, {h(5, 2, 0), "c"}, {h(6, 0, 0), "d"}}, []string{"!d"}},
		{"the beginning of the first frame is missing", []in{{h(5, 1, 0), "b"}, {h(6, 0, 0), "c"}}, []string{"!c"}},
		{"a fragment of another frame", []in{{h(5, 0, wire.More), "a"}, {h(6, 1, 0), "b"}, {h(7, 0, 0), "c"}}, []string{"!c"}},
		{"an empty frame", []in{{h(5, 0, 0), ""}, {h(6, 0, 0), "b"}}, []string{"b"}},
		{"a frame that never ends", slices.Concat([]in{{h(5, 0, wire.More), strings.Repeat("x", wire.MaxFrame-1)}},
			[]in{{h(5, 1, wire.More), "yy"}, {h(5, 2, 0), "z"}, {h(6, 0, 0), "b"}}), []string{"!b"}},
	} {
		var a assembly
		var got []string
		for _, x := range row.in {
			if unit, whole := a.add(x.h, []byte(x.data)); whole {
				mark := ""
				if a.lost {
					mark, a.lost = "!", false
				}
				got = append(got, mark+string(unit))
			}
		}
		if !slices.Equal(got, row.want) {
			t.Errorf("%s: got %q, want %q", row.what, got, row.want)
		}
	}
}

func FuzzAssembly(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 4, 0, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		var a assembly
		for ; len(b) >= 3; b = b[3:] {
			unit, whole := a.add(wire.Header{Frame: uint32(b[0]), Fragment: b[1], Flags: b[2]}, b[:3])
			if whole && (len(unit) == 0 || len(unit)%3 != 0) {
				t.Fatalf("a frame of %d bytes", len(unit))
			}
		}
	})
}

func TestBackoff(t *testing.T) {
	var got []time.Duration
	for n := 1; n <= 9; n++ {
		got = append(got, backoff(n))
	}
	want := []time.Duration{0, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second, 10 * time.Second}
	if !slices.Equal(got, want) {
		t.Errorf("waits %v, want %v", got, want)
	}
}

func TestParseStat(t *testing.T) {
	line := []byte("77 (a) b (c) S 1 77 77 0 -1 4194304 5000 0 3 0 250 50 0 0 20 0 9 0 1000 0 0")
	if d, err := parseStat(line); err != nil || d != 3*time.Second {
		t.Errorf("%v, %v; want 3 s", d, err)
	}
	for _, bad := range []string{"", "77 (a)", "77 (a) S 1 2 3 4 5 6 7 8 9 10 x y z"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestIDs(t *testing.T) {
	var i ids
	a, b := i.take(), i.take()
	i.free(a)
	if c := i.take(); a != 1 || b != 2 || c != 3 {
		t.Errorf("ids %d %d %d: a freed one comes back at once", a, b, c)
	}
	for range wire.FirstOwnStream - 1 - 3 {
		i.take()
	}
	if again := i.take(); again != a {
		t.Errorf("after all others comes %d, want %d", again, a)
	}
	if none := i.take(); none != 0 {
		t.Errorf("a full set gives %d", none)
	}
}

func TestStderrIsBounded(t *testing.T) {
	var b bytes.Buffer
	l := newLines(slog.New(slog.NewTextHandler(&b, nil)))
	for range 10 * linesBurst {
		if _, err := l.Write([]byte("noi\nse \xff\n\n")); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(b.String(), "\n"); n < linesBurst || n > linesBurst+20 {
		t.Errorf("%d lines are logged of %d", n, 20*linesBurst)
	}
	if l.Last() != "se �" {
		t.Errorf("last line %q", l.Last())
	}
	l.Write(bytes.Repeat([]byte("x"), 10*maxLogLine))
	l.Write([]byte("\n"))
	if n := len(l.Last()); n > maxLogLine+3 {
		t.Errorf("a line of %d bytes", n)
	}
	l.Write([]byte("SIGSEGV: segmentation violation\nPC=0x47\ngs     0x0\n"))
	if l.Last() != "SIGSEGV: segmentation violation" {
		t.Errorf("the reason is lost behind %q", l.Last())
	}
}

func TestFormats(t *testing.T) {
	f := pipeline.Format{
		Kind: pipeline.Video, Codec: codec.H264, Framing: pipeline.Unit, ClockRate: 90000, Fmtp: "x=1",
		Config: []byte{1}, Width: 640, Height: 480, Reordered: true,
	}
	if back, ok := formatOf(mediaOf(&f)); !ok || !sameStream(&f, &back) || back.Width != 640 || back.Framing != pipeline.Unit {
		t.Errorf("%+v comes back as %+v", f, back)
	}
	other := pipeline.Format{Kind: pipeline.Audio, Codec: pipeline.Other, Caps: "audio/x-vorbis"}
	if back, ok := formatOf(mediaOf(&other)); !ok || back.Codec != pipeline.Other || back.Caps != other.Caps {
		t.Errorf("%+v comes back as %+v", other, back)
	}
	if _, ok := formatOf(wire.Media{Kind: "smell"}); ok {
		t.Error("a smell is accepted")
	}
	for _, row := range []struct {
		f    pipeline.Format
		want bool
	}{
		{f, true}, {other, true}, {pipeline.Format{Kind: pipeline.Audio, Codec: pipeline.Other, Framing: pipeline.Unit}, false},
		{pipeline.UnitOf(pipeline.Audio, codec.Opus), true}, {pipeline.UnitOf(pipeline.Video, codec.Opus), false},
	} {
		row.f.Framing = pipeline.Unit
		if got := decodable(&row.f); got != row.want {
			t.Errorf("%s %s decodable: %v", row.f.Kind, row.f.Codec, got)
		}
	}
}

func TestRate(t *testing.T) {
	r := rate{usual: usualVideo}
	x, y := &taker{}, &taker{}
	if r.target() != 0 {
		t.Error("nobody wants a bitrate, and there is one")
	}
	r.want(x, pipeline.Encoding{MaxBps: 400_000})
	if got := r.target(); got != 400_000 {
		t.Errorf("target %d above the element's bound", got)
	}
	r.want(x, pipeline.Encoding{BitrateBps: 500_000, MinBps: 100_000, MaxBps: 900_000})
	r.want(y, pipeline.Encoding{})
	if got := r.target(); got != 500_000 {
		t.Errorf("target %d, want the element's", got)
	}
	e := pipeline.Encoding{MinBps: 100_000, MaxBps: 900_000}
	for _, row := range []struct {
		x    *taker
		bps  int
		news bool
		want int
	}{{x, 2_000_000, true, 900_000}, {x, 3_000_000, false, 900_000}, {y, 300_000, true, 300_000}, {y, 10_000, true, 100_000}, {y, 0, false, 100_000}} {
		r.receive(row.x, row.bps, e)
		if got, news := r.news(); news != row.news || got != row.want {
			t.Errorf("after %d: news %v, target %d; want %v, %d", row.bps, news, got, row.news, row.want)
		}
	}
	r.forget(y)
	if got := r.target(); got != 900_000 {
		t.Errorf("target %d after the slow one left", got)
	}
	if r.receive(y, 5, e); r.target() != 900_000 {
		t.Error("one that left is heard")
	}
}

func TestPlannedOriginOnlyTells(t *testing.T) {
	p := NewPool(Config{Binary: "/nonexistent/mediaworker"})
	defer p.Close()
	o := &plannedOrigin{p, pipeline.Video}
	if !o.Encodes(pipeline.UnitOf(pipeline.Video, codec.H264)) || o.Encodes(pipeline.UnitOf(pipeline.Audio, codec.Opus)) || o.Encodes(pipeline.UnitOf(pipeline.Video, codec.AV1)) {
		t.Error("a decoder that does not run yet offers other than the usual encoders")
	}
	if _, err := o.Encode(context.Background(), pipeline.Format{}, nil); err == nil {
		t.Error("it encodes")
	}
}
