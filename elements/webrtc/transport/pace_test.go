package transport

import (
	"net/netip"
	"testing"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// order keeps the numbers of what is sent.
type order struct {
	*sink
	seqs []uint16
}

func (o *order) send(b []byte, to netip.AddrPort) {
	o.sink.send(b, to)
	o.seqs = append(o.seqs, o.header.SequenceNumber)
}

// pacedSender is a Sender whose peer's way has shown to be narrow.
func pacedSender(t *testing.T) (*Sender, *order) {
	s, out := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""), videoCodec(codec.H264, 100, ""))
	o := &order{sink: out}
	s.leg.other = o
	s.peer.under(func(t *turn) {
		s.leg.pace = &pace{rate: 300_000}
		s.leg.pace.tune(t.now)
	})
	return s, o
}

// bigFrame sends a keyframe of n packets.
func bigFrame(s *Sender, first uint16, n int) {
	for i := range uint16(n) {
		s.Push(vp8Packet(first+i, uint32(first), i == 0 && first == 1))
	}
}

func (o *order) inOrder(t *testing.T) {
	t.Helper()
	for i, seq := range o.seqs[1:] {
		if seq != o.seqs[i]+1 {
			t.Fatalf("%d after %d", seq, o.seqs[i])
		}
	}
}

// TestPace wants a burst spread over time, in order and whole, and the ticker to come
// often only meanwhile.
func TestPace(t *testing.T) {
	s, out := pacedSender(t)
	e := s.peer.engine
	if e.every() != tickEvery {
		t.Errorf("every %v", e.every())
	}
	bigFrame(s, 1, 60)
	if n := len(out.seqs); n == 0 || n > 20 || s.leg.pace.waits() != 60-n || e.every() != paceEvery {
		t.Fatalf("%d left at once, %d wait, every %v", n, s.leg.pace.waits(), e.every())
	}
	if d := s.peer.due.Load(); d == int64(farOff) {
		t.Error("nobody comes for what waits")
	}
	eventually(t, "the rest", func() bool {
		s.peer.under(func(t *turn) { s.leg.release(t, false) })
		return s.leg.pace.waits() == 0
	})
	out.inOrder(t)
	if len(out.seqs) != 60 || e.every() != tickEvery || s.leg.pace.bytes != 0 {
		t.Errorf("%d of 60 left, every %v, %d bytes wait", len(out.seqs), e.every(), s.leg.pace.bytes)
	}
	if s.peer.shard.Load().tally.paced == 0 || s.stats.packets != 60 {
		t.Errorf("%d sent", s.stats.packets)
	}
}

// TestPaceIsBounded wants the oldest to leave when too many wait, and what waits for
// nobody to be dropped.
func TestPaceIsBounded(t *testing.T) {
	s, out := pacedSender(t)
	bigFrame(s, 1, 2000)
	x := s.leg.pace
	if x.waits() > paceMost || len(out.seqs)+x.waits() != 2000 || cap(x.queue) > 4*paceMost {
		t.Errorf("%d left, %d wait in room for %d", len(out.seqs), x.waits(), cap(x.queue))
	}
	out.inOrder(t)
	s.peer.under(func(t *turn) { s.setLive(t, false) })
	if s.leg.pace != nil || s.peer.engine.every() != tickEvery {
		t.Error("it waits for nobody")
	}
}

// TestPaceEnds sends what waits when the way turns out to be wide, and before the codec
// changes.
func TestPaceEnds(t *testing.T) {
	s, out := pacedSender(t)
	bigFrame(s, 1, 100)
	other := vp8Packet(500, 500, true)
	other.Header.SSRC = 10
	other.Format = &pipeline.Format{Kind: pipeline.Video, Codec: codec.H264, Framing: pipeline.RTP, ClockRate: 90000}
	s.Push(other)
	if n := len(out.seqs); n < 100 {
		t.Fatalf("%d of 100 left under their codec", n)
	}
	s.peer.under(func(t *turn) { s.leg.pacing(t, 300_000) }) // not known to be narrow
	if s.leg.pace != nil || s.peer.engine.every() != tickEvery {
		t.Error("it goes on")
	}
	out.inOrder(t)
	if len(out.seqs) != 101 || out.header.PayloadType != 100 {
		t.Errorf("%d of 101 left, the last as %d", len(out.seqs), out.header.PayloadType)
	}
}
