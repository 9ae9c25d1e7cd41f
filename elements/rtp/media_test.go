package rtp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

func sink(w *elementtest.World, e elements.Element) *elementtest.Sink {
	s := w.Element("TestSink", nil).(*elementtest.Sink)
	w.Call(e, "connect", map[string]any{"sink": s})
	return s
}

func source(w *elementtest.World, e elements.Element) *elementtest.Source {
	s := w.Element("TestSource", nil).(*elementtest.Source)
	w.Call(s, "connect", map[string]any{"sink": e})
	return s
}

func got(t testing.TB, s *elementtest.Sink, kind pipeline.Kind, n int) []*pipeline.Packet {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), elementtest.Deadline)
	defer cancel()
	if err := s.Got[kind].Wait(ctx, n); err != nil {
		t.Fatal(err)
	}
	return s.Got[kind].Packets()
}

func sequence(packets []*pipeline.Packet) (list []uint16) {
	for _, p := range packets {
		list = append(list, p.Header.SequenceNumber)
	}
	return list
}

func TestReceive(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	s := sink(w, e)
	p := newPeer(t, "127.0.0.1")
	p.join(w, e, p.offer("video", "RTP/AVPF 96", append([]string{"a=ssrc:77 cname:x"}, vp8Lines...)...))
	p.send(vp8(65534, true), vp8(65535, false))
	padded := vp8(0, false)
	padded.Header.Padding, padded.PaddingSize = true, 4
	p.send(padded, vp8(0, false)) // the latter is a duplicate
	// What is not the peer's media.
	unknown := vp8(1, false)
	unknown.PayloadType = 111
	p.send(unknown)
	p.raw(p.rtp, []byte("GET / HTTP/1.1\r\n\r\n"), p.toRTP)
	p.raw(p.rtp, []byte{0x80}, p.toRTP)
	p.raw(p.rtp, append([]byte{0xa0, 96, 0, 9, 0, 0, 0, 0, 0, 0, 0, 77}, 200), p.toRTP) // more padding than packet
	p.raw(p.rtp, make([]byte, 1501), p.toRTP)
	p.raw(p.rtcp, []byte{0x81, 201, 0xff, 0xff, 0, 0, 0, 77}, p.toCtl)
	attacker := newPeer(t, "127.0.0.2")
	attacker.toRTP, attacker.toCtl = p.toRTP, p.toCtl
	attacker.send(vp8(1, true))
	attacker.report(&rtcp.PictureLossIndication{MediaSSRC: e.senders[pipeline.Video].ssrc})
	p.send(vp8(1, false))
	packets := got(t, s, pipeline.Video, 4)
	if list := fmt.Sprint(sequence(packets)); list != "[65534 65535 0 1]" {
		t.Errorf("sequence numbers %s", list)
	}
	for i, x := range packets {
		if x.Key != (i == 0) || x.Format.Codec != codec.VP8 || x.Format.ClockRate != 90000 || len(x.Payload) != 12 {
			t.Errorf("packet %d: key %v, format %+v, %d bytes", i, x.Key, x.Format, len(x.Payload))
		}
		if i > 0 && x.Format != packets[0].Format {
			t.Error("the format's pointer changes")
		}
	}
	if d := packets[1].PTS - packets[0].PTS; d.Round(time.Millisecond) != 33*time.Millisecond {
		t.Errorf("PTS are %v apart", d)
	}
	elementtest.Eventually(t, "everything that was not taken is counted", func() bool {
		c := &e.counters
		return c.malformed.Load() == 5 && c.oversized.Load() == 1 && c.refused.Load() == 2
	})
	row := stat[elements.RTCInboundRTPStreamStats](t, w, e)
	if row.SSRC != "77" || row.PacketsReceived != 4 || row.BytesReceived != 48 || row.PacketsLost != 0 {
		t.Errorf("statistics %+v", row)
	}
	w.WaitEvents(e, "MediaFlowOutStateChanged", 1)
	if got := w.WaitEvents(e, "MediaStateChanged", 1); got[0].Data["newState"] != "CONNECTED" {
		t.Errorf("media state event %v", got)
	}
}

// stat is the one row of a type.
func stat[T any](t testing.TB, w *elementtest.World, e *Endpoint) T {
	t.Helper()
	for _, row := range e.stats(context.Background(), 0) {
		if r, ok := row.(T); ok {
			return r
		}
	}
	t.Fatalf("no row of type %T", *new(T))
	panic("unreachable")
}

