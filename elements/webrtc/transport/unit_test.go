package transport

import (
	"net/netip"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

var mustAddr = netip.MustParseAddrPort("192.0.2.1:1")

func parseAndRead(b []byte) {
	p := &pipeline.Packet{}
	if parseRTP(b, p) {
		codec.KeyFrameRTP(codec.VP8, p.Payload)
		levelOnly(&p.Header, 1)
	}
}

func TestLine(t *testing.T) {
	l := line{}
	now := time.Now()
	l.begin(65534, 0xffffff00, now, 90000)
	var first uint16
	var firstTS uint32
	for i := range 5 { // both wrap
		seq, ts, ok := l.place(uint16(65534+i), 0xffffff00+uint32(i)*3000)
		if !ok {
			t.Fatal("refused")
		}
		if i == 0 {
			first, firstTS = seq, ts
		}
		if seq != first+uint16(i) || ts != firstTS+uint32(i)*3000 {
			t.Fatalf("packet %d became %d %d after %d %d", i, seq, ts, first, firstTS)
		}
		l.sent(ts, now, 0)
	}
	if _, _, ok := l.place(65533, 0); ok {
		t.Error("a packet from before the beginning was taken")
	}
	if seq, _, ok := l.place(65535, 2744); !ok || seq != first+1 {
		t.Error("a late packet lost its place")
	}
	// The next source goes on by the clock: 2 s at 90 kHz.
	l.begin(7, 1, now.Add(2*time.Second), 90000)
	seq, ts, _ := l.place(7, 1)
	if seq != first+5 || ts != firstTS+4*3000+180000 {
		t.Errorf("next source at %d %d", seq-first, ts-firstTS)
	}
	l.sent(ts, now, 0)
	// A source that follows at once still moves forward.
	l.begin(9000, 77, now, 90000)
	if _, next, _ := l.place(9000, 77); next != ts+1 {
		t.Errorf("timestamp moved by %d", next-ts)
	}
}

func TestNTP(t *testing.T) {
	at := time.Date(2031, 5, 6, 7, 8, 9, 123456789, time.UTC)
	if d := ntpTime(toNTP(at)).Sub(at); d < -2*time.Nanosecond || d > 2*time.Nanosecond {
		t.Errorf("off by %v", d)
	}
	if got := toNTP(time.Unix(0, 500_000_000)); got != ntpEpoch<<32|1<<31 {
		t.Errorf("%x", got)
	}
}

// sink is a writer that keeps the latest packet.
type sink struct {
	header  rtp.Header
	payload []byte
	n       int
}

func (s *sink) WriteRTP(h *rtp.Header, payload []byte) (int, error) {
	s.header, s.payload = *h, payload
	s.n++
	return len(payload), nil
}
func (s *sink) Write([]byte) (int, error) { return 0, nil }

// bound is a live Sender on a sink.
func boundSender(t testing.TB, kind pipeline.Kind, codecs ...webrtc.RTPCodecParameters) (*Sender, *sink) {
	t.Helper()
	out := &sink{}
	p := &Peer{cfg: PeerConfig{Epoch: time.Now()}, events: make(chan struct{}, 1)}
	s := newSender(p, kind)
	if _, err := s.track.Bind(binding{codecs: codecs, out: out}); err != nil {
		t.Fatal(err)
	}
	s.setLive(true)
	return s, out
}

type binding struct {
	webrtc.TrackLocalContext
	codecs []webrtc.RTPCodecParameters
	out    *sink
}

func (b binding) CodecParameters() []webrtc.RTPCodecParameters { return b.codecs }
func (b binding) HeaderExtensions() []webrtc.RTPHeaderExtensionParameter {
	return []webrtc.RTPHeaderExtensionParameter{{URI: extAudioLevel, ID: 7}}
}
func (b binding) SSRC() webrtc.SSRC                    { return 1234 }
func (b binding) SSRCRetransmission() webrtc.SSRC      { return 5678 }
func (b binding) WriteStream() webrtc.TrackLocalWriter { return b.out }
func (b binding) RTCPReader() interceptor.RTCPReader   { return nil }

func params(mime string, pt webrtc.PayloadType, rate uint32, fmtp string) webrtc.RTPCodecParameters {
	return webrtc.RTPCodecParameters{PayloadType: pt, RTPCodecCapability: webrtc.RTPCodecCapability{
		MimeType: mime, ClockRate: rate, SDPFmtpLine: fmtp, RTCPFeedback: []webrtc.RTCPFeedback{{Type: "nack"}},
	}}
}

func vp8Packet(seq uint16, ts uint32, key bool) *pipeline.Packet {
	return &pipeline.Packet{
		Format:  &vp8Format,
		Header:  rtp.Header{Version: 2, SSRC: 9, SequenceNumber: seq, Timestamp: ts},
		Payload: make([]byte, 1100), Arrival: time.Now(), Key: key,
	}
}

var vp8Format = pipeline.Format{Kind: pipeline.Video, Codec: codec.VP8, Framing: pipeline.RTP, ClockRate: 90000}

// TestSendAllocates wants nothing allocated per packet and receiver.
func TestSendAllocates(t *testing.T) {
	s, out := boundSender(t, pipeline.Video, params(webrtc.MimeTypeVP8, 96, 90000, ""), params(webrtc.MimeTypeRTX, 97, 90000, "apt=96"))
	s.Push(vp8Packet(1, 1, true))
	p := vp8Packet(2, 2, false)
	if n := testing.AllocsPerRun(1000, func() { p.Header.SequenceNumber++; s.Push(p) }); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
	if out.n < 1000 || out.header.SSRC != 1234 || out.header.PayloadType != 96 {
		t.Errorf("sent %d, header %+v", out.n, out.header)
	}
	nack := &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: out.header.SequenceNumber - 3}}}
	want := out.header.SequenceNumber - 3
	s.answer(nack, time.Now())
	if out.header.SSRC != 5678 || out.header.PayloadType != 97 || len(out.payload) != 1102 ||
		uint16(out.payload[0])<<8|uint16(out.payload[1]) != want {
		t.Errorf("retransmission %+v of %d bytes", out.header, len(out.payload))
	}
	before := out.n
	s.answer(nack, time.Now()) // too soon
	if out.n != before {
		t.Error("the same packet was sent again within a moment")
	}
}

