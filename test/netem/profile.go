package netem

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// Profile is what the cable does to packets, each way.
type Profile struct {
	// Loss, Duplicate, Reorder and Corrupt are probabilities, 0 to 1. A reordered
	// packet overtakes those that are on the way.
	Loss, Duplicate, Reorder, Corrupt float64
	// Delay is one way; up to Jitter more is added to it, in the order of packets.
	Delay, Jitter time.Duration
	// Rate is in bit/s, 0 for none; Queue is how long what is over it may wait
	// before it is dropped (200 ms if it is 0).
	Rate  int
	Queue time.Duration
	// Down lets nothing through.
	Down bool
}

// Counters say what happened on one way of the cable.
type Counters struct{ Forwarded, Lost, Duplicated, Overflowed int64 }

// way is one way of the cable, without its clock and its devices. Not safe for
// concurrent use.
type way struct {
	p        Profile
	queue    packets
	seq      uint64
	last     time.Time // when the latest in order leaves
	free     time.Time // when the line is free again
	counters Counters
	random   *rand.Rand
}

type packet struct {
	at  time.Time
	seq uint64
	b   []byte
}

// take decides when b leaves, if it does; b is copied.
func (w *way) take(b []byte, now time.Time) {
	udp := isUDP(b)
	if w.p.Down || udp && w.random.Float64() < w.p.Loss {
		w.counters.Lost++
		return
	}
	at := now
	if w.p.Rate > 0 {
		most := w.p.Queue
		if most == 0 {
			most = 200 * time.Millisecond
		}
		if w.free.Before(now) {
			w.free = now
		}
		next := w.free.Add(time.Duration(float64(len(b)*8) / float64(w.p.Rate) * float64(time.Second)))
		if next.Sub(now) > most {
			w.counters.Overflowed++
			return
		}
		w.free, at = next, next
	}
	at = at.Add(w.p.Delay)
	if w.p.Jitter > 0 {
		at = at.Add(time.Duration(w.random.Int64N(int64(w.p.Jitter))))
	}
	if w.random.Float64() < w.p.Reorder {
		at = now
	} else {
		if at.Before(w.last) {
			at = w.last
		}
		w.last = at
	}
	b = append([]byte(nil), b...)
	if udp && w.random.Float64() < w.p.Corrupt {
		w.damage(b)
	}
	w.push(at, b)
	if w.random.Float64() < w.p.Duplicate {
		w.counters.Duplicated++
		w.push(at, b)
	}
}

func (w *way) push(at time.Time, b []byte) {
	w.seq++
	heap.Push(&w.queue, packet{at, w.seq, b})
}

// due takes what leaves by now; wait is the time to the next, an hour for none.
func (w *way) due(now time.Time) (b []byte, wait time.Duration) {
	if len(w.queue) == 0 {
		return nil, time.Hour
	}
	if d := w.queue[0].at.Sub(now); d > 0 {
		return nil, d
	}
	w.counters.Forwarded++
	return heap.Pop(&w.queue).(packet).b, 0
}

const (
	ipHeader  = 20
	udpHeader = 8
)

// isUDP tells of an IPv4 packet without options.
func isUDP(b []byte) bool { return len(b) >= ipHeader+udpHeader && b[0] == 0x45 && b[9] == 17 }

// damage turns a bit of the datagram and switches its checksum off (RFC 768), so
// that the damage reaches who reads it.
func (w *way) damage(b []byte) {
	if len(b) == ipHeader+udpHeader {
		return
	}
	b[ipHeader+udpHeader+w.random.IntN(len(b)-ipHeader-udpHeader)] ^= 1 << w.random.IntN(8)
	b[ipHeader+6], b[ipHeader+7] = 0, 0
}

// packets is a heap by time, then by order.
type packets []packet

// Len implements heap.Interface.
func (q packets) Len() int { return len(q) }

// Less implements heap.Interface.
func (q packets) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].seq < q[j].seq
	}
	return q[i].at.Before(q[j].at)
}

// Swap implements heap.Interface.
func (q packets) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *packets) Push(x any) { *q = append(*q, x.(packet)) }

// Pop implements heap.Interface.
func (q *packets) Pop() any {
	old := *q
	n := len(old) - 1
	x := old[n]
	old[n] = packet{}
	*q = old[:n]
	return x
}
