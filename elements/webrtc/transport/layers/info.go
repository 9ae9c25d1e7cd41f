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

	entry  bool  // the first packet of a keyframe with all that it needs, in time
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
	structure   *structure // that its templates are of; nil when unknown
	active      uint32     // the decode targets that the sender keeps up
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
	ts     uint32 // of the newest packet
	high   uint16 // its sequence number
	frame  frame  // its frame

	structure *structure // of the dependency descriptor; nil before a keyframe
	sizes     [MaxSpatial]size
	top       int8 // highest spatial layer by VP9's scalability structure
	sps       bool // H264: parameter sets travel in the stream
}

// frame is what only some packets of a frame tell, of H264 and AV1.
type frame struct {
	temporal int8
	spare    bool // H264: it is not referred to
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
	info.End = p.Header.Marker
	if len(p.Payload) == 0 {
		info.End = false
		return // padding
	}
	behind := r.high - p.Header.SequenceNumber
	ahead := !r.begun || behind >= 1<<15 || behind > dropout
	before, another := r.frame, !r.begun || p.Header.Timestamp != r.ts
	if another {
		r.frame = frame{}
	}
	if ahead {
		r.begun, r.high, r.ts = true, p.Header.SequenceNumber, p.Header.Timestamp
	}
	r.readPayload(p.Payload, descriptor, another && ahead, info)
	if !ahead {
		// Nobody begins with a packet that came late: what follows it has passed.
		info.entry = false
		r.frame = before
	}
}

// readPayload reads what a packet carries; fresh tells that it is the first that
// came of a new timestamp.
func (r *Parser) readPayload(p, descriptor []byte, fresh bool, info *Info) {
	var d descriptorFacts
	if len(descriptor) > 0 {
		d = r.readDescriptor(descriptor)
		info.number, info.numbered = d.number, d.ok
	}
	switch r.name {
	case codec.VP8:
		readVP8(p, info)
	case codec.VP9:
		r.readVP9(p, info)
	case codec.H264:
		r.readH264(p, fresh, info)
	case codec.AV1:
		r.readAV1(p, fresh, d.ok, info)
	default:
		info.Begin = fresh
		info.Key = codec.KeyFrameRTP(r.name, p)
		info.entry = info.Key
	}
	// Chromium leaves all that the descriptor says out of VP8's own.
	if d.ok && r.name != codec.VP9 && (r.name != codec.VP8 || info.n == 0) {
		r.describe(&d, info)
	}
	if d.known {
		info.structure, info.active = r.structure, d.active
	}
}
