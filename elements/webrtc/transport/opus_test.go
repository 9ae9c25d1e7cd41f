package transport

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/elements/webrtc/webrtctest"
	"github.com/govidu/govidu/pipeline"
)

// redTrack has a publisher's sound leave as RED.
func redTrack(t *testing.T, pub *client) *webrtc.TrackLocalStaticRTP {
	t.Helper()
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: "audio/red", ClockRate: 48000, Channels: 2, SDPFmtpLine: "111/111"}, "a", "s")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range pub.PC.GetSenders() {
		if s.Track().Kind() == audioKind {
			if err := s.ReplaceTrack(track); err != nil {
				t.Fatal(err)
			}
		}
	}
	return track
}

// beside is an Input that takes sound beside the peers: a recorder, a transcoder.
type beside struct{ got chan *pipeline.Packet }

func (l beside) Accepts() []pipeline.Format {
	return []pipeline.Format{{Kind: pipeline.Audio, Framing: pipeline.RTP}}
}
func (l beside) Kind() pipeline.Kind { return pipeline.Audio }
func (l beside) Push(p *pipeline.Packet) {
	select {
	case l.got <- p:
	default:
	}
}

// TestREDPassed: of a publisher who repeats its sound, a peer that knows RED gets it
// repeated, all others plain; with the gaps filled that the way to us has torn, and
// nothing twice.
func TestREDPassed(t *testing.T) {
	e := newEngine(t, nil)
	pub := newPublisher(t, e, webrtctest.Options{Codecs: withRED(t, true), NoNACK: true}, webrtc.MimeTypeVP8)
	knows := newSubscriber(t, e, webrtctest.Options{Codecs: withRED(t, false), NoNACK: true})
	plain := newSubscriber(t, e, webrtctest.Options{NoNACK: true})
	outs := graph(pub.peer)
	link(t, outs, knows.peer, true)
	link(t, outs, plain.peer, true)
	ear := beside{make(chan *pipeline.Packet, 100)}
	if _, err := outs[pipeline.Audio].Connect(ear); err != nil {
		t.Fatal(err)
	}
	track := redTrack(t, pub)
	r := redundancy{deep: 2}
	const total = 40
	for i := range uint16(total) {
		var dst [100]byte
		b := r.wrap(dst[:], 111, &layers.Out{Seq: 100 + i, Timestamp: 960 * uint32(i)}, []byte{0xfc, byte(i)})
		if i%4 == 1 || i%4 == 2 {
			continue // two in a row are lost
		}
		if err := track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: 100 + i, Timestamp: 960 * uint32(i)}, Payload: b}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			eventually(t, "the first packet", func() bool { return len(knows.Packets(audioKind)) > 0 && len(plain.Packets(audioKind)) > 0 })
		}
	}
	for name, sub := range map[string]*client{"knows": knows, "plain": plain} {
		eventually(t, "all of them", func() bool { return len(sub.Packets(audioKind)) >= total })
		packets := sub.Packets(audioKind)
		first, seen, repeated := packets[0], map[byte]bool{}, 0
		for _, p := range packets {
			b, pt := p.Payload, p.PayloadType
			if name == "knows" {
				var room [redBlocks]redPart
				parts := splitRED(b, &room)
				if pt != 63 || parts == nil {
					t.Fatalf("%s: packet %v: % x", name, p.Header, b)
				}
				repeated += len(parts) - 1
				for i, x := range parts {
					if back := len(parts) - 1 - i; int(x.payload[1]) != int(parts[len(parts)-1].payload[1])-back || x.age != 960*uint32(back) {
						t.Errorf("%s: block %d of %d: % x, %d earlier", name, i, len(parts), x.payload, x.age)
					}
				}
				b, pt = parts[len(parts)-1].payload, parts[len(parts)-1].pt
			}
			n := b[1]
			if pt != 111 || len(b) != 2 || seen[n] || p.SequenceNumber-first.SequenceNumber != uint16(n) || p.Timestamp-first.Timestamp != 960*uint32(n) {
				t.Errorf("%s: packet %v: % x", name, p.Header, b)
			}
			seen[n] = true
		}
		if name == "knows" && repeated < total {
			t.Errorf("%d repeated", repeated)
		}
	}
	for i := range total {
		if p := <-ear.got; len(p.Payload) != 2 || int(p.Payload[1]) != i {
			t.Fatalf("beside: packet %d: % x", i, p.Payload)
		}
	}
	// It stops to repeat.
	for i := range uint16(10) {
		if err := track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, PayloadType: 63, SequenceNumber: 100 + total + i, Timestamp: 960 * uint32(total+i)}, Payload: []byte{111, 0xfc, byte(total + i)}}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "those without blocks", func() bool {
		return len(knows.Packets(audioKind)) >= total+10 && len(plain.Packets(audioKind)) >= total+10
	})
}

