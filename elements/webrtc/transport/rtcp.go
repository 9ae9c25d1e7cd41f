package transport

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/elements/webrtc/transport/udp"
	"github.com/govidu/govidu/pipeline"
)

// outbound counts one sent stream. Guarded by the lock of the Peer's shard.
type outbound struct {
	packets, bytes, resent, dropped uint64
	repairs                         uint64
	pli, fir, nack                  uint64
	lost                            int64
	fraction                        float64
	jitter                          uint32 // ticks
	rtt                             time.Duration
	rembBps                         uint64
}

// maxControl is how many packets of one compound are read.
const maxControl = 64

// control takes an SRTCP packet (RFC 3550 §6.1). What it says goes to the stream
// that it speaks of.
func (l *leg) control(t *turn, b []byte) {
	if l.opener == nil {
		t.shard.tally.refused[refusedEarly]++
		return
	}
	b, err := l.opener.OpenRTCP(b)
	if err != nil {
		t.shard.tally.unopened(err)
		return
	}
	l.heardAt = t.now
	l.peer.sawRTCP(t)
	for n := 0; len(b) >= 4 && n < maxControl; n++ {
		size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
		if b[0]>>6 != 2 || size > len(b) {
			break
		}
		l.controlOne(t, b[:size])
		b = b[size:]
	}
	if len(b) > 0 {
		l.peer.engine.counters.malformed.Add(1)
	}
}

// controlOne takes one packet of a compound.
func (l *leg) controlOne(t *turn, b []byte) {
	if congestion.IsFeedback(b) {
		if err := l.rate.Feedback(b, t.now); err == nil && l.peer.videoOut.leg == l {
			l.peer.videoOut.unasked(t)
		}
		return
	}
	switch format := b[0] & 31; b[1] {
	case 200, 201: // reports
	case 205:
		if format != rtcp.FormatTLN {
			return
		}
	case 206:
		if format != rtcp.FormatPLI && format != rtcp.FormatFIR && format != rtcp.FormatREMB {
			return
		}
	default: // descriptions, BYE, APP, XR: nothing for us
		return
	}
	packets, err := rtcp.Unmarshal(b)
	if err != nil {
		l.peer.engine.counters.malformed.Add(1)
		return
	}
	for _, p := range packets {
		l.heard(t, p)
	}
}

// heard hands one packet to the streams that it is about.
func (l *leg) heard(t *turn, packet rtcp.Packet) {
	switch p := packet.(type) {
	case *rtcp.SenderReport:
		for _, s := range l.streams {
			if s.ssrc == p.SSRC && !s.repair && s.enc != nil {
				s.enc.anchor(p, t.now)
			}
		}
		l.blocks(t, p.Reports)
	case *rtcp.ReceiverReport:
		l.blocks(t, p.Reports)
	case *rtcp.ReceiverEstimatedMaximumBitrate:
		l.rate.REMB(float64(p.Bitrate), t.now)
		if s := l.peer.videoOut; s.leg == l {
			s.heard(t, p)
		}
	default:
		for _, ssrc := range packet.DestinationSSRC() {
			for _, s := range []*Sender{l.peer.audioOut, l.peer.videoOut} {
				if s.leg == l && s.ssrc == ssrc {
					s.heard(t, packet)
				}
			}
		}
	}
}

// blocks reads the blocks about our streams (RFC 3550 §6.4.1).
func (l *leg) blocks(t *turn, reports []rtcp.ReceptionReport) {
	for _, b := range reports {
		for _, s := range []*Sender{l.peer.audioOut, l.peer.videoOut} {
			if s.leg == l && s.ssrc == b.SSRC {
				s.reported(t, b)
			}
		}
	}
}

func (s *Sender) reported(t *turn, b rtcp.ReceptionReport) {
	s.stats.fraction = float64(b.FractionLost) / 256
	s.estimate.heardLoss(s.stats.fraction)
	s.stats.lost = int64(int32(b.TotalLost<<8) >> 8)
	s.stats.jitter = b.Jitter
	if d, ok := congestion.RoundTrip(b.LastSenderReport, b.Delay, uint32(toNTP(t.now)>>16)); ok {
		s.stats.rtt = d
	}
	if fraction, ok := s.lossOver.heard(b.LastSequenceNumber, s.stats.lost); ok && !s.leg.rate.Active() {
		s.leg.weather.heard(fraction, t.now)
		s.leg.adapt(t.now)
	}
	if s.kind == pipeline.Video || s.peer.videoOut.leg == nil {
		s.leg.rate.Loss(s.stats.fraction, s.stats.rtt, t.now)
	}
}

// heard takes what the peer says of the stream that it is sent.
func (s *Sender) heard(t *turn, packet rtcp.Packet) {
	switch p := packet.(type) {
	case *rtcp.PictureLossIndication:
		s.stats.pli++
		t.shard.tally.pliIn++
		s.lost(t)
	case *rtcp.FullIntraRequest:
		s.stats.fir++
		t.shard.tally.firIn++
		s.lost(t)
	case *rtcp.TransportLayerNack:
		s.stats.nack++
		for i := range p.Nacks {
			for _, seq := range p.Nacks[i].PacketList() {
				t.shard.tally.nacked++
				s.again(t, seq)
			}
		}
	case *rtcp.ReceiverEstimatedMaximumBitrate:
		s.stats.rembBps = uint64(min(max(p.Bitrate, 0), 1e12))
		s.estimate.heardREMB(p.Bitrate, t.now)
	}
}

