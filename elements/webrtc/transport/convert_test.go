package transport

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// transcoder stands for one: it makes VP8 packets of VP9 ones, and counts what
// it runs and is asked.
type transcoder struct {
	running atomic.Int32
	opened  atomic.Int32
	rates   atomic.Int64
}

func (x *transcoder) Cost(from, to pipeline.Format) (int, bool) {
	return 1000, from.Codec == codec.VP9 && to.Codec == codec.VP8 && to.Framing == pipeline.RTP
}

func (x *transcoder) Open(_ context.Context, _, to pipeline.Format, out *pipeline.Output) (pipeline.ConverterInput, error) {
	x.running.Add(1)
	x.opened.Add(1)
	c := &conversion{x: x, out: out, format: to}
	c.format.Codec = codec.VP8
	out.SetProducer(c)
	return c, nil
}

type conversion struct {
	x      *transcoder
	out    *pipeline.Output
	format pipeline.Format
	closed atomic.Bool
}

func (c *conversion) Accepts() []pipeline.Format { return nil }

func (c *conversion) Push(p *pipeline.Packet) {
	q := *p
	q.Format = &c.format
	q.Key = true
	q.Header.SSRC = 77
	c.out.Push(&q)
}

func (c *conversion) Feedback(f pipeline.Feedback) {
	if f.Wish == pipeline.WishBitrate {
		c.x.rates.Store(int64(f.BitrateBps))
	}
}

func (c *conversion) Close() error {
	if !c.closed.Swap(true) {
		c.x.running.Add(-1)
	}
	return nil
}

// onlyVP8 is a browser that takes no other video.
func onlyVP8(t *testing.T) webrtctest.Options {
	return webrtctest.Options{Codecs: func(m *webrtc.MediaEngine) {
		for _, c := range []webrtc.RTPCodecParameters{
			{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}},
			{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}},
		} {
			kind := videoKind
			if c.Channels != 0 {
				kind = audioKind
			}
			if err := m.RegisterCodec(c, kind); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: extAbsSendTime}, videoKind); err != nil {
			t.Fatal(err)
		}
	}}
}

// TestTranscoded has one publisher of VP9, two receivers of VP8 alone and one of
// everything: the two share one conversion, which hears what they can take, and
// the third goes on without any.
func TestTranscoded(t *testing.T) {
	e := newEngine(t, nil)
	x := &transcoder{}
	graph := pipeline.New("p", x)
	defer graph.Close()
	pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP9)
	in := pub.peer.Receiver(pipeline.Video)
	out := graph.NewOutput(pipeline.Video, "default", in)
	in.SetOutput(out)
	out.OnLinkError(func(_ *pipeline.Link, err error) { t.Errorf("told: %v", err) })

	whole := newSubscriber(t, e, webrtctest.Options{})
	narrow := []*client{newSubscriber(t, e, onlyVP8(t)), newSubscriber(t, e, onlyVP8(t))}
	var links []*pipeline.Link
	for _, c := range append(narrow, whole) {
		c.peer.SetBandwidth(Bandwidth{MinVideoSend: 100, MaxVideoSend: 500})
		l, err := out.Connect(c.peer.Sender(pipeline.Video))
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, l)
	}
	// Its payload is no VP9, so nothing of it is a keyframe but what the first
	// bytes make one: a frame that begins, without prediction.
	key := []byte{0x88, 1, 2, 3, 4, 5, 6, 7}
	seq := uint16(0)
	eventually(t, "media everywhere", func() bool {
		seq++
		writeVideo(t, pub, seq, key)
		return len(whole.Packets(videoKind)) > 5 && len(narrow[0].Packets(videoKind)) > 5 && len(narrow[1].Packets(videoKind)) > 5
	})
	if links[0].Spliced() || links[1].Spliced() || !links[2].Spliced() {
		t.Errorf("spliced %v %v %v", links[0].Spliced(), links[1].Spliced(), links[2].Spliced())
	}
	if n := x.opened.Load(); n != 1 {
		t.Errorf("%d conversions for two receivers", n)
	}
	eventually(t, "the bitrate is told, and packets carry their time", func() bool {
		seq++
		writeVideo(t, pub, seq, key)
		got := narrow[0].Packets(videoKind)
		bps := x.rates.Load()
		return bps >= 100_000 && bps <= 500_000 && got[len(got)-1].Extension
	})
	if got := whole.Packets(videoKind); len(got[len(got)-1].Extensions) > 2 { // a number and, at first, the mid
		t.Error("a forwarded packet carries a time")
	}
	for _, l := range links[:2] {
		out.Disconnect(l)
	}
	if n := x.running.Load(); n != 0 {
		t.Errorf("%d conversions run for nobody", n)
	}
}

func writeVideo(t *testing.T, c *client, seq uint16, payload []byte) {
	t.Helper()
	if err := c.Video.WriteRTP(&rtp.Packet{
		Header: rtp.Header{Version: 2, Marker: true, SequenceNumber: seq, Timestamp: uint32(seq) * 3000}, Payload: payload,
	}); err != nil {
		t.Fatal(err)
	}
}
