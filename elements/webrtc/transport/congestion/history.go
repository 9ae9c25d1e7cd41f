package congestion

const (
	historyLeast = 256  // packets
	historyMost  = 2048 // packets, a power of two
	historyAge   = 1500 * millisecond
	historyOld   = 60 * second // what was sent longer ago is not looked up

	// The bits of an entry: the size in bytes, what is known of it, its cluster.
	entrySize    = 1<<11 - 1
	entryMissing = 1 << 11
	entryCame    = 1 << 12
	entryCluster = 13
	clusters     = 7 // 1 to 7; 0 is none

	historyNews = 64 // numbers that Lost tells at a time
)

// history remembers what was sent, by transport-wide sequence number: six bytes
// per packet, from 256 to 2048 packets as they are needed.
type history struct {
	at   []uint32 // µs of clock, wraps
	info []uint16 // 0: none
	high uint16
	next uint16 // the first that settled has not counted
	any  bool
	news []uint16 // found missing by the latest feedback; nil: nobody asks
}

func (h *history) open() {
	h.at, h.info = make([]uint32, historyLeast), make([]uint16, historyLeast)
}

func (h *history) sent(seq uint16, size int, cluster uint8, at int64) {
	mask := uint16(len(h.info) - 1)
	if d := seq - h.high; h.any {
		if d == 0 || d >= 1<<15 {
			return
		}
		for i := uint16(1); i < d && i <= mask+1; i++ {
			h.info[(h.high+i)&mask] = 0
		}
	}
	if old := h.info[seq&mask]; old != 0 && old&entryCame == 0 && len(h.info) < historyMost &&
		uint32(at)-h.at[seq&mask] < historyAge {
		mask = h.grow()
	}
	if !h.any {
		h.next = seq
	}
	h.any, h.high = true, seq
	h.at[seq&mask] = uint32(at)
	h.info[seq&mask] = uint16(min(max(size, 1), entrySize)) | uint16(cluster)<<entryCluster
}

func (h *history) grow() (mask uint16) {
	n := uint16(len(h.info))
	at, info := make([]uint32, 2*n), make([]uint16, 2*n)
	for i := range n {
		seq := h.high - i
		at[seq&(2*n-1)], info[seq&(2*n-1)] = h.at[seq&(n-1)], h.info[seq&(n-1)]
	}
	h.at, h.info = at, info
	return 2*n - 1
}

// missing marks n packets from seq on, and tells how many of them were sent and
// not yet known to be missing or there.
func (h *history) missing(seq uint16, n int) (lost int) {
	for ; n > 0; n-- {
		ahead := h.high - seq
		if ahead >= uint16(len(h.info)) {
			// Not in the history: go on with the oldest that is.
			skip := int(ahead) - len(h.info) + 1
			seq += uint16(skip)
			n -= skip - 1
			continue
		}
		if e := &h.info[seq&uint16(len(h.info)-1)]; *e != 0 && *e&(entryMissing|entryCame) == 0 {
			*e |= entryMissing
			lost++
			if len(h.news) < cap(h.news) {
				h.news = append(h.news, seq)
			}
		}
		seq++
	}
	return lost
}

// came looks up a packet that the peer has; ok: it was sent and is news.
func (h *history) came(seq uint16, now int64) (sent int64, size int, cluster uint8, wasMissing, ok bool) {
	if !h.any || h.high-seq >= uint16(len(h.info)) {
		return 0, 0, 0, false, false
	}
	i := seq & uint16(len(h.info)-1)
	e := h.info[i]
	age := uint32(now) - h.at[i]
	if e == 0 || e&entryCame != 0 || age > historyOld {
		return 0, 0, 0, false, false
	}
	h.info[i] |= entryCame
	return now - int64(age), int(e & entrySize), uint8(e >> entryCluster), e&entryMissing != 0, true
}

// settled counts what is known of the packets sent for so long, each once.
func (h *history) settled(age, now int64) (came, lost int) {
	if !h.any {
		return 0, 0
	}
	mask := uint16(len(h.info) - 1)
	if h.high-h.next > mask && h.next != h.high+1 {
		h.next = h.high - mask
	}
	for ; h.next != h.high+1; h.next++ {
		e := h.info[h.next&mask]
		switch {
		case e != 0 && int64(uint32(now)-h.at[h.next&mask]) < age:
			return came, lost
		case e&entryCame != 0:
			came++
		case e&entryMissing != 0:
			lost++
		}
	}
	return came, lost
}
