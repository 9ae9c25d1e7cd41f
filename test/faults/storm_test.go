package faults

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

// window is how long storms are measured.
const window = 10 * time.Second

// stormy is how many NACKs are sent in a second.
const stormy = 52_000

// TestStormFeedback (scoreboard S8): one subscriber asks for everything again, for
// keyframes, and tells impossible bandwidths, tens of thousands of times in a second.
// The publisher hears little of it, that subscriber gets little more than there is,
// and another one misses nothing.
func TestStormFeedback(t *testing.T) {
	f := newFlooded(t)
	pub, source := f.stream()
	weighed := func(n *atomic.Int64) webrtctest.Options {
		return webrtctest.Options{NoNACK: true, Lose: func(b []byte) bool {
			if media(b) {
				n.Add(int64(len(b)))
			}
			return false
		}}
	}
	var due, got atomic.Int64
	good, _ := f.subscriber(source, weighed(&due))
	bad, _ := f.subscriber(source, weighed(&got))
	eventually(t, patience, "media flows", func() error {
		if a, b := len(good.Packets(video)), len(bad.Packets(video)); a < 100 || b < 100 {
			return fmt.Errorf("%d and %d packets", a, b)
		}
		return nil
	})
	ssrc := bad.Packets(video)[0].SSRC
	var nacks, plis, rembs atomic.Int64
	round := 0
	send := func(list []rtcp.Packet, count *atomic.Int64) {
		if bad.PC.WriteRTCP(list) == nil {
			count.Add(int64(len(list)))
		}
	}
	var highest atomic.Uint32
	repeat(t, func() { // what is new, for the NACKs
		list := bad.Packets(video)
		highest.Store(uint32(list[len(list)-1].SequenceNumber))
		during(50 * time.Millisecond)
	})
	begin := time.Now()
	repeat(t, func() { // datagrams of as many NACKs as fit, as many as are due by now
		var list []rtcp.Packet
		for i := range 60 {
			first := uint16(highest.Load()) - uint16(17*(i%30))
			list = append(list, &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: ssrc, Nacks: []rtcp.NackPair{{PacketID: first, LostPackets: 0xffff}}})
		}
		for late := time.Since(begin); nacks.Load() < int64(stormy*late.Seconds()); {
			send(list, &nacks)
		}
		during(500 * time.Microsecond)
	})
	repeat(t, func() {
		round++
		var list []rtcp.Packet
		for range 60 {
			list = append(list, &rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: ssrc})
		}
		for i := range 10 {
			list = append(list, &rtcp.FullIntraRequest{SenderSSRC: 1, MediaSSRC: ssrc, FIR: []rtcp.FIREntry{{SSRC: ssrc, SequenceNumber: uint8(round + i)}}})
		}
		send(list, &plis)
		send([]rtcp.Packet{
			&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: 0, SSRCs: []uint32{ssrc}},
			&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: 1 << 60, SSRCs: []uint32{ssrc}},
		}, &rembs)
		during(500 * time.Microsecond)
	})
	during(5 * time.Second) // what has been saved up for losses is gone

	asked, had, in, out := pub.PLIs(), len(good.Packets(video)), due.Load(), got.Load()
	n, p, r := nacks.Load(), plis.Load(), rembs.Load()
	during(window)
	asked, had, in, out = pub.PLIs()-asked, len(good.Packets(video))-had, due.Load()-in, got.Load()-out
	seconds := int64(window / time.Second)
	ratio := float64(out) / float64(in)
	t.Logf("%d NACKs, %d PLIs and FIRs, %d REMBs in a second: %d PLIs in %v at the publisher, %.3f times the bytes that the other gets, %d packets at that",
		(nacks.Load()-n)/seconds, (plis.Load()-p)/seconds, (rembs.Load()-r)/seconds, asked, window, ratio, had)
	if asked > int(2*seconds)+1 {
		t.Errorf("%d keyframes were asked of the publisher in %v", asked, window)
	}
	if ratio > 1.1 {
		t.Errorf("it gets %.3f times the bytes that the other gets", ratio)
	}
	inOrder(t, good.Packets(video)[10:])
}

