package congestion

import "math"

const (
	lossMuch    = 0.10 // above, the rate is cut
	lossSome    = 0.05 // below, a cut is slowly taken back
	lossLittle  = 0.02 // below, faster
	lossCreep   = 1.015
	lossPackets = 50 // that a window has at least
	lossSpan    = 400 * millisecond
	lossLong    = second
)

// loss is the loss-based controller (draft-ietf-rmcat-gcc-02 §6), as a ceiling on
// the delay-based one. Loss that does not shrink with the rate, while what arrives
// does, belongs to the path: it stops to count, or a lossy radio link would be
// given up altogether.
type loss struct {
	lost, came int
	bytes      int // that came
	since      int64
	fraction   float64 // of the latest window
	ceiling    float64 // bps; 0: none
	inherent   float64
	sent0      float64 // bps, when the cuts began; 0: no proof is under way
	p0         float64 // lost then
}

// step closes a window that is long enough; target in bps. queued: packets wait in
// a queue, so that loss is its doing.
func (l *loss) step(target float64, queued bool, at int64) {
	if l.since == 0 {
		l.since = at
	}
	n, span := l.lost+l.came, at-l.since
	if n < 10 || span < lossSpan || n < lossPackets && span < lossLong {
		if span > 5*lossLong {
			l.open(at)
		}
		return
	}
	p, arrived := float64(l.lost)/float64(n), float64(l.bytes)*8*second/float64(span)
	l.open(at)
	l.fraction = p
	l.inherent += min(p-l.inherent, 0) / 8
	extra := p - l.inherent
	// Of few packets, many are lost by chance.
	if deviation := math.Sqrt(p * (1 - p) / float64(n)); extra-deviation > lossMuch {
		l.cut(p, extra, target, arrived, queued)
	} else {
		l.raise(extra, min(float64(span)/second, 2))
	}
}

func (l *loss) open(at int64) { l.lost, l.came, l.bytes, l.since = 0, 0, 0, at }

func (l *loss) cut(p, extra, target, arrived float64, queued bool) {
	if l.ceiling == 0 || l.ceiling > target {
		l.ceiling = target
	}
	if queued {
		l.sent0 = 0
	} else if l.innate(p, arrived) {
		return
	}
	// Less than what arrives would be too little.
	l.ceiling = max(l.ceiling*(1-extra/2), min(l.ceiling, rateArrived*arrived))
}

func (l *loss) raise(extra, seconds float64) {
	switch {
	case l.ceiling == 0:
	case extra < lossLittle:
		l.ceiling = l.ceiling*math.Pow(rateGrowth, seconds) + 1000
	case extra < lossSome:
		l.ceiling *= math.Pow(lossCreep, seconds)
	}
}

// innate tells whether loss has shown to be the path's own: as large as when the
// cuts began, though much less is sent, so that less arrives. A queue that
// overflows would pass on as much as before.
func (l *loss) innate(p, arrived float64) bool {
	sending := arrived / max(1-p, 0.01)
	if l.sent0 == 0 || p > 1.25*l.p0+0.02 || p < 0.75*l.p0 || sending > l.sent0 {
		l.sent0, l.p0 = sending, p // another situation: prove it anew
		return false
	}
	if sending > 0.75*l.sent0 || arrived > 0.85*l.sent0*(1-l.p0) {
		return false
	}
	l.inherent, l.sent0 = p, 0
	return true
}

// found lifts the ceiling to what a probe has found to arrive.
func (l *loss) found(bps float64) {
	if l.ceiling > 0 && l.fraction-l.inherent < lossSome {
		l.ceiling = max(l.ceiling, bps)
	}
}

// relax lets a ceiling go that is far above the rate.
func (l *loss) relax(bps float64) {
	if l.ceiling > 1.5*bps {
		l.ceiling = 0
	}
}
