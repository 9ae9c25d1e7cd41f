package rtp

import (
	"sync"
	"time"
)

// ntpEpoch is 1 January 1900 in Unix seconds (RFC 3550 §4).
const ntpEpoch = 2208988800

func ntpTime(ntp uint64) time.Time {
	return time.Unix(int64(ntp>>32)-ntpEpoch, int64((ntp&0xffffffff)*1e9>>32))
}

func toNTP(t time.Time) uint64 {
	return uint64(t.Unix()+ntpEpoch)<<32 | uint64(t.Nanosecond())<<32/1e9
}

// senderClock maps a peer's clock to ours, the same way for all its streams:
// the smallest of the latest differences between a report's arrival and its
// time stamp is that of the report which queued least. Old differences leave,
// so a clock that drifts is followed.
type senderClock struct {
	mu   sync.Mutex // leaf
	ring [32]time.Duration
	n    int
}

// local is the instant of ours that the peer's clock calls theirs.
func (c *senderClock) local(theirs, arrival time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	late := arrival.Sub(theirs)
	c.ring[c.n%len(c.ring)] = late
	c.n++
	least := late
	for _, d := range c.ring[:min(c.n, len(c.ring))] {
		least = min(least, d)
	}
	// Counted back from arrival, so that the result keeps its monotonic reading.
	return arrival.Add(least - late)
}
