package congestion

const (
	legacyStep = second
	rembAge    = 10 * second // how long a peer's REMB counts
)

// legacy follows what a peer without transport-wide feedback can take: the loss of
// its receiver reports, and its own estimate (draft-alvestrand-rmcat-remb-03).
type legacy struct {
	bps      float64
	fraction float64 // the worst since the latest step
	reported bool
	bytes    uint64 // sent before the latest step
	at       int64
}

// step moves the estimate about once per second: up by 8 % as long as what is
// allowed is also used and next to nothing is lost; down by half the loss when
// that is over a tenth (draft-ietf-rmcat-gcc-02 §6). A peer that says it can take
// more speeds things up: it sees the delay, which comes before loss. remb is 0
// when there is none.
func (l *legacy) step(sent uint64, remb float64, at int64) {
	span := at - l.at
	if l.at != 0 && span < legacyStep {
		return
	}
	used := l.at != 0 && float64(sent-l.bytes)*8*second/float64(span) > l.bps/2
	l.at, l.bytes = at, sent
	switch {
	case l.fraction > lossMuch:
		l.bps *= 1 - l.fraction/2
	case l.fraction > lossLittle || !used:
	case remb > l.bps:
		l.bps = min(l.bps*1.5, remb)
	case l.reported:
		l.bps = l.bps*rateGrowth + 1000
	}
	l.fraction, l.reported = 0, false
}
