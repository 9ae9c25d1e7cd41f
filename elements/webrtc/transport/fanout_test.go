package transport

import (
	"net/netip"
	"testing"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
	"github.com/govidu/govidu/elements/webrtc/transport/udp"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// room is a publisher with n subscribers on one shard, whose packets go to a
// socket that nobody reads.
type room struct {
	shard *shard
	from  *Receiver
	batch []*pipeline.Packet
	info  []layers.Info
	to    []*Sender
}

func newRoom(t testing.TB, n int) *room {
	t.Helper()
	listen := func() *udp.Socket {
		s, err := udp.Listen(netip.MustParseAddrPort("127.0.0.1:0"), false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	socket, hole := listen(), listen()
	e := &Engine{}
	x := &room{shard: e.newShard(socket, 0)}
	e.shards = append(e.shards, x.shard)
	pub := &Peer{start: time.Now(), engine: e}
	pub.shard.Store(x.shard)
	x.from = newReceiver(pub, pipeline.Video)
	for range n {
		s, _ := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
		s.peer.engine = e
		s.peer.shard.Store(x.shard)
		s.leg.path, s.leg.other = udp.NewPath(socket, hole.LocalAddr(), 0), nil
		s.ext.twcc = 3
		var err error
		if s.leg.sealer, err = srtp.NewSealer(srtp.AEADAES128GCM, make([]byte, 16), make([]byte, 12)); err != nil {
			t.Fatal(err)
		}
		x.from.editSpliced(func(list []*Sender) []*Sender { return append(list, s) })
		x.to = append(x.to, s)
	}
	for i := range uint16(5) {
		p := vp8Packet(i, 0, i == 0)
		p.Header.Marker = i == 4
		p.Payload[0] = 0x10 // a frame begins, a keyframe
		if i > 0 {
			p.Payload[0] = 0
		}
		var parser layers.Parser
		var info layers.Info
		parser.Read(p, nil, &info)
		x.batch, x.info = append(x.batch, p), append(x.info, info)
	}
	return x
}

// frame sends one frame to everybody.
func (x *room) frame(t *turn) {
	t.begin(x.shard)
	for i, p := range x.batch {
		p.Header.SequenceNumber += uint16(len(x.batch))
		p.Header.Timestamp += 3000
		t.came = append(t.came, arrival{to: x.from, push: p, item: item{p: p, info: x.info[i]}})
	}
	t.end()
}

// TestFanOutAllocates wants nothing allocated per packet and subscriber.
func TestFanOutAllocates(t *testing.T) {
	x := newRoom(t, 10)
	turn := &turn{}
	x.frame(turn)
	if n := testing.AllocsPerRun(200, func() { x.frame(turn) }); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
	for _, s := range x.to {
		if s.stats.packets < 1000 {
			t.Errorf("%d packets of 1000", s.stats.packets)
		}
	}
	if w := x.shard.writer.Stats(); w.Packets < 10_000 {
		t.Errorf("%+v", w)
	}
}

// BenchmarkFanOut is a frame of five packets to a hundred subscribers; it tells
// the time per packet and subscriber.
func BenchmarkFanOut(b *testing.B) {
	x := newRoom(b, 100)
	turn := &turn{}
	x.frame(turn)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		x.frame(turn)
		n += 500
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
	w := x.shard.writer.Stats()
	b.ReportMetric(float64(w.Packets)/float64(max(w.Messages, 1)), "packets/message")
}

// BenchmarkFanOutCold is one packet to a hundred subscribers who were not served for a
// while, without the kernel's part.
func BenchmarkFanOutCold(b *testing.B) {
	x := newRoom(b, 100)
	turn := &turn{}
	x.batch, x.info = x.batch[:1], x.info[:1]
	x.frame(turn)
	for _, s := range x.to { // an IPv6 address, which the socket does not reach
		s.leg.path = udp.NewPath(x.shard.socket, netip.MustParseAddrPort("[::1]:9"), 0)
	}
	trash := make([]byte, 16<<20)
	n := 0
	for b.Loop() {
		b.StopTimer()
		for i := 0; i < len(trash); i += 64 {
			trash[i]++
		}
		b.StartTimer()
		x.frame(turn)
		n += len(x.to)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
}
