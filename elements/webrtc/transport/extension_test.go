package transport

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

const extOffset = "urn:ietf:params:rtp-hdrext:toffset"

// videoExtensions are what a browser offers for video, audioExtensions for sound.
var (
	videoExtensions = []string{
		extMid, extTransportCC, extAbsSendTime, extCaptureTime, extRID, extRepairedRID, extPlayout, extOrientation, extColor, extContent, extOffset,
	}
	audioExtensions = []string{extMid, extTransportCC, extAbsSendTime, extCaptureTime, extAudioLevel}
)

// extended is a browser whose header extensions have ids of our choice.
type extended struct {
	*client
	first int  // the first id
	down  bool // they go down from it
	mixed bool
}

func (x *extended) id(uri string) uint8 {
	list := append(append([]string(nil), videoExtensions...), extAudioLevel)
	for i, u := range list {
		if u == uri {
			if x.down {
				return uint8(x.first - i)
			}
			return uint8(x.first + i)
		}
	}
	return 0
}

// edit puts the ids into a description in place of the library's.
func (x *extended) edit(sdp string) string {
	bare := withoutExtensions(sdp)
	parts := strings.Split(bare, "m=")
	if x.mixed {
		parts[0] += "a=extmap-allow-mixed\r\n"
	}
	for i := range parts {
		list := videoExtensions
		switch {
		case strings.HasPrefix(parts[i], "audio"):
			list = audioExtensions
		case !strings.HasPrefix(parts[i], "video"):
			continue
		}
		for _, uri := range list {
			parts[i] += fmt.Sprintf("a=extmap:%d %s\r\n", x.id(uri), uri)
		}
	}
	return strings.Join(parts, "m=")
}