func BenchmarkSend(b *testing.B) {
	s, _ := boundSender(b, pipeline.Video, params(webrtc.MimeTypeVP8, 96, 90000, ""))
	s.Push(vp8Packet(1, 1, true))
	p := vp8Packet(2, 2, false)
	b.ReportAllocs()
	for b.Loop() {
		p.Header.SequenceNumber++
		s.Push(p)
	}
}

// TestH264Profile picks the payload type of the source's profile.
func TestH264Profile(t *testing.T) {
	const f = "packetization-mode=1;profile-level-id="
	s, out := boundSender(t, pipeline.Video, params(webrtc.MimeTypeH264, 100, 90000, f+"42e01f"), params(webrtc.MimeTypeH264, 101, 90000, f+"640c1f"))
	for fmtp, want := range map[string]uint8{f + "42e01f": 100, f + "640c33": 101, f + "42001f": 100, "": 100, f + "64001f": 101} {
		format := &pipeline.Format{Kind: pipeline.Video, Codec: codec.H264, Framing: pipeline.RTP, ClockRate: 90000, Fmtp: fmtp}
		s.sourceChanged()
		p := vp8Packet(1, 1, true)
		p.Format = format
		s.Push(p)
		if out.header.PayloadType != want {
			t.Errorf("%q went out as %d, want %d", fmtp, out.header.PayloadType, want)
		}
	}
	if c := s.choose(&vp8Format); c != nil {
		t.Errorf("VP8 as %+v", c)
	}
}

// TestStraggler sends packets of the source before among those of the new one,
// as happens below a PassThrough that was switched.
func TestStraggler(t *testing.T) {
	s, out := boundSender(t, pipeline.Video, params(webrtc.MimeTypeVP8, 96, 90000, ""))
	s.Push(vp8Packet(1, 1, true))
	other := vp8Packet(500, 500, true)
	other.Header.SSRC = 10
	s.Push(other)
	if out.n != 2 {
		t.Fatalf("%d sent", out.n)
	}
	s.Push(vp8Packet(2, 2, true))
	if out.n != 2 {
		t.Error("a straggler was sent")
	}
	other.Header.SequenceNumber++
	s.Push(other)
	if out.n != 3 {
		t.Error("the new source stopped")
	}
}

