package transport

import (
	"testing"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// TestUnasked: while packets are lost, feedback has them sent again without a NACK,
// each as often as it is told to be lost, and twice once two copies are.
func TestUnasked(t *testing.T) {
	s, out := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
	s.ext.twcc = 5
	l := s.leg
	var rec congestion.Recorder
	at := 0 // the transport-wide number of the next packet
	tell := func(lost ...int) (sent int) {
		t.Helper()
		for ; at < int(l.sendSeq); at++ {
			gone := false
			for _, x := range lost {
				gone = gone || x == at
			}
			if !gone {
				rec.Record(uint16(at), time.Now())
			}
		}
		before := out.n
		s.peer.under(func(t *turn) { l.controlOne(t, rec.Build(nil, 1, 2, time.Now())) })
		return out.n - before
	}
	push := func(seq, n int) {
		for i := range n {
			s.Push(vp8Packet(uint16(seq+i), uint32(seq+i), seq+i == 1))
		}
	}
	push(1, 3)
	tell()
	push(4, 5)
	if n := tell(5); n != 0 {
		t.Errorf("%d packets were sent again on a way that seems to lose nothing", n)
	}
	s.peer.under(func(t *turn) {
		l.weather.lossy, l.weather.loss = true, lossyDeep
		s.keepLedger(true)
	})
	push(9, 5) // under 8 to 12
	if n := tell(9); n != 1 || out.header.SSRC != 5678 {
		t.Fatalf("%d packets were sent again, the last under %d", n, out.header.SSRC)
	}
	want := uint16(out.payload[0])<<8 | uint16(out.payload[1])
	s.resend.slot(want).at -= uint16(2 * resendPause / resendTick) // as if it were a while ago
	push(14, 1)                                                    // under 14
	if n := tell(13); n != 2 || uint16(out.payload[0])<<8|uint16(out.payload[1]) != want {
		t.Fatalf("the copy was lost: %d more", n)
	}
	push(15, 1) // under 17
	if n := tell(15); n != 0 {
		t.Errorf("one of two copies came: %d more", n)
	}
	nack := func() (sent int) { // as some peers do, to whom retransmissions do not count
		s.resend.slot(want).at -= uint16(resendLong / resendTick)
		before := out.n
		s.peer.under(func(t *turn) { s.again(t, want) })
		return out.n - before
	}
	if n := nack(); n != 1 {
		t.Errorf("a copy that came is asked for: %d more", n)
	}
	if n := nack(); n != 2 {
		t.Errorf("a copy that nothing is known of is asked for: %d more", n)
	}
	s.peer.under(func(*turn) { s.keepLedger(false) })
	push(16, 5)
	if n := tell(at + 1); n != 0 || s.ledger != nil {
		t.Errorf("nothing is lost any more: %d more", n)
	}
}

// TestCheckCopies: answers to checks are repeated where much is lost, nothing else is.
func TestCheckCopies(t *testing.T) {
	request, success, refusal := []byte{0, 1, 0, 0}, []byte{1, 1, 0, 0}, []byte{1, 0x11, 0, 0}
	for _, c := range []struct {
		name    string
		weather weather
		b       []byte
		want    int
	}{
		{"a good way", weather{}, success, 1},
		{"some loss", weather{lossy: true, loss: lossyDeep / 2}, success, 1},
		{"much loss", weather{lossy: true, loss: lossyDeep}, success, answerCopies},
		{"a request", weather{lossy: true, loss: lossyDeep}, request, 1},
		{"a refusal", weather{lossy: true, loss: lossyDeep}, refusal, 1},
		{"nothing", weather{lossy: true, loss: lossyDeep}, nil, 1},
	} {
		if got := (&leg{weather: c.weather}).checkCopies(c.b); got != c.want {
			t.Errorf("%s: %d copies, want %d", c.name, got, c.want)
		}
	}
}
