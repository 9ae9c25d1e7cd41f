package layers

import (
	"time"

	"github.com/govidu/govidu/pipeline"
)

// frame decides about a new frame, and moves the caps where the stream has a place
// for it: down with any picture, as lower layers never need upper ones; up where
// what follows needs nothing that was left out.
func (x *Selector) frame(p *pipeline.Packet, info *Info, now time.Time) bool {
	picture := p.Header.Timestamp != x.inTS
	if x.capS != x.goalS || x.capT != x.goalT {
		x.adjust(picture, info, now)
	}
	if info.Spatial > x.capS || info.Temporal > x.capT {
		return false
	}
	x.pictures.note(info)
	return true
}

func (x *Selector) adjust(picture bool, info *Info, now time.Time) {
	s, t := x.capS, x.capT
	switch {
	case info.entry:
		s, t = x.goalS, x.goalT
	case picture:
		s, t = min(s, x.goalS), min(t, x.goalT)
	}
	if info.Begin {
		if t < x.goalT {
			t = x.climb(s, t, info)
		}
		if s < x.goalS {
			s = x.widen(s, t, info)
		}
	}
	if x.target.enc == x.enc {
		if x.goalS == noCap && s >= x.target.topS {
			s = noCap
		}
		if x.goalT == noCap && t >= x.target.topT {
			t = noCap
		}
	}
	switch {
	case t >= x.goalT:
		x.stuckAt = time.Time{}
	case x.stuckAt.IsZero():
		x.stuckAt = now
	}
	if s != x.capS || t != x.capT {
		x.remember()
		x.capS, x.capT, x.recap = s, t, true
	}
}

// climb tells up to which temporal layer this frame lets go who gets those up to t.
func (x *Selector) climb(s, t int8, info *Info) int8 {
	if info.sync && info.Temporal == t+1 {
		return t + 1
	}
	if info.Temporal > t || info.Spatial > s {
		return t
	}
	if info.upward {
		return x.goalT
	}
	if up := int8(info.up[min(s, info.top, MaxSpatial-1)]); up-1 > t {
		return min(up-1, x.goalT)
	}
	return t
}

// widen tells the same about spatial layers. VP9 says of an upper frame only that
// it needs no earlier picture, which is too late: the frame below has left as the
// last of its picture. There it takes a keyframe.
func (x *Selector) widen(s, t int8, info *Info) int8 {
	if info.Temporal > t || info.Spatial > s {
		return s
	}
	for to := min(x.goalS, MaxSpatial-1); to > s; to-- {
		if int8(info.up[to])-1 >= min(t, x.target.topT) {
			return to
		}
	}
	return s
}

// present is the run from a sequence number on, as things are.
func (x *Selector) present(from uint16) run {
	return run{from: from, add: x.seqAdd, id: x.pictures.idAdd, spatial: x.capS, temporal: x.capT}
}

// remember begins to keep runs: until now all was treated as at present.
func (x *Selector) remember() {
	if x.runs == nil {
		x.runs = &runs{}
	}
	if x.runs.n == 0 {
		x.runs.push(x.present(x.first))
	}
}

// mark begins a run of forwarded packets at seq.
func (x *Selector) mark(seq uint16) {
	x.remember()
	x.runs.push(x.present(seq))
}

// resume ends a run of dropped packets: seq is forwarded, gap packets before it are
// missing. The frame that was dropped lacks its end: that is one of them.
func (x *Selector) resume(seq uint16, gap int) {
	tail := min(gap, unless(x.ended))
	x.seqAdd -= uint16(tail)
	x.mark(seq - uint16(gap-tail))
}

// skip drops the first packet that came of a frame.
func (x *Selector) skip(seq uint16, gap int, was bool, info *Info) {
	head := unless(info.Begin) // one that is missing began the frame
	if was {
		if !x.ended {
			head = 0 // or ended the one before
		}
		x.leave(seq, gap, 0, head)
	} else {
		x.leave(seq, gap, unless(x.ended), head)
	}
	x.pictures.skip(info)
}

// leave drops seq, of gap missing packets before it also the first tail and the
// last head; between them may be some that would be forwarded.
func (x *Selector) leave(seq uint16, gap, tail, head int) {
	x.remember()
	tail = min(tail, gap)
	head = min(head, gap-tail)
	holes := gap - tail - head
	x.seqAdd -= uint16(tail)
	if holes > 0 && x.runs.at(0).dropped() {
		x.runs.push(x.present(seq - uint16(holes+head)))
	}
	if !x.runs.at(0).dropped() {
		x.runs.push(run{from: seq - uint16(head), spatial: -1})
	}
	x.seqAdd -= uint16(1 + head)
}

func unless(b bool) int {
	if b {
		return 0
	}
	return 1
}
