package rtp

import "github.com/govidu/govidu/elements"

// Bounds of what is announced when nothing else is set, in bps.
const (
	floorBps   = 30_000
	ceilingBps = 2_000_000
)

// estimate is what a stream's sender is told it may send (REMB), from what
// came and what was lost in each report interval, tuned by RembParams: while
// next to nothing is lost it grows, by a share of itself below the threshold
// and by steps above it; at a loss above upLosses it falls to a part of what
// came, and the threshold with it. Guarded by receiver.mu.
type estimate struct {
	bps, threshold float64
	bytes          uint64 // of the stream, at the end of the interval before
}

// next closes an interval of the given length. lost is the share of packets
// lost in 1/256; low and high bound the result, high 0 is the usual ceiling.
func (e *estimate) next(p elements.RembParams, bytes uint64, lost uint8, seconds float64, low, high int) int {
	if e.bps == 0 {
		e.bps = float64(max(p.RembOnConnect, floorBps))
		e.threshold = ceilingBps
	}
	came := 0.0
	if bytes >= e.bytes && seconds > 0 {
		came = float64(bytes-e.bytes) * 8 / seconds
	}
	e.bytes = bytes
	switch {
	case int(lost) > p.UpLosses && came > 0:
		e.threshold = came * p.ThresholdFactor
		e.bps = came * max(p.DecrementFactor, 1-float64(lost)/256)
	case e.bps < e.threshold:
		// What came without loss can surely be sent.
		e.bps = max(e.bps+e.bps*p.ExponentialFactor, min(came, e.threshold))
	default:
		step := float64(p.LinealFactorMin)
		if p.LinealFactorGrade > 0 {
			step = max(step, (e.bps-e.threshold)/p.LinealFactorGrade)
		}
		e.bps += step
	}
	if high <= 0 {
		high = ceilingBps
	}
	low = min(max(low, floorBps), high)
	e.bps = min(max(e.bps, float64(low)), float64(high))
	return int(e.bps)
}
