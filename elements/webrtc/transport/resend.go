package transport

import (
	"encoding/binary"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/pipeline"
)

const (
	// As many packets are kept as leave in about resendSpan, within these bounds,
	// powers of two.
	minResend  = 64
	maxResend  = 1024
	resendSpan = time.Second

	resendTimes = 10                     // answers per packet
	resendPause = 15 * time.Millisecond  // at least, and
	resendLong  = 200 * time.Millisecond // at most
	resendTick  = 4 * time.Millisecond   // in which times are kept

	// repairOverhead is what a packet costs that is sent again, in bytes besides its
	// payload; what new packets earn does not count theirs.
	repairOverhead = 40
)

// resend keeps the latest packets of a Sender and answers NACKs (RFC 4585
// §6.2.1) with RTX (RFC 4588) when the peer knows it. Packets are shared with
// the source, not copied. Guarded by the lock of the Peer's shard.
type resend struct {
	slots  []resendSlot // nil until the first packet that may be asked for
	codec  *rtpCodec    // of all that is kept
	budget congestion.Budget
	rtxSeq uint32 // with its rollover
	latest uint16 // sequence number

	marks []mark // of what is in slots, for a peer without a stream of retransmissions
	again bool   // what is written now is sent again under its own number
}

// mark is the part of a packet's header that depends on when it left: its extensions
// with their head. What is sent again under its own number must be the same packet to
// the last bit, or it betrays the key of its authentication (RFC 5116 §5.1.1).
type mark struct {
	n uint8
	b [47]byte // the most that extend writes
}

// resendSlot is small: there are many.
type resendSlot struct {
	p     *pipeline.Packet
	out   layers.Out
	at    uint16 // when it left, or was last sent again, in resendTick
	times uint8
	wide  uint16 // its transport-wide number the last time, if there is a ledger
}

func (r *resend) keep(t *turn, c *rtpCodec, p *pipeline.Packet, out *layers.Out) {
	if r.slots == nil {
		r.slots = make([]resendSlot, minResend)
	}
	if r.codec != c { // what was sent under another payload type is not sent again
		clear(r.slots)
		r.codec = c
		r.marks = nil
	}
	if c.rtx == 0 && len(r.marks) < len(r.slots) {
		r.marks = make([]mark, len(r.slots))
	}
	now := t.tick()
	slot := r.slot(out.Seq)
	if slot.p != nil && len(r.slots) < maxResend && now-slot.at < uint16(resendSpan/resendTick) && slot.out.Seq != out.Seq {
		r.grow()
		slot = r.slot(out.Seq)
	}
	*slot = resendSlot{p: p, out: *out, at: now}
	r.latest = out.Seq
}

func (r *resend) slot(seq uint16) *resendSlot { return &r.slots[int(seq)&(len(r.slots)-1)] }

func (r *resend) markOf(seq uint16) *mark { return &r.marks[int(seq)&(len(r.marks)-1)] }

// grow makes room for twice as many.
func (r *resend) grow() {
	old, marks := r.slots, r.marks
	r.slots = make([]resendSlot, 2*len(old))
	if marks != nil {
		r.marks = make([]mark, len(r.slots))
	}
	for i := range old {
		if old[i].p != nil {
			*r.slot(old[i].out.Seq) = old[i]
			if marks != nil {
				*r.markOf(old[i].out.Seq) = marks[i]
			}
		}
	}
}

// tick is the time in resendTick, which wraps.
func (t *turn) tick() uint16 { return uint16(t.now.UnixNano() / int64(resendTick)) }

func (r *resend) clear() { r.slots, r.codec, r.marks = nil, nil, nil }

// extensible is extend for a packet of the stream of a number, which may have to be
// written once more.
func (s *Sender) extensible(t *turn, dst []byte, level int, seq uint16) int {
	r := &s.resend
	if r.marks == nil || s.use.rtx != 0 {
		return s.extend(t, dst, level)
	}
	m := r.markOf(seq)
	if !r.again {
		n := s.extend(t, dst, level)
		m.n = uint8(copy(m.b[:], dst[rtpFixed:n]))
		return n
	}
	if m.n > 0 {
		dst[0] |= 0x10
	}
	return rtpFixed + copy(dst[rtpFixed:], m.b[:m.n])
}

