package transport

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/elements/webrtc/webrtctest"
)

// withRED are Opus, first or second, RED of it, and VP8.
func withRED(t *testing.T, first bool) func(*webrtc.MediaEngine) {
	return func(m *webrtc.MediaEngine) {
		opus := webrtc.RTPCodecParameters{PayloadType: 111, RTPCodecCapability: webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}}
		red := webrtc.RTPCodecParameters{PayloadType: 63, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: "audio/red", ClockRate: 48000, Channels: 2, SDPFmtpLine: "111/111",
		}}
		list := []webrtc.RTPCodecParameters{opus, red}
		if first {
			list = []webrtc.RTPCodecParameters{red, opus}
		}
		for _, c := range list {
			if err := m.RegisterCodec(c, audioKind); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.RegisterCodec(webrtc.RTPCodecParameters{PayloadType: 96, RTPCodecCapability: webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeVP8, ClockRate: 90000,
		}}, videoKind); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWrapRED(t *testing.T) {
	r, base := redundancy{deep: redMost}, uint32(0xffffff00)
	var dst [1400]byte
	send := func(seq uint16, ts uint32, size int) []redPart {
		t.Helper()
		b := r.wrap(dst[:], 111, &layers.Out{Seq: seq, Timestamp: ts}, bytes.Repeat([]byte{byte(seq)}, size))
		var room [redBlocks]redPart
		parts := splitRED(b, &room)
		if parts == nil {
			t.Fatalf("packet %d: not to be split: % x", seq, b[:min(len(b), 40)])
		}
		if last := parts[len(parts)-1]; len(last.payload) != size || last.payload[0] != byte(seq) || last.pt != 111 {
			t.Fatalf("packet %d: it ends with %v", seq, last)
		}
		return parts
	}
	for _, c := range []struct {
		name  string
		seq   uint16
		ts    uint32
		size  int
		wants []uint32 // ages
	}{
		{"the first", 65534, base, 100, nil},
		{"the second", 65535, base + 960, 100, []uint32{960}},
		{"wrapped", 0, base + 1920, 100, []uint32{1920, 960}},
		{"after a loss", 2, base + 3840, 100, nil},
		{"late", 1, base + 2880, 100, []uint32{1920, 960}},
		{"after both", 3, base + 4800, 100, []uint32{1920, 960}},
		{"after silence", 4, base + 4800 + 20_000, 100, nil},
		{"large", 5, base + 4800 + 20_960, 1100, []uint32{960}},
		{"after a large one", 6, base + 4800 + 21_920, 100, nil},
		{"without room", 7, base + 4800 + 22_880, 1300, nil},
	} {
		parts := send(c.seq, c.ts, c.size)
		var ages []uint32
		for i, x := range parts[:len(parts)-1] {
			ages = append(ages, x.age)
			if back := len(parts) - 1 - i; x.payload[0] != byte(c.seq-uint16(back)) {
				t.Errorf("%s: block %d is of packet %d", c.name, i, x.payload[0])
			}
		}
		if !slices.Equal(ages, c.wants) {
			t.Errorf("%s: ages %v, want %v", c.name, ages, c.wants)
		}
	}
	if r.wrap(dst[:100], 111, &layers.Out{Seq: 8}, make([]byte, 100)) != nil {
		t.Error("a packet that does not fit was written")
	}
	if got := testing.AllocsPerRun(100, func() { r.wrap(dst[:], 111, &layers.Out{Seq: 9, Timestamp: 7}, dst[200:300]) }); got != 0 {
		t.Errorf("%v allocations per packet", got)
	}
}

