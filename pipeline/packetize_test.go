package pipeline

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/codec/codectest"
	"github.com/govidu/govidu/internal/kerr"
)

func unitFormat(name codec.Name) *Format {
	f := UnitOf(Audio, name)
	if name.IsVideo() {
		f = UnitOf(Video, name)
	}
	return &f
}

func openPacketizer(t testing.TB, f *Format) (*packetization, *sink) {
	t.Helper()
	s := &sink{}
	to := *f
	to.Framing = RTP
	out := NewOutput(f.Kind, "default", nil, nil)
	in, err := NewPacketizer().Open(context.Background(), *f, to, out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Connect(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	return in.(*packetization), s
}

func unit(f *Format, ms int, key bool, payload ...byte) *Packet {
	d := time.Duration(ms) * time.Millisecond
	return &Packet{Format: f, Payload: payload, PTS: d, Arrival: begin.Add(d), Key: key}
}

// Real frames come out of the depacketizer as they went into the packetizer.
func TestPacketizeRealFrames(t *testing.T) {
	for _, name := range []codec.Name{codec.VP8, codec.VP9, codec.H264, codec.AV1, codec.Opus} {
		t.Run(string(name), func(t *testing.T) {
			frames := codectest.Frames(t, name, codectest.Clip{Width: 640, Height: 480})
			f := unitFormat(name)
			in, packets := openPacketizer(t, f)
			for i, frame := range frames {
				before := len(packets.got)
				in.Push(&Packet{Format: f, Payload: frame.Data, PTS: frame.PTS, Arrival: begin.Add(frame.PTS), Key: frame.Key, Gap: i == 5})
				check(t, name, frame, packets.got[before:], i == 5)
			}
			conv, units := open(t, packets.got[0].Format)
			for _, p := range packets.got {
				conv.Push(p)
			}
			conv.Close()
			if len(units.got) != len(frames) {
				t.Fatalf("%d units of %d come back", len(units.got), len(frames))
			}
			for i, u := range units.got {
				if !bytes.Equal(u.Payload, frames[i].Data) || u.Key != frames[i].Key || u.PTS != frames[i].PTS {
					t.Fatalf("unit %d: %d bytes, key %v, at %v; want %d, %v, %v", i, len(u.Payload), u.Key, u.PTS, len(frames[i].Data), frames[i].Key, frames[i].PTS)
				}
			}
		})
	}
}

// check looks at the packets of one frame.
func check(t *testing.T, name codec.Name, frame codectest.Frame, packets []*Packet, gap bool) {
	t.Helper()
	if len(packets) == 0 {
		t.Fatal("a frame gives no packet")
	}
	for i, p := range packets {
		first, last := i == 0, i == len(packets)-1
		if len(p.Payload) > maxPayload {
			t.Errorf("a payload of %d bytes", len(p.Payload))
		}
		if p.Header.SequenceNumber != packets[0].Header.SequenceNumber+uint16(i) || p.Header.Timestamp != packets[0].Header.Timestamp || p.Header.SSRC != packets[0].Header.SSRC {
			t.Errorf("packet %d has header %+v after %+v", i, p.Header, packets[0].Header)
		}
		if name.IsVideo() && p.Header.Marker != last {
			t.Errorf("packet %d of %d has marker %v", i, len(packets), p.Header.Marker)
		}
		if first && p.Key != frame.Key || p.Key && !frame.Key {
			t.Errorf("packet %d has key %v in a frame with key %v", i, p.Key, frame.Key)
		}
		pts := frame.PTS
		if name == codec.Opus {
			pts += opusLookahead
		}
		if p.Gap != (gap && first) || p.PTS != pts || !p.Arrival.Equal(begin.Add(frame.PTS)) || p.Format.Framing != RTP {
			t.Errorf("packet %d: gap %v, PTS %v, arrival %v, %+v", i, p.Gap, p.PTS, p.Arrival, p.Format)
		}
		if first != codec.FrameStartRTP(name, p.Payload) && name != codec.H264 && name.IsVideo() {
			t.Errorf("packet %d begins a frame: %v", i, !first)
		}
	}
}

func TestPacketizeTimestamps(t *testing.T) {
	for _, row := range []struct {
		name codec.Name
		pts  []time.Duration
		want []uint32 // after the first
	}{
		{codec.VP8, []time.Duration{0, 33333333, 40 * time.Hour}, []uint32{3000, 40 * 3600 * 90000 & (1<<32 - 1)}},
		{codec.Opus, []time.Duration{time.Hour, time.Hour + 20*time.Millisecond, time.Hour + 80*time.Millisecond}, []uint32{960, 3840}},
		{codec.PCMU, []time.Duration{-30 * time.Millisecond, -10 * time.Millisecond, 10 * time.Millisecond}, []uint32{160, 320}},
	} {
		f := unitFormat(row.name)
		in, s := openPacketizer(t, f)
		for _, pts := range row.pts {
			in.Push(&Packet{Format: f, Payload: []byte{0x10, 0, 0, 0x9d, 1, 0x2a, 64, 1, 240, 0}, PTS: pts, Key: true})
		}
		if len(s.got) != 3 {
			t.Fatalf("%s: %d packets", row.name, len(s.got))
		}
		for i, want := range row.want {
			if got := s.got[i+1].Header.Timestamp - s.got[0].Header.Timestamp; got != want {
				t.Errorf("%s: timestamp %d is %d after the first, want %d", row.name, i+1, got, want)
			}
		}
	}
}

func TestPacketizeSound(t *testing.T) {
	f := unitFormat(codec.PCMA)
	in, s := openPacketizer(t, f)
	long := bytes.Repeat([]byte{0xd5}, 3000)
	in.Push(unit(f, 0, true, long...))
	in.Push(unit(f, 375, true, 1, 2))
	lost := unit(f, 500, true, 3)
	lost.Gap = true
	in.Push(lost)
	var sizes []int
	var marks []bool
	var at []time.Duration
	for _, p := range s.got {
		sizes, marks, at = append(sizes, len(p.Payload)), append(marks, p.Header.Marker), append(at, p.PTS)
		if !p.Key || p.Header.PayloadType != 8 {
			t.Errorf("packet with key %v and payload type %d", p.Key, p.Header.PayloadType)
		}
	}
	if !slices.Equal(sizes, []int{1188, 1188, 624, 2, 1}) || !slices.Equal(marks, []bool{true, false, false, false, true}) {
		t.Errorf("sizes %v, markers %v", sizes, marks)
	}
	if at[1] != 148500*time.Microsecond || at[2] != 297*time.Millisecond {
		t.Errorf("split sound at %v", at)
	}
	if d := s.got[2].Header.Timestamp - s.got[0].Header.Timestamp; d != 2*1188 {
		t.Errorf("timestamp goes on by %d samples", d)
	}
}

func TestPacketizeH264(t *testing.T) {
	f := unitFormat(codec.H264)
	in, s := openPacketizer(t, f)
	sps, pps, sei := []byte{0x67, 1, 2}, []byte{0x68, 3}, []byte{0x06, 9}
	idr := append([]byte{0x65}, bytes.Repeat([]byte{7}, 2000)...)
	whole := bytes.Join([][]byte{nil, {0x09, 0x10}, sps, pps, sei, idr, {0x0c, 0xff}}, []byte{0, 0, 0, 1})
	in.Push(unit(f, 0, true, whole...))
	in.Push(unit(f, 33, false, 0, 0, 1, 0x41, 5))
	stap := []byte{0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x68, 3, 0, 2, 0x06, 9}
	want := [][]byte{stap, append([]byte{0x7c, 0x85}, idr[1:1187]...), append([]byte{0x7c, 0x45}, idr[1187:]...), {0x41, 5}}
	if len(s.got) != len(want) {
		t.Fatalf("%d packets, want %d", len(s.got), len(want))
	}
	for i, p := range s.got {
		if !bytes.Equal(p.Payload, want[i]) {
			t.Errorf("payload %d: % x", i, p.Payload[:min(16, len(p.Payload))])
		}
	}
}

// OBUs of two layers do not share a packet, and delimiters do not travel.
func TestPacketizeAV1Layers(t *testing.T) {
	got := av1Payloader{}.payloads([]byte{0x12, 0, 0x36, 0x00, 2, 1, 2, 0x36, 0x08, 2, 3, 4, 0x36, 0x08, 1, 5})
	want := [][]byte{{0, 4, 0x34, 0x00, 1, 2}, {0, 4, 0x34, 0x08, 3, 4, 3, 0x34, 0x08, 5}}
	if len(got) != 2 || !bytes.Equal(got[0], want[0]) || !bytes.Equal(got[1], want[1]) {
		t.Errorf("got % x, want % x", got, want)
	}
}

func TestPacketizeDropsNonsense(t *testing.T) {
	f := unitFormat(codec.H264)
	in, s := openPacketizer(t, f)
	if !in.push(unit(f, 0, true, 1, 2, 3)) { // no start code
		t.Error("no keyframe is asked for")
	}
	if in.push(unit(f, 16, false, 1, 2, 3)) {
		t.Error("a keyframe is asked for twice at once")
	}
	in.Push(unit(f, 33, true, 0, 0, 0, 1, 0x65, 1))
	if len(s.got) != 1 || !s.got[0].Gap {
		t.Errorf("%d packets, want one with a gap", len(s.got))
	}
}

func TestPacketizeRefuses(t *testing.T) {
	h264, vp8 := *unitFormat(codec.H264), *unitFormat(codec.VP8)
	reordered := h264
	reordered.Reordered = true
	for what, pair := range map[string][2]Format{
		"bidirectional frames": {reordered, {Kind: Video, Codec: codec.H264, Framing: RTP}},
		"another codec":        {vp8, {Kind: Video, Codec: codec.H264, Framing: RTP}},
		"units":                {vp8, vp8},
		"raw":                  {{Kind: Video, Codec: RawCodec, Framing: Raw}, {Kind: Video, Codec: RawCodec, Framing: RTP}},
		"H265":                 {UnitOf(Video, codec.H265), {Kind: Video, Codec: codec.H265, Framing: RTP}},
	} {
		if _, ok := NewPacketizer().Cost(pair[0], pair[1]); ok {
			t.Errorf("%s: offered", what)
		}
	}
	if _, err := NewPacketizer().Open(context.Background(), reordered, Format{Framing: RTP}, nil); !errors.Is(err, kerr.UnsupportedMediaType) {
		t.Errorf("bidirectional frames: %v, want %v", err, kerr.UnsupportedMediaType)
	}
}

// The planner packetizes units for a receiver that wants RTP.
func TestPlannerPacketizes(t *testing.T) {
	p := New("p", NewDepacketizer(), NewPacketizer())
	defer p.Close()
	out := p.NewOutput(Video, "default", nil)
	defer out.Close()
	s := &sink{accepts: []Format{{Kind: Video, Codec: codec.VP8, Framing: RTP}}}
	if _, err := out.Connect(s); err != nil {
		t.Fatal(err)
	}
	out.Push(unit(unitFormat(codec.VP8), 0, true, vp8Key(1)[4:]...))
	if len(s.got) != 1 || s.got[0].Format.Framing != RTP || !codec.KeyFrameRTP(codec.VP8, s.got[0].Payload) {
		t.Errorf("got %v, want one RTP packet of a keyframe", s.got)
	}
}

func FuzzPacketize(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 2, 3}, uint16(0))
	f.Add([]byte{0x12, 0, 0x0a, 1, 0, 0x36, 0x08, 0x81, 0x00, 1}, uint16(5000))
	f.Add([]byte{0x82, 0x49, 0x83, 0x42, 0x20, 0x13, 0xf0, 0x0e, 0xf0, 0}, uint16(1184))
	f.Fuzz(func(t *testing.T, b []byte, pad uint16) {
		b = append(b, bytes.Repeat([]byte{3}, int(pad))...)
		for _, name := range []codec.Name{codec.VP8, codec.VP9, codec.H264, codec.AV1, codec.Opus, codec.PCMU} {
			format := unitFormat(name)
			in, s := openPacketizer(t, format)
			in.Push(unit(format, 0, codec.KeyFrameUnit(name, b), b...))
			total := 0
			for i, p := range s.got {
				total += len(p.Payload)
				if len(p.Payload) == 0 || len(p.Payload) > maxPayload && name != codec.Opus {
					t.Fatalf("%s: payload %d has %d bytes", name, i, len(p.Payload))
				}
				if name.IsVideo() && p.Header.Marker != (i == len(s.got)-1) {
					t.Fatalf("%s: marker on packet %d of %d", name, i, len(s.got))
				}
			}
			if total > 2*len(b)+64 && name != codec.H264 && name != codec.AV1 {
				t.Fatalf("%s: %d bytes become %d", name, len(b), total)
			}
			if (name == codec.VP8 || name == codec.VP9) && len(s.got) > 0 && codec.KeyFrameUnit(name, b) {
				conv, units := open(t, s.got[0].Format)
				for _, p := range s.got {
					conv.Push(p)
				}
				conv.Close()
				if len(units.got) != 1 || !bytes.Equal(units.got[0].Payload, b) {
					t.Fatalf("%s: %d bytes do not come back", name, len(b))
				}
			}
		}
	})
}
