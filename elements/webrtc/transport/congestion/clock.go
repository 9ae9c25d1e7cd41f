package congestion

import "time"

// clock turns times into microseconds since a second before the first time it was
// shown, so that 0 can stand for never. It does not go back.
type clock struct {
	epoch time.Time
	last  int64
}

func (c *clock) at(now time.Time) int64 {
	if c.epoch.IsZero() {
		c.epoch = now.Add(-time.Second)
	}
	c.last = max(c.last, now.Sub(c.epoch).Microseconds())
	return c.last
}

// time is the inverse of at.
func (c *clock) time(us int64) time.Time {
	return c.epoch.Add(time.Duration(us) * time.Microsecond)
}

const (
	millisecond = 1000 // of clock
	second      = 1000 * millisecond
)
