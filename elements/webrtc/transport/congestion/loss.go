package congestion

import "math"

const (
	lossMuch    = 0.10 // above, the rate is cut
	lossSome    = 0.08 // below, a cut is slowly taken back
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
	since      int64
	fraction   float64 // of the latest window
	ceiling    float64 // bps; 0: none
	inherent   float64
	sent0      float64 // bps, when the cuts began; 0: no proof is under way
	p0         float64 // lost then
}

// step closes a window that is long enough; target and sending in bps.
func (l *loss) step(target, sending float64, at int64) {
	if l.since == 0 {
		l.since = at
	}
	n, span := l.lost+l.came, at-l.since
	if n < 10 || span < lossSpan || n < lossPackets && span < lossLong {
		if span > 5*lossLong {
			l.lost, l.came, l.since = 0, 0, at
		}
		return
	}
	p := float64(l.lost) / float64(n)
	l.lost, l.came, l.since = 0, 0, at
	l.fraction = p
	l.inherent += min(p-l.inherent, 0) / 8
	l.judge(p, math.Sqrt(p*(1-p)/float64(n)), target, sending, min(float64(span)/second, 2))
}

// judge takes the fraction lost, with its standard deviation: of few packets, many
// are lost by chance.
func (l *loss) judge(p, deviation, target, sending, seconds float64) {
	extra := p - l.inherent
	switch {
	case extra-deviation > lossMuch:
		if l.ceiling == 0 || l.ceiling > target {
			l.ceiling = target
		}
		if l.innate(p, sending) {
			return
		}
		l.ceiling *= 1 - extra/2
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
func (l *loss) innate(p, sending float64) bool {
	if l.sent0 == 0 || p > 1.25*l.p0+0.02 || p < 0.75*l.p0 || sending > l.sent0 {
		l.sent0, l.p0 = sending, p // another situation: prove it anew
		return false
	}
	if sending > 0.75*l.sent0 || sending*(1-p) > 0.85*l.sent0*(1-l.p0) {
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
