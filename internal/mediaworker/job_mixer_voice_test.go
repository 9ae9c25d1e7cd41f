package mediaworker

import (
	"slices"
	"testing"
	"time"
)

// steps are samples of both channels, counting up from first.
func steps(first, frames int) []int16 {
	s := make([]int16, 0, 2*frames)
	for i := range frames {
		s = append(s, int16(first+i), int16(-(first + i)))
	}
	return s
}

func TestVoice(t *testing.T) {
	const block = int(blockFrames)
	type piece struct {
		at      int64
		samples []int16
	}
	silent := make([]int16, 2*block)
	second := func(from []int16) []int16 { return append(slices.Clone(silent[:block]), from[:block]...) }
	for _, c := range []struct {
		name   string
		start  int64
		pieces []piece
		want   [][]int16 // by block; nil is silence
	}{
		{"nothing", 0, nil, [][]int16{nil}},
		{"in order", 0, []piece{{0, steps(1, block)}, {int64(block), steps(5000, block)}}, [][]int16{steps(1, block), steps(5000, block), nil}},
		{"a little off follows without a hole", 0, []piece{{0, steps(1, block)}, {int64(block) + 300, steps(5000, block)}}, [][]int16{steps(1, block), steps(5000, block)}},
		{"far off leaves a hole", 0, []piece{{0, steps(1, block)}, {3 * int64(block), steps(5000, block)}}, [][]int16{steps(1, block), nil, nil, steps(5000, block)}},
		{"begins in the middle of a block", 0, []piece{{int64(block) * 5 / 2, steps(1, block)}}, [][]int16{nil, nil, second(steps(1, block))}},
		{"too late", 10 * int64(block), []piece{{0, steps(1, block)}}, [][]int16{nil}},
		{"late by half", 10 * int64(block), []piece{{9*int64(block) + int64(block)/2 - 2000, steps(1, block+2000)}}, nil},
		{"far ahead", 0, []piece{{voiceWindow, steps(1, block)}}, [][]int16{nil}},
		{"over the ring's end", voiceWindow - int64(block)/2, []piece{{voiceWindow - int64(block)/2, steps(1, block)}}, [][]int16{steps(1, block)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVoice(c.start)
			for _, p := range c.pieces {
				v.put(p.at, p.samples)
			}
			out := make([]int16, 2*block)
			for i, want := range c.want {
				had := v.take(c.start+int64(i*block), out)
				switch {
				case want == nil && had && slices.ContainsFunc(out, func(x int16) bool { return x != 0 }):
					t.Errorf("block %d is not silent", i)
				case want != nil && (!had || !slices.Equal(out, want)):
					t.Errorf("block %d: heard %v, begins %v, want %v", i, had, out[:4], want[:4])
				}
			}
		})
	}
}

// TestVoiceLateForEver: a source whose clock is behind is heard nevertheless.
func TestVoiceLateForEver(t *testing.T) {
	v := newVoice(0)
	out := make([]int16, 2*blockFrames)
	heard := 0
	for i := range int64(40) {
		v.put((i-100)*blockFrames, steps(100, int(blockFrames))) // two seconds behind
		if v.take(i*blockFrames, out) && slices.Equal(out, steps(100, int(blockFrames))) {
			heard++
		}
	}
	if heard < 40-voiceStray-3 {
		t.Errorf("heard %d of 40 blocks", heard)
	}
}

// TestVoiceForgetsWhatWasLeftOut: after a jump no old samples come back.
func TestVoiceForgetsWhatWasLeftOut(t *testing.T) {
	v := newVoice(0)
	v.put(0, steps(1, int(blockFrames)))
	out := make([]int16, 2*blockFrames)
	v.take(voiceWindow-blockFrames, out)
	if v.take(voiceWindow, out) {
		t.Errorf("old samples are heard again: %v", out[:4])
	}
}

func TestFrameTime(t *testing.T) {
	for _, d := range []time.Duration{0, 20 * time.Millisecond, time.Second, 30*24*time.Hour + 20*time.Millisecond} {
		if got := frameTime(frameAt(d)); got != d {
			t.Errorf("%v became %v", d, got)
		}
	}
}

func TestSaturate(t *testing.T) {
	out := make([]byte, 8)
	saturate(out, []int32{40000, -40000, 300, 1}, []int32{0, 0, 45, 2})
	if want := []byte{0xff, 0x7f, 0x00, 0x80, 0xff, 0x00, 0xff, 0xff}; !slices.Equal(out, want) {
		t.Errorf("samples % x, want % x", out, want)
	}
}

// A held voice whose source is never in time says by how much it is off, once, and
// is heard after it was moved by that.
func TestVoiceAstray(t *testing.T) {
	const late = 40 * blockFrames
	v := newVoice(late)
	v.held = true
	piece := steps(1, int(blockFrames))
	for i := range int64(voiceStray) {
		if d := v.astray(); d != 0 {
			t.Fatalf("%d frames astray after %d pieces", d, i)
		}
		v.put(i*blockFrames, piece)
	}
	d := v.astray()
	if want := late + voiceCushion - (voiceStray-1)*blockFrames; d != want {
		t.Fatalf("%d frames astray, want %d", d, want)
	}
	if again := v.astray(); again != 0 {
		t.Errorf("%d frames astray is told twice", again)
	}
	v.move(d)
	v.put(voiceStray*blockFrames, piece)
	out := make([]int16, mixSamples)
	for at := late; at <= late+voiceCushion; at += blockFrames {
		if v.take(at, out); at < late+voiceCushion && out[0] != 0 {
			t.Errorf("heard at frame %d already", at)
		}
	}
	if !v.take(late+voiceCushion+blockFrames, out) || !slices.Equal(out, piece) {
		t.Errorf("heard %v", out[:4])
	}
}

func TestLoudness(t *testing.T) {
	var l loudness
	if _, ok := l.take(); ok {
		t.Error("a level of nothing")
	}
	for _, c := range []struct {
		amplitude int16
		want      int
	}{{0, 127}, {32767, 0}, {-32768, 0}, {3277, 20}, {328, 40}, {1, 90}} {
		l.add(slices.Repeat([]int16{c.amplitude}, mixSamples))
		if level, ok := l.take(); !ok || level != c.want {
			t.Errorf("amplitude %d: level %d, %v, want %d", c.amplitude, level, ok, c.want)
		}
	}
	l.add(slices.Repeat([]int16{3277}, mixSamples))
	l.add(slices.Repeat([]int16{0}, 9*mixSamples))
	if level, _ := l.take(); level != 30 {
		t.Errorf("a tenth of the time: level %d, want 30", level)
	}
}
