package transport

import (
	"bytes"
	"testing"

	"github.com/pion/rtcp"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// TestDescriptor wants the dependency descriptor forwarded to who knows it and takes
// long elements, in its own id, beside the other extensions, and sent again with its
// packet.
func TestDescriptor(t *testing.T) {
	long := append([]byte{0xc0, 0, 1, 0x80}, bytes.Repeat([]byte{0x55}, 40)...)
	for _, c := range []struct {
		name  string
		ext   extIDs
		mixed bool
		came  []byte
		want  bool
		long  bool
	}{
		{"short", extIDs{descriptor: 9}, true, []byte{0xc0, 0, 1}, true, false},
		{"beside another", extIDs{descriptor: 9, twcc: 3}, true, []byte{0xc0, 0, 1}, true, false},
		{"long", extIDs{descriptor: 9}, true, long, true, true},
		{"long beside another", extIDs{descriptor: 9, twcc: 3}, true, long, true, true},
		{"not known", extIDs{twcc: 3}, true, long, false, false},
		{"not mixed", extIDs{descriptor: 9, twcc: 3}, false, []byte{0xc0, 0, 1}, false, false},
		{"none came", extIDs{descriptor: 9, twcc: 3}, true, nil, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, out := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
			l := s.leg
			s.peer.under(func(t *turn) {
				s.bind(l, &media{kind: pipeline.Video, codecs: []rtpCodec{videoCodec(codec.VP8, 96, "")}, ext: c.ext, mixed: c.mixed})
				s.setLive(t, true)
			})
			p := vp8Packet(1, 1, true)
			p.Descriptor = c.came
			check := func(what string) {
				t.Helper()
				if got := out.header.GetExtension(9); len(got) > 0 != c.want || c.want && !bytes.Equal(got, c.came) {
					t.Errorf("%s: % x, of % x", what, got, c.came)
				}
				if got := out.header.GetExtension(3); c.ext.twcc != 0 && len(got) != 2 {
					t.Errorf("%s: the other extension is % x", what, got)
				}
				if is := out.header.ExtensionProfile == 0x1000; is != c.long {
					t.Errorf("%s: profile %x", what, out.header.ExtensionProfile)
				}
			}
			s.Push(p)
			check("sent")
			if len(out.payload) != 1100 {
				t.Errorf("payload of %d bytes", len(out.payload))
			}
			seq := out.header.SequenceNumber
			s.peer.under(func(t *turn) { s.heard(t, &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: seq}}}) })
			if out.n != 2 || out.header.SSRC != 5678 {
				t.Fatalf("not sent again: %+v", out.header)
			}
			check("sent again")
		})
	}
}
