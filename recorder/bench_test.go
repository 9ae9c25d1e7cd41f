package recorder

import (
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// nowhere forgets what is written.
type nowhere struct{ memory }

func (nowhere) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// BenchmarkMux writes a minute of a picture and its sound: 30 units of 4 kB and
// 50 of 100 bytes a second.
func BenchmarkMux(b *testing.B) {
	h264Units := &pipeline.Format{Kind: pipeline.Video, Codec: codec.H264, Framing: pipeline.Unit, ClockRate: 90000, Width: 640, Height: 480, Config: []byte{1}}
	for _, c := range []struct {
		container Container
		video     *pipeline.Format
	}{{WebM, vp8Units}, {MP4, h264Units}} {
		b.Run(string(c.container), func(b *testing.B) {
			frame := append([]byte{0, 0, 0, 1, 0x41}, make([]byte, 4000)...)
			for i := range frame[5:] {
				frame[5+i] = byte(i | 1)
			}
			audio, _ := Describe(opusAt(0))
			b.ReportAllocs()
			b.SetBytes(60 * (30*4000 + 50*100))
			for b.Loop() {
				mux, err := NewMuxer(c.container, &nowhere{}, time.Unix(1, 0))
				if err != nil {
					b.Fatal(err)
				}
				v, errV := mux.AddTrack(*c.video)
				a, errA := mux.AddTrack(audio)
				if errV != nil || errA != nil {
					b.Fatal(errV, errA)
				}
				for ms := 0; ms < 60_000; ms += 20 {
					mux.Write(a, &pipeline.Packet{Format: opusUnits, Payload: frame[:100], PTS: time.Duration(ms) * time.Millisecond, Key: true})
					if ms%100 < 60 {
						mux.Write(v, &pipeline.Packet{Format: c.video, Payload: frame, PTS: time.Duration(ms) * time.Millisecond, Key: ms%2000 == 0})
					}
					if ms%500 == 0 {
						mux.Flush()
					}
				}
			}
		})
	}
}
