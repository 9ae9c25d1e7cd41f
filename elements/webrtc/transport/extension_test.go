package transport

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/webrtctest"
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
