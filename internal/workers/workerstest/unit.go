package workerstest

import (
	"bytes"

	"github.com/govidu/govidu/internal/codec"
)

// Unit makes up an access unit of a codec: its headers are such that keyframes
// are recognised and have the size 320×240 (VP8, H264), but it decodes to nothing.
func Unit(name codec.Name, key bool) []byte {
	switch {
	case name == codec.VP8 && key:
		return []byte{0x10, 0, 0, 0x9d, 1, 0x2a, 64, 1, 240, 0, 1, 2, 3}
	case name == codec.VP8:
		return []byte{0x11, 1, 2, 3}
	case name == codec.H264 && key:
		sps := []byte{0x67, 0x42, 0xc0, 0x1e, 0xda, 0x05, 0x07, 0xe8, 0x40, 0, 0, 3, 0, 0x40, 0, 0, 0x0c, 0xa3, 0xc5, 0x8b, 0xe0}
		return bytes.Join([][]byte{nil, sps, {0x68, 0xce, 0x0f, 0x2c, 0x80}, {0x65, 0x88, 0x84, 0x0a}}, []byte{0, 0, 0, 1})
	case name == codec.H264:
		return []byte{0, 0, 0, 1, 0x41, 0x9a, 0x24, 0x6c}
	case name == codec.VP9 && key:
		return []byte{0x82, 0x49, 0x83, 0x42, 0x20, 0x13, 0xf0, 0x0e, 0xf0, 0}
	case name == codec.VP9:
		return []byte{0x86, 0, 0x40, 0x92}
	case name == codec.AV1 && key:
		return []byte{0x0a, 0x0b, 0, 0, 0, 0x24, 0xc4, 0xff, 0xdf, 0x3f, 0xfe, 0x68, 0x40, 0x32, 2, 0x10, 0}
	case name == codec.AV1:
		return []byte{0x32, 2, 0x30, 0}
	case name == codec.Opus:
		return []byte{0xf8, 0xff, 0xfe}
	}
	return bytes.Repeat([]byte{0xd5}, 160)
}
