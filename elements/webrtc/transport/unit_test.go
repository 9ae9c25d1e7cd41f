package transport

import (
	"bytes"
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

var mustAddr = netip.MustParseAddrPort("192.0.2.1:1")

func parseAndRead(b []byte) {
	var in rtpIn
	if !readRTP(b, &in) {
		return
	}
	for id := range uint8(16) {
		in.extension(id)
	}
	if payload, ok := unpad(b[in.size:], in.header.Padding); ok {
		codec.KeyFrameRTP(codec.VP8, payload)
	}
}

// TestRolls counts wraps of sequence numbers, late packets on either side of one.
func TestRolls(t *testing.T) {
	var r rolls
	for i, x := range []struct {
		seq  uint16
		want uint32
	}{{65533, 0}, {65535, 0}, {65534, 0}, {1, 1}, {65535, 0}, {0, 1}, {32000, 1}, {64000, 1}, {3, 2}, {65000, 1}} {
		if got := r.of(x.seq); got != x.want {
			t.Errorf("step %d: %d has wrapped %d times, want %d", i, x.seq, got, x.want)
		}
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

// sink is the other end of a leg: it opens what comes and keeps the latest packet.
type sink struct {
	t       testing.TB
	opener  *srtp.Opener
	header  rtp.Header
	payload []byte
	n       int
}

func (s *sink) send(b []byte, _ netip.AddrPort) {
	b = bytes.Clone(b)
	payload, err := s.opener.Open(b, srtp.HeaderLen(b))
	if err != nil {
		s.t.Fatal(err)
	}
	s.header = rtp.Header{}
	if _, err := s.header.Unmarshal(b); err != nil {
		s.t.Fatal(err)
	}
	s.payload = payload
	s.n++
}
func (s *sink) close() {}

// boundSender is a live Sender on a sink.
func boundSender(t testing.TB, kind pipeline.Kind, codecs ...rtpCodec) (*Sender, *sink) {
	t.Helper()
	key, salt := make([]byte, 16), make([]byte, 12)
	opener, err := srtp.NewOpener(srtp.AEADAES128GCM, key, salt, 1024)
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := srtp.NewSealer(srtp.AEADAES128GCM, key, salt)
	if err != nil {
		t.Fatal(err)
	}
	out := &sink{t: t, opener: opener}
	p := &Peer{cfg: PeerConfig{Epoch: time.Now()}, start: time.Now(), engine: &Engine{}, ctx: context.Background()}
	p.caps.Store(&caps{})
	p.shard.Store(p.engine.newShard(nil, 0))
	p.audioOut, p.videoOut = newSender(p, pipeline.Audio), newSender(p, pipeline.Video)
	s := p.Sender(kind)
	s.ssrc, s.rtxSSRC = 1234, 5678
	l := &leg{peer: p, other: out, sealer: sealer}
	p.under(func(t *turn) {
		s.bind(l, &media{kind: kind, codecs: codecs, ext: extIDs{level: 7}})
		s.setLive(t, true)
	})
	return s, out
}

// videoCodec is a payload type of video, with retransmissions under the next one.
func videoCodec(name codec.Name, pt uint8, fmtp string) rtpCodec {
	return rtpCodec{name: name, pt: pt, rtx: pt + 1, rate: 90000, fmtp: fmtp, profile: h264Profile(fmtp), nack: true}
}

func vp8Packet(seq uint16, ts uint32, key bool) *pipeline.Packet {
	return &pipeline.Packet{
		Format:  &vp8Format,
		Header:  rtp.Header{Version: 2, SSRC: 9, SequenceNumber: seq, Timestamp: ts},
		Payload: make([]byte, 1100), Arrival: time.Now(), Key: key,
	}
}

var vp8Format = pipeline.Format{Kind: pipeline.Video, Codec: codec.VP8, Framing: pipeline.RTP, ClockRate: 90000}

// TestResend wants a packet sent again by RTX, but not twice within a moment.
func TestResend(t *testing.T) {
	s, out := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
	for i := range uint16(1000) {
		s.Push(vp8Packet(1+i, uint32(i), i == 0))
	}
	if out.n != 1000 || out.header.SSRC != 1234 || out.header.PayloadType != 96 {
		t.Errorf("sent %d, header %+v", out.n, out.header)
	}
	want := out.header.SequenceNumber - 3
	s.peer.under(func(t *turn) { // one instant: the second request comes too soon
		for range 2 {
			s.heard(t, &rtcp.TransportLayerNack{Nacks: []rtcp.NackPair{{PacketID: want}}})
		}
	})
	if out.header.SSRC != 5678 || out.header.PayloadType != 97 || len(out.payload) != 1102 ||
		uint16(out.payload[0])<<8|uint16(out.payload[1]) != want {
		t.Errorf("retransmission %+v of %d bytes", out.header, len(out.payload))
	}
	if out.n != 1001 {
		t.Errorf("the same packet was sent again %d times within a moment", out.n-1000)
	}
}

// nowhere is a base that takes everything.
type nowhere struct{}

func (nowhere) send([]byte, netip.AddrPort) {}
func (nowhere) close()                      {}

// TestSendAllocates wants nothing allocated per packet and receiver.
func TestSendAllocates(t *testing.T) {
	s, _ := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
	s.leg.other = nowhere{}
	s.Push(vp8Packet(1, 1, true))
	p := vp8Packet(2, 2, false)
	if n := testing.AllocsPerRun(1000, func() { p.Header.SequenceNumber++; s.Push(p) }); n != 0 {
		t.Errorf("%v allocations per packet", n)
	}
	if s.stats.packets < 1000 {
		t.Errorf("%d sent", s.stats.packets)
	}
}

func BenchmarkSend(b *testing.B) {
	s, _ := boundSender(b, pipeline.Video, videoCodec(codec.VP8, 96, ""))
	s.leg.other = nowhere{}
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
	s, out := boundSender(t, pipeline.Video, videoCodec(codec.H264, 100, f+"42e01f"), videoCodec(codec.H264, 102, f+"640c1f"))
	for fmtp, want := range map[string]uint8{f + "42e01f": 100, f + "640c33": 102, f + "42001f": 100, "": 100, f + "64001f": 102} {
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
	s, out := boundSender(t, pipeline.Video, videoCodec(codec.VP8, 96, ""))
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
	s, out := boundSender(t, pipeline.Audio, rtpCodec{name: codec.Opus, pt: 111, rate: 48000})
	h := rtp.Header{Version: 2, SSRC: 3}
	if err := h.SetExtension(audioLevelID, []byte{0x85}); err != nil {
		t.Fatal(err)
	}
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
	payload := []byte{0x10, 0, 0, 2}
	if got, ok := unpad(payload, true); !ok || len(got) != 2 {
		t.Errorf("payload % x", got)
	}
	if got, ok := unpad(payload, false); !ok || len(got) != 4 {
		t.Errorf("payload % x", got)
	}
	payload[3] = 4
	if got, ok := unpad(payload, true); !ok || len(got) != 0 {
		t.Errorf("payload % x", got)
	}
	for _, bad := range []byte{0, 5, 255} {
		payload[3] = bad
		if _, ok := unpad(payload, true); ok {
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
