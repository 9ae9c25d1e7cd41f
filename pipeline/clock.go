package pipeline

import "time"

// Clock maps a track's RTP timestamps to PTS since the pipeline's epoch. Before
// the first sender report the first packet's arrival anchors the mapping; then
// reports (RFC 3550 §6.4.1) correct it, so that tracks of one sender line up.
// A correction moves PTS by at most MaxSlew per packet. Timestamps wrap at 2^32 (RFC 3550 §5.1). Not
// safe for concurrent use.
type Clock struct {
	epoch  time.Time
	rate   int64
	base   uint32 // RTP timestamp of offset 0
	last   int64  // unwrapped ticks of the latest packet, since base
	have   bool
	offset time.Duration // PTS of base
	target time.Duration // where offset is slewing to
}

// MaxSlew is the largest PTS correction per packet.
const MaxSlew = 2 * time.Millisecond

// NewClock makes a clock for one track; rateHz is the RTP clock rate.
func NewClock(epoch time.Time, rateHz uint32) *Clock {
	if rateHz == 0 {
		rateHz = 90000
	}
	return &Clock{epoch: epoch, rate: int64(rateHz)}
}

// PTS maps the RTP timestamp of a packet that arrived at the given instant.
func (c *Clock) PTS(timestamp uint32, arrival time.Time) time.Duration {
	if !c.have {
		c.have, c.base = true, timestamp
		c.offset = arrival.Sub(c.epoch)
		c.target = c.offset
	}
	ticks := c.unwrap(timestamp)
	if ticks > c.last {
		c.last = ticks
	}
	if d := c.target - c.offset; d != 0 {
		c.offset += min(max(d, -MaxSlew), MaxSlew)
	}
	return c.offset + c.span(ticks)
}

func (c *Clock) unwrap(timestamp uint32) int64 {
	return c.last + int64(int32(timestamp-c.base-uint32(c.last)))
}

func (c *Clock) span(ticks int64) time.Duration {
	return time.Duration(ticks/c.rate)*time.Second + time.Duration(ticks%c.rate)*time.Second/time.Duration(c.rate)
}

// Anchor takes a correction: the sender says that timestamp was sampled at the
// given local instant (its NTP time moved to our clock by the caller, the same
// way for all tracks of that sender).
func (c *Clock) Anchor(timestamp uint32, at time.Time) {
	if !c.have {
		return
	}
	c.target = at.Sub(c.epoch) - c.span(c.unwrap(timestamp))
}
