package transport

import (
	"time"

	"github.com/govidu/govidu/pipeline"
)

// A picture comes as a burst of packets, and the reader wakes with the first of them.
// What the kernel takes for sending counts by messages, not by packets: a room is
// served for less when the rest of the burst, which is on its way, leaves with what is
// there. So pictures that are not whole are held until they are, for no longer than a
// fraction of a millisecond, and only of publishers whose bursts lately came in that
// time. Sound is never held.
const (
	holdGap   = 250 * time.Microsecond // since the latest packet
	holdWhole = time.Millisecond       // since the first that is held
	holdMost  = batchSize              // packets of all Receivers of a shard
	// holdLeast is for how many subscribers it pays.
	holdLeast = 8
	// How often nothing came lately is a share of holdAll. From holdVain on pictures
	// are held no more, but for one of holdRetry times: a third has to pay.
	holdAll   = 256
	holdVain  = 128
	holdRetry = 64
)

// burst is what is known of how a Receiver's pictures come. Guarded by the lock of the
// Peer's shard.
type burst struct {
	open   bool // the latest packet is not its picture's last
	holds  bool // packets are held
	looked bool // in this turn
	missed uint8
	vain   int16 // moving mean of holding for nothing
	since  time.Time
	came   time.Time // the latest packet
}

// arrived takes note of a packet that is the stream's newest.
func (b *burst) arrived(last bool, now time.Time) {
	if b.holds && b.came.Before(now) {
		b.vain -= b.vain / 4
	}
	b.open, b.came = !last, now
}

// wait tells how long the Receiver's packets may be held from now on, 0 for not at
// all. It is asked once in each turn in which there are some.
func (b *burst) wait(now time.Time) time.Duration {
	if b.holds {
		left := min(holdGap-now.Sub(b.came), holdWhole-now.Sub(b.since))
		if left > 0 {
			return left
		}
		b.holds = false
		if b.came.Equal(b.since) {
			b.vain += (holdAll - b.vain) / 8
		}
		return 0
	}
	if b.vain >= holdVain {
		if b.missed++; b.missed < holdRetry {
			return 0
		}
	}
	b.missed, b.holds, b.since = 0, true, b.came
	return holdGap
}

// hold keeps pictures back that are not whole. It gives how long it is worth waiting for
// the rest, 0 when nothing is held.
func (t *turn) hold() (wait time.Duration) {
	if len(t.held) == 0 && !t.unfinished() {
		return 0
	}
	t.held = append(t.held, t.came...)
	came, most := t.came[:0], len(t.held) > holdMost
	for i := range t.held {
		t.held[i].to.burst.looked = false
	}
	kept := 0
	for i := range t.held {
		a := &t.held[i]
		if a.to.peer.shard.Load() != t.shard {
			t.follow(*a)
			continue
		}
		b := &a.to.burst
		if !b.looked {
			b.looked = true
			left := time.Duration(0)
			if !most && a.to.unfinished() {
				left = b.wait(t.now)
			}
			if b.holds = left > 0; b.holds && (wait == 0 || left < wait) {
				wait = left
			}
		}
		if b.holds {
			t.held[kept] = *a
			kept++
		} else {
			came = append(came, *a)
		}
	}
	clear(t.held[kept:])
	t.held, t.came = t.held[:kept], came
	return wait
}

// follow leaves what was held to the shard to which its Receiver has moved meanwhile.
func (t *turn) follow(a arrival) {
	t.after = append(t.after, func() {
		a.to.peer.under(func(t *turn) { t.came = append(t.came, a) })
	})
}

// unfinished tells whether something came that may be held.
func (t *turn) unfinished() bool {
	for i := range t.came {
		if t.came[i].to.unfinished() {
			return true
		}
	}
	return false
}

// unfinished tells whether the rest of a picture is to come for many.
func (r *Receiver) unfinished() bool {
	if !r.burst.open || r.kind != pipeline.Video {
		return false
	}
	list := r.spliced.Load()
	return list != nil && len(*list) >= holdLeast
}
