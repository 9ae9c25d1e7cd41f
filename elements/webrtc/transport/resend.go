package transport

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
)

const (
	resendSlots = 512 // packets kept, a power of two
	resendTimes = 10  // answers per packet
	resendPause = 15 * time.Millisecond
	resendShare = 10      // one part in this many of what was sent may be sent again
	resendPurse = 256_000 // bytes that can be saved up for a burst of loss
)

// resend keeps the latest packets of a Sender and answers NACKs (RFC 4585
// §6.2.1) with RTX (RFC 4588) when the peer knows it. Payloads are shared with
// the source, not copied. Guarded by Sender.mu.
type resend struct {
	slots   []resendSlot // nil until the first packet that may be asked for
	purse   int          // bytes it may still spend
	rtxSeq  uint16
	scratch [MaxDatagram + 2]byte
	header  rtp.Header
}

type resendSlot struct {
	payload []byte
	codec   *sendCodec
	at      time.Time // of the latest answer
	ts      uint32
	seq     uint16
	times   uint8
	marker  bool
}

func (r *resend) keep(seq uint16, ts uint32, marker bool, c *sendCodec, payload []byte) {
	if r.slots == nil {
		r.slots = make([]resendSlot, resendSlots)
		r.purse = resendPurse / 4
	}
	r.slots[seq%resendSlots] = resendSlot{payload: payload, codec: c, ts: ts, seq: seq, marker: marker}
}

func (r *resend) earn(size int) { r.purse = min(r.purse+size/resendShare, resendPurse) }

func (r *resend) clear() { r.slots = nil }

// answer sends again what a NACK asks for.
func (s *Sender) answer(n *rtcp.TransportLayerNack, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.nack++
	if s.resend.slots == nil || s.writer == nil || !s.live {
		return
	}
	for i := range n.Nacks {
		for _, seq := range n.Nacks[i].PacketList() {
			s.again(seq, now)
		}
	}
}

func (s *Sender) again(seq uint16, now time.Time) {
	r := &s.resend
	slot := &r.slots[seq%resendSlots]
	size := len(slot.payload)
	if slot.codec == nil || slot.seq != seq || slot.times >= resendTimes ||
		now.Sub(slot.at) < resendPause || r.purse < size || size > MaxDatagram {
		return
	}
	slot.times++
	slot.at = now
	r.purse -= size
	h := &r.header
	h.Version, h.Marker, h.Timestamp = 2, slot.marker, slot.ts
	payload := slot.payload
	if slot.codec.rtx != 0 && s.rtxSSRC != 0 {
		h.PayloadType, h.SSRC, h.SequenceNumber = slot.codec.rtx, s.rtxSSRC, r.rtxSeq
		r.rtxSeq++
		r.scratch[0], r.scratch[1] = byte(seq>>8), byte(seq)
		payload = r.scratch[:2+copy(r.scratch[2:], payload)]
	} else {
		h.PayloadType, h.SSRC, h.SequenceNumber = slot.codec.pt, s.ssrc, seq
	}
	if _, err := s.writer.WriteRTP(h, payload); err == nil {
		s.stats.resent++
	}
}
