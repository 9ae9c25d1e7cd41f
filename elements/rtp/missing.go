package rtp

import (
	"slices"
	"time"

	"github.com/pion/rtcp"
)

const (
	maxMissing = 128 // sequence numbers asked for at a time
	// askAfter leaves room for packets that only changed places.
	askAfter = 10 * time.Millisecond
	askAgain = 50 * time.Millisecond
	askTimes = 6
)

// missing are the sequence numbers that a stream skipped and the peer may be
// asked for (RFC 4585 §6.2.1). Guarded by receiver.mu.
type missing struct{ list []absent }

type absent struct {
	seq   uint16
	at    time.Time // when to ask next
	times uint8
}

// skipped notes the numbers between two that came; true when there are new ones
// to ask for. A hole too large to be filled is left.
func (m *missing) skipped(from, to uint16, now time.Time) bool {
	n := int(to - from - 1)
	if n <= 0 || n > maxMissing {
		return false
	}
	if over := len(m.list) + n - maxMissing; over > 0 {
		m.list = slices.Delete(m.list, 0, over)
	}
	for seq := from + 1; seq != to; seq++ {
		m.list = append(m.list, absent{seq: seq, at: now.Add(askAfter)})
	}
	return true
}

// came forgets a number.
func (m *missing) came(seq uint16) {
	if i := slices.IndexFunc(m.list, func(a absent) bool { return a.seq == seq }); i >= 0 {
		m.list = slices.Delete(m.list, i, i+1)
	}
}

// due are the numbers to ask for now; those asked often enough are given up.
func (m *missing) due(now time.Time) []uint16 {
	var ask []uint16
	m.list = slices.DeleteFunc(m.list, func(a absent) bool { return a.times >= askTimes && !now.Before(a.at) })
	for i := range m.list {
		if a := &m.list[i]; !now.Before(a.at) {
			ask = append(ask, a.seq)
			a.at = now.Add(askAgain)
			a.times++
		}
	}
	return ask
}

// next is when due should be called again; false when nothing is missing.
func (m *missing) next() (time.Time, bool) {
	if len(m.list) == 0 {
		return time.Time{}, false
	}
	at := m.list[0].at
	for _, a := range m.list {
		if a.at.Before(at) {
			at = a.at
		}
	}
	return at, true
}

func nack(sender, media uint32, ask []uint16) rtcp.Packet {
	slices.SortFunc(ask, func(a, b uint16) int { return int(int16(a - b)) })
	return &rtcp.TransportLayerNack{SenderSSRC: sender, MediaSSRC: media, Nacks: rtcp.NackPairsFromSequenceNumbers(ask)}
}