// TestDTX: a publisher who is silent sends nothing, or little. That is no loss, and
// the gap is the same for who listens.
func TestDTX(t *testing.T) {
	for _, c := range []struct {
		name string
		gaps []uint32 // ticks from packet to packet
	}{
		{"speaking", []uint32{960, 960, 960, 960}},
		{"comfort noise", []uint32{960, 19200, 19200, 960, 960}},
		{"three seconds", []uint32{960, 144000, 960}},
		{"a minute", []uint32{960, 48000 * 60, 960, 19200}},
		{"an hour", []uint32{960, 48000 * 3600, 960}},
		{"frames of 60 ms", []uint32{2880, 2880, 57600, 2880}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEngine(t, nil)
			pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
			sub := newSubscriber(t, e, webrtctest.Options{})
			link(t, graph(pub.peer), sub.peer, true)
			seq, ts := uint16(65534), uint32(1<<32-1000)
			send := func(marker bool) {
				t.Helper()
				if err := pub.Audio.WriteRTP(&rtp.Packet{
					Header:  rtp.Header{Version: 2, Marker: marker, SequenceNumber: seq, Timestamp: ts},
					Payload: binary.BigEndian.AppendUint32([]byte{0xfc}, ts),
				}); err != nil {
					t.Fatal(err)
				}
			}
			send(true)
			eventually(t, "the first packet", func() bool { return len(sub.Packets(audioKind)) > 0 })
			for _, gap := range c.gaps {
				seq++
				ts += gap
				send(gap > 2880)
			}
			eventually(t, "all", func() bool { return len(sub.Packets(audioKind)) > len(c.gaps) })
			packets := sub.Packets(audioKind)
			for i, gap := range c.gaps {
				a, b := packets[i], packets[i+1]
				if b.SequenceNumber != a.SequenceNumber+1 || b.Timestamp-a.Timestamp != gap || b.Marker != (gap > 2880) {
					t.Errorf("after %d ticks: from %v to %v", gap, a.Header, b.Header)
				}
			}
			if st := pub.peer.Stats(pipeline.Audio).Inbound[0]; st.Lost != 0 || st.FractionLost != 0 || st.NACK != 0 || int(st.Packets) != 1+len(c.gaps) {
				t.Errorf("%+v", st)
			}
			pub.peer.under(func(*turn) {
				if b := pub.peer.audioIn.encs[0].reception.Block(1, time.Now()); b.TotalLost != 0 || b.FractionLost != 0 {
					t.Errorf("we report %+v", b)
				}
			})
		})
	}
}

// TestOpusParameters: what an offer says of Opus, the answer says, too, so that it
// holds both ways.
func TestOpusParameters(t *testing.T) {
	e := newEngine(t, nil)
	for _, fmtp := range []string{
		"minptime=10;useinbandfec=1", "minptime=10;useinbandfec=1;usedtx=1", "stereo=1;sprop-stereo=1;maxaveragebitrate=128000;useinbandfec=1",
		"usedtx=1; maxaveragebitrate=16000", "cbr=1;maxplaybackrate=16000;maxptime=60",
	} {
		for _, first := range []string{"111 63 9", "63 111 9"} {
			offer := strings.Replace(seed(t, "chromium"), "a=fmtp:111 minptime=10;useinbandfec=1", "a=fmtp:111 "+fmtp, 1)
			offer = strings.Replace(offer, " 111 63 9", " "+first, 1)
			answer, d := answerTo(t, e, PeerConfig{}, offer)
			if want := strings.TrimSuffix(first, " 9") + " 0 8"; strings.Join(d.sections[0].formats, " ") != want {
				t.Errorf("payload types %v, want %s", d.sections[0].formats, want)
			}
			if !strings.Contains(answer, "\r\na=fmtp:111 "+fmtp+"\r\n") || !strings.Contains(answer, "\r\na=fmtp:63 111/111\r\n") {
				t.Errorf("the answer to %q lacks it\n%s", fmtp, answer)
			}
		}
	}
}