func withoutExtensions(sdp string) string {
	var b strings.Builder
	for line := range strings.SplitAfterSeq(sdp, "\r\n") {
		if !strings.HasPrefix(line, "a=extmap") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func newExtended(t *testing.T, e *Engine, x extended, orientation bool) *extended {
	t.Helper()
	x.client = newClientOf(t, e, webrtctest.Options{Interceptors: func(*interceptor.Registry) {}}, PeerConfig{Orientation: orientation})
	return &x
}

func (x *extended) meet() *extended {
	x.T.Helper()
	var err error
	if x.answer, err = x.peer.Answer(x.edit(x.Offer())); err != nil {
		x.T.Fatal(err)
	}
	x.SetAnswer(withoutExtensions(x.answer))
	x.trickle(func(Candidate) bool { return true })
	x.connected()
	return x
}

// write sends a packet of a kind with one extension.
func (x *extended) write(n uint16, video bool, uri string, value []byte) {
	x.T.Helper()
	p := &rtp.Packet{Header: rtp.Header{Version: 2, Marker: true, SequenceNumber: n, Timestamp: uint32(n) * 3000}, Payload: []byte{0xfc, 0, byte(n)}}
	to := x.Audio
	if video {
		to = x.Video
		p.Payload = append([]byte{0x10, 0, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0, 0, 0, 0, 0}, byte(n))
	}
	if x.id(uri) > 14 || len(value) > 16 {
		p.Extension, p.ExtensionProfile = true, 0x1000
	}
	if err := p.SetExtension(x.id(uri), value); err != nil {
		x.T.Fatal(err)
	}
	if err := to.WriteRTP(p); err != nil {
		x.T.Fatal(err)
	}
}

// TestExtensions sends each header extension through a publisher to subscribers
// with other ids, of which some may not get elements with two bytes of header.
func TestExtensions(t *testing.T) {
	wide := []byte("a chromaticity of twenty-eight")[:28]
	values := []struct {
		uri   string
		video bool
		value []byte
		fate  string // passed, ours, gone
	}{
		{extAudioLevel, false, []byte{0x91}, "passed"},
		{extCaptureTime, false, []byte("8 bytes."), "passed"},
		{extCaptureTime, true, []byte("16 bytes in all."), "passed"},
		{extOrientation, true, []byte{3}, "passed"},
		{extColor, true, []byte{1, 2, 3, 4}, "passed"},
		{extColor, true, wide, "wide"},
		{extContent, true, []byte{1}, "passed"},
		{extPlayout, true, []byte{0, 0x10, 0x20}, "passed"},
		{extTransportCC, true, []byte{0xca, 0xfe}, "ours"},
		{extTransportCC, false, []byte{0xca, 0xfe}, "ours"},
		{extMid, true, []byte("theirs"), "ours"},
		{extAbsSendTime, true, []byte{1, 2, 3}, "gone"}, // transport-wide numbers tell more
		{extRID, true, []byte("h"), "gone"},
		{extRepairedRID, true, []byte("h"), "gone"},
		{extOffset, true, []byte{1, 2, 3}, "gone"},
	}
	for name, pubIDs := range map[string]extended{"short": {first: 1, mixed: true}, "wide": {first: 40, mixed: true}} {
		t.Run(name, func(t *testing.T) {
			e := newEngine(t, nil)
			pub := newExtended(t, e, pubIDs, true)
			pub.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
			pub.meet()
			subs := []*extended{
				newExtended(t, e, extended{first: 12, down: true}, true), newExtended(t, e, extended{first: 2, mixed: true}, true),
				newExtended(t, e, extended{first: 200, mixed: true}, true),
			}
			outs := graph(pub.peer)
			for _, sub := range subs {
				sub.Receive()
				sub.meet()
				link(t, outs, sub.peer, true)
				if strings.Contains(sub.answer, extOffset) {
					t.Errorf("the answer has %s", extOffset)
				}
			}
			n := uint16(0)
			for _, x := range values {
				kind := audioKind
				if x.video {
					kind = videoKind
				}
				before := make([]int, len(subs))
				for i, sub := range subs {
					before[i] = len(sub.Packets(kind))
				}
				eventually(t, x.uri+" arrives", func() bool {
					n++
					pub.write(n, x.video, x.uri, x.value)
					for i, sub := range subs {
						if len(sub.Packets(kind)) < before[i]+3 {
							return false
						}
					}
					return true
				})
				for i, sub := range subs {
					got := sub.Packets(kind)
					p := got[len(got)-1]
					value := p.GetExtension(sub.id(x.uri))
					fate := "gone"
					switch {
					case bytes.Equal(value, x.value):
						fate = "passed"
					case value != nil:
						fate = "ours"
					}
					want := x.fate
					if want == "wide" {
						want = "passed"
						if !sub.mixed {
							want = "gone"
						}
					}
					if x.uri == extMid && len(got) > midTimes {
						continue // it is not said for ever
					}
					if fate != want {
						t.Errorf("subscriber %d: %s %s, want %s: % x", i, x.uri, fate, want, value)
					}
					if p.ExtensionProfile == 0x1000 && !sub.mixed {
						t.Errorf("subscriber %d gets elements with two bytes of header", i)
					}
				}
			}
			for i, sub := range subs {
				for kind, mid := range map[webrtc.RTPCodecType]string{audioKind: "0", videoKind: "1"} {
					if got := sub.Packets(kind)[0].GetExtension(sub.id(extMid)); string(got) != mid {
						t.Errorf("subscriber %d: the first packet is of section %q, want %q", i, got, mid)
					}
				}
			}
		})
	}
}

// TestExtensionIDs switches a subscriber between publishers with other ids.
func TestExtensionIDs(t *testing.T) {
	e := newEngine(t, nil)
	sub := newExtended(t, e, extended{first: 12, down: true}, true)
	sub.Receive()
	sub.meet()
	n := uint16(0)
	for i, ids := range []extended{{first: 1}, {first: 14, down: true}, {first: 90, mixed: true}} {
		pub := newExtended(t, e, ids, true)
		pub.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
		pub.meet()
		outs := graph(pub.peer)
		links := link(t, outs, sub.peer, true)
		value := []byte{byte(i + 1)}
		eventually(t, "its orientation arrives", func() bool {
			n++
			pub.write(n, true, extOrientation, value)
			got := sub.Packets(videoKind)
			return len(got) > 0 && bytes.Equal(got[len(got)-1].GetExtension(sub.id(extOrientation)), value)
		})
		for _, l := range links {
			for _, out := range outs {
				out.Disconnect(l)
			}
		}
	}
}

// TestUnturned wants pictures turned by the peer where nobody asked for less.
func TestUnturned(t *testing.T) {
	e := newEngine(t, nil)
	c := newExtended(t, e, extended{first: 1}, false)
	c.Publish(webrtc.MimeTypeVP8, webrtc.RTPTransceiverDirectionSendonly)
	c.meet()
	if strings.Contains(c.answer, extOrientation) || !strings.Contains(c.answer, extColor) {
		t.Errorf("answer\n%s", c.answer)
	}
}

// most is a packet whose extensions are as long as a header with one byte per element
// allows, except the last.
func most(t testing.TB, last int) *rtp.Header {
	h := &rtp.Header{Extension: true, ExtensionProfile: wideProfile}
	for i := range passedIDs {
		n := shortMost
		if i == passedIDs-1 {
			n = last
		}
		if err := h.SetExtension(captureID+uint8(i), bytes.Repeat([]byte{byte(i + 1)}, n)); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// TestExtensionsFit writes as many and as long extensions as there are.
func TestExtensionsFit(t *testing.T) {
	s, _ := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
	s.takeIDs(&media{mid: strings.Repeat("m", shortMost), mixed: true, ext: extIDs{
		mid: 1, twcc: 2, sendTime: 3, capture: 4, orientation: 5, color: 6, content: 7, playout: 8, descriptor: 9,
	}})
	s.use, s.stamped = &s.codecs[0], true
	for _, last := range []int{1, 16, 17, 255} {
		for _, room := range []int{1500, 500, 200} {
			s.sayMid()
			b := make([]byte, room)
			p := &pipeline.Packet{Header: *most(t, last)}
			n := s.header(&turn{now: time.Now()}, b, p, &layers.Out{}, 1)
			n = s.element(b, n, s.ext.descriptor, bytes.Repeat([]byte{9}, 200))
			var h rtp.Header
			if read, err := h.Unmarshal(b[:n]); err != nil || read != n {
				t.Fatalf("%d bytes in %d: %d of %d, %v", last, room, read, n, err)
			}
			for i, id := range s.ext.passed() {
				if got := h.GetExtension(id); got == nil && room == 1500 || got != nil && !bytes.Equal(got, p.Header.GetExtension(captureID+uint8(i))) {
					t.Errorf("%d bytes in %d: extension %d is % x", last, room, id, got)
				}
			}
			if got := h.GetExtension(s.ext.mid); string(got) != *s.mid {
				t.Errorf("mid %q", got)
			}
		}
	}
}

// TestSameAgain sends a packet again under its own number after what may differ in a
// header does.
func TestSameAgain(t *testing.T) {
	for name, ids := range map[string]extIDs{
		"short": {mid: 1, twcc: 2, sendTime: 3, capture: 4, color: 6, playout: 8}, "wide": {mid: 21, twcc: 22, sendTime: 23, capture: 24, color: 26, playout: 28},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
			s.use = &s.codecs[0]
			s.use.nack, s.use.rtx = true, 0
			s.takeIDs(&media{mid: strings.Repeat("m", shortMost), mixed: true, ext: ids})
			s.stamped, s.playout = true, &playout{}
			s.midLeft = 1
			p := &pipeline.Packet{Header: *most(t, 3)}
			out := &layers.Out{Seq: 7}
			tn := &turn{now: time.Now()}
			s.resend.keep(tn, s.use, p, out)
			first, second := make([]byte, 1500), make([]byte, 1500)
			n := s.header(tn, first, p, out, 7)
			if s.midLeft != 0 {
				t.Fatal("the mid is not told")
			}
			s.header(tn, second, &nothing, out, 7) // a repair packet with this number
			s.playout, s.leg.sendSeq, s.resend.again = nil, 99, true
			clear(second)
			if m := s.header(&turn{now: tn.now.Add(time.Second)}, second, p, out, 7); !bytes.Equal(first[:n], second[:m]) {
				t.Errorf("first % x\nagain % x", first[:n], second[:m])
			}
		})
	}
}

// TestPassingAllocates wants next to nothing allocated for extensions that are passed
// on, per packet and not per subscriber.
func TestPassingAllocates(t *testing.T) {
	x := newRoom(t, 10)
	for _, s := range x.to {
		s.takeIDs(&media{mixed: true, ext: extIDs{twcc: 3, capture: 4, orientation: 5, color: 16}})
	}
	for _, p := range x.batch {
		p.Header.Extension, p.Header.ExtensionProfile, p.Header.Extensions = true, wideProfile, most(t, 16).Extensions
	}
	tn := &turn{}
	x.frame(tn)
	if n := testing.AllocsPerRun(200, func() { x.frame(tn) }); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
	in := rtpIn{ext: []byte{4<<4 | 7, 1, 2, 3, 4, 5, 6, 7, 8, 5 << 4, 3, 6<<4 | 1, 9, 9}}
	r := x.from
	r.takeIDs(&media{ext: extIDs{capture: 4, orientation: 5, color: 6}})
	var p pipeline.Packet
	if n := testing.AllocsPerRun(1600, func() { p = pipeline.Packet{}; r.passOn(&p, &in) }); n >= 1 {
		t.Errorf("%v allocations per packet", n)
	}
	if got := p.Header.GetExtension(captureID); len(got) != 8 || len(p.Header.Extensions) != 3 {
		t.Errorf("kept %v", p.Header.Extensions)
	}
}

// TestSenderSize wants a Sender to be of a size that begins with a cache line, or what
// is fetched ahead of its use is another line more.
func TestSenderSize(t *testing.T) {
	const most = 1024 - 8 // the runtime's header of the allocation
	if n := unsafe.Sizeof(Sender{}); n > most && unsafe.Sizeof(uintptr(0)) == 8 {
		t.Errorf("a Sender has %d bytes, want at most %d", n, most)
	}
}
