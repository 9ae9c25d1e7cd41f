package congestion

import (
	"time"

	"github.com/pion/rtcp"
)

const (
	maxDropout  = 3000 // a larger jump is a restart (RFC 3550 A.1)
	maxMisorder = 100
)

// Reception counts what came of one SSRC, for the blocks of receiver reports
// (RFC 3550 §6.4.1, A.1, A.3, A.8). The zero value is ready.
type Reception struct {
	clock    clock
	base     int64 // extended sequence number of the first packet
	high     int64 // the highest
	packets  uint64
	expected int64  // as of the latest Block
	received uint64 // as of the latest Block
	bad      int32  // the number that would prove a restart, -1 without
	jitter   int32  // sixteenths of ticks
	fraction uint8
	started  bool
	ts       uint32
	at       int64 // of the packet that ts belongs to
	lsr      uint32
	lsrAt    int64
}

// Came counts a packet; rate is the RTP clock in Hz. Packets recovered by RTX do
// not count here (RFC 4588 §8.1).
func (r *Reception) Came(seq uint16, ts, rate uint32, now time.Time) {
	at := r.clock.at(now)
	if !r.started {
		r.begin(seq)
	} else if !r.place(seq) {
		return
	}
	r.packets++
	r.spread(ts, rate, at)
}

func (r *Reception) begin(seq uint16) {
	r.started, r.bad = true, -1
	r.base, r.high = int64(seq), int64(seq)
	r.packets, r.received, r.expected, r.at = 0, 0, 0, 0
}

// place finds the packet's place in the sequence; false: it does not count.
func (r *Reception) place(seq uint16) bool {
	switch d := seq - uint16(r.high); {
	case d < maxDropout:
		r.high += int64(d)
	case d > 65535-maxMisorder: // late or twice
	case r.bad == int32(seq): // two in a row: the sender began anew
		r.begin(seq)
		return true
	default:
		r.bad = int32(seq + 1)
		return false
	}
	r.bad = -1
	return true
}

// spread follows the jitter (A.8).
func (r *Reception) spread(ts, rate uint32, at int64) {
	if r.at != 0 && rate != 0 && at-r.at < 5*second {
		d := (at-r.at)*int64(rate)/second - int64(int32(ts-r.ts))
		// More than five seconds is a jump of the media clock.
		if d = max(d, -d); d < 5*int64(rate) && d < 1<<26 {
			r.jitter += int32(d) - (r.jitter+8)>>4
		}
	}
	r.ts, r.at = ts, at
}

// Report notes a sender report of the SSRC with its NTP timestamp.
func (r *Reception) Report(ntp uint64, now time.Time) {
	r.lsr, r.lsrAt = uint32(ntp>>16), r.clock.at(now)
}

// Block is the report about ssrc, and begins the next interval.
func (r *Reception) Block(ssrc uint32, now time.Time) rtcp.ReceptionReport {
	at := r.clock.at(now)
	expected := r.expect()
	interval, came := expected-r.expected, int64(r.packets-r.received)
	r.expected, r.received, r.fraction = expected, r.packets, 0
	if lost := interval - came; interval > 0 && lost > 0 {
		r.fraction = uint8(min(lost<<8/interval, 255))
	}
	b := rtcp.ReceptionReport{
		SSRC: ssrc, FractionLost: r.fraction, Jitter: r.Jitter(), LastSenderReport: r.lsr,
		TotalLost:          uint32(min(max(r.Lost(), -1<<23), 1<<23-1)) & 0xffffff,
		LastSequenceNumber: uint32(r.high),
	}
	if r.lsrAt != 0 {
		b.Delay = uint32(min((at-r.lsrAt)*65536/second, 1<<32-1))
	}
	return b
}

func (r *Reception) expect() int64 {
	if !r.started {
		return 0
	}
	return r.high - r.base + 1
}

// Started tells whether a packet has come.
func (r *Reception) Started() bool { return r.started }

// Packets is how many came, duplicates included, since the stream began.
func (r *Reception) Packets() uint64 { return r.packets }

// Lost is how many did not come; below zero when there were duplicates.
func (r *Reception) Lost() int64 { return r.expect() - int64(r.packets) }

// Fraction is the part that was lost in the interval before the latest Block.
func (r *Reception) Fraction() float64 { return float64(r.fraction) / 256 }

// Jitter is the interarrival jitter in ticks of the RTP clock.
func (r *Reception) Jitter() uint32 { return uint32(r.jitter >> 4) }

// RoundTrip is the time to the peer and back by a report block that came from it:
// the fields "last SR" and "delay since last SR", and the middle 32 bits of the
// NTP time of now, all in 1/65536 s (RFC 3550 §6.4.1). False: the peer has had no
// report yet, or what it says cannot be.
func RoundTrip(lsr, delay, now uint32) (time.Duration, bool) {
	if lsr == 0 {
		return 0, false
	}
	rtt := int32(now - lsr - delay)
	// Clocks of different steps may make it a little less than nothing.
	if rtt < -65536/100 || rtt > 30*65536 {
		return 0, false
	}
	return time.Duration(max(rtt, 0)) * time.Second / 65536, true
}
