package transport

import (
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/pion/dtls/v3"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/pipeline"
)

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
		pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
		// The subscriber numbers its payload types differently.
		sub := newSubscriber(t, e, webrtctest.Options{Codecs: func(m *webrtc.MediaEngine) {
			for _, c := range []struct {
				mime string
				pt   webrtc.PayloadType
				rate uint32
				ch   uint16
			}{{webrtc.MimeTypeVP9, 120, 90000, 0}, {webrtc.MimeTypeVP8, 121, 90000, 0}, {webrtc.MimeTypeOpus, 99, 48000, 2}} {
				kind := videoKind
				if c.ch != 0 {
					kind = audioKind
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
			pub.Frame(i == 0 || i%100 == 0)
			if i%20 == 19 { // no faster than the loopback takes it
				eventually(t, "packets arrive", func() bool {
					return len(sub.Packets(videoKind)) > i && len(sub.Packets(audioKind)) > i
				})
			}
		}
		for kind, pt := range map[webrtc.RTPCodecType]uint8{videoKind: 121, audioKind: 99} {
			got := sub.Packets(kind)
			if len(got) != total {
				t.Fatalf("%s: %d packets of %d", kind, len(got), total)
			}
			own, _ := sub.peer.Sender(kindOf(kind.String())).stream()
			for i, p := range got {
				if n := webrtctest.Number(p.Payload); n != uint32(i+1) {
					t.Fatalf("%s: packet %d has number %d", kind, i, n)
				}
				if p.PayloadType != pt || p.SSRC != own.SSRC || len(p.Header.Extensions) > 2 { // its number and, at first, the mid
					t.Fatalf("%s: payload type %d, SSRC %d, extensions %v", kind, p.PayloadType, p.SSRC, p.Header.Extensions)
				}
				if i > 0 && p.SequenceNumber != got[i-1].SequenceNumber+1 {
					t.Fatalf("%s: sequence %d after %d", kind, p.SequenceNumber, got[i-1].SequenceNumber)
				}
			}
			if kind == videoKind && !got[0].Marker {
				t.Error("marker lost")
			}
		}
		if !strings.Contains(sub.answer, "a=setup:passive") || !strings.Contains(pub.answer, "a=setup:passive") {
			t.Error("we are not the DTLS server")
		}
		for _, c := range []*client{pub, sub} {
			if got := profile(t, c.PC); got != dtls.SRTP_AEAD_AES_128_GCM {
				t.Errorf("SRTP profile %#x, want AEAD_AES_128_GCM", got)
			}
			eventually(t, "states of ICE and DTLS", func() bool {
				return read(c.heard, func(h *heard) bool {
					return slices.Contains(h.dtls, DTLSConnected) && slices.Contains(h.ice, ICEConnected)
				})
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

// stream pushes frames until the condition holds.
func stream(t *testing.T, what string, pub *client, key func() bool, ok func() bool) {
	t.Helper()
	eventually(t, what, func() bool {
		pub.Frame(key())
		return ok()
	})
}

func never() bool { return false }

// TestLateSubscriber joins when the keyframe has long passed: the publisher is
// asked for one, and what the subscriber sees begins with it.
func TestLateSubscriber(t *testing.T) {
	bothWays(t, func(t *testing.T, spliced bool) {
		e := newEngine(t, nil)
		pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
		outs := graph(pub.peer)
		pub.Frame(true)
		stream(t, "publisher's packets", pub, never, func() bool { n, _ := outs[pipeline.Video].Counters(); return n > 5 })
		before := pub.PLIs()
		sub := newSubscriber(t, e, webrtctest.Options{})
		link(t, outs, sub.peer, spliced)
		stream(t, "a keyframe request", pub, never, func() bool { return pub.PLIs() > before })
		if got := sub.Packets(videoKind); len(got) > 0 {
			t.Fatalf("%d video packets before the keyframe", len(got))
		}
		key := pub.Frame(true)
		stream(t, "video", pub, never, func() bool { return len(sub.Packets(videoKind)) > 3 })
		if first := webrtctest.Number(sub.Packets(videoKind)[0].Payload); first != key {
			t.Errorf("video begins with %d, the keyframe is %d", first, key)
		}
	})
}

// TestSwitchSource feeds one subscriber from two publishers in turn. It must see
// one unbroken stream.
func TestSwitchSource(t *testing.T) {
	bothWays(t, func(t *testing.T, spliced bool) {
		e := newEngine(t, nil)
		one := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
		two := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
		sub := newSubscriber(t, e, webrtctest.Options{})
		first, second := graph(one.peer), graph(two.peer)
		links := link(t, first, sub.peer, spliced)
		one.Frame(true)
		stream(t, "video of the first", one, never, func() bool { return len(sub.Packets(videoKind)) > 10 })
		for _, l := range links {
			l.From().Disconnect(l)
		}
		n := len(sub.Packets(videoKind))
		link(t, second, sub.peer, spliced)
		for range 20 {
			one.Frame(true) // nobody's any more
		}
		stream(t, "video of the second", two, func() bool { return true }, func() bool { return len(sub.Packets(videoKind)) > n+10 })
		stream(t, "audio of the second", two, never, func() bool { return len(sub.Packets(audioKind)) > 30 })
		for _, kind := range []webrtc.RTPCodecType{audioKind, videoKind} {
			got := sub.Packets(kind)
			for i, p := range got[1:] {
				before := got[i]
				if p.SSRC != before.SSRC || p.SequenceNumber != before.SequenceNumber+1 {
					t.Fatalf("%s: packet %d: SSRC %d then %d, sequence %d then %d", kind, i,
						before.SSRC, p.SSRC, before.SequenceNumber, p.SequenceNumber)
				}
				if d := int32(p.Timestamp - before.Timestamp); d <= 0 || d > 20*90000 {
					t.Fatalf("%s: timestamp moves by %d", kind, d)
				}
			}
		}
	})
}

// TestLoopback connects a peer with itself.
func TestLoopback(t *testing.T) {
	e := newEngine(t, nil)
	c := newClient(t, e, webrtctest.Options{})
	c.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendrecv)
	c.negotiate()
	c.connected()
	link(t, graph(c.peer), c.peer, true)
	stream(t, "own video and audio", c, func() bool { return true }, func() bool {
		return len(c.Packets(videoKind)) > 20 && len(c.Packets(audioKind)) > 20
	})
}

// TestUnsupportedCodec feeds VP9 to a peer that took VP8 only.
func TestUnsupportedCodec(t *testing.T) {
	bothWays(t, func(t *testing.T, spliced bool) {
		e := newEngine(t, nil)
		pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP9)
		sub := newSubscriber(t, e, webrtctest.Options{Codecs: func(m *webrtc.MediaEngine) {
			for mime, pt := range map[string]webrtc.PayloadType{webrtc.MimeTypeVP8: 96, webrtc.MimeTypeOpus: 111} {
				c := webrtc.RTPCodecCapability{MimeType: mime, ClockRate: 90000}
				kind := videoKind
				if mime == webrtc.MimeTypeOpus {
					c.ClockRate, c.Channels, kind = 48000, 2, audioKind
				}
				if err := m.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: c, PayloadType: pt}, kind); err != nil {
					t.Fatal(err)
				}
			}
		}})
		outs := graph(pub.peer)
		var refused atomic.Int32
		outs[pipeline.Video].OnLinkError(func(*pipeline.Link, error) { refused.Add(1) })
		link(t, outs, sub.peer, spliced)
		stream(t, "audio", pub, func() bool { return true }, func() bool { return len(sub.Packets(audioKind)) > 50 })
		if got := sub.Packets(videoKind); len(got) != 0 {
			t.Errorf("%d packets of a codec that was not negotiated", len(got))
		}
		if n := refused.Load(); n != 1 {
			t.Errorf("told %d times by the output, want once", n)
		}
	})
}

// TestReports wants sender reports that put audio and video of one instant at
// one instant.
func TestReports(t *testing.T) {
	e := newEngine(t, nil)
	pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	sub := newSubscriber(t, e, webrtctest.Options{})
	link(t, graph(pub.peer), sub.peer, true)
	var a, v Stream
	stream(t, "reports on both", pub, func() bool { return true }, func() bool {
		a, _ = sub.peer.Sender(pipeline.Audio).stream()
		v, _ = sub.peer.Sender(pipeline.Video).stream()
		return sub.Report(a.SSRC) != nil && sub.Report(v.SSRC) != nil
	})
	for _, s := range []Stream{a, v} {
		sr := sub.Report(s.SSRC)
		if sr.PacketCount == 0 || sr.OctetCount == 0 {
			t.Errorf("%s: empty report %+v", s.Kind, sr)
		}
		if off := time.Since(ntpTime(sr.NTPTime)); off < 0 || off > 5*time.Second {
			t.Errorf("%s: report is %v old", s.Kind, off)
		}
	}
	eventually(t, "receiver reports come back", func() bool {
		pub.Frame(true)
		v, _ = sub.peer.Sender(pipeline.Video).stream()
		return v.RoundTrip > 0 && read(sub.heard, func(h *heard) bool { return slices.Contains(h.flowing, true) })
	})
	if v.RoundTrip > time.Second {
		t.Errorf("round trip %v on the loopback", v.RoundTrip)
	}
	in := pub.peer.Stats(pipeline.Video)
	if len(in.Inbound) != 1 || in.Inbound[0].Packets == 0 || len(in.Outbound) != 0 {
		t.Errorf("publisher's statistics %+v", in)
	}
}
