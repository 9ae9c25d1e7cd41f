package transport

import (
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/pipeline"
)

// outbound counts one sent stream. Guarded by Sender.mu.
type outbound struct {
	packets, bytes, resent, dropped uint64
	pli, fir, nack                  uint64
	lost                            int64
	fraction                        float64
	jitter                          uint32 // ticks
	rtt                             time.Duration
	rembBps                         uint64
}

func (s *Sender) stream() (Stream, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ssrc == 0 {
		return Stream{}, false
	}
	o := &s.stats
	st := Stream{
		Kind: s.kind, SSRC: s.ssrc, Packets: o.packets, Bytes: o.bytes, Lost: o.lost, FractionLost: o.fraction,
		RoundTrip: o.rtt, PLI: o.pli, FIR: o.fir, NACK: o.nack, REMBbps: o.rembBps, Resent: o.resent, Dropped: o.dropped,
	}
	if s.line.rate != 0 {
		st.Jitter = time.Duration(o.jitter) * time.Second / time.Duration(s.line.rate)
	}
	return st, true
}

// readRTCP hears what the peer says of the stream it is sent.
func (s *Sender) readRTCP(from *webrtc.RTPSender) {
	buf := make([]byte, MaxDatagram)
	for {
		n, _, err := from.Read(buf)
		if err != nil {
			return
		}
		s.peer.sawRTCP()
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			s.peer.engine.counters.malformed.Add(1)
			continue
		}
		for _, p := range packets {
			s.heard(p, time.Now())
		}
	}
}

func (s *Sender) heard(packet rtcp.Packet, now time.Time) {
	key := false
	switch p := packet.(type) {
	case *rtcp.PictureLossIndication:
		key = true
		s.note(func(o *outbound) { o.pli++ })
	case *rtcp.FullIntraRequest:
		key = true
		s.note(func(o *outbound) { o.fir++ })
	case *rtcp.TransportLayerNack:
		s.answer(p, now)
	case *rtcp.ReceiverEstimatedMaximumBitrate:
		s.mu.Lock()
		s.stats.rembBps = uint64(min(max(p.Bitrate, 0), 1e12))
		s.estimate.heardREMB(p.Bitrate, now)
		s.mu.Unlock()
	case *rtcp.ReceiverReport:
		s.blocks(p.Reports, now)
	case *rtcp.SenderReport:
		s.blocks(p.Reports, now)
	}
	if key {
		s.RequestKeyFrame()
	}
}

func (s *Sender) note(f func(*outbound)) {
	s.mu.Lock()
	f(&s.stats)
	s.mu.Unlock()
}

// blocks reads the blocks about our stream (RFC 3550 §6.4.1).
func (s *Sender) blocks(reports []rtcp.ReceptionReport, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range reports {
		if b.SSRC != s.ssrc {
			continue
		}
		s.stats.fraction = float64(b.FractionLost) / 256
		s.estimate.heardLoss(s.stats.fraction)
		s.stats.lost = int64(int32(b.TotalLost<<8) >> 8)
		s.stats.jitter = b.Jitter
		if b.LastSenderReport != 0 {
			// All three are in units of 1/65536 s.
			rtt := uint32(toNTP(now)>>16) - b.LastSenderReport - b.Delay
			if d := time.Duration(rtt) * time.Second / 65536; d < 10*time.Second {
				s.stats.rtt = d
			}
		}
	}
}

// senderReport is the Sender's report now, nil before its first packet. Its NTP
// time is that of the source's PTS, so that tracks which reached us in step
// leave in step.
func (s *Sender) senderReport(now time.Time) *rtcp.SenderReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live || s.writer == nil || s.stats.packets == 0 {
		return nil
	}
	since := now.Sub(s.peer.cfg.Epoch.Add(s.line.lastPTS))
	rtp := s.line.lastTS
	if since >= 0 {
		rtp += ticks(since, s.line.rate)
	} else {
		rtp -= ticks(-since, s.line.rate)
	}
	return &rtcp.SenderReport{
		SSRC: s.ssrc, NTPTime: toNTP(now), RTPTime: rtp,
		PacketCount: uint32(s.stats.packets), OctetCount: uint32(s.stats.bytes),
	}
}

// report does what is due each second: sender reports, wishes for bitrates, and
// the cap on what the peer shall send.
func (p *Peer) report(now time.Time) {
	for _, r := range []*Receiver{p.audioIn, p.videoIn} {
		r.mu.Lock()
		r.stats.interval()
		r.mu.Unlock()
	}
	p.videoOut.wish(now)
	if !p.connected.Load() {
		return
	}
	for _, l := range p.transports() {
		if out := p.reports(l, now); len(out) > 0 {
			if err := l.pc.WriteRTCP(out); err != nil {
				p.debug("report not sent", "err", err)
			}
		}
	}
}

// reports are what is due on one transport.
func (p *Peer) reports(l *leg, now time.Time) []rtcp.Packet {
	var out []rtcp.Packet
	for _, k := range l.kinds {
		s := p.Sender(k)
		if s == nil {
			continue
		}
		if sr := s.senderReport(now); sr != nil {
			// Each in a compound of its own with the name that ties them (RFC 3550 §6.5.1).
			out = append(out, sr, rtcp.NewCNAMESourceDescription(sr.SSRC, p.streamID))
		}
		if k == pipeline.Video {
			if remb := p.videoIn.capReport(p.caps.Load(), now); remb != nil {
				out = append(out, remb)
			}
		}
	}
	return out
}

// capReport is the REMB (draft-alvestrand-rmcat-remb-03) that holds a publisher
// to the user's cap even if it does not obey b= lines, and to what its receivers
// asked for; nil without either.
func (r *Receiver) capReport(c *caps, now time.Time) rtcp.Packet {
	r.mu.Lock()
	defer r.mu.Unlock()
	bps := c.MaxVideoRecv * 1000
	if r.wished > 0 && now.Sub(r.wishedAt) < wishAge {
		wished := max(r.wished, c.MinVideoRecv*1000, floorBps)
		if bps == 0 || wished < bps {
			bps = wished
		}
	}
	if bps <= 0 || !r.remb || r.stats.packets == 0 {
		return nil
	}
	r.stats.rembBps = uint64(bps)
	return &rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: float32(bps), SSRCs: []uint32{r.stats.ssrc}}
}

// askKeyFrames turns keyframe wishes into requests. The Peer's goroutine only.
func (p *Peer) askKeyFrames() {
	r := p.videoIn
	if !r.wantKey.Load() || !p.connected.Load() {
		return
	}
	if packet, pc := r.keyRequest(); packet != nil {
		r.wantKey.Store(false)
		if err := pc.WriteRTCP([]rtcp.Packet{packet}); err != nil {
			p.debug("keyframe request not sent", "err", err)
		}
	}
}

// keyRequest is a PLI, or a FIR for a peer that knows only that; nil before the
// first packet, which says whom to ask.
func (r *Receiver) keyRequest() (rtcp.Packet, *webrtc.PeerConnection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pc == nil || r.stats.packets == 0 {
		return nil, nil
	}
	if !r.pli && r.fir {
		r.stats.fir++
		r.firSeq++
		return &rtcp.FullIntraRequest{
			MediaSSRC: r.stats.ssrc, FIR: []rtcp.FIREntry{{SSRC: r.stats.ssrc, SequenceNumber: r.firSeq}},
		}, r.pc
	}
	r.stats.pli++
	return &rtcp.PictureLossIndication{MediaSSRC: r.stats.ssrc}, r.pc
}

var _ pipeline.Splicer = (*Receiver)(nil)
var _ pipeline.Attachable = (*Sender)(nil)