// wild is an interceptor that sends each packet of media under another SSRC, with all
// header extensions that there can be.
type wild struct {
	interceptor.NoOp
	ssrcs uint32
	n     atomic.Uint32
}

// NewInterceptor implements interceptor.Factory.
func (w *wild) NewInterceptor(string) (interceptor.Interceptor, error) { return w, nil }

// BindLocalStream implements interceptor.Interceptor.
func (w *wild) BindLocalStream(_ *interceptor.StreamInfo, next interceptor.RTPWriter) interceptor.RTPWriter {
	return interceptor.RTPWriterFunc(func(h *rtp.Header, payload []byte, a interceptor.Attributes) (int, error) {
		n := w.n.Add(1)
		c := h.Clone()
		c.SSRC = 1_000_000 + n%w.ssrcs
		c.Extension, c.ExtensionProfile = true, 0x1000
		for i := range uint32(12) {
			_ = c.SetExtension(uint8(1+(n*12+i)%255), make([]byte, (n+i)%17))
		}
		return next.Write(&c, payload, a)
	})
}

// TestStormStreams (scoreboard S9): one peer sends under ten thousand SSRCs with all
// header extensions, another opens a thousand data channels. Both are bounded, and
// nobody else notices.
func TestStormStreams(t *testing.T) {
	f := newFlooded(t)
	_, source := f.stream()
	good, _ := f.subscriber(source, webrtctest.Options{NoNACK: true})
	eventually(t, patience, "media flows", func() error {
		if n := len(good.Packets(video)); n < 100 {
			return fmt.Errorf("%d packets", n)
		}
		return nil
	})
	goroutines := f.node.metric(t, "go_goroutines")
	before, from := f.node.collected(t), len(good.Packets(video))

	w := &wild{ssrcs: 10_000}
	many := webrtctest.New(t, webrtctest.Options{Interceptors: func(reg *interceptor.Registry) { reg.Add(w) }})
	many.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
	manyID := f.endpoint(many, nil)
	sink, _ := f.subscriber(manyID, webrtctest.Options{NoNACK: true})
	for n := range 15_000 {
		many.Frame(n%30 == 0)
		if n%100 == 0 {
			during(5 * time.Millisecond)
		}
	}
	if w.n.Load() < 20_000 {
		t.Errorf("%d packets left: the test proves nothing", w.n.Load())
	}

	talker := webrtctest.New(t, webrtctest.Options{})
	for n := range 1000 {
		talker.Channel(fmt.Sprint("channel ", n), nil)
	}
	talker.Receive()
	f.endpoint(talker, map[string]any{"useDataChannels": true})
	open := func() (n int) {
		for _, c := range talker.Channels() {
			if c.IsOpen() {
				n++
			}
		}
		return n
	}
	eventually(t, patience, "most channels are shut", func() error {
		if n := open(); n == 0 || n > 128 {
			return fmt.Errorf("%d are open", n)
		}
		return nil
	})

	// Newcomers come, with channels of their own.
	for range 5 {
		b := webrtctest.New(t, webrtctest.Options{NoNACK: true})
		own := b.Channel("own", nil)
		b.Receive()
		id := f.endpoint(b, map[string]any{"useDataChannels": true})
		f.control.connect(source, id)
		eventually(t, patience, "a newcomer gets media and its channel", func() error {
			if n := len(b.Packets(video)); n == 0 || !own.IsOpen() {
				return fmt.Errorf("%d packets, channel open: %v", n, own.IsOpen())
			}
			return nil
		})
		b.Close()
		f.control.release(id)
	}
	grown, more := f.node.collected(t)-before, f.node.metric(t, "go_goroutines")-goroutines
	t.Logf("%d packets under %d SSRCs, %d channels open of 1000: the heap grew by %d kB, %d more goroutines; the subscriber of the wild one got %d packets",
		w.n.Load(), w.ssrcs, open(), grown>>10, more, len(sink.Packets(video)))
	if grown > 16<<20 || more > 200 {
		t.Errorf("the heap grew by %d kB, %d more goroutines", grown>>10, more)
	}
	inOrder(t, good.Packets(video)[from:])
}
