package codec

import (
	"bytes"
	"testing"
)

func TestKeyFrameRTP(t *testing.T) {
	for _, row := range []struct {
		what    string
		name    Name
		payload []byte
		want    bool
	}{
		{"VP8 key, short descriptor", VP8, []byte{0x10, 0x00}, true},
		{"VP8 delta", VP8, []byte{0x10, 0x01}, false},
		{"VP8 second packet", VP8, []byte{0x00, 0x00}, false},
		{"VP8 second partition", VP8, []byte{0x11, 0x00}, false},
		{"VP8 15-bit picture id at its wrap", VP8, []byte{0x90, 0x80, 0xff, 0xff, 0x00}, true},
		{"VP8 all extensions", VP8, []byte{0x90, 0xf0, 0x80, 0x00, 0x01, 0x20, 0x00}, true},
		{"VP8 descriptor only", VP8, []byte{0x90, 0xf0, 0x80, 0x00, 0x01, 0x20}, false},
		{"VP9 key", VP9, []byte{0x8c, 0xff, 0xff, 0x82}, true},
		{"VP9 inter", VP9, []byte{0xcc, 0x80, 0x01, 0x86}, false},
		{"VP9 key, upper spatial layer", VP9, []byte{0xac, 0x80, 0x01, 0x02, 0x00}, false},
		{"VP9 key, base layer", VP9, []byte{0xac, 0x80, 0x01, 0x00, 0x00}, true},
		{"VP9 cut short", VP9, []byte{0xac, 0x80}, false},
		{"H264 SPS", H264, []byte{0x67, 0x42}, true},
		{"H264 IDR", H264, []byte{0x65, 0x88}, true},
		{"H264 slice", H264, []byte{0x41, 0x9a}, false},
		{"H264 STAP-A with SPS", H264, []byte{0x78, 0, 1, 0x67, 0, 1, 0x68}, true},
		{"H264 STAP-A with slices", H264, []byte{0x78, 0, 1, 0x41, 0, 1, 0x41}, false},
		{"H264 STAP-A that lies", H264, []byte{0x78, 0xff, 0xff, 0x67}, false},
		{"H264 FU-A start of IDR", H264, []byte{0x7c, 0x85, 0x88}, true},
		{"H264 FU-A middle of IDR", H264, []byte{0x7c, 0x05, 0x88}, false},
		{"AV1 new sequence", AV1, []byte{0x18, 0x0a}, true},
		{"AV1 with sequence header", AV1, []byte{0x10, 0x08}, true},
		{"AV1 frame", AV1, []byte{0x10, 0x30}, false},
		{"AV1 continued", AV1, []byte{0x98, 0x08}, false},
		{"opus", Opus, []byte{0xf8}, true},
		{"empty", Opus, nil, false},
	} {
		if got := KeyFrameRTP(row.name, row.payload); got != row.want {
			t.Errorf("%s: got %v, want %v", row.what, got, row.want)
		}
	}
}

func TestPictureID(t *testing.T) {
	for _, row := range []struct {
		name    Name
		payload []byte
		id      uint16
		bits    int
	}{
		{VP8, []byte{0x90, 0x80, 0x7f, 0x00}, 0x7f, 7},
		{VP8, []byte{0x90, 0x80, 0xff, 0xff, 0x00}, 0x7fff, 15},
		{VP8, []byte{0x10, 0x00}, 0, 0},
		{VP9, []byte{0x8c, 0x7f, 0x82}, 0x7f, 7},
		{VP9, []byte{0x8c, 0xff, 0xff, 0x82}, 0x7fff, 15},
		{VP9, []byte{0x0c, 0x82}, 0, 0},
	} {
		id, bits, ok := PictureID(row.name, row.payload)
		if ok != (row.bits > 0) || ok && (id != row.id || bits != row.bits) {
			t.Errorf("%s % x: got %d in %d bits, %v; want %d in %d bits", row.name, row.payload, id, bits, ok, row.id, row.bits)
		}
	}
}

func TestOpusTicks(t *testing.T) {
	for _, row := range []struct {
		packet []byte
		want   int
	}{
		{nil, 0},
		{[]byte{0xf8}, 960},                 // CELT 20 ms, one frame
		{[]byte{0xf9, 0}, 1920},             // two
		{[]byte{0x18}, 2880},                // SILK 60 ms
		{[]byte{0x1b, 2}, 5760},             // 120 ms, the longest
		{[]byte{0x1b, 3}, 0},                // 180 ms is not allowed
		{[]byte{0xfb}, 0},                   // code 3 without a count
		{[]byte{0xe3, 0x80 | 48}, 120 * 48}, // 48 frames of 2.5 ms
	} {
		if got := OpusTicks(row.packet); got != row.want {
			t.Errorf("OpusTicks(% x) = %d, want %d", row.packet, got, row.want)
		}
	}
	if h := OpusHead(1, 312); len(h) != 19 || h[9] != 1 || h[10] != 0x38 || h[11] != 1 {
		t.Errorf("OpusHead: % x", h)
	}
}

func TestNALUnits(t *testing.T) {
	unit := []byte{9, 9, 0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 1, 0x68, 4, 0, 0, 0, 1, 0x65, 5, 0}
	var got [][]byte
	for nal := range NALUnits(unit) {
		got = append(got, nal)
	}
	want := [][]byte{{0x67, 1, 2, 3}, {0x68, 4}, {0x65, 5}}
	if len(got) != len(want) {
		t.Fatalf("got %d NAL units, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("NAL unit %d: % x, want % x", i, got[i], want[i])
		}
	}
	if !bytes.Equal(AVCC(unit), []byte{0, 0, 0, 4, 0x67, 1, 2, 3, 0, 0, 0, 2, 0x68, 4, 0, 0, 0, 2, 0x65, 5}) {
		t.Errorf("AVCC: % x", AVCC(unit))
	}
}

func TestSuperframeIndex(t *testing.T) {
	got := AppendVP9Superframe([][]byte{{1, 2, 3}, {4, 5}})
	want := []byte{1, 2, 3, 4, 5, 0xd9, 3, 0, 0, 0, 2, 0, 0, 0, 0xd9}
	if !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

func FuzzBitstreams(f *testing.F) {
	f.Add([]byte{0x90, 0xf0, 0x80, 0x00, 0x01, 0x20, 0x00})
	f.Add([]byte{0xac, 0x80, 0x01, 0x00, 0x00})
	f.Add([]byte{0x78, 0, 1, 0x67, 0, 1, 0x68})
	f.Add([]byte{0, 0, 0, 1, 0x67, 0x64, 0, 0x0c, 0xac, 0x3b, 0x50, 0xb0, 0x4b, 0x42, 0, 0, 0, 1, 0x68, 0xee, 0, 0, 1, 0x65})
	f.Add([]byte{0x0a, 0x0b, 0, 0, 0, 0x24, 0xc4, 0xff, 0xdf, 0, 0x68, 2, 0, 0x32, 1, 0x10})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, n := range []Name{VP8, VP9, H264, AV1, H265, Opus, PCMU} {
			KeyFrameRTP(n, b)
			FrameStartRTP(n, b)
			PictureID(n, b)
			if w, h, ok := SizeOfUnit(n, b); ok && (w <= 0 || h <= 0 || !n.IsVideo()) {
				t.Fatalf("%s: size %d×%d", n, w, h)
			}
			KeyFrameUnit(n, b)
		}
		if OpusTicks(b) > 5760 {
			t.Fatal("opus packet longer than 120 ms")
		}
		sps, pps := H264Params(b)
		AVCConfig(sps, pps)
		AVCC(b)
		AV1Config(b)
	})
}
