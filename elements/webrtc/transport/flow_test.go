package transport

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/pion/dtls/v3"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

type codecName = codec.Name

// pushed hides that an input is a Sender, so that links to it are not spliced.
type pushed struct{ *Sender }

// graph gives a publisher's receivers their Outputs.
func graph(p *Peer) map[pipeline.Kind]*pipeline.Output {
	outs := map[pipeline.Kind]*pipeline.Output{}
	for _, k := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
		r := p.Receiver(k)
		outs[k] = pipeline.NewOutput(k, "default", r, nil)
		r.SetOutput(outs[k])
	}
	return outs
}

func link(t *testing.T, outs map[pipeline.Kind]*pipeline.Output, to *Peer, spliced bool) []*pipeline.Link {
	t.Helper()
	var links []*pipeline.Link
	for k, out := range outs {
		var in pipeline.Input = to.Sender(k)
		if !spliced {
			in = pushed{to.Sender(k)}
		}
		l, err := out.Connect(in)
		if err != nil {
			t.Fatal(err)
		}
		if l.Spliced() != spliced {
			t.Fatalf("link spliced: %v, want %v", l.Spliced(), spliced)
		}
		links = append(links, l)
	}
	return links
}

func bothWays(t *testing.T, f func(t *testing.T, spliced bool)) {
	for name, spliced := range map[string]bool{"spliced": true, "pushed": false} {
		t.Run(name, func(t *testing.T) { f(t, spliced) })
	}
}

// TestForward sends numbered packets through two endpoints and wants each of
// them, in order, under the subscriber's own payload types and SSRC.
func TestForward(t *testing.T) {
	bothWays(t, func(t *testing.T, spliced bool) {
		e := newEngine(t, nil)
		pub := newPublisher(t, e, clientOptions{}, webrtc.MimeTypeVP8)
		// The subscriber numbers its payload types differently.
		sub := newSubscriber(t, e, clientOptions{codecs: func(m *webrtc.MediaEngine) {
			for _, c := range []struct {
				mime string
				pt   webrtc.PayloadType
				rate uint32
				ch   uint16
			}{{webrtc.MimeTypeVP9, 120, 90000, 0}, {webrtc.MimeTypeVP8, 121, 90000, 0}, {webrtc.MimeTypeOpus, 99, 48000, 2}} {
				kind := webrtc.RTPCodecTypeVideo
				if c.ch != 0 {
					kind = webrtc.RTPCodecTypeAudio
				}
				if err := m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: c.pt, RTPCodecCapability: webrtc.RTPCodecCapability{
					MimeType: c.mime, ClockRate: c.rate, Channels: c.ch,
				}}, kind); err != nil {
					t.Fatal(err)
				}
			}
		}})
		link(t, graph(pub.peer), sub.peer, spliced)
		const total = 300
		for i := range total {
			pub.frame(i == 0 || i%100 == 0)
			if i%20 == 19 { // no faster than the loopback takes it
				eventually(t, "packets arrive", func() bool {
					return len(sub.packets(webrtc.RTPCodecTypeVideo)) > i && len(sub.packets(webrtc.RTPCodecTypeAudio)) > i
				})
			}
		}
		for kind, pt := range map[webrtc.RTPCodecType]uint8{webrtc.RTPCodecTypeVideo: 121, webrtc.RTPCodecTypeAudio: 99} {
			got := sub.packets(kind)
			if len(got) != total {
				t.Fatalf("%s: %d packets of %d", kind, len(got), total)
			}
			own, _ := sub.peer.Sender(kindOf(kind.String())).stream()
			for i, p := range got {
				if n := number(p.Payload); n != uint32(i+1) {
					t.Fatalf("%s: packet %d has number %d", kind, i, n)
				}
				if p.PayloadType != pt || p.SSRC != own.SSRC || p.Header.Extension {
					t.Fatalf("%s: payload type %d, SSRC %d, extension %v", kind, p.PayloadType, p.SSRC, p.Header.Extension)
				}
				if i > 0 && p.SequenceNumber != got[i-1].SequenceNumber+1 {
					t.Fatalf("%s: sequence %d after %d", kind, p.SequenceNumber, got[i-1].SequenceNumber)
				}
			}
			if kind == webrtc.RTPCodecTypeVideo && !got[0].Marker {
				t.Error("marker lost")
			}
		}
		if !strings.Contains(sub.answer, "a=setup:passive") || !strings.Contains(pub.answer, "a=setup:passive") {
			t.Error("we are not the DTLS server")
		}
		for _, c := range []*client{pub.client, sub} {
			if got := profile(t, c.pc); got != dtls.SRTP_AEAD_AES_128_GCM {
				t.Errorf("SRTP profile %#x, want AEAD_AES_128_GCM", got)
			}
			eventually(t, "states of ICE and DTLS", func() bool {
				c.mu.Lock()
				defer c.mu.Unlock()
				return slices.Contains(c.dtls, DTLSConnected) && slices.Contains(c.ice, ICEConnected)
			})
		}
	})
}

// profile is what the client's DTLS connection settled on. The library does not
// tell, so the test looks inside.
func profile(t *testing.T, pc *webrtc.PeerConnection) dtls.SRTPProtectionProfile {
	t.Helper()
	f := reflect.ValueOf(pc.SCTP().Transport()).Elem().FieldByName("conn")
	conn := reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem().Interface().(*dtls.Conn)
	p, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		t.Fatal("no SRTP profile")
	}
	return p
}
