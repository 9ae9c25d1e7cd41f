package transport

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/pipeline"
)

// simulcaster is a browser that sends three encodings of one video.
type simulcaster struct {
	*client
	tracks []*webrtc.TrackLocalStaticRTP
	rid    uint8 // header extension
	seq    [3]uint16
	n      uint32
}

func newSimulcaster(t *testing.T, e *Engine) *simulcaster {
	t.Helper()
	s := &simulcaster{client: newClientOf(t, e, webrtctest.Options{}, PeerConfig{Simulcast: true})}
	var sender *webrtc.RTPSender
	for i, rid := range []string{"l", "m", "h"} {
		track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "v", "s", webrtc.WithRTPStreamID(rid))
		if err != nil {
			t.Fatal(err)
		}
		s.tracks = append(s.tracks, track)
		if i > 0 {
			if err := sender.AddEncoding(track); err != nil {
				t.Fatal(err)
			}
			continue
		}
		tc, err := s.PC.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
		if err != nil {
			t.Fatal(err)
		}
		sender = tc.Sender()
	}
	s.negotiate()
	s.connected()
	for _, x := range sender.GetParameters().HeaderExtensions {
		if x.URI == extRID {
			s.rid = uint8(x.ID)
		}
	}
	return s
}

// frame sends one picture in three sizes: 1, 2 and 4 packets of 500 bytes, each
// of which ends with the encoding's number and the picture's.
func (s *simulcaster) frame(key bool) {
	s.n++
	for enc, track := range s.tracks {
		for i := range 1 << enc {
			s.seq[enc]++
			payload := make([]byte, 500)
			copy(payload, []byte{0x80, 0x80, 0x80 | byte(s.n>>8), byte(s.n), 1})
			if i == 0 {
				payload[0] = 0x90
				if key {
					width := uint16(160 << enc)
					payload = append(payload[:4], append([]byte{0, 0, 0, 0x9d, 1, 0x2a, byte(width), byte(width >> 8), byte(width / 2), byte(width / 2 >> 8)}, payload[14:]...)...)
				}
			}
			binary.BigEndian.PutUint32(payload[len(payload)-4:], uint32(enc)<<24|s.n)
			h := rtp.Header{Version: 2, Marker: i == 1<<enc-1, SequenceNumber: s.seq[enc], Timestamp: s.n*3000 + uint32(enc)*12345}
			if err := h.SetExtension(s.rid, []byte(track.RID())); err != nil {
				s.T.Fatal(err)
			}
			if err := track.WriteRTP(&rtp.Packet{Header: h, Payload: payload}); err != nil {
				s.T.Fatal(err)
			}
		}
	}
}

// encodingsOf are the encodings of the latest packets.
func encodingsOf(packets []*rtp.Packet, last int) map[uint32]int {
	of := map[uint32]int{}
	for _, p := range packets[max(len(packets)-last, 0):] {
		if len(p.Payload) > 4 {
			of[webrtctest.Number(p.Payload)>>24]++
		}
	}
	return of
}

// TestSimulcast wants each subscriber to get one encoding as one unbroken stream,
// the one that it wishes for; whoever is not served below the packet level gets
// the best one.
func TestSimulcast(t *testing.T) {
	e := newEngine(t, nil)
	pub := newSimulcaster(t, e)
	if !strings.Contains(pub.answer, "a=simulcast:recv l;m;h\r\n") || strings.Count(pub.answer, "a=rid:") != 3 {
		t.Fatalf("answer\n%s", pub.answer)
	}
	outs := graph(pub.peer)
	spliced, pushed := newSubscriber(t, e, webrtctest.Options{}), newSubscriber(t, e, webrtctest.Options{})
	spliced.peer.Sender(pipeline.Video).SetLayerWish(0, Best, 0, 0)
	link(t, outs, spliced.peer, true)
	link(t, outs, pushed.peer, false)
	tick := func(what string, ok func() bool) {
		t.Helper()
		n := 0
		eventually(t, what, func() bool {
			pub.frame(n%10 == 0)
			n++
			return ok()
		})
	}
	only := func(c *client, enc uint32) func() bool {
		return func() bool {
			got := encodingsOf(c.Packets(videoKind), 20)
			return len(got) == 1 && got[enc] >= 19
		}
	}
	tick("the lowest, as wished", only(spliced, 0))
	tick("the best for who is pushed to", only(pushed, 2))
	spliced.peer.Sender(pipeline.Video).SetLayerWish(1, Best, 0, 0)
	tick("the middle one", only(spliced, 1))
	spliced.peer.Sender(pipeline.Video).SetLayerWish(Best, Best, 320, 160)
	tick("the one that fills the picture", only(spliced, 1))
	if s, _ := spliced.peer.Sender(pipeline.Video).Layer(); s != 1 {
		t.Errorf("layer %d", s)
	}
	if list := pub.peer.Receiver(pipeline.Video).Layers(); len(list) != 3 || list[2].Width != 640 || list[0].RID != "l" {
		t.Errorf("layers %+v", list)
	}
	for name, c := range map[string]*client{"spliced": spliced, "pushed": pushed} {
		got := c.Packets(videoKind)
		for i, p := range got[1:] {
			if b := got[i]; p.SSRC != b.SSRC || p.SequenceNumber != b.SequenceNumber+1 || int32(p.Timestamp-b.Timestamp) < 0 {
				t.Fatalf("%s: packet %d: %d %d after %d %d", name, i, p.SequenceNumber, p.Timestamp, b.SequenceNumber, b.Timestamp)
			}
		}
	}
	if st := pub.peer.Stats(pipeline.Video); len(st.Inbound) != 1 || st.Inbound[0].Packets < 100 {
		t.Errorf("statistics %+v", st)
	}
}
