package transport

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
)

// ntpEpoch is 1 January 1900 in Unix seconds (RFC 3550 §4).
const ntpEpoch = 2208988800

// ntpTime turns a 64-bit NTP timestamp into an instant, exact to about 1 ns.
func ntpTime(ntp uint64) time.Time {
	seconds := int64(ntp>>32) - ntpEpoch
	return time.Unix(seconds, int64((ntp&0xffffffff)*1e9>>32))
}

// toNTP is the inverse of ntpTime.
func toNTP(t time.Time) uint64 {
	seconds := uint64(t.Unix() + ntpEpoch)
	return seconds<<32 | uint64(t.Nanosecond())<<32/1e9
}

// captureTime is when a packet's media was captured, by the clock of the sender's
// reports, if the packet says so (abs-capture-time): an NTP time, and, when the
// media is from elsewhere, how far the sender's clock is ahead of that one.
func captureTime(b []byte) time.Time {
	if len(b) != 8 && len(b) != 16 || binary.BigEndian.Uint64(b) == 0 {
		return time.Time{}
	}
	at := ntpTime(binary.BigEndian.Uint64(b))
	if len(b) == 16 {
		ahead := int64(binary.BigEndian.Uint64(b[8:])) // 32.32 seconds
		at = at.Add(time.Duration(ahead>>32)*time.Second + time.Duration((ahead&0xffffffff)*1e9>>32))
	}
	return at
}

// A stream's sender is asked for a report at most maxAsked times, askPause apart.
const (
	maxAsked = 20
	askPause = 200 * time.Millisecond
)

// reportRequest asks for the first sender report of a stream that has begun
// (RFC 6051 §3.2): browsers send it after seconds else, and until then nobody
// knows what was captured together. nil when it is not needed.
func (e *encoding) reportRequest(now time.Time) rtcp.Packet {
	if e.clock == nil || e.stats.packets == 0 || e.asked >= maxAsked || now.Sub(e.askedAt) < askPause || !e.clock.Waits() {
		return nil
	}
	e.asked++
	e.askedAt = now
	return &rtcp.RapidResynchronizationRequest{MediaSSRC: e.stats.ssrc}
}

// anchor tells the clock of a sender report, so that audio and video of one
// sender line up. One without a time (RFC 3550 §6.4.1) says nothing.
func (e *encoding) anchor(sr *rtcp.SenderReport, now time.Time) {
	if e.clock == nil || e.stats.ssrc != sr.SSRC || sr.NTPTime == 0 {
		return
	}
	e.reception.Report(sr.NTPTime, now)
	e.clock.Report(sr.RTPTime, ntpTime(sr.NTPTime), now)
}

// ticks is a duration in units of an RTP clock.
func ticks(d time.Duration, rate uint32) uint32 {
	if d <= 0 {
		return 0
	}
	return uint32(int64(d/time.Microsecond) * int64(rate) / 1e6)
}
