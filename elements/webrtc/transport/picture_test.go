package transport

import (
	"bytes"
	"testing"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// payloads of each kind of descriptor, with a picture id and TL0PICIDX.
func vp8Wide(id uint16, tl0 uint8) []byte {
	return []byte{0x90, 0xe0, 0x80 | byte(id>>8), byte(id), tl0, 0x20, 0, 0x9d, 1, 0x2a}
}
func vp8Narrow(id uint16, _ uint8) []byte { return []byte{0x90, 0x80, byte(id & 0x7f), 0, 0x9d, 1} }
func vp9Fixed(id uint16, tl0 uint8) []byte {
	return []byte{0xa0, 0x80 | byte(id>>8), byte(id), 0x10, tl0, 1, 2, 3}
}
func vp9Flexible(id uint16, _ uint8) []byte {
	return []byte{0x90, 0x80 | byte(id>>8), byte(id), 1, 2, 3}
}

func TestPictures(t *testing.T) {
	for name, x := range map[string]struct {
		codec codec.Name
		make  func(uint16, uint8) []byte
		mask  uint16
		tl0   bool
	}{
		"VP8": {codec.VP8, vp8Wide, 0x7fff, true}, "VP8 of 7 bits": {codec.VP8, vp8Narrow, 0x7f, false},
		"VP9": {codec.VP9, vp9Fixed, 0x7fff, true}, "VP9 flexible": {codec.VP9, vp9Flexible, 0x7fff, false},
	} {
		t.Run(name, func(t *testing.T) {
			var p pictures
			id, tl0 := uint16(0x7ffd), uint8(250)
			want, wantTL0 := id&x.mask, tl0
			for source := range 4 {
				id, tl0 = id*7+uint16(source)*1000, tl0+77
				for n := range 20 {
					in := x.make((id+uint16(n))&x.mask, tl0+uint8(n))
					before := bytes.Clone(in)
					switch {
					case n > 0:
					case source == 0:
						p.begin(x.codec, in)
						want, wantTL0 = id&x.mask, tl0
					default:
						p.begin(x.codec, in)
					}
					out := p.pass(in)
					at := locate(x.codec, out)
					if !at.parsed || at.id != want || x.tl0 && at.tl0 != wantTL0 {
						t.Fatalf("source %d, packet %d: %+v, want %d %d", source, n, at, want, wantTL0)
					}
					if !bytes.Equal(in, before) {
						t.Fatal("the shared payload was written to")
					}
					if source == 0 && &in[0] != &out[0] {
						t.Fatal("copied without need")
					}
					rest := at.tl0At + 1
					if !x.tl0 {
						rest = at.idAt + 2
					}
					if !bytes.Equal(in[rest:], out[rest:]) || len(in) != len(out) {
						t.Fatalf("% x became % x", in, out)
					}
					want, wantTL0 = (want+1)&x.mask, wantTL0+1
				}
			}
		})
	}
}

// TestPicturesOther passes what has no counters, or is cut off, as it is.
func TestPicturesOther(t *testing.T) {
	var p pictures
	p.begin(codec.VP8, vp8Wide(10, 10))
	p.pass(vp8Wide(10, 10))
	p.begin(codec.VP8, vp8Wide(500, 99))
	for _, b := range [][]byte{{}, {0x10}, {0x90}, {0x90, 0xe0}, {0x90, 0xe0, 0x81}, {0x90, 0xe0, 0x81, 1}} {
		if out := p.pass(b); !bytes.Equal(out, b) {
			t.Errorf("% x became % x", b, out)
		}
	}
	p.begin(codec.H264, []byte{0x65})
	if out := p.pass([]byte{0x65, 1}); !bytes.Equal(out, []byte{0x65, 1}) {
		t.Errorf("% x", out)
	}
	p.begin(codec.VP8, vp8Wide(3, 3)) // a codec between: nothing to go on from
	if at := locate(codec.VP8, p.pass(vp8Wide(3, 3))); at.id != 3 {
		t.Errorf("%+v", at)
	}
}

// TestSwitchPictures switches the source of a Sender and wants a retransmission
// with the same counters as the original.
func TestSwitchPictures(t *testing.T) {
	s, out := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
	send := func(ssrc uint32, seq, id uint16) pictureAt {
		p := vp8Packet(seq, uint32(seq)*3000, true)
		p.Header.SSRC, p.Payload = ssrc, vp8Wide(id, uint8(id))
		s.Push(p)
		return locate(codec.VP8, out.payload)
	}
	send(1, 10, 100)
	if at := send(1, 11, 101); at.id != 101 {
		t.Errorf("%+v", at)
	}
	if at := send(2, 900, 7000); at.id != 102 || at.tl0 != 102 {
		t.Errorf("after the switch %+v", at)
	}
	sent := bytes.Clone(out.payload)
	at := send(2, 901, 7001)
	if at.id != 103 {
		t.Errorf("%+v", at)
	}
	slot := s.resend.slots[(out.header.SequenceNumber-1)%resendSlots]
	if !bytes.Equal(slot.p.Payload, sent) {
		t.Errorf("kept % x, sent % x", slot.p.Payload, sent)
	}
}

func FuzzPictures(f *testing.F) {
	f.Add(vp8Wide(1, 2), true)
	f.Add(vp9Fixed(1, 2), false)
	f.Fuzz(func(t *testing.T, b []byte, eight bool) {
		name := codec.VP9
		if eight {
			name = codec.VP8
		}
		var p pictures
		p.begin(name, vp8Wide(1, 1))
		p.pass(vp8Wide(1, 1))
		p.begin(name, b)
		p.idAdd, p.tl0Add = 5, 5
		if out := p.pass(b); len(out) != len(b) {
			t.Fatal("another length")
		}
	})
}
