package transport

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/nack"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/pipeline"
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
				if !rtp || !losing.Load() || n.Add(1)%9 != 0 { // odd: pictures and sound may come in turns
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

// dropper loses one in ten packets of a browser's on their way out, the first time.
type dropper struct {
	interceptor.NoOp
	losing *atomic.Bool
	lost   *atomic.Int32
}

func (d *dropper) NewInterceptor(string) (interceptor.Interceptor, error) { return d, nil }

func (d *dropper) BindLocalStream(_ *interceptor.StreamInfo, w interceptor.RTPWriter) interceptor.RTPWriter {
	seen := map[uint16]bool{}
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		if d.losing.Load() && h.SequenceNumber%10 == 3 && h.PayloadType == 96 && !seen[h.SequenceNumber] {
			seen[h.SequenceNumber] = true
			d.lost.Add(1)
			return len(payload), nil
		}
		return w.Write(h, payload, a)
	})
}

// TestLossUp loses packets on their way from the publisher, who is asked for them
// again: a receiver that puts them in order misses none.
func TestLossUp(t *testing.T) {
	for name, rtx := range map[string]bool{"rtx": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, nil)
			d := &dropper{losing: &atomic.Bool{}, lost: &atomic.Int32{}}
			o := webrtctest.Options{}
			if !rtx {
				o.Codecs = vp8(t)
			}
			o.Interceptors = func(r *interceptor.Registry) {
				r.Add(d) // next to the wire
				responder, err := nack.NewResponderInterceptor()
				if err != nil {
					t.Fatal(err)
				}
				r.Add(responder)
			}
			pub := newPublisher(t, e, o, webrtc.MimeTypeVP8)
			outs := graph(pub.peer)
			var mu sync.Mutex
			seen := map[uint32]bool{}
			keep := &inputFunc{func(p *pipeline.Packet) {
				mu.Lock()
				defer mu.Unlock()
				if len(p.Payload) > 4 {
					seen[webrtctest.Number(p.Payload)] = true
				}
			}}
			if _, err := outs[pipeline.Video].Connect(keep); err != nil {
				t.Fatal(err)
			}
			d.losing.Store(true)
			const total = 300
			n := 0
			eventually(t, "all packets", func() bool {
				if n < total+20 {
					pub.Frame(n == 0)
					n++
				}
				if n == total {
					d.losing.Store(false)
				}
				mu.Lock()
				defer mu.Unlock()
				for i := uint32(1); i <= total; i++ {
					if !seen[i] {
						return false
					}
				}
				return true
			})
			st, _ := pub.peer.Receiver(pipeline.Video).stream()
			if d.lost.Load() == 0 || st.NACK == 0 || st.Lost != 0 {
				t.Errorf("lost %d, asked %d times, %d missing in the end", d.lost.Load(), st.NACK, st.Lost)
			}
		})
	}
}

// inputFunc is an Input that hands packets to a function.
type inputFunc struct{ push func(*pipeline.Packet) }

func (*inputFunc) Accepts() []pipeline.Format { return nil }
func (i *inputFunc) Push(p *pipeline.Packet)  { i.push(p) }

// TestEstimateActive wants transport-wide feedback of what a peer is sent to
// reach the estimate.
func TestEstimateActive(t *testing.T) {
	e := newEngine(t, nil)
	pub, sub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8), newSubscriber(t, e, webrtctest.Options{})
	link(t, graph(pub.peer), sub.peer, true)
	stream(t, "transport-wide feedback", pub, func() bool { return true }, func() (active bool) {
		sub.peer.under(func(*turn) { active = sub.peer.transports[0].rate.Active() })
		return active
	})
}

func vp8(t *testing.T) func(*webrtc.MediaEngine) {
	return func(m *webrtc.MediaEngine) {
		vp8WithoutRTX(t)(m)
		m.RegisterFeedback(webrtc.RTCPFeedback{Type: "nack"}, videoKind)
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

// TestHandshakeLoss loses the first datagrams of DTLS on their way to the browser:
// both ends try again.
func TestHandshakeLoss(t *testing.T) {
	for n := range int32(4) {
		t.Run(strconv.Itoa(int(n)), func(t *testing.T) {
			t.Parallel()
			e := newEngine(t, nil)
			var lost atomic.Int32
			pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
			sub := newSubscriber(t, e, webrtctest.Options{Lose: func(b []byte) bool {
				return b[0] >= 20 && b[0] <= 63 && lost.Add(1) <= n
			}})
			link(t, graph(pub.peer), sub.peer, true)
			stream(t, "media", pub, func() bool { return true }, func() bool { return len(sub.Packets(videoKind)) > 3 })
			if lost.Load() < n {
				t.Errorf("%d lost", lost.Load())
			}
		})
	}
}
