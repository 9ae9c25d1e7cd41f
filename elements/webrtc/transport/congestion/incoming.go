package congestion

import "time"

const (
	incomingStep   = 50 * millisecond
	incomingFirst  = second     // of packets before anything is told
	incomingSilent = 2 * second // after which nothing is
	incomingFell   = 0.97       // of what was told: tell it at once
	incomingPause  = 200 * millisecond
	incomingRTT    = 100 * millisecond // is what a round trip is taken to be
)

// Units of the times of sending that packets carry: media timestamps count ticks of
// the clock rate and have 32 bits.
const (
	// SendTimeRate and SendTimeBits are those of abs-send-time: 24 bits, 6.18 seconds.
	SendTimeRate = 1 << 18
	SendTimeBits = 24
)

// Incoming estimates what the way of a sender carries, at the receiver's end, for
// those that take REMB and no transport-wide feedback
// (draft-alvestrand-rmcat-congestion-03): from how the time between packets grows
// on the way, by the time of sending or, where packets do not carry it, by the
// time of their pictures. The zero value is ready.
type Incoming struct {
	clock   clock
	trend   trend
	rate    rate
	came    throughput
	ticks   int64 // of the sender's clock, from a second on
	last    uint32
	unit    int // ticks per second
	begun   int64
	heard   int64
	stepped int64
	told    float64
	toldAt  int64
}

// Came takes a packet of size bytes that was sent at stamp, a time in ticks of unit
// per second of which there are the lower bits. It tells whether the estimate fell
// by so much that the sender should hear of it at once.
func (x *Incoming) Came(stamp uint32, unit int, bits uint, size int, now time.Time) (fell bool) {
	at := x.clock.at(now)
	if unit <= 0 || bits == 0 || bits > 32 {
		return false
	}
	if x.unit != unit {
		x.unit, x.last, x.ticks = unit, stamp, int64(unit)
		x.trend.reset()
	}
	if x.begun == 0 {
		x.begun = at
	}
	x.ticks += int64(int32((stamp-x.last)<<(32-bits)) >> (32 - bits))
	x.last, x.heard = stamp, at
	x.came.add(size, at)
	x.trend.add(x.ticks/int64(unit)*second+x.ticks%int64(unit)*second/int64(unit), at)
	if at-x.stepped >= incomingStep || x.trend.usage == over {
		x.step(at)
	}
	return x.told > 0 && x.rate.bps < incomingFell*x.told && at-x.toldAt >= incomingPause
}

func (x *Incoming) step(at int64) {
	x.stepped = at
	short, _ := x.came.bps(ackedShort)
	long, ok := x.came.bps(ackedLong)
	if !ok || at-x.begun < incomingFirst {
		return
	}
	u := x.trend.usage
	if u == over && !x.trend.queue.real() {
		u = normal
	}
	if x.rate.reduced == 0 {
		// Nothing has been in the way so far.
		x.rate.bps = max(x.rate.bps, 1.5*long+rateSpare)
	}
	x.rate.step(u, short, long, 0, incomingRTT, at)
	x.rate.bps = min(max(x.rate.bps, DefaultMin), DefaultMax)
}

// Estimate is what the way carries in bps; 0 while that is not known. It counts as
// told to the sender.
func (x *Incoming) Estimate(now time.Time) int {
	at := x.clock.at(now)
	if x.rate.bps == 0 || at-x.heard > incomingSilent {
		x.told = 0
		return 0
	}
	x.told, x.toldAt = x.rate.bps, at
	return int(x.rate.bps)
}
