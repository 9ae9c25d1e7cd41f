package layers

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// frameID names a frame of the synthetic publisher: encoding, picture, spatial
// layer.
type frameID struct{ enc, picture, spatial int }

// sent is a packet with the truth about it.
type sent struct {
	enc        int
	packet     *pipeline.Packet
	descriptor []byte
	id         frameID
	begin, end bool
	temporal   int
}

// truth is what a decoder needs to know of a frame.
type truth struct {
	packets  int
	refs     []frameID
	key      bool
	temporal int
	damaged  bool // a packet was lost or late, of it or of what it needs
}

// publisher makes streams whose references are known.
type publisher struct {
	name     codec.Name
	encs     int
	spatials int // of each encoding; more than one is SVC
	temporal int // 1 to 3
	kSVC     bool
	flexible bool
	dd       bool // H264 and AV1: with the dependency descriptor
	format   *pipeline.Format
	start    time.Time

	n      int
	e      [MaxEncodings]pubEncoding
	frames map[frameID]*truth
	pts    func(enc, n int) time.Duration // when an encoding's picture was captured
	weight int                            // packets of a picture at most
	rnd    func(n int) int
}

type pubEncoding struct {
	seq     uint16
	tsBase  uint32
	ssrc    uint32
	id      uint16
	tl0     uint8
	key     uint8
	number  uint16
	phase   int // place in the temporal pattern
	wantKey bool
	begun   bool
	last    [MaxSpatial][MaxTemporal]frameID // newest frame of each layer
	has     [MaxSpatial][MaxTemporal]bool
	numbers map[frameID]uint16
}

func newPub(name codec.Name, encs, spatials, temporal int, rnd func(int) int) *publisher {
	p := &publisher{
		name: name, encs: encs, spatials: spatials, temporal: temporal, frames: map[frameID]*truth{}, weight: 3, rnd: rnd,
		format: &pipeline.Format{Kind: pipeline.Video, Codec: name, Framing: pipeline.RTP, ClockRate: 90000},
		start:  time.Now(),
	}
	p.pts = func(_, n int) time.Duration { return time.Duration(n) * time.Second / 30 }
	for i := range p.e {
		p.e[i] = pubEncoding{
			seq: uint16(rnd(1 << 16)), tsBase: uint32(rnd(1 << 32)), ssrc: uint32(100 + i), id: uint16(rnd(1 << 15)),
			tl0: uint8(rnd(256)), key: uint8(rnd(32)), number: uint16(rnd(1 << 16)), numbers: map[frameID]uint16{},
		}
	}
	return p
}

// pattern is the temporal layer of each picture, and whether it is a layer sync.
func (p *publisher) pattern(phase int) (temporal int, sync bool) {
	switch p.temporal {
	case 1:
		return 0, false
	case 2:
		return phase % 2, phase%2 == 1 && phase%8 == 1
	}
	// Every second group lets go up, as encoders do.
	return []int{0, 2, 1, 2}[phase%4], phase%8 == 1 || phase%8 == 2
}

// picture makes the packets of the next picture of every encoding.
func (p *publisher) picture() []sent {
	var out []sent
	for enc := range p.encs {
		out = append(out, p.encode(enc)...)
	}
	p.n++
	return out
}

func (p *publisher) encode(enc int) []sent {
	e := &p.e[enc]
	key := e.wantKey || !e.begun
	if key {
		e.phase, e.wantKey, e.begun = 0, false, true
		e.key = (e.key + 1) & 0x1f
	}
	t, sync := p.pattern(e.phase)
	e.id = (e.id + 1) & 0x7fff
	if t == 0 {
		e.tl0++
	}
	var out []sent
	for s := range p.spatials {
		id := frameID{enc, p.n, s}
		f := &truth{key: key && s == 0, temporal: t}
		if !key {
			f.refs = p.references(e, s, t, sync)
		}
		if s > 0 && (key || !p.kSVC) {
			f.refs = append(f.refs, frameID{enc, p.n, s - 1})
		}
		e.number++
		e.numbers[id] = e.number
		f.packets = 1 + p.rnd(p.weight)
		p.frames[id] = f
		for i := range f.packets {
			out = append(out, p.packet(enc, id, f, i, key, sync))
		}
	}
	for s := range p.spatials {
		e.last[s][t], e.has[s][t] = frameID{enc, p.n, s}, true
		if t == 0 || key {
			for u := 1; u < MaxTemporal; u++ {
				if key {
					e.has[s][u] = false
				}
			}
		}
	}
	e.phase++
	return out
}

