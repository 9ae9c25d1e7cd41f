package transport

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// copies is a base that keeps all that is sent.
type copies struct{ list [][]byte }

func (c *copies) send(b []byte, _ netip.AddrPort) { c.list = append(c.list, bytes.Clone(b)) }
func (c *copies) close()                          {}

// TestResendSame sends packets again to a peer without a stream of retransmissions:
// they are the same to the last bit, whatever else its headers would tell.
func TestResendSame(t *testing.T) {
	s, _ := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
	out := &copies{}
	c := videoCodec(codec.VP8, 96, "")
	c.rtx = 0
	s.peer.under(func(t *turn) {
		s.leg.other = out
		s.stamped, s.playout = true, &playout{goal: time.Second}
		s.bind(s.leg, &media{kind: pipeline.Video, codecs: []rtpCodec{c}, ext: extIDs{twcc: 3, sendTime: 2, playout: 6, descriptor: 9}, mixed: true})
		s.setLive(t, true)
	})
	for i := range uint16(200) {
		p := vp8Packet(i, uint32(i), i == 0)
		p.Descriptor = []byte{0xc0, 0, byte(i)}
		s.Push(p)
	}
	first := out.list
	out.list = nil
	s.peer.under(func(t *turn) {
		t.now = t.now.Add(time.Second)
		latest := s.resend.latest
		s.heard(t, &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: latest - 9, LostPackets: 0xff}}})
	})
	if len(first) != 200 || len(out.list) != 9 {
		t.Fatalf("%d sent, %d again", len(first), len(out.list))
	}
	for i, b := range out.list {
		if !bytes.Equal(b, first[190+i]) {
			t.Errorf("sent\n% x, again\n% x", first[190+i][:32], b[:32])
		}
	}
}
