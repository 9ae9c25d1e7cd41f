package layers

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// traffic is what a publisher sent, as a receiver hands it on.
type traffic struct {
	w     *world
	sent  []sent
	infos []Info
}

func newTraffic(s shape, pictures int) *traffic {
	w := newWorld(s, rand.New(rand.NewPCG(3, 4)))
	x := &traffic{w: w}
	for range pictures {
		for _, v := range w.pub.picture() {
			var info Info
			w.parsers[v.enc].Read(v.packet, v.descriptor, &info)
			w.source.Note(v.enc, v.packet, &info, w.now)
			x.sent, x.infos = append(x.sent, v), append(x.infos, info)
		}
		w.tick()
	}
	return x
}

// pass runs all through a Selector, with numbers that go on.
func (x *traffic) pass(n int, round uint16, now time.Time) {
	v := &x.sent[n]
	v.packet.Header.SequenceNumber += round
	x.w.sub.x.Take(v.enc, v.packet, &x.infos[n], now)
}

func benchmarkTake(b *testing.B, s shape, set func(*Selector, time.Time)) {
	x := newTraffic(s, 256)
	now := x.w.now
	if set != nil {
		set(x.w.sub.x, now)
	}
	count := make([]uint16, MaxEncodings)
	for i := range x.sent {
		count[x.sent[i].enc]++
		x.pass(i, 0, now)
	}
	b.ReportAllocs()
	b.ResetTimer()
	n := 0
	for range b.N {
		if n == len(x.sent) {
			n = 0
			now = now.Add(time.Millisecond)
		}
		x.pass(n, count[x.sent[n].enc], now)
		n++
	}
}

func BenchmarkTakePlain(b *testing.B) {
	benchmarkTake(b, shape{name: codec.VP8, encs: 1, spatials: 1, temporal: 1}, func(x *Selector, _ time.Time) { x.SetSource(nil) })
}

func BenchmarkTakeTemporal(b *testing.B) {
	benchmarkTake(b, shape{name: codec.VP8, encs: 1, spatials: 1, temporal: 3}, func(x *Selector, now time.Time) { x.Want(Best, 1, now) })
}

func BenchmarkTakeSimulcast(b *testing.B) {
	benchmarkTake(b, shape{name: codec.VP8, encs: 3, spatials: 1, temporal: 3}, func(x *Selector, now time.Time) { x.Want(1, 1, now) })
}

func BenchmarkTakeSVC(b *testing.B) {
	benchmarkTake(b, shape{name: codec.AV1, encs: 1, spatials: 3, temporal: 3, dd: true}, func(x *Selector, now time.Time) { x.Want(1, 1, now) })
}

func BenchmarkTakeSound(b *testing.B) {
	x := NewSelector(pipeline.Audio)
	f := &pipeline.Format{Kind: pipeline.Audio, Codec: codec.Opus, Framing: pipeline.RTP, ClockRate: 48000}
	p := &pipeline.Packet{Format: f, Payload: []byte{1}, Key: true}
	now := time.Now()
	b.ReportAllocs()
	for range b.N {
		p.Header.SequenceNumber++
		p.Header.Timestamp += 960
		x.Take(0, p, nil, now)
	}
}

func benchmarkRead(b *testing.B, s shape) {
	x := newTraffic(s, 64)
	var info Info
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		v := &x.sent[i%len(x.sent)]
		if x.infos[i%len(x.sent)].Key {
			continue
		}
		x.w.parsers[v.enc].Read(v.packet, v.descriptor, &info)
	}
}

func BenchmarkReadVP8(b *testing.B) {
	benchmarkRead(b, shape{name: codec.VP8, encs: 1, spatials: 1, temporal: 3})
}

func BenchmarkReadVP9(b *testing.B) {
	benchmarkRead(b, shape{name: codec.VP9, encs: 1, spatials: 3, temporal: 3})
}

func BenchmarkReadH264(b *testing.B) {
	benchmarkRead(b, shape{name: codec.H264, encs: 1, spatials: 1, temporal: 2})
}

func BenchmarkReadAV1(b *testing.B) {
	benchmarkRead(b, shape{name: codec.AV1, encs: 1, spatials: 3, temporal: 3, dd: true})
}

func BenchmarkNote(b *testing.B) {
	x := newTraffic(shape{name: codec.VP8, encs: 3, spatials: 1, temporal: 3}, 64)
	now := x.w.now
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		n := i % len(x.sent)
		x.w.source.Note(x.sent[n].enc, x.sent[n].packet, &x.infos[n], now)
	}
}
