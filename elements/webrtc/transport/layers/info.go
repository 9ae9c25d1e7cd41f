package layers

import (
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// Limits of what is told apart; what is above is counted with the highest.
const (
	MaxEncodings = 3
	MaxSpatial   = 4
	MaxTemporal  = 4
)

// noCap is the layer that is above all.
const noCap = 127

// Info is what a packet says about the place of its frame among the layers.
type Info struct {
	// Spatial and Temporal are the layer ids, from 0. Spatial is that within one
	// SVC stream: the encodings of a simulcast have 0 each.
	Spatial, Temporal int8
	// Begin and End tell the first and the last packet of a frame; in SVC a picture
	// has one frame per spatial layer.
	Begin, End bool
	// Key tells that a decoder can start at this packet, as codec.KeyFrameRTP does.
	Key bool
	// Discardable tells that no other frame refers to this one.
	Discardable bool
	// Width and Height are in pixels, on keyframes that tell them; else 0.
	Width, Height uint16

	entry  bool  // the first packet of a keyframe with all that it needs
	sync   bool  // needs lower temporal layers only: who follows those may go up to this one
	intra  bool  // of VP9: no earlier picture is needed
	upward bool  // pictures of higher temporal layers that follow need nothing of those layers before
	top    int8  // the highest spatial layer of the stream, as far as it tells
	n      uint8 // span of the counters in the payload descriptor, bytes
	at     uint8 // where it begins
	wide   bool  // the picture id has 15 bits, else 7
	hasID  bool
	tl0At  uint8 // index of TL0PICIDX, 0 for none
	keyAt  uint8 // index of the byte with KEYIDX (five low bits), 0 for none

	tl0, keyIdx uint8
	id          uint16
	number      uint16 // frame number of the dependency descriptor
	numbered    bool
	// up is, per spatial layer, the highest temporal layer plus one that who gets
	// this frame may go up to with it; 0 for none.
	up [MaxSpatial]uint8
}

// Parser reads the layers of one received stream (SSRC). The zero value is ready.
// Not safe for concurrent use.
type Parser struct {
	format *pipeline.Format
	name   codec.Name
	begun  bool
	ts     uint32 // newest timestamp

	structure *structure // of the dependency descriptor; nil before a keyframe
	sizes     [MaxSpatial]size
	top       int8 // highest spatial layer by VP9's scalability structure
	temporal  int8 // of H264's and AV1's current frame
	spare     bool // H264: the current frame is not referred to
	sps       bool // H264: parameter sets travel in the stream
}

type size struct{ width, height uint16 }

// Read fills info from a packet with RTP framing. descriptor is the value of its
// header extension DescriptorURI, nil without. What does not parse is a packet of
// a stream without layers: hostile bytes cost a choice, never more. Of sound every
// packet is a frame to start with.
func (r *Parser) Read(p *pipeline.Packet, descriptor []byte, info *Info) {
	*info = Info{}
	if p.Format != r.format {
		r.format, r.name = p.Format, ""
		if p.Format != nil {
			r.name = p.Format.Codec
		}
	}
	if !r.name.IsVideo() {
		info.Begin, info.End, info.Key, info.entry = true, true, true, true
		return
	}
	fresh := !r.begun || int32(p.Header.Timestamp-r.ts) > 0
	if fresh {
		r.begun, r.ts = true, p.Header.Timestamp
		r.temporal, r.spare = 0, false
	}
	info.End = p.Header.Marker
	if len(p.Payload) == 0 {
		info.End = false
		return // padding
	}
	var d descriptorFacts
	if len(descriptor) > 0 {
		d = r.readDescriptor(descriptor)
		info.number, info.numbered = d.number, d.ok
	}
	switch r.name {
	case codec.VP8:
		readVP8(p.Payload, info)
	case codec.VP9:
		r.readVP9(p.Payload, info)
	case codec.H264:
		r.readH264(p.Payload, fresh, info)
	case codec.AV1:
		r.readAV1(p.Payload, fresh, d.ok, info)
	default:
		info.Begin = fresh
		info.Key = codec.KeyFrameRTP(r.name, p.Payload)
		info.entry = info.Key
	}
	if d.ok && r.name != codec.VP8 && r.name != codec.VP9 {
		r.describe(&d, info)
	}
}