// lost asks the source for a keyframe of what the peer is sent.
func (s *Sender) lost(t *turn) {
	if s.layer != nil && len(s.layer.of.encs) > 1 {
		t.layers = append(t.layers, s.layer)
		return
	}
	t.keys = append(t.keys, s)
}

// sendControl seals RTCP packets and sends them as one datagram.
func (l *leg) sendControl(t *turn, packets ...rtcp.Packet) {
	if len(packets) == 0 || l.sealer == nil {
		return
	}
	b, err := rtcp.Marshal(packets)
	if err != nil {
		l.peer.debug("RTCP not sent", "err", err)
		return
	}
	l.sendRaw(t, b)
}

// sendRaw is sendControl for what is written already.
func (l *leg) sendRaw(t *turn, b []byte) {
	if l.sealer == nil || len(b) == 0 || len(b) > udp.SlotSize-32 {
		return
	}
	if out := l.sealer.SealRTCP(l.slot(t), b); out != nil {
		l.commit(t, len(out))
	}
}

// senderReport is the Sender's report now, nil before its first packet. Its NTP
// time is that of the source's PTS, so that tracks which reached us in step
// leave in step.
func (s *Sender) senderReport(now time.Time) *rtcp.SenderReport {
	if !s.live || s.leg == nil || s.stats.packets == 0 {
		return nil
	}
	rtp, _, pts, ok := s.selector.Last()
	if !ok || s.use == nil {
		return nil
	}
	since := now.Sub(s.peer.cfg.Epoch.Add(pts))
	if since >= 0 {
		rtp += ticks(since, s.use.rate)
	} else {
		rtp -= ticks(-since, s.use.rate)
	}
	return &rtcp.SenderReport{
		SSRC: s.ssrc, NTPTime: toNTP(now), RTPTime: rtp,
		PacketCount: uint32(s.stats.packets), OctetCount: uint32(s.stats.bytes),
	}
}

// capReport is the REMB (draft-alvestrand-rmcat-remb-03) that holds a publisher
// to the user's cap even if it does not obey b= lines, to what its receivers
// asked for, and, if it counts on us for that, to what its way carries; nil without
// any.
func (r *Receiver) capReport(c *caps, now time.Time) rtcp.Packet {
	bps := c.MaxVideoRecv * 1000
	if r.wished > 0 && now.Sub(r.wishedAt) < wishAge {
		wished := max(r.wished, c.MinVideoRecv*1000, floorBps)
		if bps == 0 || wished < bps {
			bps = wished
		}
	}
	if arriving := r.arriving(now); arriving > 0 {
		arriving = max(arriving, c.MinVideoRecv*1000, floorBps)
		if bps == 0 || arriving < bps {
			bps = arriving
		}
	}
	if bps <= 0 || !r.knows(func(c *rtpCodec) bool { return c.remb }) {
		return nil
	}
	var ssrcs []uint32
	for _, e := range r.encs {
		if e.stats.packets > 0 {
			ssrcs = append(ssrcs, e.stats.ssrc)
		}
	}
	if len(ssrcs) == 0 {
		return nil
	}
	r.rembBps = uint64(bps)
	return &rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: float32(bps), SSRCs: ssrcs}
}

// knows tells whether the codec that the peer sends was negotiated with something.
func (r *Receiver) knows(what func(*rtpCodec) bool) bool {
	if r.latest == nil {
		return false
	}
	c, _ := r.codecOf(r.latestPT)
	return c != nil && what(c)
}

// keyPause is the shortest time between two requests for a keyframe of a stream.
const keyPause = 500 * time.Millisecond

// askKeyFrames turns keyframe wishes into requests: those within keyPause become
// one at its end, those before the first packet wait for it, for it says whom to ask.
func (r *Receiver) askKeyFrames(t *turn) {
	l := r.leg()
	if l == nil || !l.running {
		return
	}
	for _, e := range r.encs {
		if !e.wantKey || e.stats.packets == 0 {
			continue
		}
		if wait := keyPause - t.now.Sub(e.keyAt); wait > 0 && !e.keyAt.IsZero() {
			r.peer.soon(t.now.Add(wait))
			continue
		}
		e.wantKey, e.keyAt = false, t.now
		l.sendControl(t, e.keyRequest(t))
	}
}

// keyRequest is a PLI, or a FIR for a peer that knows only that.
func (e *encoding) keyRequest(t *turn) rtcp.Packet {
	r := e.of
	if !r.knows(func(c *rtpCodec) bool { return c.pli }) && r.knows(func(c *rtpCodec) bool { return c.fir }) {
		e.stats.fir++
		t.shard.tally.firOut++
		r.firSeq++
		return &rtcp.FullIntraRequest{
			MediaSSRC: e.stats.ssrc, FIR: []rtcp.FIREntry{{SSRC: e.stats.ssrc, SequenceNumber: r.firSeq}},
		}
	}
	e.stats.pli++
	t.shard.tally.pliOut++
	return &rtcp.PictureLossIndication{MediaSSRC: e.stats.ssrc}
}

// leg is the transport of the Receiver's section, nil before negotiation.
func (r *Receiver) leg() *leg {
	for _, l := range r.peer.transports {
		for _, k := range l.kinds {
			if k == r.kind {
				return l
			}
		}
	}
	return nil
}

var _ pipeline.Splicer = (*Receiver)(nil)
var _ pipeline.Attachable = (*Sender)(nil)
