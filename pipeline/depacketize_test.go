package pipeline

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/codec"
)

// sink remembers units.
type sink struct {
	accepts []Format
	got     []*Packet
}

func (s *sink) Accepts() []Format { return s.accepts }
func (s *sink) Push(p *Packet)    { s.got = append(s.got, p) }

func rtpFormat(name codec.Name) *Format {
	f := &Format{Kind: Audio, Codec: name, Framing: RTP, ClockRate: 48000, Channels: 2}
	if name.IsVideo() {
		f = &Format{Kind: Video, Codec: name, Framing: RTP, ClockRate: 90000}
	}
	return f
}

// conversion counts the keyframe wishes of the depacketization under test.
type conversion struct {
	*depacketization
	wishes int
}

func (c *conversion) Push(p *Packet) {
	if c.push(p) {
		c.wishes++
	}
}

// open starts a conversion that ends in a sink.
func open(t testing.TB, f *Format) (*conversion, *sink) {
	t.Helper()
	s := &sink{}
	to := *f
	to.Framing = Unit
	out := NewOutput(f.Kind, "default", nil, nil)
	in, err := NewDepacketizer().Open(context.Background(), *f, to, out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Connect(s); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); out.Close() })
	d := in.(*depacketization)
	d.patience = time.Hour // by arrival alone, however slow the test is
	return &conversion{depacketization: d}, s
}

var begin = time.Now()

func packet(f *Format, seq uint16, ts uint32, marker bool, ms int, payload ...byte) *Packet {
	return &Packet{
		Format: f, Payload: payload, PTS: time.Duration(ms) * time.Millisecond,
		Arrival: begin.Add(time.Duration(ms) * time.Millisecond),
		Header:  rtp.Header{SequenceNumber: seq, Timestamp: ts, Marker: marker},
	}
}

// VP8 payloads: descriptor with a 15-bit picture id, then a frame.
func vp8Key(id uint16) []byte {
	return []byte{0x90, 0x80, 0x80 | byte(id>>8), byte(id), 0x10, 0, 0, 0x9d, 1, 0x2a, 64, 1, 240, 0}
}
func vp8Delta(id uint16) []byte { return []byte{0x90, 0x80, 0x80 | byte(id>>8), byte(id), 0x11, 1, 2} }
func vp8More() []byte           { return []byte{0x00, 3, 4} }

func TestDepacketizeVP8(t *testing.T) {
	f := rtpFormat(codec.VP8)
	type in struct {
		seq     uint16
		ts      uint32
		marker  bool
		payload []byte
	}
	type out struct {
		ms       int
		key, gap bool
		size     int
	}
	for _, row := range []struct {
		what   string
		in     []in // 100 ms apart
		want   []out
		wishes int
	}{
		{"starts at a keyframe", []in{{1, 0, true, vp8Delta(1)}, {2, 3000, true, vp8Key(2)}, {3, 6000, true, vp8Delta(3)}},
			[]out{{100, true, true, 10}, {200, false, false, 3}}, 1},
		{"frame in two packets over the wrap of sequence, timestamp and picture id",
			[]in{{65534, 1<<32 - 3000, true, vp8Key(0x7fff)}, {65535, 0, false, vp8Delta(0)}, {0, 0, true, vp8More()}, {1, 3000, true, vp8Delta(1)}},
			[]out{{0, true, false, 10}, {100, false, false, 5}, {300, false, false, 3}}, 0},
		{"no marker", []in{{1, 0, false, vp8Key(1)}, {2, 3000, false, vp8Delta(2)}, {3, 3000, false, vp8More()}, {4, 6000, false, vp8Delta(3)}},
			[]out{{0, true, false, 10}, {100, false, false, 5}}, 1},
		{"a frame lost: nothing until the next keyframe",
			[]in{{1, 0, true, vp8Key(1)}, {3, 6000, true, vp8Delta(3)}, {4, 9000, true, vp8Delta(4)}, {5, 12000, true, vp8Delta(5)}, {6, 15000, true, vp8Delta(6)}, {7, 18000, true, vp8Key(7)}},
			[]out{{0, true, false, 10}, {500, true, true, 10}}, 1},
		{"only padding lost: nothing is dropped",
			[]in{{1, 0, true, vp8Key(1)}, {3, 3000, true, vp8Delta(2)}, {4, 6000, true, vp8Delta(3)}, {5, 9000, true, vp8Delta(4)}, {6, 12000, true, vp8Delta(5)}},
			[]out{{0, true, false, 10}, {100, false, false, 3}, {200, false, false, 3}, {300, false, false, 3}, {400, false, false, 3}}, 0},
		{"only padding lost before padding seen",
			[]in{{1, 0, true, vp8Key(1)}, {3, 0, false, nil}, {4, 3000, true, vp8Delta(2)}, {5, 6000, true, vp8Delta(3)}, {6, 9000, true, vp8Delta(4)}},
			[]out{{0, true, false, 10}, {200, false, false, 3}, {300, false, false, 3}, {400, false, false, 3}}, 0},
		{"the end of a frame lost",
			[]in{{1, 0, true, vp8Key(1)}, {2, 3000, false, vp8Delta(2)}, {4, 6000, true, vp8Delta(3)}, {5, 9000, true, vp8Key(4)}, {6, 12000, true, vp8Delta(5)}, {7, 15000, true, vp8Delta(6)}},
			[]out{{0, true, false, 10}, {300, true, true, 10}, {400, false, false, 3}, {500, false, false, 3}}, 0},
	} {
		t.Run(row.what, func(t *testing.T) {
			conv, s := open(t, f)
			for i, p := range row.in {
				conv.Push(packet(f, p.seq, p.ts, p.marker, i*100, p.payload...))
			}
			var got []out
			for _, p := range s.got {
				got = append(got, out{int(p.PTS.Milliseconds()), p.Key, p.Gap, len(p.Payload)})
			}
			if !slices.Equal(got, row.want) {
				t.Errorf("got %v, want %v", got, row.want)
			}
			if conv.wishes != row.wishes {
				t.Errorf("%d keyframe wishes, want %d", conv.wishes, row.wishes)
			}
			if len(s.got) > 0 && (s.got[0].Format.Width != 320 || s.got[0].Format.Height != 240 || s.got[0].Format.Framing != Unit) {
				t.Errorf("format %+v, want units of 320×240", *s.got[0].Format)
			}
		})
	}
}