// A source switch, and a source that begins between keyframes, are nothing the
// peer could notice.
func TestSend(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	first := source(w, e)
	first.Send(pipeline.Video, 5) // before negotiation: nowhere to go
	p := newPeer(t, "127.0.0.1")
	p.join(w, e, p.offer("video", "RTP/AVPF 96", vp8Lines...))
	first.Send(pipeline.Video, 10) // 5 to 14: no keyframe among them
	p.nothing()
	if n := first.Producers[pipeline.Video].Count(pipeline.WishKeyFrame); n == 0 {
		t.Error("nobody asked for a keyframe")
	}
	first.Send(pipeline.Video, 20) // the keyframe is number 30
	var seq uint16
	var ts uint32
	next := func(i int, payload byte) {
		t.Helper()
		x := p.recv()
		if x.SSRC != e.senders[pipeline.Video].ssrc || x.PayloadType != 96 || x.Payload[0] != payload {
			t.Fatalf("packet %d: %v", i, x)
		}
		if i > 0 && (x.SequenceNumber != seq+1 || int32(x.Timestamp-ts) <= 0) {
			t.Fatalf("packet %d has numbers %d, %d after %d, %d", i, x.SequenceNumber, x.Timestamp, seq, ts)
		}
		if ext := x.GetExtension(5); len(ext) != 3 {
			t.Fatalf("packet %d has no sending time", i)
		}
		seq, ts = x.SequenceNumber, x.Timestamp
	}
	for i := range 5 {
		next(i, byte(30+i))
	}
	second := w.Element("TestSource", nil).(*elementtest.Source)
	w.Call(second, "connect", map[string]any{"sink": e})
	second.Send(pipeline.Video, 31) // begins with a keyframe
	for i := range 31 {
		next(5+i, byte(i))
	}
	row := stat[elements.RTCOutboundRTPStreamStats](t, w, e)
	if row.PacketsSent != 36 || row.BytesSent != 36 || row.SSRC != fmt.Sprint(e.senders[pipeline.Video].ssrc) {
		t.Errorf("statistics %+v", row)
	}
	sr := reported(p, func(r *rtcp.SenderReport) bool { return r.PacketCount == 36 })
	if now := toNTP(time.Now()); sr.SSRC != e.senders[pipeline.Video].ssrc || now-sr.NTPTime > 20<<32 {
		t.Errorf("sender report %v", sr)
	}
	w.Call(e, "requestKeyframe", nil)
	if got := w.WaitEvents(e, "MediaFlowInStateChanged", 1); got[0].Data["state"] != "FLOWING" {
		t.Errorf("flow event %v", got)
	}
}

