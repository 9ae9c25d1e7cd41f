package layers

import (
	"math/rand/v2"
	"time"
)

const (
	// far is how much the instants of two encodings may differ from what the wall
	// clock says, to be believed.
	far = 2 * time.Second
	// ease is the slope, as a shift, of timestamps that wait for an encoding which
	// is behind the one that was left.
	ease = 6
)

// clock maps the timestamps of sources, one after the other, onto one line
// (RFC 3550 §5.1); both wrap at 2^32.
type clock struct {
	started bool
	late    bool   // timestamps may be below those that already left
	add     uint32 // what is added to timestamps
	first   uint32 // the source's first timestamp
	floor   uint32 // while late: what that one became
	until   uint32 // while late: ticks since first after which it is not
	rate    uint32

	fresh   bool   // nothing of the source has left yet
	last    uint32 // highest that left
	line    uint32 // what it would be, had it not been held up
	lastPTS time.Duration
	lastAt  time.Time
}

// ticks rounds, so that errors do not add up over many changes.
func ticks(d time.Duration, rate uint32) int64 {
	if d < 0 {
		return -ticks(-d, rate)
	}
	whole, rest := int64(d/time.Second), int64(d%time.Second)
	return whole*int64(rate) + (rest*int64(rate)+int64(time.Second/2))/int64(time.Second)
}

// begin starts an unrelated source: its first timestamp follows the last one by
// the wall clock.
func (c *clock) begin(ts uint32, now time.Time, rate uint32) {
	if !c.started {
		c.started = true
		c.last = rand.Uint32()
	} else {
		c.last += uint32(max(ticks(now.Sub(c.lastAt), rate), 1))
	}
	c.add = c.last - ts
	c.line, c.lastAt = c.last, now
	c.late, c.rate, c.fresh = false, rate, true
}

// change starts another encoding of the same pictures at the instant pts: its
// timestamps are those that the encoding before would have for the same instant.
// Where they had already left they rise slowly until time has caught up, so that
// the two stay in step however often they are changed.
func (c *clock) change(ts uint32, pts time.Duration, now time.Time) {
	wall := ticks(now.Sub(c.lastAt), c.rate)
	d := ticks(pts-c.lastPTS, c.rate)
	if off := d - wall; off < -ticks(far, c.rate) || off > ticks(far, c.rate) {
		d = max(wall, 1)
	}
	// From the line of the encoding that is left, not from a timestamp held up.
	ideal := c.line + uint32(d)
	c.add, c.first, c.late = ideal-ts, ts, false
	if behind := int32(c.last + 1 - ideal); behind > 0 {
		c.late, c.floor = true, c.last+1
		c.until = 2*uint32(behind) + c.rate
	}
}

// place maps a timestamp of the source.
func (c *clock) place(ts uint32) uint32 {
	v := ts + c.add
	if !c.late {
		return v
	}
	d := ts - c.first
	if slow := c.floor + d>>ease; int32(slow-v) > 0 {
		return slow
	}
	if d > c.until {
		c.late = false
	}
	return v
}

// sent notes a timestamp that left: in the source's, out as it became.
func (c *clock) sent(in, out uint32, now time.Time, pts time.Duration) {
	if int32(out-c.last) > 0 || c.fresh {
		c.last, c.line, c.lastAt, c.lastPTS, c.fresh = out, in+c.add, now, pts, false
	}
}
