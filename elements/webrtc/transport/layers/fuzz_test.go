package layers

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// FuzzDescriptor reads hostile payload and dependency descriptors, after a good
// keyframe, and forwards what comes of it: nothing is written outside the counters,
// the numbers stay in line, the memory stays bounded.
func FuzzDescriptor(f *testing.F) {
	names := []codec.Name{codec.VP8, codec.VP9, codec.H264, codec.AV1}
	for _, s := range shapes {
		w := newWorld(s, rand.New(rand.NewPCG(9, 9)))
		for n := range uint8(len(names)) {
			if names[n] == s.name {
				for _, v := range w.pub.picture() {
					f.Add(n, v.packet.Payload, v.descriptor)
				}
				for _, v := range w.pub.picture()[:1] {
					f.Add(n, v.packet.Payload, v.descriptor)
				}
			}
		}
	}
	f.Add(uint8(3), []byte{0x10, 0x30}, handmade)
	f.Add(uint8(3), []byte{0x20, 0xff, 0xff, 0xff, 0xff}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, which uint8, payload, descriptor []byte) {
		name := names[int(which)%len(names)]
		format := &pipeline.Format{Kind: pipeline.Video, Codec: name, Framing: pipeline.RTP, ClockRate: 90000}
		var r Parser
		source := NewSource()
		x := NewSelector(pipeline.Video)
		x.SetSource(source)
		x.Want(1, 1, time.Now())
		now := time.Now()
		var info Info
		// Twice over, as another source the second time, so that counters move.
		for n := range 6 {
			p := &pipeline.Packet{Format: format, Payload: bytes.Clone(payload), Header: rtp.Header{
				SSRC: uint32(n / 3), SequenceNumber: uint16(n), Timestamp: uint32(n * 3000), Marker: n%2 == 0,
			}}
			r.Read(p, descriptor, &info)
			if int(info.at)+int(info.n) > len(payload) || info.n > 4 || int(info.tl0At) >= max(len(payload), 1) || int(info.keyAt) >= max(len(payload), 1) {
				t.Fatalf("%+v of % x", info, payload)
			}
			if info.Spatial < 0 || info.Temporal < 0 || info.Spatial > 7 || info.Temporal > 7 {
				t.Fatalf("%+v", info)
			}
			if s := r.structure; s != nil && (len(s.templates) > maxTemplates || s.targets > maxTargets) {
				t.Fatal("a structure out of bounds")
			}
			if n == 0 {
				info.entry = true // so that something is forwarded at all
			}
			source.Note(0, p, &info, now)
			out, ok := x.Take(0, p, &info, now)
			if !bytes.Equal(p.Payload, payload) {
				t.Fatal("the shared payload was written to")
			}
			if ok {
				b := bytes.Clone(payload)
				out.Apply(b)
				at, end := int(out.PatchAt), int(out.PatchAt)+int(out.PatchLen)
				if len(b) != len(payload) || !bytes.Equal(b[:min(at, len(b))], payload[:min(at, len(b))]) || end <= len(b) && !bytes.Equal(b[end:], payload[end:]) {
					t.Fatalf("% x became % x by %+v", payload, b, out)
				}
				d := make([]byte, 1+len(descriptor)+growth)
				n := out.Describe(d[:len(d)-1], descriptor)
				if d[len(d)-1] != 0 || n != 0 && out.Targets == 0 && (n != len(descriptor) || !bytes.Equal(d[3:n], descriptor[3:])) {
					t.Fatalf("% x became % x", descriptor, d[:n])
				}
				all := out
				all.Targets = uint32(1+n%31)<<maskBits | 0x155
				all.Describe(d, descriptor)
			}
			now = now.Add(40 * time.Millisecond)
		}
	})
}

// FuzzTake brings packets of any encoding, layer, number and time: what is
// forwarded never has a number twice that was not received twice.
func FuzzTake(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 1, 2, 2, 2, 3, 200, 1, 1})
	f.Add(bytes.Repeat([]byte{0x81, 5, 0x12, 0x43}, 40))
	f.Fuzz(func(t *testing.T, script []byte) {
		x := NewSelector(pipeline.Video)
		source := NewSource("a", "b")
		x.SetSource(source)
		now := time.Now()
		format := &pipeline.Format{Kind: pipeline.Video, Codec: codec.VP8, Framing: pipeline.RTP, ClockRate: 90000}
		seqs := [2]uint16{65500, 30}
		got := map[uint16]bool{}
		had := map[[2]uint16]bool{}
		for len(script) >= 3 && len(got) < 1<<14 {
			a, b, c := script[0], script[1], script[2]
			script = script[3:]
			enc := int(a & 1)
			seqs[enc] += 1 + uint16(b>>6)
			seq := seqs[enc]
			if b&0x20 != 0 {
				seq -= uint16(b & 0x1f)
			}
			info := Info{Begin: a&2 != 0, End: a&4 != 0, Temporal: int8(c & 3), Spatial: int8(c >> 2 & 1), sync: c&8 != 0, hasID: true, id: uint16(c), wide: true, at: 2, n: 2}
			info.Key = a&8 != 0 && info.Begin && info.Temporal == 0 && info.Spatial == 0
			info.entry = info.Key
			p := &pipeline.Packet{Format: format, Payload: []byte{0, 0, 0, 0, 0}, Header: rtp.Header{SSRC: uint32(enc), SequenceNumber: seq, Timestamp: uint32(seq) * 100, Marker: a&4 != 0}}
			if a&0x10 != 0 {
				x.Want(int(a>>5&1), int(a>>6), now)
			}
			if a&0x20 != 0 && c&0x80 != 0 {
				x.Allow(int(b)*1000, now)
			}
			key := [2]uint16{uint16(enc), seq}
			again := had[key]
			had[key] = true
			source.Note(enc, p, &info, now)
			if out, ok := x.Take(enc, p, &info, now); ok && !again {
				if got[out.Seq] {
					t.Fatalf("number %d twice", out.Seq)
				}
				got[out.Seq] = true
			}
			now = now.Add(time.Duration(c>>4) * 20 * time.Millisecond)
		}
	})
}
