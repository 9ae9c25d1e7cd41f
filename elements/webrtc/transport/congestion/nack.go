package congestion

import (
	"encoding/binary"
	"slices"
	"time"
)

const (
	nackMemory   = 1024 // packets whose coming is remembered, a power of two
	nackMost     = 256  // missing packets that are followed
	nackTimes    = 10   // requests per packet
	nackAge      = 600  // ms after which nobody waits for a packet any more
	nackGuess    = 50   // ms between requests while the round trip is unknown
	nackLeast    = 20   // ms
	nackRarest   = 250  // ms
	nackPatience = 20   // ms that reordering is let pass at most
)

// Arrival says what a packet is to its stream.
type Arrival uint8

// The arrivals.
const (
	Fresh     Arrival = iota // the highest number so far
	Late                     // fills a hole
	Duplicate                // came before
	Stale                    // older than what is remembered
	Restart                  // more than a thousand ahead, or the numbers began anew
)

// NACKTracker knows which packets of one SSRC are missing, and when to ask for
// them (RFC 4585 §6.2.1): at once, or after the time by which packets of this
// stream have been seen to overtake each other, then once per round trip. The
// zero value is ready; memory for what is missing comes with the first loss.
type NACKTracker struct {
	clock    clock
	seen     [nackMemory / 64]uint64
	missing  []missing // ascending
	asked    uint64
	gaveUp   int
	high     uint16
	started  bool
	stray    uint8
	patience uint32 // µs
}

type missing struct {
	born, next uint32 // ms of clock
	seq        uint16
	times      uint8
}

// Came notes a packet that came by itself.
func (t *NACKTracker) Came(seq uint16, now time.Time) Arrival { return t.came(seq, now, true) }

// Recovered notes a packet that came by retransmission (RFC 4588), under its
// original number. It says nothing of reordering.
func (t *NACKTracker) Recovered(seq uint16, now time.Time) Arrival { return t.came(seq, now, false) }

func (t *NACKTracker) came(seq uint16, now time.Time, itself bool) Arrival {
	at := t.clock.at(now)
	d := int16(seq - t.high)
	switch {
	case !t.started:
		if !itself {
			return Stale
		}
		t.restart(seq)
		t.gaveUp = 0
		return Fresh
	case d > 0 && d < nackMemory:
		for s := t.high + 1; s != seq; s++ {
			t.lose(s, at)
		}
		t.high, t.stray = seq, 0
		t.mark(seq)
		return Fresh
	case d > 0 || d <= -nackMemory:
		// A retransmission is never the first packet of a stream.
		if !itself {
			return Stale
		}
		if t.stray++; d < 0 && t.stray < strays {
			return Stale
		}
		t.restart(seq)
		return Restart
	case t.has(seq):
		return Duplicate
	}
	t.stray = 0
	t.mark(seq)
	t.found(seq, at, itself)
	return Late
}

func (t *NACKTracker) has(seq uint16) bool {
	i := seq % nackMemory
	return t.seen[i/64]>>(i%64)&1 != 0
}

func (t *NACKTracker) mark(seq uint16) {
	i := seq % nackMemory
	t.seen[i/64] |= 1 << (i % 64)
}

// restart takes seq for the first packet. What came before it is not asked for.
func (t *NACKTracker) restart(seq uint16) {
	t.gaveUp += len(t.missing) + 1
	t.missing = t.missing[:0]
	t.started, t.high, t.stray = true, seq, 0
	clear(t.seen[:])
	t.mark(seq)
}

func (t *NACKTracker) lose(seq uint16, at int64) {
	i := seq % nackMemory
	t.seen[i/64] &^= 1 << (i % 64)
	if len(t.missing) == nackMost {
		t.missing = slices.Delete(t.missing, 0, 1)
		t.gaveUp++
	}
	ms := uint32(at / millisecond)
	t.missing = append(t.missing, missing{seq: seq, born: ms, next: ms + t.patience/millisecond})
}

// found takes a packet off the list, and learns from it how long packets that
// were overtaken take.
func (t *NACKTracker) found(seq uint16, at int64, itself bool) {
	i := slices.IndexFunc(t.missing, func(m missing) bool { return m.seq == seq })
	if i < 0 {
		return
	}
	m := t.missing[i]
	t.missing = slices.Delete(t.missing, i, i+1)
	if !itself {
		return
	}
	if age := uint32(at/millisecond) - m.born; age <= nackPatience {
		// Too soon for an answer to a request: it was overtaken.
		t.patience = max(t.patience, min(age+1, nackPatience)*millisecond)
	}
}

// Missing appends the numbers to ask for now, in ascending order, and counts them
// as asked for. rtt is the time to the sender and back, 0 when unknown. A packet
// is given up after 600 ms or ten requests.
func (t *NACKTracker) Missing(dst []uint16, now time.Time, rtt time.Duration) []uint16 {
	if len(t.missing) == 0 {
		return dst
	}
	ms := uint32(t.clock.at(now) / millisecond)
	pause := uint32(nackGuess)
	if rtt > 0 {
		pause = uint32(min(max(rtt.Milliseconds()+5, nackLeast), nackRarest))
	}
	left := t.missing[:0]
	for _, m := range t.missing {
		if ms-m.born > nackAge || m.times >= nackTimes && int32(ms-m.next) >= 0 {
			t.gaveUp++
			continue
		}
		if m.times < nackTimes && int32(ms-m.next) >= 0 {
			m.times++
			m.next = ms + pause
			t.asked++
			dst = append(dst, m.seq)
			// Patience is relearned: each loss that was none of reordering wears it.
			t.patience -= t.patience / 64
		}
		left = append(left, m)
	}
	t.missing = left
	return dst
}

// Next is when Missing has something to do; false: nothing is missing.
func (t *NACKTracker) Next() (time.Time, bool) {
	if len(t.missing) == 0 {
		return time.Time{}, false
	}
	next := t.missing[0].next
	for _, m := range t.missing[1:] {
		if int32(m.next-next) < 0 {
			next = m.next
		}
	}
	last := uint32(t.clock.last / millisecond)
	return t.clock.time(t.clock.last + int64(int32(next-last))*millisecond), true
}

// GaveUp is how many packets were given up since the latest call: what depends on
// them needs a keyframe.
func (t *NACKTracker) GaveUp() int {
	n := t.gaveUp
	t.gaveUp = 0
	return n
}

// Asked is how many numbers have been asked for since birth.
func (t *NACKTracker) Asked() uint64 { return t.asked }

// AppendNACK appends RTCP packets that ask for seqs, which are in ascending order
// (RFC 4585 §6.2.1): none for none, and one for up to 256 gaps.
func AppendNACK(dst []byte, sender, media uint32, seqs []uint16) []byte {
	for len(seqs) > 0 {
		start := len(dst)
		dst = append(dst, 2<<6|1, 205, 0, 0)
		dst = binary.BigEndian.AppendUint32(dst, sender)
		dst = binary.BigEndian.AppendUint32(dst, media)
		pairs := 0
		for ; len(seqs) > 0 && pairs < nackMost; pairs++ {
			first, mask := seqs[0], uint16(0)
			for seqs = seqs[1:]; len(seqs) > 0 && seqs[0]-first-1 < 16; seqs = seqs[1:] {
				mask |= 1 << (seqs[0] - first - 1)
			}
			dst = binary.BigEndian.AppendUint16(dst, first)
			dst = binary.BigEndian.AppendUint16(dst, mask)
		}
		binary.BigEndian.PutUint16(dst[start+2:], uint16(2+pairs))
	}
	return dst
}
