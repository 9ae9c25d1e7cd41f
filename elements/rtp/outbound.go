package rtp

import (
	"time"

	"github.com/pion/rtcp"

	"github.com/govidu/govidu/pipeline"
)

// outbound counts one sent stream. Guarded by sender.mu.
type outbound struct {
	packets, bytes, resent, dropped uint64
	sentAt                          time.Time
	pli, fir, nack                  uint64
	lost                            int64
	fraction                        float64
	rtt                             time.Duration
	rembBps                         uint64
}

// feedback hears what the peer asks of the stream that it is sent.
func (s *sender) feedback(packet rtcp.Packet, now time.Time) {
	key, bound := false, false
	s.mu.Lock()
	switch p := packet.(type) {
	case *rtcp.PictureLossIndication:
		if key = p.MediaSSRC == s.ssrc; key {
			s.stats.pli++
		}
	case *rtcp.FullIntraRequest:
		for _, f := range p.FIR {
			key = key || f.SSRC == s.ssrc
		}
		if key {
			s.stats.fir++
		}
	case *rtcp.TransportLayerNack:
		if p.MediaSSRC == s.ssrc {
			s.answer(p, now)
		}
	case *rtcp.ReceiverEstimatedMaximumBitrate:
		if bound = p.Bitrate >= 1; bound {
			s.stats.rembBps = uint64(min(p.Bitrate, 1e10))
		}
	}
	key = key && s.leg != nil && s.kind == pipeline.Video
	s.mu.Unlock()
	if key {
		s.requestKeyFrame()
	}
	if bound {
		s.limit()
	}
}

// blocks reads the reception blocks about our stream (RFC 3550 §6.4.1).
func (s *sender) blocks(reports []rtcp.ReceptionReport, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range reports {
		if b.SSRC != s.ssrc {
			continue
		}
		s.stats.fraction = float64(b.FractionLost) / 256
		s.stats.lost = int64(int32(b.TotalLost<<8) >> 8)
		if b.LastSenderReport != 0 {
			// All three are in units of 1/65536 s.
			rtt := uint32(toNTP(now)>>16) - b.LastSenderReport - b.Delay
			if d := time.Duration(rtt) * time.Second / 65536; d < 10*time.Second {
				s.stats.rtt = d
			}
		}
	}
}

// silentAfter is how long after its last packet a sender no longer reports as one.
const silentAfter = 5 * time.Second

// report is the sender report now, nil while nothing is sent. Its NTP time is
// that of the source's PTS, so that streams which reached us in step leave in
// step.
func (s *sender) report(now time.Time) *rtcp.SenderReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leg == nil || s.stats.packets == 0 || now.Sub(s.stats.sentAt) > silentAfter {
		return nil
	}
	since := now.Sub(s.e.Graph().Epoch().Add(s.line.lastPTS))
	at := s.line.lastTS
	if since >= 0 {
		at += ticks(since, s.line.rate)
	} else {
		at -= ticks(-since, s.line.rate)
	}
	return &rtcp.SenderReport{
		SSRC: s.ssrc, NTPTime: toNTP(now), RTPTime: at,
		PacketCount: uint32(s.stats.packets), OctetCount: uint32(s.stats.bytes),
	}
}