func TestDepacketizeOpus(t *testing.T) {
	f := rtpFormat(codec.Opus)
	conv, s := open(t, f)
	// 20 ms packets, then 400 ms of silence (DTX), then two packets lost at the wrap.
	conv.Push(packet(f, 65533, 0, true, 0, 0xf8, 1))
	conv.Push(packet(f, 65534, 960, false, 20, 0xf8))
	conv.Push(packet(f, 65535, 20160, false, 420, 0xf8, 2))
	conv.Push(packet(f, 2, 23040, false, 480, 0xf8, 3))
	conv.Push(packet(f, 3, 40000, false, 800, 0xf8, 4))
	want := []struct {
		ms  int
		gap bool
	}{{0, false}, {20, false}, {420, false}, {480, true}, {800, false}}
	if len(s.got) != len(want) {
		t.Fatalf("%d units, want %d", len(s.got), len(want))
	}
	for i, p := range s.got {
		p.PTS += 312 * time.Second / 48000 // it is heard that much later than what went in
		if int(p.PTS.Milliseconds()) != want[i].ms || p.Gap != want[i].gap || !p.Key {
			t.Errorf("unit %d at %v, gap %v, key %v; want %d ms, %v, true", i, p.PTS, p.Gap, p.Key, want[i].ms, want[i].gap)
		}
	}
	if conv.wishes != 0 {
		t.Errorf("%d keyframe wishes for audio", conv.wishes)
	}
}