func TestFeedback(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	s, from := sink(w, e), source(w, e)
	p := newPeer(t, "127.0.0.1")
	p.join(w, e, p.offer("video", "RTP/AVPF 96", append(vp8Lines, "b=AS:800")...))
	producer := from.Producers[pipeline.Video]

	// We ask: a keyframe at once, since the sink has just come; what was lost; and a bitrate.
	p.send(vp8(1, true), vp8(4, false))
	reported(p, func(x *rtcp.PictureLossIndication) bool { return x.MediaSSRC == 77 })
	n := reported(p, func(x *rtcp.TransportLayerNack) bool { return x.MediaSSRC == 77 })
	if list := n.Nacks[0].PacketList(); fmt.Sprint(list) != "[2 3]" {
		t.Errorf("asked for %v", list)
	}
	p.send(vp8(2, false), vp8(3, false))
	got(t, s, pipeline.Video, 4)
	elementtest.Eventually(t, "nothing is missing", func() bool { _, more := e.receivers[pipeline.Video].nextAsk(); return !more })
	remb := reported(p, func(x *rtcp.ReceiverEstimatedMaximumBitrate) bool { return true })
	if remb.Bitrate < 290_000 || remb.Bitrate > 400_000 || remb.SSRCs[0] != 77 {
		t.Errorf("first REMB %v", remb)
	}
	s.Got[pipeline.Video].Link().Feedback(pipeline.Feedback{Wish: pipeline.WishBitrate, BitrateBps: 123_000})
	reported(p, func(x *rtcp.ReceiverEstimatedMaximumBitrate) bool { return x.Bitrate > 122_000 && x.Bitrate < 124_000 })

	// The peer asks.
	own := e.senders[pipeline.Video].ssrc
	from.Send(pipeline.Video, 3)
	first := p.recv()
	p.recv()
	p.recv()
	asked := producer.Count(pipeline.WishKeyFrame)
	p.report(&rtcp.PictureLossIndication{MediaSSRC: own})
	elementtest.Eventually(t, "a PLI reaches the source", func() bool { return producer.Count(pipeline.WishKeyFrame) > asked })
	p.report(&rtcp.TransportLayerNack{MediaSSRC: own, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{first.SequenceNumber})})
	if again := p.recv(); again.SequenceNumber != first.SequenceNumber || again.Timestamp != first.Timestamp || again.Payload[0] != first.Payload[0] {
		t.Errorf("resent %v for %v", again, first)
	}
	bitrates := producer.Count(pipeline.WishBitrate)
	p.report(&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: 5_000_000, SSRCs: []uint32{own}})
	elementtest.Eventually(t, "a REMB reaches the source", func() bool { return producer.Count(pipeline.WishBitrate) > bitrates })
	p.report(&rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: own, SequenceNumber: 1}}})
	sr := reported(p, func(x *rtcp.SenderReport) bool { return x.SSRC == own })
	p.report(&rtcp.ReceiverReport{SSRC: 77, Reports: []rtcp.ReceptionReport{{
		SSRC: own, FractionLost: 64, TotalLost: 3, LastSenderReport: uint32(sr.NTPTime >> 16),
	}}})
	elementtest.Eventually(t, "statistics tell all of it", func() bool {
		row := stat[elements.RTCOutboundRTPStreamStats](t, w, e)
		return row.PliCount == 1 && row.FirCount == 1 && row.NackCount >= 2 && row.Remb == 5_000_000 &&
			row.FractionLost == 0.25 && row.PacketsLost == 3 && row.RoundTripTime > 0
	})
	in := stat[elements.RTCInboundRTPStreamStats](t, w, e)
	if in.PliCount == 0 || in.Remb == 0 || in.PacketsLost != 0 {
		t.Errorf("inbound statistics %+v", in)
	}
}

func TestSendBound(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	for _, c := range []struct{ remb, as, want int }{
		{0, 0, 0}, {300_000, 0, 300_000}, {50_000, 0, 100_000}, {900_000, 0, 500_000}, {900_000, 200, 200_000}, {0, 2000, 2_000_000},
	} {
		if got := e.sendBound(c.remb, c.as); got != c.want {
			t.Errorf("REMB %d and AS %d give %d, want %d", c.remb, c.as, got, c.want)
		}
	}
	w.Call(e, "setMaxVideoSendBandwidth", map[string]any{"maxVideoSendBandwidth": 700})
	if got := e.sendBound(0, 0); got != 700_000 {
		t.Errorf("a set maximum gives %d", got)
	}
	w.Call(e, "setMaxVideoSendBandwidth", map[string]any{"maxVideoSendBandwidth": 0})
	if got := e.sendBound(9_000_000, 0); got != 9_000_000 {
		t.Errorf("no maximum gives %d", got)
	}
}

// comedia: the first source is the peer, wherever it is; nobody after it.
func TestComedia(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	s, from := sink(w, e), source(w, e)
	p := newPeer(t, "127.0.0.3") // not what its description says
	p.join(w, e, p.offer("video", "RTP/AVPF 96", append(vp8Lines, "a=direction:active")...))
	if got := w.Call(e, "getConnectionState", nil); got != "DISCONNECTED" {
		t.Errorf("connection state %v before the first packet", got)
	}
	from.Send(pipeline.Video, 1)
	p.nothing()
	// Noise and reports do not show who the peer is.
	stranger := newPeer(t, "127.0.0.2")
	stranger.toRTP, stranger.toCtl = p.toRTP, p.toCtl
	stranger.raw(stranger.rtp, []byte("not RTP, but long enough"), p.toRTP)
	stranger.report(&rtcp.ReceiverReport{SSRC: 5})
	elementtest.Eventually(t, "noise is dropped", func() bool { return e.counters.malformed.Load() == 1 && e.counters.refused.Load() == 1 })
	p.send(vp8(1, true))
	got(t, s, pipeline.Video, 1)
	if got := w.WaitEvents(e, "ConnectionStateChanged", 1); got[0].Data["newState"] != "CONNECTED" {
		t.Errorf("connection state event %v", got)
	}
	from.Send(pipeline.Video, 30) // 1 to 30
	if x := p.recv(); x.Payload[0] != 30 {
		t.Errorf("the peer gets %v", x)
	}
	stranger.send(vp8(2, true))
	other := newPeer(t, "127.0.0.3") // the same address, another port
	other.toRTP = p.toRTP
	other.send(vp8(2, true))
	p.send(vp8(2, false))
	if packets := got(t, s, pipeline.Video, 2); packets[1].Key {
		t.Error("a stranger's packet was taken")
	}
	elementtest.Eventually(t, "strangers are refused", func() bool { return e.counters.refused.Load() == 3 })
	p.report(&rtcp.ReceiverReport{SSRC: 77})
	reported(p, func(*rtcp.SenderReport) bool { return true })
}

