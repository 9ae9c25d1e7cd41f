package transport

import (
	"sync/atomic"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

// TestLoss drops one in ten packets on the way to the subscriber, who asks for
// them again: with RTX and without, every one arrives.
func TestLoss(t *testing.T) {
	for name, codecs := range map[string]func(*webrtc.MediaEngine){"rtx": nil, "plain": vp8WithoutRTX(t)} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, nil)
			pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
			var n, lost atomic.Int32
			var losing atomic.Bool
			sub := newSubscriber(t, e, webrtctest.Options{Codecs: codecs, Lose: func(b []byte) bool {
				rtp := len(b) > 12 && b[0] >= 128 && b[0] <= 191 && (b[1] < 192 || b[1] > 223)
				if !rtp || !losing.Load() || n.Add(1)%10 != 0 {
					return false
				}
				lost.Add(1)
				return true
			}})
			link(t, graph(pub.peer), sub.peer, true)
			pub.Frame(true)
			eventually(t, "the first packet", func() bool { return len(sub.Packets(videoKind)) > 0 })
			losing.Store(true)
			const total = 400
			for i := range total {
				pub.Frame(false)
				if i%10 == 9 {
					eventually(t, "most packets", func() bool { return len(sub.Packets(videoKind)) >= i*8/10 })
				}
			}
			losing.Store(false)
			// The last ones may be missing with nothing behind them to show it.
			eventually(t, "the missing packets", func() bool {
				pub.Frame(false)
				seen := map[uint32]bool{}
				for _, p := range sub.Packets(videoKind) {
					if len(p.Payload) > 4 {
						seen[webrtctest.Number(p.Payload)] = true
					}
				}
				for i := uint32(1); i <= total+1; i++ {
					if !seen[i] {
						return false
					}
				}
				return true
			})
			st, _ := sub.peer.Sender(kindOf("video")).stream()
			if lost.Load() == 0 || st.Resent == 0 || st.NACK == 0 {
				t.Errorf("lost %d, asked %d times, sent again %d: the test proves nothing", lost.Load(), st.NACK, st.Resent)
			}
		})
	}
}

func vp8WithoutRTX(t *testing.T) func(*webrtc.MediaEngine) {
	return func(m *webrtc.MediaEngine) {
		for _, err := range []error{
			m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeVP8, ClockRate: 90000,
			}}, videoKind),
			m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{
				MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2,
			}}, audioKind),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
