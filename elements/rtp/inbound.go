package rtp

import (
	"time"

	"github.com/pion/rtcp"
	pion "github.com/pion/rtp"
)

// seenWindow is how many sequence numbers back a duplicate is known; it divides 2^16.
const seenWindow = 1024

// inbound counts one received stream as RFC 3550 appendix A does. Guarded by
// receiver.mu.
type inbound struct {
	ssrc           uint32
	packets, bytes uint64
	base, highest  uint32 // extended sequence numbers
	seen           [seenWindow / 64]uint64
	transit        int64
	jitter         float64 // ticks
	rate           uint32
	lastSR         uint32 // middle of the latest report's NTP time
	lastSRAt       time.Time
	fraction       uint8
	before         struct{ expected, received uint64 }
}

// count takes one packet at a time since some fixed instant; false for one that
// was there before.
func (s *inbound) count(h *pion.Header, size int, rate uint32, at time.Duration) bool {
	if s.packets == 0 {
		s.base = uint32(h.SequenceNumber)
		s.highest = s.base
	}
	if s.again(h.SequenceNumber) {
		return false
	}
	s.rate = rate
	s.packets++
	s.bytes += uint64(size)
	if d := int16(h.SequenceNumber - uint16(s.highest)); d > 0 {
		s.highest += uint32(d)
	}
	transit := int64(at)*int64(rate)/int64(time.Second) - int64(h.Timestamp)
	if s.packets > 1 {
		d := int32(transit - s.transit)
		if d < 0 {
			d = -d
		}
		s.jitter += (float64(d) - s.jitter) / 16
	}
	s.transit = transit
	return true
}

// again tells whether a sequence number is among the latest seenWindow, and
// notes it. Older ones count as there before.
func (s *inbound) again(seq uint16) bool {
	ahead := int(int16(seq - uint16(s.highest)))
	bit := func(n uint16) (word *uint64, mask uint64) {
		n %= seenWindow
		return &s.seen[n/64], 1 << (n % 64)
	}
	switch {
	case s.packets == 0:
		s.seen = [seenWindow / 64]uint64{}
	case ahead <= -seenWindow:
		return true
	case ahead > 0: // what lies between is not seen yet
		for i := 1; i < min(ahead, seenWindow); i++ {
			w, m := bit(seq - uint16(i))
			*w &^= m
		}
	default:
		if w, m := bit(seq); *w&m != 0 {
			return true
		}
	}
	w, m := bit(seq)
	*w |= m
	return false
}

func (s *inbound) expected() uint64 { return uint64(s.highest-s.base) + 1 }

func (s *inbound) lost() int64 { return int64(s.expected()) - int64(s.packets) }

// interval closes a report interval.
func (s *inbound) interval() {
	if s.packets == 0 {
		return
	}
	expected, received := s.expected()-s.before.expected, s.packets-s.before.received
	s.before.expected, s.before.received = s.expected(), s.packets
	s.fraction = 0
	if expected > received {
		s.fraction = uint8(min((expected-received)*256/expected, 255))
	}
}

// block is the reception report of the stream (RFC 3550 §6.4.1).
func (s *inbound) block(now time.Time) (rtcp.ReceptionReport, bool) {
	if s.packets == 0 {
		return rtcp.ReceptionReport{}, false
	}
	b := rtcp.ReceptionReport{
		SSRC: s.ssrc, FractionLost: s.fraction, TotalLost: uint32(min(max(s.lost(), 0), 1<<23-1)),
		LastSequenceNumber: s.highest, Jitter: uint32(s.jitter), LastSenderReport: s.lastSR,
	}
	if !s.lastSRAt.IsZero() {
		b.Delay = uint32(now.Sub(s.lastSRAt) * 65536 / time.Second)
	}
	return b, true
}
