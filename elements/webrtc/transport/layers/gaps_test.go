package layers

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// TestGaps loses packets between forwarded and dropped frames. Frames are words of
// one letter per packet: b of the base layer, u of the upper one, which is cut;
// capitals are lost, capitals after a slash come in the end. What leaves is told by
// number from the first: "." is a hole, "e" an empty packet.
func TestGaps(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"bb uuu bb", "bbbb"},
		{"bB uuu bb", "b.bb"},
		{"bb uuU bb", "bbbb"}, // the end of what was dropped
		{"bb Uuu bb", "bbbb"}, // its beginning
		{"bb uUu bb", "bbbb"}, // its middle
		{"bb uuu Bb", "bb.b"}, // the beginning of what is forwarded
		{"bB Uuu bb", "b..bb"},
		{"bb U bb", "bb.bb"}, // nobody knows
		{"bb uU Bb", "bb.b"},
		{"bb uU Uu bb", "bbbb"},
		{"bb uu Uu bb", "bbbb"},
		{"bb uU uu bb", "bbbb"},
		{"bb u U u bb", "bb.bb"},
		{"bb u UUU u bb", "bb...bb"},
		{"bb uu B uu bb", "bb.bb"},
		{"bb /U bb", "bbebb"}, // comes late: its number is spoken for
		{"bb uu /B uu bb", "bbbbb"},
		{"b/B uuu bb", "bbbb"},
		{"bb u/Uu bb", "bbbb"},
		{"bb u/U bb", "bbbb"},
		{"bb u /Uu bb", "bbbb"},
		{"bb uu /Bb uu bb", "bbbbbb"},
		{"bb u /U/U u b/B u b", "bbeebbb"},
	} {
		t.Run(c.in, func(t *testing.T) {
			x := NewSelector(pipeline.Video)
			x.Want(Best, 0, time.Now())
			format := &pipeline.Format{Kind: pipeline.Video, Codec: codec.VP8, Framing: pipeline.RTP}
			now := time.Now()
			out := map[uint16]byte{}
			var first uint16
			var r [2]Parser
			take := func(p *pipeline.Packet, late int) {
				var info Info
				r[late].Read(p, nil, &info)
				o, ok := x.Take(0, p, &info, now)
				if !ok {
					return
				}
				if len(out) == 0 {
					first = o.Seq
				}
				if out[o.Seq-first] != 0 {
					t.Fatalf("number %d twice", o.Seq-first)
				}
				out[o.Seq-first] = 'b'
				if o.Empty {
					out[o.Seq-first] = 'e'
				}
			}
			var waiting []*pipeline.Packet
			seq := uint16(65530)
			for n, word := range strings.Fields(c.in) {
				for i := 0; i < len(word); i++ {
					late := word[i] == '/'
					if late {
						i++
					}
					lower := word[i] | 0x20
					begin := strings.TrimLeft(word[:i], "/") == "" || strings.Count(word[:i], "/") == i
					end := i == len(word)-1
					b := []byte{0x80, 0x20, 0, 1}
					if begin {
						b[0] |= 0x10
					}
					if lower == 'u' {
						b[2] = 0x40
					}
					if n == 0 {
						b[3] = 0
					}
					p := &pipeline.Packet{Format: format, Payload: b, Header: rtp.Header{SSRC: 1, SequenceNumber: seq, Timestamp: uint32(n * 3000), Marker: end}}
					seq++
					switch {
					case late:
						waiting = append(waiting, p)
					case lower == word[i]:
						take(p, 0)
					}
				}
			}
			for _, p := range waiting {
				take(p, 1)
			}
			got := ""
			for n := uint16(0); len(out) > 0; n++ {
				if out[n] == 0 {
					got += "."
				} else {
					got += string(out[n])
				}
				delete(out, n)
			}
			if got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}