func TestSplitMalformedRED(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":                 {},
		"half a header":           {0xef, 0, 0},
		"no last header":          {0xef, 0, 0, 0},
		"a block without an end":  {0xef, 0, 0x03, 0xff, 0x6f, 1, 2},
		"more blocks than may be": append(bytes.Repeat([]byte{0xef, 0, 0, 0}, redBlocks), 0x6f, 1),
		"nothing but headers":     bytes.Repeat([]byte{0xff}, 1200),
	} {
		var room [redBlocks]redPart
		if got := splitRED(b, &room); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzRED(f *testing.F) {
	f.Add([]byte{0xef, 0x0f, 0, 2, 0x6f, 1, 2, 3})
	f.Add([]byte{0x6f})
	f.Fuzz(func(t *testing.T, b []byte) {
		var room [redBlocks]redPart
		size := 0
		for _, x := range splitRED(b, &room) {
			size += len(x.payload)
		}
		if size > len(b) {
			t.Errorf("%d bytes out of %d", size, len(b))
		}
	})
}

// TestRED loses every third packet of sound on the way to a subscriber, who hears of
// it and reports it: from then on the others carry what is missing.
func TestRED(t *testing.T) {
	e := newEngine(t, nil)
	pub := newPublisher(t, e, webrtctest.Options{}, webrtc.MimeTypeVP8)
	sub := newSubscriber(t, e, webrtctest.Options{Codecs: withRED(t, false)})
	if !strings.Contains(sub.answer, "a=fmtp:63 111/111\r\n") {
		t.Fatalf("answer\n%s", sub.answer)
	}
	link(t, graph(pub.peer), sub.peer, true)
	pub.Frame(true)
	eventually(t, "sound", func() bool { pub.Frame(false); return len(sub.Packets(audioKind)) > 0 })
	for _, p := range sub.Packets(audioKind) {
		if p.PayloadType != 111 {
			t.Fatalf("payload type %d without any loss", p.PayloadType)
		}
	}
	highest, lost := uint32(1000), uint32(0)
	report := func(more uint32) {
		t.Helper()
		highest += 100
		lost += more
		ssrc := sub.peer.Sender(kindOf("audio")).ssrc
		if err := sub.PC.WriteRTCP([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{{SSRC: ssrc, LastSequenceNumber: highest, TotalLost: lost}}}}); err != nil {
			t.Fatal(err)
		}
	}
	report(0)
	report(0)
	var parts []redPart
	var last *rtp.Packet
	eventually(t, "two packets again", func() bool {
		report(33) // until one stands between two others of ours: the library reports too
		pub.Frame(false)
		list := sub.Packets(audioKind)
		last = list[len(list)-1]
		var room [redBlocks]redPart
		if last.PayloadType == 63 {
			parts = splitRED(last.Payload, &room)
		}
		return len(parts) == 1+redMost
	})
	own := binary.BigEndian.Uint32(parts[2].payload[1:])
	for i, x := range parts[:2] {
		if n := binary.BigEndian.Uint32(x.payload[1:]); n != own-uint32(2-i) || x.age != 960*uint32(2-i) || x.pt != 111 {
			t.Errorf("block %d: number %d, %d ticks before %d", i, n, x.age, own)
		}
	}
	eventually(t, "plain sound again", func() bool {
		report(0)
		sub.peer.under(func(*turn) { sub.peer.legs[0].weather.at = time.Now().Add(-time.Minute) })
		pub.Frame(false)
		list := sub.Packets(audioKind)
		return list[len(list)-1].PayloadType == 111
	})
}

// TestPublishedRED has a publisher that repeats its sound: subscribers get it plain,
// and what was lost on the way to us too.
func TestPublishedRED(t *testing.T) {
	e := newEngine(t, nil)
	pub := newPublisher(t, e, webrtctest.Options{Codecs: withRED(t, true), NoNACK: true}, webrtc.MimeTypeVP8)
	sub := newSubscriber(t, e, webrtctest.Options{NoNACK: true})
	link(t, graph(pub.peer), sub.peer, true)
	track := redTrack(t, pub)
	r := redundancy{deep: 1}
	const total = 30
	for i := range uint16(total) {
		var dst [100]byte
		b := r.wrap(dst[:], 111, &layers.Out{Seq: 100 + i, Timestamp: 960 * uint32(i)}, []byte{0xfc, byte(i)})
		if i%3 == 1 {
			continue
		}
		if err := track.WriteRTP(&rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: 100 + i, Timestamp: 960 * uint32(i)}, Payload: b}); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			eventually(t, "the first packet", func() bool { return len(sub.Packets(audioKind)) > 0 })
		}
	}
	eventually(t, "all of them", func() bool { return len(sub.Packets(audioKind)) >= total })
	first := sub.Packets(audioKind)[0]
	seen := map[byte]bool{}
	for _, p := range sub.Packets(audioKind) {
		n := p.Payload[1]
		if p.PayloadType != 111 || len(p.Payload) != 2 || seen[n] || p.SequenceNumber-first.SequenceNumber != uint16(n) || p.Timestamp-first.Timestamp != 960*uint32(n) {
			t.Errorf("packet %v: % x", p.Header, p.Payload)
		}
		seen[n] = true
	}
}

