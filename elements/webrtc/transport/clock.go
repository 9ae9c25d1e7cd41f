package transport

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
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

// captured is when a packet's media was captured, by the clock of the sender's
// reports, if the packet says so (abs-capture-time): an NTP time, and, when the
// media is from elsewhere, how far the sender's clock is ahead of that one.
func (r *Receiver) captured(h *rtp.Header) time.Time {
	r.mu.Lock()
	id := r.stamp
	r.mu.Unlock()
	if id == 0 || !h.Extension {
		return time.Time{}
	}
	b := h.GetExtension(id)
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

// askReports asks for the first sender report of streams that have begun
// (RFC 6051 §3.2): browsers send it after seconds else, and until then nobody
// knows what was captured together.
func (p *Peer) askReports() {
	if !p.connected.Load() {
		return
	}
	for _, r := range []*Receiver{p.audioIn, p.videoIn} {
		if packet, pc := r.reportRequest(time.Now()); packet != nil {
			if err := pc.WriteRTCP([]rtcp.Packet{packet}); err != nil {
				p.debug("report request not sent", "err", err)
			}
		}
	}
}

func (r *Receiver) reportRequest(now time.Time) (rtcp.Packet, *webrtc.PeerConnection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pc == nil || r.clock == nil || r.stats.packets == 0 || r.asked >= maxAsked ||
		now.Sub(r.askedAt) < askPause || !r.clock.Waits() {
		return nil, nil
	}
	r.asked++
	r.askedAt = now
	return &rtcp.RapidResynchronizationRequest{MediaSSRC: r.stats.ssrc}, r.pc
}
