package layers

import "encoding/binary"

const (
	// maskBits is how many decode targets Out.Targets has room for; above them is
	// their number. With more, what is active is left as it came.
	maskBits = 26
	// growth is how much longer than what came a descriptor can get, in bytes.
	growth = 1 + (5+maskBits+7)/8
	// MaxDescriptor is the longest descriptor that is forwarded, in bytes: one
	// element of a header extension has no more (RFC 8285 §4.3).
	MaxDescriptor = 255
)

// Describe writes the dependency descriptor of a forwarded packet (appendix A.8.2
// of the AV1 payload format) into dst, and gives its length; 0 when there is none
// or no room. The frame number is put in line, and the decode targets that are not
// forwarded are no longer called active, so that nobody waits for them. References
// are relative, and a keyframe brings its own templates: those stay.
func (o *Out) Describe(dst, descriptor []byte) int {
	n := len(descriptor)
	if n < 3 || n+growth > min(len(dst), MaxDescriptor) {
		return 0
	}
	if o.Targets != 0 {
		if m := o.retarget(dst, descriptor); m != 0 {
			n = m
		} else {
			copy(dst, descriptor)
		}
	} else {
		copy(dst, descriptor)
	}
	binary.BigEndian.PutUint16(dst[1:], binary.BigEndian.Uint16(descriptor[1:])+o.FrameAdd)
	return n
}

// retarget copies a descriptor with another active_decode_targets_bitmask; 0 when
// the descriptor does not fit the structure that is known.
func (o *Out) retarget(dst, descriptor []byte) int {
	count, mask := int(o.Targets>>maskBits), o.Targets&(1<<maskBits-1)
	in := bitReader{b: descriptor, at: 24}
	out := packer{b: dst}
	out.copy(&bitReader{b: descriptor}, 24)
	if len(descriptor) == 3 {
		out.bits(0b01000, 5)
		out.bits(mask, count)
		return out.bytes()
	}
	flags := in.bits(5)
	out.bits(flags|0b01000, 5)
	if flags&0b10000 != 0 {
		templates := in
		if skipStructure(&in) != count {
			return 0
		}
		out.copy(&templates, in.at-templates.at)
	}
	out.bits(mask, count)
	if flags&0b01000 != 0 {
		in.skip(count)
	}
	if in.bad {
		return 0
	}
	out.copy(&in, 8*len(descriptor)-in.at)
	return out.bytes()
}

// skipStructure skips a template dependency structure and gives the number of its
// decode targets, 0 when it is cut off.
func skipStructure(in *bitReader) (targets int) {
	in.skip(6)
	targets = int(in.bits(5)) + 1
	templates, spatial := 0, 0
	for next := uint32(0); next != 3; templates++ {
		if templates == maxTemplates || in.bad {
			return 0
		}
		if next = in.bits(2); next == 2 {
			spatial++
		}
	}
	in.skip(2 * templates * targets)
	for range templates {
		for in.flag() {
			in.skip(4)
		}
	}
	if chains := int(in.unsymmetric(uint32(targets) + 1)); chains > 0 {
		for range targets {
			in.unsymmetric(uint32(chains))
		}
		in.skip(4 * chains * templates)
	}
	if in.flag() {
		in.skip(32 * (spatial + 1))
	}
	if in.bad {
		return 0
	}
	return targets
}

// packer writes big-endian bits; b has room for all.
type packer struct {
	b  []byte
	at int // in bits
}

func (w *packer) bits(v uint32, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.at&7 == 0 {
			w.b[w.at>>3] = 0
		}
		w.b[w.at>>3] |= byte(v>>i&1) << (7 - w.at&7)
		w.at++
	}
}

// copy takes n bits from r.
func (w *packer) copy(r *bitReader, n int) {
	for n > 0 {
		k := min(n, 32)
		w.bits(r.bits(k), k)
		n -= k
	}
}

func (w *packer) bytes() int { return (w.at + 7) / 8 }

// activity is which decode targets a Selector leaves active.
type activity struct {
	of      *structure
	active  uint32 // of the source
	s, t    int8   // caps
	told    bool   // others than the source's: they hold until one says otherwise
	targets uint32
}

// targetsOf is Out.Targets for a packet.
func (a *activity) targetsOf(info *Info, s, t int8) uint32 {
	if a.of != info.structure || a.active != info.active || a.s != s || a.t != t {
		a.digest(info, s, t)
	}
	return a.targets
}

func (a *activity) digest(info *Info, s, t int8) {
	fresh := a.of != info.structure // told by a keyframe: all that are not named are active
	a.of, a.active, a.s, a.t, a.targets = info.structure, info.active, s, t, 0
	x := info.structure
	if x.targets > maskBits {
		return
	}
	mask := info.active
	for i := range x.targets {
		if to := &x.target[i]; to.spatial > s || to.temporal > t {
			mask &^= 1 << i
		}
	}
	switch {
	case mask != info.active:
		a.told = true
	case fresh:
		a.told = false
	}
	if a.told {
		a.targets = uint32(x.targets)<<maskBits | mask
	}
}
