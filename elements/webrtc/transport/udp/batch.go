package udp

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// maxZones is how many names of IPv6 zones a Batch remembers.
const maxZones = 16

// maxFailures is after how many errors in a row a socket is given up.
const maxFailures = 100

// maxWithin is the longest that ReadWithin waits.
const maxWithin = time.Millisecond

// Batch holds the datagrams of one ReadBatch. It belongs to one goroutine.
type Batch struct {
	size  int
	bufs  [][]byte
	n     int
	zones map[uint32]string
	batchSystem
}

// NewBatch makes room for n datagrams of size bytes each; at least one of at
// least one byte. More than 1024 are not read at once.
func NewBatch(n, size int) *Batch {
	n, size = min(max(n, 1), 1024), max(size, 1)
	b := &Batch{size: size, bufs: make([][]byte, n)}
	for i := range b.bufs {
		b.bufs[i] = make([]byte, size)
	}
	b.prepare()
	return b
}

// Swap takes the i-th buffer away, with what was read into it, and puts fresh in
// its place, so that a datagram may stay where it was received. It gives nil, and
// changes nothing, when fresh is shorter than a buffer of this batch.
func (b *Batch) Swap(i int, fresh []byte) []byte {
	if len(fresh) < b.size {
		return nil
	}
	old := b.bufs[i]
	b.bufs[i] = fresh[:b.size:b.size]
	b.swapped(i)
	return old
}

// zone names an interface; a number when it has no name any more.
func (b *Batch) zone(id uint32) string {
	if name, ok := b.zones[id]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(id), 10)
	if i, err := net.InterfaceByIndex(int(id)); err == nil {
		name = i.Name
	}
	if b.zones == nil {
		b.zones = map[uint32]string{}
	}
	if len(b.zones) < maxZones {
		b.zones[id] = name
	}
	return name
}

// Datagram is the i-th datagram of the latest ReadBatch. An IPv4 sender is told as
// one; a link-local one has a zone. truncated means that its end did not fit. data
// is valid until the next ReadBatch, or for ever when its buffer is swapped.
func (b *Batch) Datagram(i int) (data []byte, from netip.AddrPort, truncated bool) {
	n, truncated := b.length(i)
	return b.bufs[i][:n], b.from(i), truncated
}