func TestSourceLock(t *testing.T) {
	start := time.Now()
	at := func(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }
	told := &remote{rtp: at("10.0.0.1:5000"), rtcp: at("10.0.0.1:5001")}
	comedia := &remote{rtp: told.rtp, rtcp: told.rtcp, comedia: true}
	late := start.Add(comediaWindow + time.Second)

	var l sourceLock
	if l.allows(told.rtp, false, start) {
		t.Error("open before negotiation")
	}
	l.settle(told, false, start)
	if !l.allows(at("10.0.0.1:9"), false, late) || l.allows(at("10.0.0.2:5000"), false, start) || l.allows(at("10.0.0.2:5000"), true, late) {
		t.Error("the description's address is not the rule")
	}
	if l.heard(at("10.0.0.1:9"), false, start) {
		t.Error("learnt though nobody asked for it")
	}
	if to, ok := l.target(true, start); !ok || to != told.rtcp {
		t.Errorf("reports go to %v, %v", to, ok)
	}

	l = sourceLock{self: netip.MustParseAddr("10.0.0.9")}
	l.settle(&remote{rtp: at("127.0.0.1:5000")}, false, start)
	if !l.allows(at("10.0.0.9:7"), false, start) || l.allows(at("127.0.0.2:5000"), false, start) || l.allows(at("10.0.0.8:5000"), false, start) {
		t.Error("a peer on this host is more or less than this host")
	}

	l = sourceLock{}
	l.settle(comedia, false, start)
	if _, ok := l.target(false, start); ok || l.settled(start) {
		t.Error("sends before it has learnt")
	}
	if !l.allows(at("8.8.8.8:1"), false, start) || l.allows(at("8.8.8.8:1"), true, start) {
		t.Error("not only the first media shows the source")
	}
	// Too late: the description counts.
	if l.allows(at("8.8.8.8:1"), false, late) || !l.allows(at("10.0.0.1:1"), false, late) || !l.settled(late) || l.heard(at("8.8.8.8:1"), false, late) {
		t.Error("the window does not end")
	}
	if to, ok := l.target(false, late); !ok || to != told.rtp {
		t.Errorf("after the window media goes to %v, %v", to, ok)
	}

	l = sourceLock{}
	l.settle(comedia, true, start) // SRTP: whoever holds the key
	if !l.allows(at("8.8.8.8:1"), false, late) || !l.heard(at("8.8.8.8:6"), false, late) || l.heard(at("9.9.9.9:1"), false, late) {
		t.Error("with keys the first authentic source is not learnt once")
	}
	if to, _ := l.target(true, late); to != at("8.8.8.8:7") {
		t.Errorf("reports go to %v", to)
	}
	if l.allows(at("8.8.8.9:7"), true, late) || !l.allows(at("8.8.8.8:70"), true, late) {
		t.Error("reports of another address are taken, or none")
	}
	l.heard(at("8.8.8.8:70"), true, late)
	if to, _ := l.target(true, late); to != at("8.8.8.8:70") || l.allows(at("8.8.8.8:71"), true, late) {
		t.Error("the source of reports is not learnt once")
	}

	l = sourceLock{}
	l.settle(&remote{rtp: at("0.0.0.0:5000"), rtcp: at("0.0.0.0:5001")}, false, start)
	if !l.allows(at("10.0.0.1:1"), false, start) || !l.heard(at("10.0.0.1:1"), false, start) {
		t.Error("a peer without an address is not learnt")
	}
	if _, ok := l.target(false, start); ok {
		t.Error("sends to a peer on hold")
	}
}

