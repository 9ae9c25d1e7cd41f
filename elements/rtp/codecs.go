package rtp

import (
	"slices"
	"strings"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// AMR is forwarded between RTP peers that both speak it; nothing here decodes it.
const AMR codec.Name = "AMR"

// known is a codec that we name in offers, in the original's order.
type known struct {
	name     codec.Name
	rate     uint32
	channels uint16
	static   int // payload type of RFC 3551, -1 when dynamic
	fmtp     string
	remb     bool // goog-remb is offered with it, as the original does
}

var audioCodecs = []known{
	{name: codec.Opus, rate: 48000, channels: 2, static: -1},
	{name: codec.PCMU, rate: 8000, channels: 1, static: 0},
	{name: codec.PCMA, rate: 8000, channels: 1, static: 8},
	{name: AMR, rate: 8000, channels: 1, static: -1},
}

var videoCodecs = []known{
	{name: codec.H265, rate: 90000, static: -1},
	{name: codec.AV1, rate: 90000, static: -1, fmtp: "level-idx=5;profile=0;tier=0", remb: true},
	{name: codec.VP9, rate: 90000, static: -1, fmtp: "profile-id=0", remb: true},
	{name: codec.VP8, rate: 90000, static: -1, remb: true},
	{name: codec.H264, rate: 90000, static: -1, fmtp: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
}

func codecsOf(kind pipeline.Kind) []known {
	if kind == pipeline.Audio {
		return audioCodecs
	}
	return videoCodecs
}

// payload is one payload type of a section.
type payload struct {
	pt       uint8
	name     codec.Name
	rate     uint32
	channels uint16
	fmtp     string
	feedback []string // values of a=rtcp-fb without the payload type
}

// has tells whether the payload type's feedback was agreed.
func (p *payload) has(feedback string) bool { return slices.Contains(p.feedback, feedback) }

// ours tells whether a payload type is one of our codecs.
func (p *payload) ours(kind pipeline.Kind) bool {
	for _, k := range codecsOf(kind) {
		if p.name == k.name && p.rate == k.rate {
			return kind == pipeline.Video || p.channels <= 2
		}
	}
	return false
}

// format is what packets of this payload type are on a link.
func (p *payload) format(kind pipeline.Kind) *pipeline.Format {
	f := &pipeline.Format{
		Kind: kind, Codec: p.name, Framing: pipeline.RTP, ClockRate: p.rate, Channels: p.channels, Fmtp: p.fmtp,
	}
	if kind == pipeline.Audio && f.Channels == 0 {
		f.Channels = 1
	}
	return f
}

// parseName is codec.Parse with the names that only this family knows.
func parseName(s string) codec.Name {
	if strings.EqualFold(s, string(AMR)) {
		return AMR
	}
	return codec.Parse(s)
}

// staticPayload is RFC 3551's meaning of a payload type without a=rtpmap.
func staticPayload(pt uint8) (payload, bool) {
	for _, k := range audioCodecs {
		if k.static == int(pt) {
			return payload{pt: pt, name: k.name, rate: k.rate, channels: k.channels}, true
		}
	}
	return payload{}, false
}

// keyFrame tells whether a decoder can start at this RTP payload.
func keyFrame(n codec.Name, b []byte) bool {
	if n == codec.H265 {
		return h265Key(b)
	}
	return codec.KeyFrameRTP(n, b)
}

// NAL unit types of H265 (ITU-T H.265 table 7-1) and of its payload format
// (RFC 7798 §4.4).
const (
	h265IRAPFirst, h265IRAPLast = 16, 23
	h265VPS, h265PPS            = 32, 34
	h265Aggregation             = 48
	h265Fragment                = 49
)

// h265Key is true for parameter sets and for the beginning of a random access
// picture, alone, aggregated or fragmented. Hostile bytes give false.
func h265Key(b []byte) bool {
	if len(b) < 3 {
		return false
	}
	start := func(t byte) bool { return t >= h265IRAPFirst && t <= h265IRAPLast || t >= h265VPS && t <= h265PPS }
	switch t := b[0] >> 1 & 0x3f; t {
	case h265Fragment:
		return b[2]&0x80 != 0 && start(b[2]&0x3f)
	case h265Aggregation:
		for b = b[2:]; len(b) >= 4; {
			n := int(b[0])<<8 | int(b[1])
			if n < 2 || n > len(b)-2 {
				return false
			}
			if start(b[2] >> 1 & 0x3f) {
				return true
			}
			b = b[2+n:]
		}
		return false
	default:
		return start(t)
	}
}
