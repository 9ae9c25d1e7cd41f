//go:build gst

package mediaworker

import (
	"math"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/workers/wire"
)

// TestSoundKeepsItsTime: what is encoded carries the PTS at which a player must
// begin to play what it decodes, whatever an encoder puts before.
func TestSoundKeepsItsTime(t *testing.T) {
	const first, step = 40, 20 * time.Millisecond // packets before the tone
	for _, name := range []codec.Name{codec.AAC, codec.Opus, codec.PCMU} {
		t.Run(string(name), func(t *testing.T) {
			r := startJob(t, "decode", nil)
			r.must(wire.MethodInput, wire.StreamParams{Stream: 1, Name: "in", Media: mediaOf(codec.PCMU)})
			r.must(wire.MethodOutput, wire.OutputParams{Stream: 100, Port: "out", Media: mediaOf(name)})
			// Silence, then a loud 500 Hz, in mu-law of 8 kHz.
			var units []unit
			for i := range 2 * first {
				b := make([]byte, 160)
				for k := range b {
					switch {
					case i < first:
						b[k] = 0xff
					case k/8%2 == 0:
						b[k] = 0x80 // the loudest
					}
				}
				units = append(units, unit{b, time.Duration(i) * step, true})
			}
			start := r.play(1, units, nil)
			want := start + first*step
			var frames []coded
			for len(frames) == 0 || frames[len(frames)-1].pts < want+300*time.Millisecond {
				frames = append(frames, r.collect(100, 1)...)
			}
			samples := decodeSound(t, name, frames)
			if name == codec.Opus { // the file's header has these taken off, which no recording of ours has
				samples = append(make([]float64, 312), samples...)
			}
			at := -1
			for i, x := range samples {
				if math.Abs(x) > 0.2 {
					at = i
					break
				}
			}
			if at < 0 {
				t.Fatalf("no tone in %d samples", len(samples))
			}
			heard := frames[0].pts + time.Duration(at)*time.Second/48000
			if d := heard - want; d > 3*time.Millisecond || d < -3*time.Millisecond {
				t.Errorf("the tone is heard %v after its time", d)
			} else {
				t.Logf("the tone is heard %v after its time", d)
			}
		})
	}
}

// TestOpusAfterAHole: sound is at its time also when more was lost than can be
// concealed, or next to nothing.
func TestOpusAfterAHole(t *testing.T) {
	const step, tone, before = 20 * time.Millisecond, 110, 20 // packets
	packets := oggPackets(ffmpeg(t, nil, "-f", "lavfi", "-i", "aevalsrc='if(gte(n,105600),0.5*sin(2*PI*1000*n/48000),0)':s=48000", "-t", "3", "-ac", "2",
		"-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20", "-page_duration", "20000", "-f", "ogg", "-"))[2:]
	for name, c := range map[string]struct {
		lost int
		late time.Duration // what follows, from then on
	}{"long": {lost: 15}, "concealed": {lost: 2}, "tiny": {late: time.Millisecond}, "none": {}} {
		t.Run(name, func(t *testing.T) {
			units := make([]unit, len(packets))
			for i, p := range packets {
				units[i] = unit{p, time.Duration(i) * step, true}
			}
			for i := before + c.lost; i < len(units); i++ {
				units[i].at += c.late
			}
			r := startJob(t, wire.KindDirector, wire.DirectorParams{})
			r.must(wire.MethodCall, wire.CallParams{Method: wire.MethodView, Params: encode(wire.View{Name: "v", Sound: true, All: true})})
			r.must(wire.MethodInput, wire.StreamParams{Stream: 1, Name: "audio/1", Media: mediaOf(codec.Opus)})
			r.must(wire.MethodOutput, wire.OutputParams{Stream: 100, Port: wire.AudioPort("v"), Media: mediaOf(codec.PCMU)})
			start := r.play(1, units[:before], nil)
			r.playFrom(start, 1, units[before+c.lost:], wire.Gap, nil)
			want := start + tone*step + c.late + 312*time.Second/48000 // the lookahead of the encoder
			for {
				f := r.collect(100, 1)[0]
				for i, x := range f.data {
					if x&0x70 > 0x20 { // near silence: the exponent is inverted
						continue
					}
					at := f.pts + time.Duration(i)*time.Second/8000
					if d := at - want; d.Abs() > 5*time.Millisecond {
						t.Errorf("the tone is heard %v after its time", d)
					}
					return
				}
				if f.pts > want+300*time.Millisecond {
					t.Fatal("no tone is heard")
				}
			}
		})
	}
}