func TestAudioLevel(t *testing.T) {
	s, out := boundSender(t, pipeline.Audio, params(webrtc.MimeTypeOpus, 111, 48000, ""))
	h := rtp.Header{Version: 2, SSRC: 3}
	if err := h.SetExtension(4, []byte{0x85}); err != nil {
		t.Fatal(err)
	}
	if err := h.SetExtension(5, []byte{'0'}); err != nil {
		t.Fatal(err)
	}
	levelOnly(&h, 4)
	format := &pipeline.Format{Kind: pipeline.Audio, Codec: codec.Opus, Framing: pipeline.RTP, ClockRate: 48000, Channels: 2}
	s.Push(&pipeline.Packet{Format: format, Header: h, Payload: []byte{1}, Key: true})
	got := rtp.Header{Extension: out.header.Extension, ExtensionProfile: out.header.ExtensionProfile, Extensions: out.header.Extensions}
	if level := got.GetExtension(7); len(level) != 1 || level[0] != 0x85 || len(got.Extensions) != 1 {
		t.Errorf("extensions %v", got.Extensions)
	}
	s.Push(&pipeline.Packet{Format: format, Header: rtp.Header{Version: 2, SSRC: 3, SequenceNumber: 1}, Payload: []byte{1}, Key: true})
	if out.header.Extension {
		t.Error("an extension without a level")
	}
}

func TestPadding(t *testing.T) {
	p := &pipeline.Packet{}
	raw := []byte{0xa0, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x10, 0, 0, 2}
	if !parseRTP(raw, p) || len(p.Payload) != 2 || p.Header.Padding {
		t.Errorf("payload % x", p.Payload)
	}
	raw[15] = 4
	if !parseRTP(raw, p) || len(p.Payload) != 0 {
		t.Errorf("payload % x", p.Payload)
	}
	for _, bad := range []byte{0, 5, 255} {
		raw[15] = bad
		if parseRTP(raw, p) {
			t.Errorf("padding of %d taken", bad)
		}
	}
}

func TestInbound(t *testing.T) {
	var s inbound
	at := time.Duration(0)
	for _, seq := range []uint16{65533, 65534, 0, 65535, 1, 5} { // wraps, one late, three missing
		at += 10 * time.Millisecond
		s.count(&rtp.Header{SSRC: 1, SequenceNumber: seq, Timestamp: uint32(at / time.Millisecond * 90)}, 100, 90000, at)
	}
	if s.expected() != 9 || s.packets != 6 {
		t.Errorf("expected %d, received %d", s.expected(), s.packets)
	}
	s.interval()
	if f := s.before.fraction; f < 0.32 || f > 0.34 {
		t.Errorf("fraction lost %v", f)
	}
	if s.jitter != 0 {
		t.Errorf("jitter %v of an even stream", s.jitter)
	}
}

// TestDuplicates sends everything twice, late ones and wraps included.
func TestDuplicates(t *testing.T) {
	var s inbound
	count := func(seq int) bool {
		return s.count(&rtp.Header{SSRC: 1, SequenceNumber: uint16(seq)}, 1, 90000, 0)
	}
	for i := range 70000 {
		seq := 65000 + i*3 // two of three come later
		if i > 0 && !count(seq-1) {
			t.Fatalf("%d is new", seq-1)
		}
		if !count(seq) || count(seq) || i > 0 && count(seq-1) {
			t.Fatalf("%d: new once", seq)
		}
		if i > 300 && (!count(seq-902) || count(seq-902)) {
			t.Fatalf("%d is late, but new", seq-902)
		}
	}
	last := 65000 + 69999*3
	if count(last-seenWindow) || !count(last+5000) || !count(last+4500) || count(last+4500) {
		t.Error("beyond the window")
	}
}

func TestMediaFlow(t *testing.T) {
	var m mediaFlow
	steps := []struct {
		last, now   time.Duration
		on, changed bool
	}{
		{0, time.Second, false, false}, {time.Second, time.Second, true, true}, {time.Second, 5 * time.Second, true, false},
		{time.Second, 6 * time.Second, false, true}, {7 * time.Second, 7 * time.Second, true, true},
	}
	for i, s := range steps {
		if on, changed := m.update(int64(s.last), s.now); on != s.on || changed != s.changed {
			t.Errorf("step %d: %v %v", i, on, changed)
		}
	}
}
