package layers

import (
	"fmt"
	"math/bits"
)

// bitWriter is the inverse of bitReader.
type bitWriter struct {
	b []byte
	n int
}

func (w *bitWriter) bits(v uint32, n int) {
	for i := n - 1; i >= 0; i-- {
		if w.n%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.n/8] |= byte(v>>i&1) << (7 - w.n%8)
		w.n++
	}
}

func (w *bitWriter) flag(b bool) {
	if b {
		w.bits(1, 1)
	} else {
		w.bits(0, 1)
	}
}

func (w *bitWriter) unsymmetric(v, n uint32) {
	k := bits.Len32(n)
	m := uint32(1)<<k - n
	if v < m {
		w.bits(v, k-1)
		return
	}
	w.bits((v+m)>>1, k-1)
	w.bits((v+m)&1, 1)
}

const templateOffset = 61 // template ids wrap at 64

// dti is the indication of a frame at spatial layer s and temporal layer t for the
// decode target of layers us and ut.
func (p *publisher) dti(s, t, us, ut int, key, up bool) uint32 {
	switch {
	case s > us || t > ut:
		return dtiNone
	case key:
		return dtiSwitch
	case s < us && p.kSVC:
		return dtiNone
	case s < us:
		return dtiRequired
	case t == 0 && (up || ut == 0):
		return dtiSwitch
	case t == p.temporal-1 && t == ut && t > 0:
		return dtiDiscardable
	}
	return dtiRequired
}

// structure writes the template dependency structure: one template per layer, all
// with references.
func (p *publisher) structure(w *bitWriter) {
	w.bits(templateOffset, 6)
	targets := p.spatials * p.temporal
	w.bits(uint32(targets-1), 5)
	for s := range p.spatials {
		for t := range p.temporal {
			switch {
			case t < p.temporal-1:
				w.bits(1, 2)
			case s < p.spatials-1:
				w.bits(2, 2)
			default:
				w.bits(3, 2)
			}
		}
	}
	p.layers(func(s, t int) { p.layers(func(us, ut int) { w.bits(p.dti(s, t, us, ut, false, false), 2) }) })
	p.layers(func(s, t int) {
		w.flag(true)
		w.bits(uint32(p.spatials-1), 4)
		w.flag(false)
	})
	w.unsymmetric(uint32(p.spatials), uint32(targets)+1)
	p.layers(func(s, t int) { w.unsymmetric(uint32(s), uint32(p.spatials)) })
	p.layers(func(s, t int) {
		for range p.spatials {
			w.bits(3, 4)
		}
	})
	w.flag(true)
	for s := range p.spatials {
		w.bits(160<<s-1, 16)
		w.bits(90<<s-1, 16)
	}
}

func (p *publisher) layers(f func(s, t int)) {
	for s := range p.spatials {
		for t := range p.temporal {
			f(s, t)
		}
	}
}

// describe writes the dependency descriptor of a packet.
func (p *publisher) describe(e *pubEncoding, id frameID, f *truth, begin, end, key, sync bool) []byte {
	w := &bitWriter{}
	w.flag(begin)
	w.flag(end)
	w.bits(uint32(templateOffset+id.spatial*p.temporal+f.temporal)&63, 6)
	w.bits(uint32(e.number), 16)
	up := f.temporal == 0 && e.phase%8 == 0
	attached := f.key && begin
	if !key && !up {
		return w.b
	}
	w.flag(attached)
	w.flag(false)
	w.flag(true) // own indications
	w.flag(key)  // own references
	w.flag(false)
	if attached {
		p.structure(w)
	}
	p.layers(func(us, ut int) { w.bits(p.dti(id.spatial, f.temporal, us, ut, key, up), 2) })
	if key {
		for range f.refs {
			w.bits(1, 2)
			w.bits(0, 4)
		}
		w.bits(0, 2)
	}
	return w.b
}

// read wants a forwarded descriptor to say what the one that came did, and that
// those decode targets are active that are forwarded.
func (s *subscriber) read(d, came []byte, out *Out, newest bool) {
	got := s.reader.readDescriptor(d)
	if want := s.twin.readDescriptor(came); got.ok != want.ok || got.known != want.known || got.number != want.number+out.FrameAdd || got.begin != want.begin || got.end != want.end ||
		got.attached != want.attached || got.references != want.references || got.kind != want.kind {
		s.wrong = append(s.wrong, fmt.Sprintf("descriptor % x, of % x: %+v", d, came, got))
	}
	if !got.known || !newest {
		return
	}
	for i, target := range s.reader.structure.target[:s.reader.structure.targets] {
		if want := target.spatial <= s.x.capS && target.temporal <= s.x.capT; want != (got.active>>i&1 != 0) {
			s.wrong = append(s.wrong, fmt.Sprintf("descriptor % x: target %+v, forwarded up to %d %d, of %b", d, target, s.x.capS, s.x.capT, got.active))
		}
	}
}
