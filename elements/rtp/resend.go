package rtp

import (
	"time"

	"github.com/pion/rtcp"
)

const (
	resendSlots = 512 // packets kept, a power of two
	resendTimes = 10  // answers per packet
	resendPause = 15 * time.Millisecond
	resendShare = 10      // one part in this many of what was sent may be sent again
	resendPurse = 256_000 // bytes that can be saved up for a burst of loss
)

// resend keeps the latest packets of a sender and answers requests for them
// (RFC 4585 §6.2.1), within a budget. Payloads are shared with the source, not
// copied. Guarded by sender.mu.
type resend struct {
	slots []resendSlot // nil until the first packet that may be asked for
	purse int          // bytes it may still spend
}

type resendSlot struct {
	payload []byte
	at      time.Time // of the latest answer
	ts      uint32
	seq     uint16
	pt      uint8
	times   uint8
	marker  bool
	filled  bool
}

func (r *resend) keep(seq uint16, ts uint32, marker bool, pt uint8, payload []byte) {
	if r.slots == nil {
		r.slots = make([]resendSlot, resendSlots)
		r.purse = resendPurse / 4
	}
	r.slots[seq%resendSlots] = resendSlot{payload: payload, ts: ts, seq: seq, pt: pt, marker: marker, filled: true}
}

func (r *resend) earn(size int) { r.purse = min(r.purse+size/resendShare, resendPurse) }

// answer sends again what a request asks for. The caller holds s.mu.
func (s *sender) answer(n *rtcp.TransportLayerNack, now time.Time) {
	s.stats.nack++
	if s.resend.slots == nil || s.leg == nil {
		return
	}
	for i := range n.Nacks {
		for _, seq := range n.Nacks[i].PacketList() {
			slot := &s.resend.slots[seq%resendSlots]
			size := len(slot.payload)
			if !slot.filled || slot.seq != seq || slot.times >= resendTimes ||
				now.Sub(slot.at) < resendPause || s.resend.purse < size {
				continue
			}
			slot.times++
			slot.at = now
			s.resend.purse -= size
			if s.send(seq, slot.ts, slot.marker, slot.pt, slot.payload, now) {
				s.stats.resent++
			}
		}
	}
}
