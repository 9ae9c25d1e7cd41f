package pipeline

import "time"

const (
	// ReorderDelay is how long the reorder buffer waits for a missing packet,
	// measured by the arrival of later ones.
	ReorderDelay = 300 * time.Millisecond
	// ReorderPackets is how many packets it keeps while it waits.
	ReorderPackets = 512

	// maxMisorder is how far behind a packet may be and still be taken for late;
	// further back the sender is taken to have restarted (RFC 3550 appendix A.1).
	maxMisorder = 4096
)

// reorder puts RTP packets back into sequence order. Sequence numbers wrap at
// 2^16 (RFC 3550 §5.1). Duplicates and packets that come after their place was
// given up are dropped. It has no clock: time passes by the arrivals it is
// shown. Not safe for concurrent use.
type reorder struct {
	slots   [ReorderPackets]*Packet
	next    uint16 // sequence number awaited
	ssrc    uint32
	started bool
	held    int
	since   time.Time // arrival of the first packet held behind the present hole
	lost    bool      // something before the next packet given out is missing
	stray   uint16    // the packet that would follow a far stray one
	strays  int
}

// push takes p and gives out, in order, what is ready; gap tells that packets
// just before are missing for good.
func (r *reorder) push(p *Packet, give func(p *Packet, gap bool)) {
	seq := p.Header.SequenceNumber
	if r.started && p.Header.SSRC != r.ssrc {
		r.flush(give)
		r.restart()
	}
	if !r.started {
		r.started, r.next, r.ssrc, r.strays = true, seq, p.Header.SSRC, 0
	}
	ahead := int16(seq - r.next)
	switch {
	case ahead < 0 && ahead > -maxMisorder:
		return // late or doubled
	case ahead < 0 || int(ahead) >= maxMisorder:
		// One stray packet is ignored; two in a row are a new beginning.
		if r.strays == 0 || seq != r.stray {
			r.stray, r.strays = seq+1, 1
			return
		}
		r.flush(give)
		r.next, r.lost = seq, true
	case int(ahead) >= ReorderPackets:
		// No room: give up the oldest holes until there is.
		for int(int16(seq-r.next)) >= ReorderPackets {
			r.skip(give)
		}
	}
	r.strays = 0
	slot := &r.slots[seq%ReorderPackets]
	if *slot != nil {
		return
	}
	if r.held == 0 {
		r.since = p.Arrival
	}
	*slot = p
	r.held++
	r.drain(give)
	for r.held > 0 && p.Arrival.Sub(r.since) >= ReorderDelay {
		r.skip(give)
	}
}

// restart makes the next packet the first of a new numbering.
func (r *reorder) restart() { r.started, r.lost = false, true }

// drain gives out what follows without a hole.
func (r *reorder) drain(give func(*Packet, bool)) {
	gave := false
	for r.held > 0 {
		slot := &r.slots[r.next%ReorderPackets]
		p := *slot
		if p == nil {
			break
		}
		*slot = nil
		r.held--
		r.next++
		gap := r.lost
		r.lost = false
		gave = true
		give(p, gap)
	}
	if gave && r.held > 0 {
		r.since = r.oldest()
	}
}

// oldest is the arrival of the first packet behind the hole.
func (r *reorder) oldest() time.Time {
	for i := range uint16(ReorderPackets) {
		if p := r.slots[(r.next+i)%ReorderPackets]; p != nil {
			return p.Arrival
		}
	}
	return r.since
}

// skip gives up the packet awaited, and those after it that are missing too.
func (r *reorder) skip(give func(*Packet, bool)) {
	if r.held == 0 {
		r.next++
		r.lost = true
		return
	}
	for r.slots[r.next%ReorderPackets] == nil {
		r.next++
		r.lost = true
	}
	r.drain(give)
}

// flush gives out everything held, holes or not.
func (r *reorder) flush(give func(*Packet, bool)) {
	for r.held > 0 {
		r.skip(give)
	}
}
