package layers

import "math/bits"

// DescriptorURI names the header extension of the dependency descriptor (RTP
// Payload Format For AV1, appendix A.8); any codec may carry it.
const DescriptorURI = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"

// Sizes that the descriptor's fields can have (A.8.2).
const (
	maxTemplates = 64
	maxTargets   = 32
)

// Decode target indications (A.8.3, table A.1).
const (
	dtiNone = iota
	dtiDiscardable
	dtiSwitch
	dtiRequired
)

// template is what frames of one kind have in common.
type template struct {
	spatial, temporal int8
	references        bool   // it refers to earlier frames
	spare             bool   // no decode target needs frames after it to have it
	dtis              uint64 // two bits for each decode target
	up                [MaxSpatial]uint8
}

// structure is the template dependency structure of a coded video sequence.
type structure struct {
	number    uint16 // of the frame that brought it
	offset    uint8
	targets   int
	chains    int
	active    uint32 // decode targets that the sender keeps up; changes
	templates []template
	target    [maxTargets]struct{ spatial, temporal int8 }
	sizes     [MaxSpatial]size
	sized     bool
}

// descriptorFacts is one packet's descriptor.
type descriptorFacts struct {
	ok         bool
	begin, end bool
	number     uint16
	attached   bool // it brought a structure
	references bool
	known      bool // the structure is known, what follows is valid
	active     uint32
	kind       template
}

// readDescriptor parses a packet's descriptor and keeps the structure it brings.
func (r *Parser) readDescriptor(b []byte) descriptorFacts {
	var d descriptorFacts
	if len(b) < 3 {
		return d
	}
	d.ok = true
	d.begin, d.end = b[0]&0x80 != 0, b[0]&0x40 != 0
	id := b[0] & 0x3f
	d.number = uint16(b[1])<<8 | uint16(b[2])
	s := r.structure
	if len(b) == 3 {
		if s != nil {
			d.take(s, id)
		}
		return d
	}
	in := bitReader{b: b[3:]}
	attached, activity := in.flag(), in.flag()
	dtis, fdiffs := in.flag(), in.flag()
	in.flag() // chains are not used
	if attached {
		if s = readStructure(&in); s == nil {
			return descriptorFacts{}
		}
	}
	if s == nil {
		return d
	}
	active := s.active
	if activity {
		active = in.bits(s.targets)
	}
	d.take(s, id)
	if !d.known {
		return descriptorFacts{}
	}
	d.references = d.kind.references
	if dtis {
		d.kind.dtis = 0
		for i := range s.targets {
			d.kind.dtis |= uint64(in.bits(2)) << (2 * i)
		}
		d.kind.digest(s)
	}
	if fdiffs {
		d.references = false
		for {
			n := in.bits(2)
			if n == 0 || in.bad {
				break
			}
			d.references = true
			in.bits(4 * int(n))
		}
	}
	if in.bad {
		return descriptorFacts{}
	}
	d.attached, d.active = attached, active
	if attached && r.structure != nil && int16(d.number-r.structure.number) < 0 && r.structure.number-d.number < dropout {
		return d // late: there is a newer one
	}
	s.active = active
	if attached {
		s.number, r.structure = d.number, s
	}
	return d
}

// take looks the template of a frame up.
func (d *descriptorFacts) take(s *structure, id uint8) {
	i := int(id-s.offset) & 0x3f
	if i >= len(s.templates) {
		return
	}
	d.known, d.kind, d.active = true, s.templates[i], s.active
	d.references = d.kind.references
}

