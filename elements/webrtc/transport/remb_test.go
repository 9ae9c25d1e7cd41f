package transport

import (
	"strings"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

// rembOptions are those of a peer that knows REMB and no transport-wide feedback, as
// old clients and gateways do.
func rembOptions() webrtctest.Options {
	return webrtctest.Options{
		Codecs: func(m *webrtc.MediaEngine) {
			feedback := []webrtc.RTCPFeedback{{Type: "goog-remb"}, {Type: "nack"}, {Type: "nack", Parameter: "pli"}}
			for kind, c := range map[webrtc.RTPCodecType]webrtc.RTPCodecParameters{
				videoKind: {RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000, RTCPFeedback: feedback}, PayloadType: 96},
				audioKind: {RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}, PayloadType: 111},
			} {
				if err := m.RegisterCodec(c, kind); err != nil {
					panic(err)
				}
			}
		},
		Interceptors: func(*interceptor.Registry) {},
	}
}

// obey sends video until a time, at most so many bps and what the latest REMB allows.
func (c *client) obey(until time.Time, bps int) {
	c.T.Helper()
	tick := time.NewTicker(time.Second / 30)
	defer tick.Stop()
	for time.Now().Before(until) {
		now := <-tick.C
		rate := bps
		if list := c.REMBs(); len(list) > 0 {
			rate = min(rate, int(list[len(list)-1]))
		}
		for left := rate / 8 / 30; left > 0; left -= 1100 {
			c.seq++
			payload := make([]byte, max(min(left, 1100), 20))
			payload[0] = 0x10
			if err := c.Video.WriteRTP(&rtp.Packet{
				Header:  rtp.Header{Version: 2, Marker: left <= 1100, SequenceNumber: c.seq, Timestamp: uint32(now.UnixMicro() * 9 / 100)},
				Payload: payload,
			}); err != nil {
				c.T.Fatal(err)
			}
		}
	}
}

// TestREMB wants a publisher that counts on it told what its way carries, and the
// user's cap to hold.
func TestREMB(t *testing.T) {
	e := newEngine(t, nil)
	pub := newPublisher(t, e, rembOptions(), webrtc.MimeTypeVP8)
	if strings.Contains(pub.answer, "transport-cc") || !strings.Contains(pub.answer, "goog-remb") {
		t.Fatalf("answer\n%s", pub.answer)
	}
	eventually(t, "a REMB above what is sent", func() bool {
		pub.obey(time.Now().Add(200*time.Millisecond), 400_000)
		list := pub.REMBs()
		return len(list) > 0 && list[len(list)-1] > 450_000
	})
	pub.peer.SetBandwidth(Bandwidth{MaxVideoRecv: 150})
	eventually(t, "the cap", func() bool {
		pub.obey(time.Now().Add(200*time.Millisecond), 400_000)
		list := pub.REMBs()
		return list[len(list)-1] == 150_000
	})
	pub.peer.SetBandwidth(Bandwidth{MinVideoRecv: 2000})
	eventually(t, "the least", func() bool {
		pub.obey(time.Now().Add(200*time.Millisecond), 400_000)
		list := pub.REMBs()
		return list[len(list)-1] >= 2_000_000
	})
}
