package transport

import (
	"time"
)

// ledgerSize is how many packets a ledger knows: more than leave in a round trip and
// the time between two packets of feedback. A power of two.
const ledgerSize = 512

// unaskedAge is how old a packet may be to be sent again unasked.
const unaskedAge = 700 * time.Millisecond

// ledger knows under which transport-wide numbers packets of video have left. While a
// way loses packets, feedback tells sooner and more reliably than NACKs what to send
// again: it tells of retransmissions that were lost, it is there when a NACK was lost,
// and it goes on when the peer asks no more because it has a later keyframe, to which
// it skips and stands still until then. Guarded by the lock of the Peer's shard.
type ledger [ledgerSize]struct{ wide, seq uint16 }

// keepLedger begins a ledger when packets are lost, and ends it.
func (s *Sender) keepLedger(lossy bool) {
	on := lossy && s.ext.twcc != 0
	if on == (s.ledger != nil) {
		return
	}
	s.ledger = nil
	if on {
		s.ledger = &ledger{}
	}
	s.leg.rate.Follow(on)
}

// enter notes that the packet of a slot leaves under the next transport-wide number.
func (s *Sender) enter(slot *resendSlot) {
	if s.ledger == nil {
		return
	}
	slot.wide = s.leg.sendSeq
	e := &s.ledger[slot.wide%ledgerSize]
	e.wide, e.seq = slot.wide, slot.out.Seq
}

// unasked sends again what the latest feedback tells to be missing, unless it has been
// sent once more since.
func (s *Sender) unasked(t *turn) {
	if s.ledger == nil || s.resend.slots == nil {
		return
	}
	for _, wide := range s.leg.rate.Lost() {
		e := s.ledger[wide%ledgerSize]
		slot := s.resend.slot(e.seq)
		if e.wide != wide || slot.p == nil || slot.out.Seq != e.seq || slot.wide != wide ||
			!slot.p.Arrival.IsZero() && t.now.Sub(slot.p.Arrival) > unaskedAge {
			continue
		}
		s.again(t, e.seq)
	}
}

// copies is how often a packet is sent that is sent again: where much is lost, what was
// lost twice is sent twice, for there will not be many more chances. Some peers ask on
// for what has come on the stream of retransmissions, which is not lost.
func (s *Sender) copies(slot *resendSlot) int {
	if slot.times > 0 && s.leg.weather.lossy && s.leg.weather.loss >= lossyDeep && !s.arrived(slot) {
		return 2
	}
	return 1
}

// arrived tells whether feedback has told that the latest copy of a packet came.
func (s *Sender) arrived(slot *resendSlot) bool {
	if s.ledger == nil {
		return false
	}
	e := &s.ledger[slot.wide%ledgerSize]
	return e.wide == slot.wide && e.seq == slot.out.Seq && s.leg.rate.Arrived(slot.wide)
}

// pause is the time within which one packet is not sent again twice: a peer that asks
// sooner asked before it could have it.
func (s *Sender) pause() time.Duration {
	return min(max(s.leg.nearest()*3/4, resendPause), resendLong)
}

// nearest is the least that is known of the way to the peer and back, 0 when nothing is.
func (l *leg) nearest() time.Duration {
	if l.agent == nil {
		return 0
	}
	return min(l.agent.Stats().RoundTrip, l.weather.rtt)
}

// answerCopies is how often an answer to a check leaves where much is lost: a peer that
// misses five of them in a row takes the connection for gone, though media flows.
const answerCopies = 3

// checkCopies is how often a message of ICE is to be sent. Only who knows our password
// is answered, so that nobody else is sent more than he sends.
func (l *leg) checkCopies(b []byte) int {
	if l.weather.lossy && l.weather.loss >= lossyDeep && len(b) > 1 && b[0] == 1 && b[1] == 1 { // success (RFC 8489 §5)
		return answerCopies
	}
	return 1
}
