package transport

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

func TestEstimate(t *testing.T) {
	e := estimate{}
	now := time.Now()
	kurento := &caps{MinVideoSend: 100, MaxVideoSend: 500}
	free := &caps{}
	sent := uint64(0)
	second := func(loss float64, bps int) {
		now = now.Add(time.Second)
		sent += uint64(bps / 8)
		e.heardLoss(loss)
		e.step(now, sent, startBps)
	}
	e.step(now, 0, startBps)
	if got := e.allowed(kurento, now); got != startBps {
		t.Errorf("begins with %d", got)
	}
	for range 10 {
		second(0, e.allowed(free, now))
	}
	if got := e.allowed(kurento, now); got != 500_000 {
		t.Errorf("%d bps after 10 s without loss, want the bound", got)
	}
	if got := e.allowed(free, now); got < 550_000 || got > 900_000 {
		t.Errorf("%d bps without a bound", got)
	}
	before := e.allowed(free, now)
	for range 10 {
		second(0, before/10) // nothing to measure by
	}
	if got := e.allowed(free, now); got != before {
		t.Errorf("from %d to %d by sending nothing", before, got)
	}
	for range 30 {
		second(0.5, 500_000)
	}
	if got := e.allowed(kurento, now); got != 100_000 {
		t.Errorf("%d bps in heavy loss, want the lower bound", got)
	}
	if got := e.allowed(free, now); got != floorBps {
		t.Errorf("%d bps in heavy loss", got)
	}
	// The peer has room: up to what it says, faster than without.
	for range 8 {
		e.heardREMB(450_000, now)
		second(0, e.allowed(free, now))
	}
	if got := e.allowed(kurento, now); got != 450_000 {
		t.Errorf("%d bps when the peer says 450000", got)
	}
	e.heardREMB(250_000, now)
	if got := e.allowed(kurento, now); got != 250_000 {
		t.Errorf("%d bps when the peer says 250000", got)
	}
	for _, wild := range []float32{0, -1, 1e30} {
		e.heardREMB(wild, now)
		if got := e.allowed(free, now); got < floorBps || got > ceilingBps {
			t.Errorf("REMB %v gives %d", wild, got)
		}
	}
	e.heardREMB(250_000, now.Add(-time.Minute))
	if got := e.allowed(free, now); got == 250_000 {
		t.Error("an old REMB counts")
	}
}

// wishes is a producer that keeps what is wished of it.
type wishes struct{ got []pipeline.Feedback }

func (w *wishes) Feedback(f pipeline.Feedback) { w.got = append(w.got, f) }

// TestWish wants an encoder told of the peer's estimate within the bounds.
func TestWish(t *testing.T) {
	s, _ := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
	s.peer.caps.Store(&caps{MinVideoSend: 100, MaxVideoSend: 500})
	w := &wishes{}
	out := pipeline.NewOutput(pipeline.Video, "default", w, nil)
	if _, err := out.Connect(s); err != nil {
		t.Fatal(err)
	}
	rates := func() []int {
		var list []int
		for _, f := range w.got {
			if f.Wish == pipeline.WishBitrate {
				list = append(list, f.BitrateBps)
			}
		}
		return list
	}
	now := time.Now()
	wish := func(at time.Time) {
		if bps, due := s.wish(false, at); due {
			s.link.Load().Feedback(pipeline.Feedback{Wish: pipeline.WishBitrate, BitrateBps: bps})
		}
	}
	heard := func(bps float32) {
		s.heard(&turn{now: now}, &rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: bps})
	}
	wish(now)
	wish(now.Add(time.Second)) // nothing new
	heard(3_000_000)
	for i := range 2 {
		s.stats.bytes += 60_000
		wish(now.Add(time.Duration(2000+200*i) * time.Millisecond))
	}
	heard(40_000)
	wish(now.Add(3 * time.Second))
	wish(now.Add(3*time.Second + wishRenew))
	if got := rates(); !slices.Equal(got, []int{startBps, 450_000, 500_000, 100_000, 100_000}) {
		t.Errorf("wishes %v", got)
	}
}

// TestForwardedWish wants a publisher told of the viewers' lowest bound, but
// never of what a slow viewer can take.
func TestForwardedWish(t *testing.T) {
	e := newEngine(t, nil)
	pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	outs := graph(pub.peer)
	for _, kbps := range []int{0, 800, 450} {
		sub := newSubscriber(t, e, webrtctest.Options{})
		sub.peer.SetBandwidth(Bandwidth{MinVideoSend: 100, MaxVideoSend: kbps})
		sub.peer.under(func(t *turn) {
			sub.peer.Sender(pipeline.Video).heard(t, &rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 60_000})
		})
		link(t, outs, sub.peer, true)
	}
	stream(t, "a REMB", pub, func() bool { return true }, func() bool { return slices.Contains(pub.REMBs(), 450_000) })
	for _, bps := range pub.REMBs() {
		if bps != 450_000 && bps != 800_000 {
			t.Errorf("REMB %v", bps)
		}
	}
	if s := pub.peer.Stats(pipeline.Video); len(s.Inbound) != 1 || s.Inbound[0].REMBbps == 0 {
		t.Errorf("statistics %+v", s)
	}
}