// readStructure reads a template dependency structure (A.8.2); nil when it is cut
// off or out of bounds.
func readStructure(in *bitReader) *structure {
	s := &structure{offset: uint8(in.bits(6))}
	s.targets = int(in.bits(5)) + 1
	s.active = uint32(1<<s.targets - 1)
	var spatial, temporal int8
	for next := uint32(0); next != 3; {
		if len(s.templates) == maxTemplates || in.bad {
			return nil
		}
		s.templates = append(s.templates, template{spatial: spatial, temporal: temporal})
		switch next = in.bits(2); next {
		case 1:
			temporal++
		case 2:
			temporal = 0
			spatial++
		}
	}
	if spatial >= 4 || temporal >= 8 {
		return nil // more than the ids of a frame can say
	}
	for i := range s.templates {
		t := &s.templates[i]
		for n := range s.targets {
			dti := in.bits(2)
			t.dtis |= uint64(dti) << (2 * n)
			if dti != dtiNone {
				s.target[n].spatial = max(s.target[n].spatial, t.spatial)
				s.target[n].temporal = max(s.target[n].temporal, t.temporal)
			}
		}
	}
	for i := range s.templates {
		for in.flag() {
			s.templates[i].references = true
			in.bits(4)
		}
	}
	if s.chains = int(in.unsymmetric(uint32(s.targets) + 1)); s.chains > 0 {
		for range s.targets {
			in.unsymmetric(uint32(s.chains))
		}
		in.skip(4 * s.chains * len(s.templates))
	}
	if in.flag() {
		s.sized = true
		for i := range int(spatial) + 1 {
			s.sizes[i] = size{uint16(in.bits(16) + 1), uint16(in.bits(16) + 1)}
		}
	}
	if in.bad {
		return nil
	}
	for i := range s.templates {
		s.templates[i].digest(s)
	}
	return s
}

// digest derives from the decode target indications what a Selector asks for.
func (t *template) digest(s *structure) {
	t.up, t.spare = [MaxSpatial]uint8{}, true
	for i := range s.targets {
		dti := t.dtis >> (2 * i) & 3
		if dti == dtiSwitch {
			at := &t.up[s.target[i].spatial]
			*at = max(*at, uint8(s.target[i].temporal)+1)
		}
		t.spare = t.spare && (dti == dtiNone || dti == dtiDiscardable)
	}
}

// top is the highest spatial layer that is kept up.
func (s *structure) top() int8 {
	var top int8
	for m := s.active; m != 0; m &= m - 1 {
		top = max(top, s.target[bits.TrailingZeros32(m)&(maxTargets-1)].spatial)
	}
	return top
}

// describe puts what the descriptor says into info.
func (r *Parser) describe(d *descriptorFacts, info *Info) {
	info.Begin, info.End = d.begin, d.end
	if !d.known {
		return
	}
	k := &d.kind
	info.Spatial, info.Temporal, info.Discardable = k.spatial, k.temporal, k.spare
	info.up, info.top, info.sync = k.up, r.structure.top(), false
	if d.attached {
		info.Key = d.begin && !d.references && k.spatial == 0
		info.entry = info.Key
	} else {
		info.Key = info.Key && k.spatial == 0
		info.entry = info.entry && info.Key
	}
	if r.structure.sized && d.begin && (!d.references || k.spatial > 0) { // upper ones refer at a keyframe, too
		s := r.structure.sizes[k.spatial]
		info.Width, info.Height = s.width, s.height
	}
}

// bitReader reads big-endian bits; behind the end all are zero and bad is set.
type bitReader struct {
	b   []byte
	at  int // in bits
	bad bool
}

func (r *bitReader) flag() bool { return r.bits(1) != 0 }

// bits reads up to 32.
func (r *bitReader) bits(n int) uint32 {
	if r.at+n > 8*len(r.b) {
		r.at, r.bad = 8*len(r.b), true
		return 0
	}
	var v uint32
	for range n {
		v = v<<1 | uint32(r.b[r.at>>3]>>(7-r.at&7)&1)
		r.at++
	}
	return v
}

func (r *bitReader) skip(n int) {
	if r.at += n; r.at > 8*len(r.b) {
		r.at, r.bad = 8*len(r.b), true
	}
}

// unsymmetric reads ns(n): a number below n (A.8.1).
func (r *bitReader) unsymmetric(n uint32) uint32 {
	w := bits.Len32(n)
	m := uint32(1)<<w - n
	v := r.bits(w - 1)
	if v < m {
		return v
	}
	return v<<1 - m + r.bits(1)
}
