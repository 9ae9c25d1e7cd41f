package transport

import (
	"math/rand/v2"
	"time"
)

// line maps the sources of a Sender, one after the other, onto one stream of
// sequence numbers and timestamps (RFC 3550 §5.1); both wrap. Within a source
// the order of arrival is kept as it is, so that gaps can be asked for again.
// Not safe for concurrent use.
type line struct {
	started bool
	seqAdd  uint16
	tsAdd   uint32
	first   uint16 // the source's first sequence number that was taken
	passed  bool   // the source is so far that first says nothing any more
	rate    uint32

	lastSeq uint16 // highest sent
	rolls   uint32 // how often it has wrapped
	lastTS  uint32
	lastAt  time.Time
	lastPTS time.Duration
}

// begin starts a source whose first packet has the given numbers. The timestamp
// goes on by the wall clock since the last packet of the source before.
func (l *line) begin(seq uint16, ts uint32, now time.Time, rate uint32) {
	if !l.started {
		l.started = true
		l.lastSeq = uint16(rand.Uint32() & 0x7fff)
		l.lastTS = rand.Uint32()
	} else {
		l.lastTS += max(ticks(now.Sub(l.lastAt), rate), 1)
	}
	l.seqAdd = l.lastSeq + 1 - seq
	l.tsAdd = l.lastTS - ts
	l.first, l.passed, l.rate = seq, false, rate
	l.lastAt = now
}

func ticks(d time.Duration, rate uint32) uint32 {
	if d <= 0 {
		return 0
	}
	return uint32(int64(d/time.Microsecond) * int64(rate) / 1e6)
}

// place gives a packet its numbers; false when it is from before the source's
// beginning here.
func (l *line) place(seq uint16, ts uint32) (uint16, uint32, bool) {
	if !l.passed {
		d := int16(seq - l.first)
		if d < 0 {
			return 0, 0, false
		}
		l.passed = d > 1<<13
	}
	out := seq + l.seqAdd
	if int16(out-l.lastSeq) > 0 {
		if out < l.lastSeq {
			l.rolls++
		}
		l.lastSeq = out
	}
	return out, ts + l.tsAdd, true
}

// rollover is how often sequence numbers had wrapped when one that place gave
// was first used (RFC 3711 §3.3.1).
func (l *line) rollover(seq uint16) uint32 {
	if seq > l.lastSeq && int16(seq-l.lastSeq) < 0 {
		return l.rolls - 1
	}
	return l.rolls
}

// sent notes the latest timestamp that left, for reports and for the next source.
func (l *line) sent(ts uint32, at time.Time, pts time.Duration) {
	if int32(ts-l.lastTS) >= 0 {
		l.lastTS, l.lastAt, l.lastPTS = ts, at, pts
	}
}