func TestMultiplexed(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	s := sink(w, e)
	p := newPeer(t, "127.0.0.1")
	p.join(w, e, p.offer("video", "RTP/AVPF 96", append(vp8Lines, "a=rtcp-mux")...))
	if p.toCtl != p.toRTP {
		t.Fatalf("two ports: %v %v", p.toRTP, p.toCtl)
	}
	p.rtcp = p.rtp
	p.send(vp8(1, true))
	got(t, s, pipeline.Video, 1)
	p.report(&rtcp.SenderReport{SSRC: 77, NTPTime: toNTP(time.Now()), RTPTime: 3000})
	reported(p, func(x *rtcp.ReceiverReport) bool { return len(x.Reports) == 1 && x.Reports[0].LastSenderReport != 0 })
}

// States: the first datagram connects, a goodbye or silence disconnects.
func TestMediaState(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	p := newPeer(t, "127.0.0.1")
	p.join(w, e, p.offer("video", "RTP/AVPF 96", vp8Lines...))
	state := func(n int, want string) {
		t.Helper()
		if got := w.WaitEvents(e, "MediaStateChanged", n); got[n-1].Data["newState"] != want {
			t.Errorf("event %d is %v, want %s", n, got[n-1], want)
		}
		if got := w.Call(e, "getMediaState", nil); got != want {
			t.Errorf("state is %v, want %s", got, want)
		}
	}
	p.report(&rtcp.SenderReport{SSRC: 77})
	state(1, "CONNECTED")
	p.send(vp8(1, true))
	elementtest.Eventually(t, "the packet is in", func() bool { return len(e.stats(context.Background(), pipeline.Video)) == 2 })
	p.report(&rtcp.ReceiverReport{SSRC: 77}, &rtcp.Goodbye{Sources: []uint32{77}})
	state(2, "DISCONNECTED")
	p.send(vp8(2, false))
	state(3, "CONNECTED")
	e.lastAlive.Store(time.Now().Add(-silence).UnixNano())
	state(4, "DISCONNECTED")
	// Close tells the peer.
	w.Release(e)
	own := e.senders[pipeline.Video].ssrc
	reported(p, func(x *rtcp.Goodbye) bool { return x.Sources[0] == own })
}

// A peer that begins a new stream is followed, without mixing the two.
func TestNewStream(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	s := sink(w, e)
	p := newPeer(t, "127.0.0.1")
	p.join(w, e, p.offer("video", "RTP/AVPF 96", vp8Lines...))
	p.send(vp8(1, true))
	got(t, s, pipeline.Video, 1)
	other := vp8(900, true)
	other.SSRC = 88
	p.send(other) // while the first is alive: some other stream
	p.send(vp8(2, false))
	got(t, s, pipeline.Video, 2)
	p.report(&rtcp.ReceiverReport{SSRC: 77}, &rtcp.Goodbye{Sources: []uint32{77}})
	elementtest.Eventually(t, "goodbye", func() bool { return e.goodbye.Load() })
	p.send(other)
	packets := got(t, s, pipeline.Video, 3)
	if x := packets[2]; x.Header.SSRC != 88 || !x.Gap || x.PTS <= packets[1].PTS {
		t.Errorf("packet of the new stream: %+v after %v", x, packets[1].PTS)
	}
}

// Directions: what was not agreed does not flow.
func TestDirections(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	s, from := sink(w, e), source(w, e)
	p := newPeer(t, "127.0.0.1")
	p.join(w, e, p.offer("video", "RTP/AVPF 96", append(vp8Lines, "a=sendonly")...))
	from.Send(pipeline.Video, 31)
	p.send(vp8(1, true))
	got(t, s, pipeline.Video, 1)
	p.nothing()
	if got := w.Events(e, "Error"); len(got) != 0 {
		t.Errorf("errors %v", got)
	}

	e = endpoint(w, nil)
	s, from = sink(w, e), source(w, e)
	p = newPeer(t, "127.0.0.1")
	p.join(w, e, p.offer("video", "RTP/AVPF 96", append(vp8Lines, "a=recvonly")...))
	p.send(vp8(1, true))
	from.Send(pipeline.Video, 31)
	p.recv()
	elementtest.Eventually(t, "the peer was heard", func() bool { return e.lastAlive.Load() != 0 })
	if n := len(s.Got[pipeline.Video].Packets()); n != 0 {
		t.Errorf("%d packets of a peer that only receives", n)
	}
}

// NTP times keep an instant (RFC 3550 §4).
func TestNTPTime(t *testing.T) {
	now := time.Now()
	if back := ntpTime(toNTP(now)); back.Sub(now).Abs() > time.Microsecond {
		t.Errorf("NTP time is %v off", back.Sub(now))
	}
}

