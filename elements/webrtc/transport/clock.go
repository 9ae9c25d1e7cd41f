package transport

import (
	"sync"
	"time"
)

// ntpEpoch is 1 January 1900 in Unix seconds (RFC 3550 §4).
const ntpEpoch = 2208988800

// ntpTime turns a 64-bit NTP timestamp into an instant, exact to about 1 ns.
func ntpTime(ntp uint64) time.Time {
	seconds := int64(ntp>>32) - ntpEpoch
	return time.Unix(seconds, int64((ntp&0xffffffff)*1e9>>32))
}

// toNTP is the inverse of ntpTime.
func toNTP(t time.Time) uint64 {
	seconds := uint64(t.Unix() + ntpEpoch)
	return seconds<<32 | uint64(t.Nanosecond())<<32/1e9
}

// reportOffsets maps a peer's clock to ours: the smallest of the latest
// differences between a report's arrival and its time stamp, which is the one
// that queued least. Old differences leave, so a drifting clock is followed.
type reportOffsets struct {
	mu   sync.Mutex
	ring [32]time.Duration
	n    int
}

// local is the instant of ours that the peer's clock calls theirs.
func (o *reportOffsets) local(theirs, arrival time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ring[o.n%len(o.ring)] = arrival.Sub(theirs)
	o.n++
	least := o.ring[0]
	for _, d := range o.ring[:min(o.n, len(o.ring))] {
		least = min(least, d)
	}
	// Counted back from arrival, so that the result keeps its monotonic reading.
	return arrival.Add(least - arrival.Sub(theirs))
}

func (p *Peer) senderClock(theirs, arrival time.Time) time.Time {
	return p.offsets.local(theirs, arrival)
}
