package layers

import (
	"testing"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

func packetOf(name codec.Name, ts uint32, marker bool, payload ...byte) *pipeline.Packet {
	return &pipeline.Packet{
		Format: &pipeline.Format{Kind: pipeline.Video, Codec: name, Framing: pipeline.RTP, ClockRate: 90000},
		Header: rtp.Header{SequenceNumber: uint16(ts), Timestamp: ts, Marker: marker}, Payload: payload,
	}
}

func TestRead(t *testing.T) {
	for _, c := range []struct {
		what    string
		name    codec.Name
		marker  bool
		payload []byte
		want    Info
	}{
		{"VP8 without extensions", codec.VP8, false, []byte{0x10, 1}, Info{Begin: true}},
		{"VP8 keyframe with its size", codec.VP8, true, []byte{0x10, 0, 0, 0, 0x9d, 1, 0x2a, 0x80, 0x42, 0x68, 0x81},
			Info{Begin: true, End: true, Key: true, entry: true, Width: 640, Height: 360}},
		{"VP8 second partition", codec.VP8, false, []byte{0x11, 0}, Info{}},
		{"VP8 layer 2, sync, not referred to", codec.VP8, true, []byte{0xb0, 0xf0, 0x81, 2, 3, 0xb1 | 0x08, 1},
			Info{Begin: true, End: true, Temporal: 2, sync: true, Discardable: true, hasID: true, wide: true, id: 0x102, tl0At: 4, tl0: 3, keyAt: 5, keyIdx: 0x19, at: 2, n: 4}},
		{"VP8 short picture id, layer byte only", codec.VP8, false, []byte{0x90, 0xa0, 5, 0x40, 1},
			Info{Begin: true, Temporal: 1, hasID: true, id: 5, at: 2, n: 2}},
		{"VP8 base with a sync bit", codec.VP8, false, []byte{0x90, 0x20, 0x20, 1}, Info{Begin: true, at: 2, n: 1}},
		{"VP8 cut off", codec.VP8, false, []byte{0x90, 0xf0, 0x81}, Info{Begin: true}},
		{"VP9 without layers", codec.VP9, true, []byte{0x8c, 0x81, 2, 0x82, 0, 0},
			Info{Begin: true, End: true, Key: true, entry: true, intra: true, hasID: true, wide: true, id: 0x102, at: 1, n: 2}},
		{"VP9 fixed pattern, up from here", codec.VP9, false, []byte{0xe8, 0x7f, 0x34, 9, 0},
			Info{Begin: true, Temporal: 1, Spatial: 2, upward: true, hasID: true, id: 0x7f, tl0At: 3, tl0: 9, at: 1, n: 3}},
		{"VP9 flexible with references", codec.VP9, false, []byte{0xf4, 5, 0x43, 3, 2, 0},
			Info{End: true, Temporal: 2, Spatial: 1, hasID: true, id: 5, at: 1, n: 2}},
		{"VP9 upper spatial layer of a keyframe", codec.VP9, true, []byte{0xac, 5, 0x03, 1, 0},
			Info{Begin: true, End: true, Spatial: 1, intra: true, hasID: true, id: 5, tl0At: 3, tl0: 1, at: 1, n: 3}},
		{"VP9 four references", codec.VP9, false, []byte{0xf8, 5, 0x00, 3, 3, 3, 3, 0}, Info{}},
		{"VP9 cut off", codec.VP9, false, []byte{0xa8, 0x85}, Info{}},
		{"H264 slice", codec.H264, true, []byte{0x41, 0x9a}, Info{Begin: true, End: true}},
		{"H264 slice that nothing needs", codec.H264, true, []byte{0x01, 0x9a}, Info{Begin: true, End: true, Temporal: 1, Discardable: true, sync: true}},
		{"H264 fragment that nothing needs", codec.H264, false, []byte{0x1c, 0x81, 1}, Info{Begin: true, Temporal: 1, Discardable: true, sync: true}},
		{"H264 delimiter", codec.H264, false, []byte{0x09, 0x10}, Info{Begin: true}},
		{"H264 SVC prefix with a slice", codec.H264, true, []byte{0x78, 0, 4, 0x6e, 0x80, 0x80, 0x47, 0, 2, 0x41, 0x9a}, Info{Begin: true, End: true, Temporal: 2}},
		{"H264 IDR without parameter sets ever", codec.H264, true, []byte{0x65, 0x88}, Info{Begin: true, End: true, Key: true, entry: true}},
		{"H264 aggregate cut off", codec.H264, true, []byte{0x78, 0, 9, 0x67}, Info{Begin: true, End: true}},
		{"AV1 new sequence", codec.AV1, false, []byte{0x18, 0x30}, Info{Begin: true, Key: true, entry: true}},
		{"AV1 with a layer", codec.AV1, true, []byte{0x10, 0x34, 0x40}, Info{Begin: true, End: true, Temporal: 2}},
		{"AV1 layer after a delimiter", codec.AV1, true, []byte{0x20, 1, 0x10, 0x34, 0x20}, Info{Begin: true, End: true, Temporal: 1}},
		{"AV1 continued", codec.AV1, true, []byte{0x90, 0x34}, Info{End: true}},
		{"padding", codec.VP8, true, nil, Info{}},
		{"sound", codec.Opus, true, []byte{1}, Info{Begin: true, End: true, Key: true, entry: true}},
		{"H265", codec.H265, true, []byte{1, 2}, Info{Begin: true, End: true}},
	} {
		t.Run(c.what, func(t *testing.T) {
			var r Parser
			var got Info
			r.Read(packetOf(c.name, 7, c.marker, c.payload...), nil, &got)
			if got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// TestReadAsCodec wants Key to be what the rest of the house takes for a keyframe.
func TestReadAsCodec(t *testing.T) {
	for _, s := range shapes {
		x := newTraffic(s, 20)
		for i, v := range x.sent {
			if s.dd && s.name == codec.AV1 {
				if want := v.begin && x.w.pub.frames[v.id].key; x.infos[i].Key != want {
					t.Fatalf("%v: %v is a key: %v", s, v.id, x.infos[i].Key)
				}
				continue
			}
			if want := codec.KeyFrameRTP(s.name, v.packet.Payload); x.infos[i].Key != want {
				t.Fatalf("%v: %v is a key: %v", s, v.id, x.infos[i].Key)
			}
		}
	}
}

func TestH264Frames(t *testing.T) {
	var r Parser
	var i Info
	read := func(ts uint32, payload ...byte) Info {
		r.Read(packetOf(codec.H264, ts, false, payload...), nil, &i)
		return i
	}
	if i := read(1, 0x67, 0x42, 0, 0x1f); !i.Begin || !i.Key || !i.entry {
		t.Errorf("parameter sets: %+v", i)
	}
	// Who begins with this slice lacks the parameter sets that were just before.
	if i := read(1, 0x65, 0x88); i.Begin || !i.Key || i.entry {
		t.Errorf("IDR: %+v", i)
	}
	if i := read(2, 0x6e, 0x80, 0x80, 0x27); i.Temporal != 1 || !i.Begin {
		t.Errorf("prefix: %+v", i)
	}
	if i := read(2, 0x41, 0x9a); i.Temporal != 1 || i.Begin {
		t.Errorf("slice after a prefix: %+v", i)
	}
	if i := read(3, 0x41, 0x9a); i.Temporal != 0 || !i.Begin {
		t.Errorf("next frame: %+v", i)
	}
	if i := read(1, 0x65, 0x88); i.Begin {
		t.Errorf("a late packet begins a frame: %+v", i)
	}
}

// handmade is the descriptor of a keyframe of one spatial and two temporal layers,
// written bit by bit from appendix A.8.2: start, end, template 5, number 0x1234;
// structure attached, nothing of its own. Offset 5, two decode targets; templates
// of layers 0 (twice) and 1; indications SS, SS, -D; references none, 2, 1; one
// chain; 320×180.
var handmade = func() []byte {
	w := &bitWriter{}
	w.bits(0b11_000101, 8)
	w.bits(0x1234, 16)
	w.bits(0b10000, 5)
	w.bits(5, 6)
	w.bits(1, 5)
	w.bits(0b00_01_11, 6)
	w.bits(0b1010_1010_0001, 12)
	w.bits(0b0, 1)
	w.bits(0b1_0001_0, 6)
	w.bits(0b1_0000_0, 6)
	w.bits(0b10, 2) // one chain of at most two: ns(3)
	// protected by: ns(1) takes no bits
	w.bits(0x0_2_1, 12)
	w.bits(1, 1)
	w.bits(319, 16)
	w.bits(179, 16)
	return w.b
}()

func TestReadDescriptor(t *testing.T) {
	var r Parser
	var i Info
	// A delta frame before the first keyframe: only what every descriptor has.
	r.Read(packetOf(codec.AV1, 1, true, 0x10, 0x30), []byte{0xc6, 0, 9}, &i)
	if !i.Begin || !i.End || i.number != 9 || i.Key || i.Temporal != 0 {
		t.Errorf("%+v", i)
	}
	r.Read(packetOf(codec.AV1, 2, true, 0x10, 0x30), handmade, &i)
	if !i.Begin || !i.End || !i.Key || !i.entry || i.number != 0x1234 || i.Width != 320 || i.Height != 180 || i.up != [MaxSpatial]uint8{2} {
		t.Errorf("%+v", i)
	}
	s := r.structure
	if s.targets != 2 || s.chains != 1 || len(s.templates) != 3 || s.target[1].temporal != 1 || s.target[0].temporal != 0 {
		t.Errorf("%+v", s)
	}
	r.Read(packetOf(codec.AV1, 3, true, 0x10, 0x30), []byte{0xc7, 0x12, 0x35}, &i)
	if i.Key || i.Temporal != 1 || !i.Discardable || i.up != [MaxSpatial]uint8{} {
		t.Errorf("upper layer: %+v", i)
	}
	// Own indications: switch for both.
	r.Read(packetOf(codec.AV1, 4, true, 0x10, 0x30), []byte{0xc6, 0x12, 0x36, 0b00100_101, 0b0_0000000}, &i)
	if i.up != [MaxSpatial]uint8{2} || i.Discardable || i.Key {
		t.Errorf("own indications: %+v", i)
	}
	// The sender gives the upper target up.
	r.Read(packetOf(codec.AV1, 5, true, 0x10, 0x30), []byte{0xc6, 0x12, 0x37, 0b01000_01_0}, &i)
	if r.structure.active != 1 {
		t.Errorf("active %b", r.structure.active)
	}
	// An older keyframe comes late: its structure counts no more.
	old := append([]byte{}, handmade...)
	old[1], old[2] = 0x12, 0x30
	if r.Read(packetOf(codec.AV1, 0, true, 0x10, 0x30), old, &i); !i.Key || i.entry || r.structure != s {
		t.Errorf("late keyframe: %+v", i)
	}
	// A template that does not exist, and what is cut off, change nothing.
	for _, d := range [][]byte{{0xc0, 0, 1}, {0xc0, 0, 1, 0}, handmade[:8], handmade[:len(handmade)-1], {0xc6}, {0xc6, 0, 1, 0b00010_100}} {
		r.Read(packetOf(codec.AV1, 6, true, 0x10, 0x30), d, &i)
		if i.Key || i.Temporal != 0 || r.structure != s {
			t.Errorf("% x: %+v", d, i)
		}
	}
}

func TestUnsymmetric(t *testing.T) {
	for n := uint32(1); n < 40; n++ {
		w := &bitWriter{}
		for v := range n {
			w.unsymmetric(v, n)
		}
		r := bitReader{b: w.b}
		for v := range n {
			if got := r.unsymmetric(n); got != v || r.bad {
				t.Fatalf("ns(%d): %d, want %d", n, got, v)
			}
		}
	}
}

// TestOut writes all counters of a payload anew, and nothing else.
func TestOut(t *testing.T) {
	var r Parser
	var i Info
	p := packetOf(codec.VP8, 1, true, 0xb0, 0xf0, 0xff, 0xff, 0xff, 0xbf, 7, 7)
	r.Read(p, nil, &i)
	c := pictures{name: codec.VP8, tl0Add: 2, keyAdd: 3}
	var out Out
	c.patch(p.Payload, &i, 2, &out)
	b := append([]byte{}, p.Payload...)
	out.Apply(b)
	if want := []byte{0xb0, 0xf0, 0x80, 0x01, 0x01, 0xa2, 7, 7}; string(b) != string(want) {
		t.Errorf("% x, want % x", b, want)
	}
	out.Apply(b[:4]) // too short for it: left alone
	d := make([]byte, 20)
	out = Out{FrameAdd: 2}
	if n := out.Describe(d, []byte{0xc0, 0xff, 0xff}); n != 3 || d[0] != 0xc0 || d[1] != 0 || d[2] != 1 {
		t.Errorf("% x", d)
	}
	if out.Describe(d, d[:2]) != 0 || out.Describe(d[:3], d[:3]) != 0 {
		t.Error("a descriptor without an end, or without room")
	}
}
