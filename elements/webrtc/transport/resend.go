package transport

import (
	"encoding/binary"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/pipeline"
)

const (
	resendSlots = 512 // packets kept, a power of two
	resendTimes = 10  // answers per packet
	resendPause = 15 * time.Millisecond
	resendTick  = 4 * time.Millisecond // in which the pause is measured
)

// resend keeps the latest packets of a Sender and answers NACKs (RFC 4585
// §6.2.1) with RTX (RFC 4588) when the peer knows it. Packets are shared with
// the source, not copied. Guarded by the lock of the Peer's shard.
type resend struct {
	slots  []resendSlot // nil until the first packet that may be asked for
	codec  *rtpCodec    // of all that is kept
	budget congestion.Budget
	rtxSeq uint32 // with its rollover
}

// resendSlot is small: there are many.
type resendSlot struct {
	p     *pipeline.Packet
	ts    uint32
	at    uint16 // of the latest answer, in resendTick
	cycle uint8  // the upper bits of the sequence number
	times uint8
}

func (r *resend) keep(seq uint16, ts uint32, c *rtpCodec, p *pipeline.Packet) {
	if r.slots == nil {
		r.slots = make([]resendSlot, resendSlots)
	}
	if r.codec != c { // what was sent under another payload type is not sent again
		clear(r.slots)
		r.codec = c
	}
	r.slots[seq%resendSlots] = resendSlot{p: p, ts: ts, cycle: uint8(seq / resendSlots)}
}

func (r *resend) clear() { r.slots, r.codec = nil, nil }

// again sends one packet again that a NACK asks for.
func (s *Sender) again(t *turn, seq uint16) {
	r := &s.resend
	if r.slots == nil || !s.live || s.use == nil {
		return
	}
	slot := &r.slots[seq%resendSlots]
	now := uint16(t.now.Sub(s.peer.start) / resendTick)
	if slot.p == nil || slot.cycle != uint8(seq/resendSlots) || slot.times >= resendTimes ||
		slot.times > 0 && now-slot.at < uint16(resendPause/resendTick) || !r.budget.Spend(len(slot.p.Payload)) {
		return
	}
	slot.times++
	slot.at = now
	if n := s.repeat(t, slot, seq); n > 0 {
		s.leg.commit(t, n)
		s.counted(t, n)
		s.stats.resent++
	}
}

// repeat writes the packet of a slot once more, by RTX if the peer knows that; it
// gives its size, 0 when it does not fit.
func (s *Sender) repeat(t *turn, slot *resendSlot, seq uint16) int {
	r := &s.resend
	b := s.leg.slot(t)
	n := s.header(t, b, &slot.p.Header, seq, slot.ts)
	b[1] = b[1]&0x80 | r.codec.pt
	if r.codec.rtx == 0 {
		return len(s.leg.sealer.Seal(b, n, slot.p.Payload, s.ssrc, seq, s.line.rollover(seq)))
	}
	if n+2+len(slot.p.Payload) > len(b) {
		return 0
	}
	b[1] = b[1]&0x80 | r.codec.rtx
	own := uint16(r.rtxSeq)
	binary.BigEndian.PutUint16(b[2:], own)
	binary.BigEndian.PutUint32(b[8:], s.rtxSSRC)
	binary.BigEndian.PutUint16(b[n:], seq)
	plain := b[n : n+2+copy(b[n+2:], slot.p.Payload)]
	out := s.leg.sealer.Seal(b, n, plain, s.rtxSSRC, own, r.rtxSeq>>16)
	if out != nil {
		r.rtxSeq++
	}
	return len(out)
}
