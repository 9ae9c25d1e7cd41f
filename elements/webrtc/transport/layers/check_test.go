package layers

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
)

// got is a packet as a subscriber sees it.
type got struct {
	out     Out
	seq     int // unwrapped
	payload []byte
	sent    sent
	info    Info
	number  uint16
}

// subscriber collects what a Selector forwards, and judges it.
type subscriber struct {
	x       *Selector
	packets []got
	begun   bool
	last    int

	reader, twin Parser   // of what is forwarded, and of what that was
	wrong        []string // about descriptors
}

func (s *subscriber) take(v sent, info *Info, now time.Time) bool {
	out, ok := s.x.Take(v.enc, v.packet, info, now)
	if !ok {
		return false
	}
	if !s.begun {
		s.begun, s.last = true, int(out.Seq)
	}
	seq := s.last + int(int16(out.Seq-uint16(s.last)))
	s.last = max(s.last, seq)
	g := got{out: out, seq: seq, sent: v, info: *info, payload: slices.Clone(v.packet.Payload)}
	out.Apply(g.payload)
	if len(v.descriptor) > 0 {
		d := make([]byte, MaxDescriptor)
		d = d[:out.Describe(d, v.descriptor)]
		g.number = binary.BigEndian.Uint16(d[1:])
		s.read(d, v.descriptor, &out, s.last == seq)
	}
	s.packets = append(s.packets, g)
	return true
}

// report is what a subscriber's decoder would have found.
type report struct {
	holes, empty, frames, undecodable, incomplete int
	switches                                      int
}

// judge sorts what arrived and fails for what no subscriber may see. Holes and
// incomplete frames are counted: loss explains them.
func (s *subscriber) judge(t *testing.T, pub *publisher) report {
	t.Helper()
	for _, wrong := range s.wrong[:min(len(s.wrong), 5)] {
		t.Error(wrong)
	}
	var r report
	all := slices.Clone(s.packets)
	slices.SortStableFunc(all, func(a, b got) int { return a.seq - b.seq })
	var last got
	var lastTS int64
	count := map[frameID]int{}
	pictures := map[uint32]frameID{} // by timestamp out
	marked := false
	for i, g := range all {
		if i > 0 {
			switch d := g.seq - last.seq; {
			case d == 0:
				t.Fatalf("number %d twice: %+v and %+v", g.seq, last.sent.id, g.sent.id)
			case d > 1:
				r.holes += d - 1
				marked = true // unknown
			}
		}
		if g.out.Empty {
			r.empty++
			last.seq = g.seq
			continue
		}
		id := g.sent.id
		pic := frameID{id.enc, id.picture, 0}
		if old, ok := pictures[g.out.Timestamp]; ok && old != pic {
			t.Fatalf("timestamp %d of %v and of %v", g.out.Timestamp, old, pic)
		}
		if len(pictures) > 0 {
			d := int32(g.out.Timestamp - last.out.Timestamp)
			if d < 0 {
				t.Fatalf("timestamp goes back by %d from %v to %v", -d, last.sent.id, id)
			}
			lastTS += int64(d)
			if id.enc != last.sent.id.enc {
				r.switches++
			} else if d > 0 && !marked && !last.out.Marker && r.holes == 0 {
				t.Fatalf("no marker at the end of %v", last.sent.id)
			}
			if d == 0 && last.out.Marker && r.holes == 0 {
				t.Fatalf("%v goes on after the marker", id)
			}
		}
		pictures[g.out.Timestamp] = pic
		count[id]++
		marked = false
		last = g
	}
	pub.spread()
	done := map[frameID]bool{}
	for _, g := range all {
		id := g.sent.id
		if g.out.Empty || done[id] {
			continue
		}
		f := pub.frames[id]
		if count[id] != f.packets {
			r.incomplete++
			if !f.damaged {
				t.Errorf("%d of %d packets of %v", count[id], f.packets, id)
			}
			continue
		}
		r.frames++
		ok := true
		for _, ref := range f.refs {
			ok = ok && done[ref]
		}
		if !ok {
			r.undecodable++
			if !f.damaged {
				t.Errorf("%v (temporal %d) lacks one of %v", id, f.temporal, f.refs)
			}
			continue
		}
		done[id] = true
	}
	return r
}

// judgeCounters wants the counters of pictures without a break, for a stream
// without loss.
func (s *subscriber) judgeCounters(t *testing.T, pub *publisher) {
	t.Helper()
	r := Parser{}
	var last Info
	var lastID frameID
	var lastNumber uint16
	begun := false
	for _, g := range s.packets {
		p := *g.sent.packet
		p.Payload, p.Header.Timestamp = g.payload, g.out.Timestamp
		var i Info
		r.Read(&p, nil, &i)
		if !g.sent.begin {
			continue
		}
		pictures := uint16(1)
		if g.sent.id.picture == lastID.picture && g.sent.id.enc == lastID.enc {
			pictures = 0
		}
		switch {
		case !begun:
		case pub.name == codec.VP8:
			if d := (i.id - last.id) & 0x7fff; d != pictures {
				t.Fatalf("picture id goes from %d to %d", last.id, i.id)
			}
			if want := last.tl0 + b2u(i.Temporal == 0); i.tl0 != want {
				t.Fatalf("TL0PICIDX %d, want %d", i.tl0, want)
			}
			if want := (last.keyIdx + b2u(i.Key)) & 0x1f; i.keyIdx != want && !i.Key {
				t.Fatalf("KEYIDX %d, want %d", i.keyIdx, want)
			}
		case pub.name == codec.VP9:
			want := uint16(g.sent.id.picture - lastID.picture)
			if g.sent.id.enc != lastID.enc {
				want = 1
			}
			if d := (i.id - last.id) & 0x7fff; d != want {
				t.Fatalf("picture id goes from %d to %d, want %d on", last.id, i.id, want)
			}
			if i.tl0At != 0 && pictures > 0 {
				if d := i.tl0 - last.tl0; d > 1 {
					t.Fatalf("TL0PICIDX goes from %d to %d", last.tl0, i.tl0)
				}
			}
		}
		if begun && pub.dd {
			d := g.number - lastNumber
			switch {
			case g.sent.id.enc != lastID.enc && d != 1, int16(d) <= 0:
				t.Fatalf("frame number goes from %d to %d", lastNumber, g.number)
			case g.sent.id.enc == lastID.enc:
				if want := pub.e[g.sent.enc].numbers[g.sent.id] - pub.e[g.sent.enc].numbers[lastID]; d != want {
					t.Fatalf("frame number %d on, want %d", d, want)
				}
			}
		}
		begun, last, lastID, lastNumber = true, i, g.sent.id, g.number
	}
}

func b2u(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// spread passes damage on to the frames that need damaged ones.
func (p *publisher) spread() {
	for n := range p.n {
		for enc := range p.encs {
			for s := range p.spatials {
				f := p.frames[frameID{enc, n, s}]
				for _, ref := range f.refs {
					f.damaged = f.damaged || p.frames[ref].damaged
				}
			}
		}
	}
}