// At the end of a stream nothing follows a hole: time itself ends it.
func TestDepacketizeGivesUpByItself(t *testing.T) {
	f := rtpFormat(codec.Opus)
	to := *f
	to.Framing = Unit
	got := make(chan *Packet, 10)
	out := NewOutput(Audio, "default", nil, nil)
	in, err := NewDepacketizer().Open(context.Background(), *f, to, out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Connect(channel(got)); err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	defer in.Close()
	for _, seq := range []uint16{1, 3, 5, 6} {
		in.Push(packet(f, seq, uint32(seq)*960, false, int(seq)*20, 0xf8, byte(seq)))
	}
	for _, want := range []byte{1, 3, 5, 6} {
		select {
		case p := <-got:
			if p.Payload[1] != want || p.Gap != (want == 3 || want == 5) {
				t.Fatalf("unit %v with gap %v, want unit %d", p.Payload, p.Gap, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("unit %d does not come", want)
		}
	}
}

// channel is an Input that hands on.
type channel chan *Packet

func (c channel) Accepts() []Format { return nil }
func (c channel) Push(p *Packet)    { c <- p }

func TestDepacketizeH264ParameterSets(t *testing.T) {
	f := rtpFormat(codec.H264)
	conv, s := open(t, f)
	sps, pps := []byte{0x67, 0x42, 0xc0, 0x1e, 0xda}, []byte{0x68, 0xce, 0x3c, 0x80}
	stap := []byte{0x78, 0, 5}
	stap = append(append(append(stap, sps...), 0, 4), pps...)
	conv.Push(packet(f, 65535, 0, false, 0, stap...))
	conv.Push(packet(f, 0, 0, false, 0, 0x7c, 0x85, 1, 2))
	conv.Push(packet(f, 1, 0, true, 0, 0x7c, 0x45, 3, 4))
	conv.Push(packet(f, 2, 3000, true, 33, 0x41, 9))
	conv.Push(packet(f, 3, 6000, true, 66, 0x65, 7)) // an IDR that comes bare
	idr := bytes.Join([][]byte{nil, sps, pps, {0x65, 1, 2, 3, 4}}, []byte{0, 0, 0, 1})
	bare := bytes.Join([][]byte{nil, sps, pps, {0x65, 7}}, []byte{0, 0, 0, 1})
	want := [][]byte{idr, {0, 0, 0, 1, 0x41, 9}, bare}
	if len(s.got) != 3 {
		t.Fatalf("%d units, want 3", len(s.got))
	}
	for i, p := range s.got {
		if !bytes.Equal(p.Payload, want[i]) {
			t.Errorf("unit %d: % x\nwant % x", i, p.Payload, want[i])
		}
	}

	f.Fmtp = "packetization-mode=1;sprop-parameter-sets=Z0LAHto=,aM48gA=="
	conv, s = open(t, f)
	conv.Push(packet(f, 3, 6000, true, 66, 0x65, 7))
	if len(s.got) != 1 || !bytes.Equal(s.got[0].Payload, bare) {
		t.Errorf("parameter sets of the SDP are not put before an IDR: %v", s.got)
	}
}

func TestDepacketizeFollowsOneLayer(t *testing.T) {
	f := rtpFormat(codec.VP8)
	conv, s := open(t, f)
	push := func(rid string, seq uint16, ms int, payload []byte) {
		p := packet(f, seq, uint32(ms)*90, true, ms, payload...)
		p.Layer.RID = rid
		conv.Push(p)
	}
	push("h", 1, 0, vp8Key(1))
	push("q", 700, 5, vp8Key(9))
	push("h", 2, 100, vp8Delta(2))
	push("q", 701, 105, vp8Delta(10))
	push("q", 702, 2200, vp8Key(11)) // h has been silent for 2 s
	var got []string
	for _, p := range s.got {
		got = append(got, p.Layer.RID)
	}
	if !slices.Equal(got, []string{"h", "h", "q"}) {
		t.Errorf("units of layers %v, want h h q", got)
	}
}

// The planner finds the depacketizer for a receiver that wants units.
func TestPlannerDepacketizes(t *testing.T) {
	p := New("p", NewDepacketizer())
	defer p.Close()
	out := p.NewOutput(Video, "default", nil)
	s := &sink{accepts: []Format{{Kind: Video, Codec: codec.VP9, Framing: Unit}, {Kind: Video, Codec: codec.VP8, Framing: Unit}}}
	l, err := out.Connect(s)
	if err != nil {
		t.Fatal(err)
	}
	f := rtpFormat(codec.VP8)
	out.Push(packet(f, 1, 0, true, 0, vp8Key(1)...))
	out.Disconnect(l)
	if len(s.got) != 1 || !s.got[0].Key || s.got[0].Format.Framing != Unit {
		t.Errorf("got %v, want one key unit", s.got)
	}
}

func FuzzDepacketize(f *testing.F) {
	f.Add([]byte{4, 0x90, 0x80, 0x80, 1, 0x10, 3, 0x90, 0x80, 0xff})
	f.Add([]byte{3, 0x78, 0, 1, 6, 0x7c, 0x85, 1, 2, 3, 4, 0x7c, 0x45, 3, 4})
	f.Add([]byte{9, 0x18, 0x0a, 0x0b, 0, 0, 0, 0x24, 0xc4, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, name := range []codec.Name{codec.VP8, codec.VP9, codec.H264, codec.AV1, codec.Opus, codec.PCMU} {
			format := rtpFormat(name)
			conv, s := open(t, format)
			rest, seq, ts := b, uint16(65530), uint32(1<<32-10)
			for len(rest) > 1 {
				n := min(int(rest[0]&0x1f), len(rest)-1)
				if rest[0]&0x20 != 0 {
					ts += 3000
				}
				seq += 1 + uint16(rest[0]>>7)
				conv.Push(packet(format, seq, ts, rest[0]&0x40 != 0, int(seq), rest[1:1+n]...))
				rest = rest[1+n:]
			}
			conv.Close()
			for i, u := range s.got {
				if len(u.Payload) == 0 || i == 0 && !u.Key {
					t.Fatalf("%s: unit %d has %d bytes, key %v", name, i, len(u.Payload), u.Key)
				}
			}
		}
	})
}