// again sends one packet again that a NACK asks for.
func (s *Sender) again(t *turn, seq uint16) {
	r := &s.resend
	if r.slots == nil || !s.live || s.use == nil {
		return
	}
	slot := r.slot(seq)
	now := t.tick()
	y := &t.shard.tally
	switch {
	case slot.p == nil || slot.out.Seq != seq:
		y.unkept++
		return
	case slot.times >= resendTimes || slot.times > 0 && now-slot.at < uint16(s.pause()/resendTick):
		y.repeated++
		return
	}
	for i := range s.copies(slot) {
		if !r.budget.Spend(len(slot.p.Payload) + repairOverhead) {
			y.unaffordable++
			return
		}
		if i == 0 {
			slot.times++
			slot.at = now
		}
		n := s.repeat(t, slot)
		if n == 0 {
			return
		}
		s.leg.commit(t, n)
		if r.codec.rtx != 0 {
			s.enter(slot)
			s.counted(t, n)
		} else {
			s.leg.rate.Count(n) // it has the transport-wide number of the first time
		}
		s.stats.resent++
		y.resent++
		y.resentBytes += uint64(n)
	}
}

// repeat writes the packet of a slot once more, by RTX if the peer knows that; it
// gives its size, 0 when it does not fit.
func (s *Sender) repeat(t *turn, slot *resendSlot) int {
	r := &s.resend
	if r.codec.rtx == 0 {
		r.again = true
		defer func() { r.again = false }()
		return s.seal(t, slot.p, &slot.out, slot.out.Seq, s.rolls.of(slot.out.Seq))
	}
	payload := slot.p.Payload
	if slot.out.Empty {
		payload = nil
	}
	b := s.leg.slot(t)
	n := s.repairHeader(t, b, slot.p, &slot.out)
	if n+2+len(payload) > len(b) {
		return 0
	}
	binary.BigEndian.PutUint16(b[n:], slot.out.Seq)
	plain := b[n : n+2+copy(b[n+2:], payload)]
	slot.out.Apply(plain[2:])
	return s.sealRepair(b, n, plain)
}

// repairHeader is header for the stream of retransmissions.
func (s *Sender) repairHeader(t *turn, b []byte, p *pipeline.Packet, out *layers.Out) int {
	n := s.header(t, b, p, out, uint16(s.resend.rtxSeq))
	b[1] = b[1]&0x80 | s.resend.codec.rtx
	binary.BigEndian.PutUint32(b[8:], s.rtxSSRC)
	return n
}

func (s *Sender) sealRepair(b []byte, n int, plain []byte) int {
	r := &s.resend
	out := s.leg.sealer.Seal(b, n, plain, s.rtxSSRC, uint16(r.rtxSeq), r.rtxSeq>>16)
	if out != nil {
		r.rtxSeq++
	}
	return len(out)
}

// padding is what a probe packet is filled with, in bytes; the last one tells the
// number (RFC 3550 §5.1).
const padding = 224

// nothing is what a probe is made of.
var nothing pipeline.Packet

// probe sends about so many bytes to find out whether the way takes more: padding
// on the stream of retransmissions, which leaves no hole in the picture's.
func (s *Sender) probe(t *turn, bytes int) {
	r := &s.resend
	if !s.live || r.codec == nil || r.codec.rtx == 0 || r.slots == nil {
		return
	}
	out := &r.slot(r.latest).out
	for bytes > 0 {
		b := s.leg.slot(t)
		marker := *out
		marker.Marker = false
		n := s.repairHeader(t, b, &nothing, &marker)
		b[0] |= 0x20
		plain := b[n : n+padding]
		clear(plain)
		plain[padding-1] = padding
		size := s.sealRepair(b, n, plain)
		if size == 0 {
			return
		}
		s.leg.commit(t, size)
		s.counted(t, size)
		t.shard.tally.probed += uint64(size)
		bytes -= size
	}
}