func TestLossOver(t *testing.T) {
	type report struct {
		highest uint32
		lost    int64
		want    float64 // less than 0: nothing is said yet
	}
	for name, list := range map[string][]report{
		"lost":      {{100, 0, -1}, {200, 10, -1}, {300, 20, 0.1}, {400, 30, 0.1}, {500, 30, 0.05}, {600, 30, 0}},
		"overtaken": {{100, 0, -1}, {200, 0, -1}, {300, 6, 0.03}, {400, 0, 0}, {500, 5, 0}, {600, 1, 0.005}},
		"doubled":   {{100, 0, -1}, {200, -50, -1}, {300, -100, 0}},
		"wrapped":   {{0xffffffff - 50, 0, -1}, {49, 0, -1}, {149, 20, 0.1}},
		"again":     {{1 << 20, 0, -1}, {1<<20 + 100, 0, -1}, {5, 0, -1}, {105, 50, -1}, {205, 50, 0.25}},
		"no more":   {{100, 0, -1}, {100, 0, -1}, {100, 0, -1}},
	} {
		var o lossOver
		for i, r := range list {
			got, ok := o.heard(r.highest, r.lost)
			if ok != (r.want >= 0) || ok && (got < r.want-1e-9 || got > r.want+1e-9) {
				t.Errorf("%s, report %d: %v, %v, want %v", name, i, got, ok, r.want)
			}
		}
	}
}

func TestWeather(t *testing.T) {
	now := time.Now()
	var w weather
	w.near(80 * time.Millisecond)
	if w.playout() != 0 {
		t.Error("pictures wait though nothing is lost")
	}
	w.heard(0.01, now)
	if w.lossy {
		t.Error("a packet in a hundred is loss")
	}
	for range 4 {
		now = now.Add(time.Second)
		w.heard(0.1, now)
	}
	if !w.lossy || w.loss < 0.08 || w.loss > 0.1 {
		t.Errorf("after reports of a tenth: %+v", w)
	}
	if d := w.playout(); d < 200*time.Millisecond || d > 450*time.Millisecond {
		t.Errorf("pictures wait for %v", d)
	}
	w.near(10 * time.Second)
	if d := w.playout(); d != maxPlayout {
		t.Errorf("on a long way they wait for %v", d)
	}
	for range 5 {
		now = now.Add(time.Second)
		w.heard(0, now)
	}
	if !w.lossy {
		t.Error("five seconds without loss and all is forgotten")
	}
	for range 30 {
		now = now.Add(time.Second)
		w.heard(0, now)
	}
	if w.lossy {
		t.Errorf("half a minute without loss: %+v", w)
	}
}

// TestWeatherSettled: few packets make no share, they are added up.
func TestWeatherSettled(t *testing.T) {
	now := time.Now()
	var w weather
	for i, told := range []bool{false, false, true, false} {
		if got := w.settled(8, 2, now); got != told {
			t.Errorf("round %d: told %v, want %v", i, got, told)
		}
	}
	if w.loss < 0.19 || w.loss > 0.21 || !w.lossy {
		t.Errorf("a fifth was lost: %+v", w)
	}
	if w.near(0); w.rtt != 0 {
		t.Errorf("an unknown round trip is %v", w.rtt)
	}
}

// TestPlayout: no picture waits for so much longer than the one before that it
// stands still, and what jitters does not move them.
func TestPlayout(t *testing.T) {
	now := time.Now()
	var p playout
	var last uint16
	run := func(seconds int, aim func(i int) time.Duration) {
		t.Helper()
		for i := range seconds * 25 {
			if i%25 == 0 {
				p.aim(aim(i/25), now)
			}
			now = now.Add(40 * time.Millisecond)
			u := p.units(now)
			if up := int(u) - int(last); up > 2 && u > 12 || up < -1 {
				t.Fatalf("from %d to %d at once", last, u)
			}
			last = u
		}
	}
	run(4, func(int) time.Duration { return 365 * time.Millisecond })
	if last != 38 {
		t.Errorf("after four seconds: %d, want 38", last)
	}
	run(60, func(i int) time.Duration { return time.Duration(300+60*(i%2)) * time.Millisecond })
	if last != 38 {
		t.Errorf("jitter has moved it to %d", last)
	}
	run(9, func(int) time.Duration { return 0 })
	if last != 38 {
		t.Errorf("it did not hold: %d", last)
	}
	run(5, func(int) time.Duration { return 0 })
	if last < 25 || last >= 38 {
		t.Errorf("five seconds later: %d", last)
	}
	run(30, func(int) time.Duration { return 0 })
	if last != 0 {
		t.Errorf("at last: %d", last)
	}
	now = now.Add(time.Hour)
	p.aim(time.Second/2, now)
	if last = p.units(now); last > 15 {
		t.Errorf("after a pause: %d at once", last)
	}
}