// references are those to earlier pictures: without a sync, of each layer that is
// not above, the newest frame.
func (p *publisher) references(e *pubEncoding, s, t int, sync bool) []frameID {
	top := t
	if sync {
		top = 0
	}
	if p.name == codec.H264 && !p.dd {
		top = 0 // two layers, the upper is never referred to
	}
	var refs []frameID
	for u := 0; u <= top; u++ {
		if e.has[s][u] {
			refs = append(refs, e.last[s][u])
		}
	}
	return refs
}

func (p *publisher) packet(enc int, id frameID, f *truth, i int, key, sync bool) sent {
	e := &p.e[enc]
	begin, end := i == 0, i == f.packets-1
	pts := p.pts(enc, p.n)
	e.seq++
	x := sent{enc: enc, id: id, begin: begin, end: end, temporal: f.temporal}
	switch p.name {
	case codec.VP8:
		x.packet = p.wrap(e, pts, vp8Payload(e, f.temporal, sync, begin, key))
	case codec.VP9:
		x.packet = p.wrap(e, pts, p.vp9Payload(e, id, f, begin, end, sync))
	case codec.H264:
		x.packet = p.wrap(e, pts, h264Payload(f.temporal, begin, key, p.dd))
	case codec.AV1:
		x.packet = p.wrap(e, pts, av1Payload(begin, key && id.spatial == 0))
	}
	if p.dd {
		x.descriptor = p.describe(e, id, f, begin, end, key, sync)
	}
	// The frame's name follows the descriptor and header bytes.
	var name [6]byte
	binary.BigEndian.PutUint16(name[:], uint16(id.enc<<8|id.spatial))
	binary.BigEndian.PutUint32(name[2:], uint32(id.picture))
	x.packet.Payload = append(x.packet.Payload, name[:]...)
	x.packet.Header.Marker = end && id.spatial == p.spatials-1
	return x
}

func (p *publisher) wrap(e *pubEncoding, pts time.Duration, payload []byte) *pipeline.Packet {
	return &pipeline.Packet{
		Format: p.format, Payload: payload, PTS: pts, Arrival: p.start.Add(pts),
		Header: rtp.Header{Version: 2, SSRC: e.ssrc, SequenceNumber: e.seq, Timestamp: e.tsBase + uint32(pts.Microseconds()*90/1000)},
	}
}

func vp8Payload(e *pubEncoding, t int, sync, begin, key bool) []byte {
	b := []byte{0x80, 0xf0, 0x80 | byte(e.id>>8), byte(e.id), e.tl0, byte(t)<<6 | e.key}
	if begin {
		b[0] |= 0x10
	}
	if sync {
		b[5] |= 0x20
	}
	frame := []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if key {
		frame = []byte{0, 0, 0, 0x9d, 1, 0x2a, 64, 1, 240, 0}
	}
	return append(b, frame...)
}

func (p *publisher) vp9Payload(e *pubEncoding, id frameID, f *truth, begin, end, sync bool) []byte {
	first := byte(0xa0)
	inter := false
	for _, r := range f.refs {
		inter = inter || r.picture != id.picture
	}
	if inter {
		first |= 0x40
	}
	if p.flexible {
		first |= 0x10
	}
	if begin {
		first |= 0x08
	}
	if end {
		first |= 0x04
	}
	layer := byte(f.temporal)<<5 | byte(id.spatial)<<1
	if f.temporal == 0 && e.phase%8 == 0 {
		layer |= 0x10 // the next group's upper layers begin anew
	}
	if id.spatial > 0 && (f.refs == nil || !p.kSVC || !inter) {
		layer |= 0x01
	}
	structure := f.key && begin
	if structure {
		first |= 0x02
	}
	b := []byte{first, 0x80 | byte(e.id>>8), byte(e.id), layer}
	if !p.flexible {
		b = append(b, e.tl0)
	} else if inter {
		b = append(b, 2) // one reference; nobody looks at the distance
	}
	if structure {
		b = append(b, byte(p.spatials-1)<<5|0x10)
		for s := range p.spatials {
			b = append(b, 0, 160<<s&0xff, 0, 90<<s&0xff)
		}
	}
	return append(b, 0x86, 0, 0)
}

func h264Payload(t int, begin, key, dd bool) []byte {
	switch {
	case key && begin:
		return []byte{24, 0, 4, 0x67, 0x42, 0, 0x1f, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88}
	case key:
		return []byte{0x7c, 5, 0, 0}
	case t > 0 && !dd:
		return []byte{0x01, 0x9a, 0, 0}
	}
	return []byte{0x41, 0x9a, 0, 0}
}

func av1Payload(begin, key bool) []byte {
	b := []byte{0x10, 0x30}
	if !begin {
		b[0] |= 0x80
	}
	if begin && key {
		b[0] |= 0x08
	}
	return b
}
