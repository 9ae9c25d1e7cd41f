package transport

import (
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/pipeline"
)

// Stream is the statistics of one RTP stream.
type Stream struct {
	Kind    pipeline.Kind
	SSRC    uint32
	Packets uint64 // received or sent, retransmissions not counted
	Bytes   uint64 // payload
	// Lost is packets missing now: counted by us when inbound, as the peer
	// reports when outbound.
	Lost         int64
	FractionLost float64 // of the latest report interval, 0 to 1
	Jitter       time.Duration
	RoundTrip    time.Duration // outbound; 0 until a report came
	// PLI, FIR and NACK are requests sent when inbound, received when outbound.
	PLI, FIR, NACK uint64
	// REMBbps is the bandwidth announced to the peer (inbound) or by it (outbound).
	REMBbps uint64
	// Resent is packets retransmitted, Dropped those not sent for want of a
	// codec, a keyframe or a connection (outbound only).
	Resent, Dropped uint64
	// Repairs is packets of FlexFEC received or sent, Recovered what was made whole
	// by them (inbound only; they count as received).
	Repairs, Recovered uint64
}

// Stats are a Peer's RTP streams.
type Stats struct{ Inbound, Outbound []Stream }

// Stats reads the counters of a kind, 0 for all. Streams that never had a
// packet or a binding are left out.
func (p *Peer) Stats(kind pipeline.Kind) Stats {
	var s Stats
	for _, k := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
		if kind != 0 && kind != k {
			continue
		}
		if in, ok := p.Receiver(k).stream(); ok {
			s.Inbound = append(s.Inbound, in)
		}
		if out, ok := p.Sender(k).stream(); ok {
			s.Outbound = append(s.Outbound, out)
		}
	}
	return s
}

// seenWindow is how many sequence numbers back a duplicate is known; it divides 2^16.
const seenWindow = 1024

// inbound counts one received stream as RFC 3550 appendix A does. Guarded by
// the lock of the Peer's shard.
type inbound struct {
	ssrc           uint32
	packets, bytes uint64
	base, highest  uint32 // extended sequence numbers
	seen           [seenWindow / 64]uint64
	transit        int64
	jitter         float64 // ticks
	rate           uint32
	pli, fir       uint64
	recovered      uint64
	before         struct {
		expected, received uint64
		fraction           float64
	}
}

// count takes one packet; false when it was there before: browsers probe for
// bandwidth by sending packets again, which nobody behind wants twice.
func (s *inbound) count(h *rtp.Header, size int, rate uint32, at time.Duration) bool {
	if s.packets == 0 || h.SSRC != s.ssrc {
		*s = inbound{ssrc: h.SSRC, pli: s.pli, fir: s.fir, recovered: s.recovered}
		s.base = uint32(h.SequenceNumber)
		s.highest = s.base
	}
	s.rate = rate
	if s.again(h.SequenceNumber) {
		return false
	}
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
// notes it. Older ones than that count as there before.
func (s *inbound) again(seq uint16) bool {
	ahead := int(int16(seq - uint16(s.highest)))
	switch {
	case s.packets == 0:
		s.seen = [seenWindow / 64]uint64{}
	case ahead <= -seenWindow:
		return true
	case ahead > 0: // what lies between is not seen yet
		for i := 1; i < min(ahead, seenWindow); i++ {
			n := (seq - uint16(i)) % seenWindow
			s.seen[n/64] &^= 1 << (n % 64)
		}
	default:
		n := seq % seenWindow
		if s.seen[n/64]&(1<<(n%64)) != 0 {
			return true
		}
	}
	n := seq % seenWindow
	s.seen[n/64] |= 1 << (n % 64)
	return false
}

func (s *inbound) expected() uint64 { return uint64(s.highest-s.base) + 1 }

// interval closes a report interval; called about once a second.
func (s *inbound) interval() {
	if s.packets == 0 {
		return
	}
	expected, received := s.expected()-s.before.expected, s.packets-s.before.received
	s.before.expected, s.before.received = s.expected(), s.packets
	s.before.fraction = 0
	if expected > received {
		s.before.fraction = float64(expected-received) / float64(expected)
	}
}

func (r *Receiver) stream() (st Stream, known bool) {
	r.peer.under(func(*turn) { st, known = r.streamLocked() })
	return st, known
}

// streamLocked sums the encodings up under the name of the first.
func (r *Receiver) streamLocked() (Stream, bool) {
	st := Stream{Kind: r.kind, NACK: r.peer.nacks, REMBbps: r.rembBps}
	if len(r.declared) > 0 {
		st.SSRC = r.declared[0]
	}
	known := st.SSRC != 0
	for i, e := range r.encs {
		s := &e.stats
		if s.packets == 0 {
			continue
		}
		if !known || i == 0 {
			st.SSRC = s.ssrc
		}
		known = true
		st.Packets += s.packets
		st.Bytes += s.bytes
		st.Lost += int64(s.expected()) - int64(s.packets)
		st.FractionLost = max(st.FractionLost, s.before.fraction)
		st.Jitter = max(st.Jitter, time.Duration(s.jitter*float64(time.Second)/float64(s.rate)))
		st.PLI += s.pli
		st.FIR += s.fir
		st.Recovered += s.recovered
		if e.fec != nil {
			st.Repairs += e.fec.told
		}
	}
	if !known || st.Packets == 0 {
		return Stream{Kind: r.kind, SSRC: st.SSRC}, known
	}
	return st, true
}

// omit counts a packet that is not sent.
func (s *Sender) omit(t *turn, why omission) {
	s.stats.dropped++
	t.shard.tally.omitted[why]++
}

func (s *Sender) stream() (st Stream, known bool) {
	s.peer.under(func(*turn) { st, known = s.streamLocked() })
	return st, known
}

func (s *Sender) streamLocked() (Stream, bool) {
	if s.leg == nil {
		return Stream{}, false
	}
	o := &s.stats
	st := Stream{
		Kind: s.kind, SSRC: s.ssrc, Packets: o.packets, Bytes: o.bytes, Lost: o.lost, FractionLost: o.fraction,
		RoundTrip: o.rtt, PLI: o.pli, FIR: o.fir, NACK: o.nack, REMBbps: o.rembBps, Resent: o.resent, Dropped: o.dropped, Repairs: o.repairs,
	}
	if s.use != nil {
		st.Jitter = time.Duration(o.jitter) * time.Second / time.Duration(s.use.rate)
	}
	return st, true
}
