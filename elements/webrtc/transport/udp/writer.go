package udp

import (
	"math/bits"
	"time"
)

const (
	// SlotSize is the longest datagram that a Writer takes, in bytes.
	SlotSize = 1500
	// patience is how long one Flush waits for room in the kernel.
	patience = 2 * time.Millisecond
	// Bounds of one segmented message: the kernel takes 64 segments
	// (UDP_MAX_SEGMENTS) and what fits an IP packet.
	maxSegments = 60
	maxMessage  = 63000
	maxSlots    = 512
)

// Writer gathers datagrams and sends them together. They are built in its arena,
// one behind the other, so that what goes to one Path lies in one piece. It
// belongs to one goroutine, or to one lock; its Paths may be of several Sockets.
type Writer struct {
	arena   []byte
	used    int
	packets int
	msgs    []message
	stats   WriterStats
	writerSystem
}

// message is one or more datagrams to one Path, all of seg bytes but the last,
// which may be shorter.
type message struct {
	path          *Path
	at, size, seg int
	n             int
	closed        bool // takes no more: its last datagram is a shorter one
}

// WriterStats counts what a Writer did since it was made.
type WriterStats struct {
	Packets, Bytes  uint64 // datagrams that the kernel took, and their payload
	Messages, Calls uint64 // messages they left in, and system calls
	Full            uint64 // dropped: no room in the kernel for longer than a Flush waits
	Unreachable     uint64 // dropped: no way to the destination, or one that is forbidden
	TooBig          uint64 // dropped: longer than the way's MTU
	Closed          uint64 // dropped: the Socket is closed
	Failed          uint64 // dropped: any other error
	GSO             bool   // the latest message's Path takes segmented ones
	Committed       uint64 // datagrams that were to be sent
	// Flushes counts those that had something to send by how many datagrams that was:
	// up to 2^i in the i-th place, any number in the last.
	Flushes [Batches]uint64
}

// Batches is the number of classes of sizes that batches are counted in.
const Batches = 10

// BatchClass is the class of a batch of n datagrams, from 1: the i-th has those of up
// to 2^i, the last one the rest.
func BatchClass(n int) int { return min(bits.Len(uint(n-1)), Batches-1) }

// NewWriter makes a Writer whose arena holds slots datagrams of SlotSize, and
// more of shorter ones; at least one and at most 512.
func NewWriter(slots int) *Writer {
	slots = min(max(slots, 1), maxSlots)
	w := &Writer{arena: make([]byte, slots*SlotSize), msgs: make([]message, 0, 2*slots)}
	w.prepare()
	return w
}

// Slot is where the next datagram may be built, SlotSize bytes. Asking again
// without a Commit gives the same slot: what could not be built costs nothing.
// When the arena is full, what it holds is sent first.
func (w *Writer) Slot() []byte {
	if w.used+SlotSize > len(w.arena) || len(w.msgs) == cap(w.msgs) {
		w.Flush()
	}
	return w.arena[w.used : w.used+SlotSize : w.used+SlotSize]
}

// Commit says that the first n bytes of the latest Slot go to p. Datagrams to one
// Path should follow one another, long before short.
func (w *Writer) Commit(n int, p *Path) {
	if n <= 0 || n > SlotSize {
		w.stats.Failed++
		return
	}
	if !p.possible {
		w.stats.Unreachable++
		return
	}
	w.packets++
	at := w.used
	w.used += n
	if len(w.msgs) > 0 {
		m := &w.msgs[len(w.msgs)-1]
		if m.path == p && !m.closed && n <= m.seg && m.n < maxSegments && m.size+n <= maxMessage && p.segments() {
			m.n++
			m.size += n
			m.closed = n < m.seg
			return
		}
	}
	w.msgs = append(w.msgs, message{path: p, at: at, size: n, seg: n, n: 1})
}

// Len is how many datagrams wait for a Flush.
func (w *Writer) Len() int { return w.packets }

// Flush sends what was committed and gives the number of datagrams that the
// kernel took. It waits for room once, 2 ms at most; what does not go is dropped
// and counted, as a network would.
func (w *Writer) Flush() (sent int) {
	if len(w.msgs) == 0 {
		return 0
	}
	w.stats.Committed += uint64(w.packets)
	w.stats.Flushes[BatchClass(w.packets)]++
	before := w.stats.Packets
	for i := 0; i < len(w.msgs); {
		s, j := w.msgs[i].path.socket, i+1
		for j < len(w.msgs) && w.msgs[j].path.socket == s {
			j++
		}
		w.transmit(s, w.msgs[i:j])
		i = j
	}
	w.stats.GSO = w.msgs[len(w.msgs)-1].path.segments()
	w.msgs, w.used, w.packets = w.msgs[:0], 0, 0
	w.waited = false
	return int(w.stats.Packets - before)
}

// Stats are the counters so far.
func (w *Writer) Stats() WriterStats { return w.stats }

// took notes a message that left.
func (w *Writer) took(m *message) {
	w.stats.Packets += uint64(m.n)
	w.stats.Bytes += uint64(m.size)
	w.stats.Messages++
}
