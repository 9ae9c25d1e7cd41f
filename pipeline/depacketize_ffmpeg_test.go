package pipeline

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
)

// Real frames, cut into packets and shuffled, come out as they went in.
func TestDepacketizeRealFrames(t *testing.T) {
	payloaders := map[codec.Name]rtp.Payloader{
		codec.VP8:  &codecs.VP8Payloader{EnablePictureID: true},
		codec.VP9:  &codecs.VP9Payloader{},
		codec.H264: &codecs.H264Payloader{},
		codec.AV1:  &codecs.AV1Payloader{},
		codec.Opus: &codecs.OpusPayloader{},
	}
	for name, payloader := range payloaders {
		t.Run(string(name), func(t *testing.T) {
			frames := codectest.Frames(t, name, codectest.Clip{Width: 320, Height: 240})
			f := rtpFormat(name)
			conv, s := open(t, f)
			var packets []*Packet
			seq := uint16(65500)
			for _, frame := range frames {
				payloads := payloader.Payload(200, frame.Data)
				ts := uint32(uint64(frame.PTS) * uint64(f.ClockRate) / uint64(time.Second))
				for i, payload := range payloads {
					p := packet(f, seq, ts, i == len(payloads)-1, 0, payload...)
					p.PTS, p.Arrival = frame.PTS, begin.Add(frame.PTS)
					packets = append(packets, p)
					seq++
				}
			}
			rnd := rand.New(rand.NewPCG(3, 4))
			for rest := packets[1:]; len(rest) > 0; {
				n := min(8, len(rest))
				rnd.Shuffle(n, func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
				rest = rest[n:]
			}
			for _, p := range packets {
				conv.Push(p)
			}
			conv.Close()
			if len(s.got) != len(frames) {
				t.Fatalf("%d units of %d frames", len(s.got), len(frames))
			}
			for i, u := range s.got {
				want := frames[i]
				if name == codec.Opus {
					want.PTS -= 312 * time.Second / 48000 // the encoder's lookahead
				}
				same := bytes.Equal(u.Payload, want.Data)
				if name == codec.H264 { // the payloader leaves SEI where it was, but start codes may differ
					same = bytes.Equal(codec.AVCC(u.Payload), codec.AVCC(want.Data))
				}
				if !same || u.PTS != want.PTS || u.Key != want.Key || u.Gap {
					t.Fatalf("unit %d of %d packets: same bytes %v, PTS %v, key %v, gap %v; want PTS %v, key %v", i, len(packets), same, u.PTS, u.Key, u.Gap, want.PTS, want.Key)
				}
			}
			if name.IsVideo() && conv.wishes > 1 {
				t.Errorf("%d keyframe wishes without loss", conv.wishes)
			}
		})
	}
}