func TestEstimate(t *testing.T) {
	p := defaults().remb
	var e estimate
	first := e.next(p, 0, 0, 1, 0, 0)
	if first < 300_000 || first > 320_000 {
		t.Errorf("begins at %d", first)
	}
	if grown := e.next(p, 125_000, 0, 1, 0, 0); grown < 1_000_000 {
		t.Errorf("a megabit came without loss, and %d is announced", grown)
	}
	if after := e.next(p, 250_000, 128, 1, 0, 0); after < 450_000 || after > 550_000 {
		t.Errorf("half was lost, and %d is announced", after)
	}
	if low := e.next(p, 250_100, 255, 1, 40_000, 0); low != 40_000 {
		t.Errorf("the least is %d", low)
	}
	for range 200 {
		e.next(p, 0, 0, 1, 0, 700_000)
	}
	if top := e.next(p, 0, 0, 1, 0, 700_000); top != 700_000 {
		t.Errorf("the most is %d", top)
	}
}

func TestMissing(t *testing.T) {
	now := time.Now()
	var m missing
	if m.skipped(5, 6, now) || m.skipped(5, 5+maxMissing+2, now) {
		t.Error("nothing, or far too much, is asked for")
	}
	if !m.skipped(65534, 1, now) {
		t.Fatal("a hole is not seen")
	}
	if got := m.due(now); got != nil {
		t.Errorf("asked for %v at once", got)
	}
	m.came(65535)
	asked := 0
	for at := now; ; {
		next, more := m.next()
		if !more {
			break
		}
		at = next
		if got := m.due(at); len(got) == 1 && got[0] == 0 {
			asked++
		} else if got != nil {
			t.Fatalf("asked for %v", got)
		}
		if asked > askTimes {
			t.Fatal("asks for ever")
		}
	}
	if asked != askTimes {
		t.Errorf("asked %d times", asked)
	}
	for i := range uint16(10) {
		m.skipped(i*100, i*100+100, now)
	}
	if len(m.list) > maxMissing {
		t.Errorf("%d numbers are kept", len(m.list))
	}
}

func TestH265Key(t *testing.T) {
	nal := func(typ byte) []byte { return []byte{typ << 1, 1, 0xaa, 0xbb} }
	for name, c := range map[string]struct {
		b    []byte
		want bool
	}{
		"IDR": {nal(19), true}, "CRA": {nal(21), true}, "VPS": {nal(32), true}, "trailing": {nal(1), false}, "SEI": {nal(39), false},
		"fragment of IDR": {[]byte{49 << 1, 1, 0x80 | 19, 0}, true}, "middle of one": {[]byte{49 << 1, 1, 19, 0}, false},
		"aggregate":         {append([]byte{48 << 1, 1, 0, 4}, nal(33)...), true},
		"aggregate of none": {append([]byte{48 << 1, 1, 0, 4}, nal(1)...), false}, "cut aggregate": {[]byte{48 << 1, 1, 0, 9, 38, 1}, false}, "short": {[]byte{38}, false},
	} {
		if got := keyFrame(codec.H265, c.b); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// An answer that refuses a section gives its ports back.
func TestRefusedAnswer(t *testing.T) {
	w := world(t)
	e := endpoint(w, nil)
	w.Call(e, "generateOffer", nil)
	freed := e.usedLegs()[1].ports.rtp
	w.Call(e, "processAnswer", map[string]any{"answer": "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 5000 RTP/AVPF 0\r\nm=video 0 RTP/AVPF 96\r\n"})
	if err := freed.SetReadBuffer(1); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the refused section's port is open: %v", err)
	}
}

func FuzzDatagram(f *testing.F) {
	b, _ := vp8(1, true).Marshal()
	f.Add(b, false)
	r, _ := rtcp.Marshal([]rtcp.Packet{&rtcp.SenderReport{SSRC: 77}, &rtcp.TransportLayerNack{MediaSSRC: 1, Nacks: []rtcp.NackPair{{PacketID: 1}}}})
	f.Add(r, true)
	w := world(f)
	e := endpoint(w, nil)
	from := source(w, e)
	p := newPeer(f, "127.0.0.1")
	p.join(w, e, p.offer("video", "RTP/AVPF 96", vp8Lines...))
	from.Send(pipeline.Video, 31)
	l := e.usedLegs()[0]
	peer := netip.AddrPortFrom(loopback, uint16(port(p.rtp)))
	f.Fuzz(func(t *testing.T, b []byte, control bool) {
		if len(b) > maxDatagram {
			return
		}
		l.take(b, peer, control, time.Now())
	})
}
