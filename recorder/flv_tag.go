package recorder

import (
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// FLVBody is a unit of H264 or AAC as the body of an FLV tag, which RTMP sends as
// a message of the same kind: 9 for video, 8 for audio (Flash Video File Format
// 10.1 §E.4.2 and §E.4.3).
func FLVBody(au *pipeline.Packet) (kind byte, body []byte) {
	if au.Format.Kind == pipeline.Video {
		head := []byte{0x27, 1, 0, 0, 0}
		if au.Key {
			head[0] = 0x17
		}
		return flvVideo, append(head, codec.AVCC(au.Payload)...)
	}
	payload := bareAAC(au.Payload)
	body = make([]byte, 0, 2+len(payload))
	return flvAudio, append(append(body, 0xaf, 1), payload...)
}

// FLVConfig is the body of the tag that comes before a track's first unit; f is a
// complete format (see Describe).
func FLVConfig(f *pipeline.Format) []byte {
	head := []byte{0xaf, 0}
	if f.Kind == pipeline.Video {
		head = []byte{0x17, 0, 0, 0, 0}
	}
	return append(head, f.Config...)
}
