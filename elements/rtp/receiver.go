package rtp

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	pion "github.com/pion/rtp"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
)

// strangerAfter is how long a stream must be silent before another SSRC of the
// same peer takes its place, unless it said goodbye.
const strangerAfter = 100 * time.Millisecond

// receiver produces what the peer sends of one kind. It is the Producer of the
// element's Output.
type receiver struct {
	e    *Endpoint
	kind pipeline.Kind
	out  *pipeline.Output

	wantKey atomic.Bool
	capBps  atomic.Int64 // the least that receivers can take, 0 unknown

	mu       sync.Mutex // leaf: what follows
	accepts  bool       // the peer sends, and we agreed
	told     uint32     // SSRC of the description
	own      uint32     // our SSRC, which reports are from
	payloads map[uint8]*inPayload
	use      *inPayload // of the latest packet
	clock    *pipeline.Clock
	lastAt   time.Time
	gone     bool // the stream said goodbye
	stats    inbound
	missing  missing
	estimate estimate
	firSeq   uint8
	asked    struct {
		pli, fir, nack uint64
		rembBps        uint64
	}
}

// inPayload is a payload type that the peer may send.
type inPayload struct {
	payload
	format *pipeline.Format
}

func newReceiver(e *Endpoint, kind pipeline.Kind) *receiver {
	r := &receiver{e: e, kind: kind}
	r.out = e.Graph().NewOutput(kind, elements.DefaultDescription, r)
	return r
}

// Feedback implements pipeline.Producer: a keyframe wish ends as PLI or FIR, a
// bitrate as the bound of REMB.
func (r *receiver) Feedback(f pipeline.Feedback) {
	switch {
	case r.kind != pipeline.Video:
	case f.Wish == pipeline.WishKeyFrame:
		r.wantKey.Store(true)
		r.e.kick()
	case f.Wish == pipeline.WishBitrate:
		r.capBps.Store(int64(f.BitrateBps))
	}
}

// open tells the receiver what the peer may send. Numbers are those that we
// gave out: an answerer takes over the offerer's.
func (r *receiver) open(m *remote, list []payload, own uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.accepts, r.told, r.own = m.sends(), m.ssrc, own
	r.payloads = make(map[uint8]*inPayload, len(list))
	for _, p := range list {
		r.payloads[p.pt] = &inPayload{payload: p, format: p.format(r.kind)}
	}
}

// parse reads a datagram as RTP (RFC 3550 §5.1); false for what is none or of a
// payload type that was not agreed. Padding is cut off; a packet of nothing else
// keeps its place with an empty payload.
func (r *receiver) parse(raw []byte, now time.Time) (*pipeline.Packet, bool) {
	var h pion.Header
	at, err := h.Unmarshal(raw)
	if err != nil || h.Version != 2 {
		return nil, false
	}
	end := len(raw)
	if h.Padding {
		pad := int(raw[end-1])
		if pad == 0 || at+pad > end {
			return nil, false
		}
		end -= pad
		h.Padding = false
	}
	r.mu.Lock()
	p := r.payloads[h.PayloadType]
	r.mu.Unlock()
	if p == nil {
		return nil, false
	}
	// Extensions mean something between this peer and us only.
	h.Extension, h.ExtensionProfile, h.Extensions = false, 0, nil
	return &pipeline.Packet{
		Format: p.format, Header: h, Payload: raw[at:end:end], Arrival: now,
		Key: r.kind == pipeline.Audio || keyFrame(p.name, raw[at:end]),
	}, true
}

// take gives the packet its PTS, counts it and hands it on.
func (r *receiver) take(p *pipeline.Packet, now time.Time) {
	r.mu.Lock()
	ok, wake := r.account(p, now)
	r.mu.Unlock()
	if wake {
		r.e.kick()
	}
	if ok {
		r.out.Push(p)
	}
}

// account does take's work under mu; wake tells that there is something to ask
// of the peer.
func (r *receiver) account(p *pipeline.Packet, now time.Time) (ok, wake bool) {
	if !r.accepts {
		return false, false
	}
	h := &p.Header
	if r.stats.packets > 0 && h.SSRC != r.stats.ssrc {
		if !r.gone && now.Sub(r.lastAt) < strangerAfter {
			return false, false
		}
		r.restart()
		p.Gap = true
	}
	switch {
	case r.clock == nil:
		r.clock = r.e.peerClock.Track(p.Format.ClockRate)
		r.stats = inbound{ssrc: h.SSRC}
	case r.use == nil:
		r.clock.Restart(p.Format.ClockRate)
		r.stats = inbound{ssrc: h.SSRC}
	case r.use.rate != p.Format.ClockRate:
		r.clock.Restart(p.Format.ClockRate)
	}
	r.use = r.payloads[h.PayloadType]
	before, first := uint16(r.stats.highest), r.stats.packets == 0
	if !r.stats.count(h, len(p.Payload), p.Format.ClockRate, now.Sub(r.e.born)) {
		return false, false
	}
	r.lastAt, r.gone = now, false
	p.PTS = r.clock.PTS(h.Timestamp, now)
	p.Fix = r.clock.Fix()
	if !first && r.use.has("nack") {
		if ahead := int16(h.SequenceNumber - before); ahead > 1 {
			wake = r.missing.skipped(before, h.SequenceNumber, now)
		} else if ahead < 0 {
			r.missing.came(h.SequenceNumber)
		}
	}
	// Now it is known whom to ask for a keyframe.
	return true, wake || first && r.wantKey.Load()
}

// restart forgets a stream, for the next.
func (r *receiver) restart() {
	r.use = nil // the clock begins anew with the next packet
	r.stats = inbound{}
	r.missing = missing{}
	r.estimate.bytes = 0
}

// left hears a goodbye (RFC 3550 §6.6); true when it was the stream's.
func (r *receiver) left(sources []uint32) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = r.stats.packets > 0 && slices.Contains(sources, r.stats.ssrc)
	return r.gone
}

// anchor moves the clock by a sender report, so that audio and video of one
// sender line up: both carry that sender's clock.
func (r *receiver) anchor(sr *rtcp.SenderReport, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clock == nil || r.stats.ssrc != sr.SSRC {
		return
	}
	r.stats.lastSR, r.stats.lastSRAt = uint32(sr.NTPTime>>16), now
	if sr.NTPTime != 0 {
		r.clock.Report(sr.RTPTime, ntpTime(sr.NTPTime), now)
	}
}

// keyRequest is a PLI (RFC 4585 §6.3.1), or a FIR (RFC 5104 §4.3.1) for a peer
// that knows only that; nil before the first packet, which says whom to ask.
func (r *receiver) keyRequest() rtcp.Packet {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.use == nil || !r.wantKey.CompareAndSwap(true, false) {
		return nil
	}
	if !r.use.has("nack pli") && r.use.has("ccm fir") {
		r.asked.fir++
		r.firSeq++
		return &rtcp.FullIntraRequest{
			SenderSSRC: r.own, MediaSSRC: r.stats.ssrc,
			FIR: []rtcp.FIREntry{{SSRC: r.stats.ssrc, SequenceNumber: r.firSeq}},
		}
	}
	r.asked.pli++
	return &rtcp.PictureLossIndication{SenderSSRC: r.own, MediaSSRC: r.stats.ssrc}
}

// askMissing are the requests for lost packets that are due now.
func (r *receiver) askMissing(now time.Time) rtcp.Packet {
	r.mu.Lock()
	defer r.mu.Unlock()
	ask := r.missing.due(now)
	if len(ask) == 0 {
		return nil
	}
	r.asked.nack++
	return nack(r.own, r.stats.ssrc, ask)
}

// nextAsk is when askMissing has work again.
func (r *receiver) nextAsk() (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.missing.next()
}

// report closes a report interval: the reception block, and the REMB when the
// peer knows it.
func (r *receiver) report(s settings, seconds float64, now time.Time) (blocks []rtcp.ReceptionReport, remb rtcp.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.interval()
	b, ok := r.stats.block(now)
	if !ok {
		return nil, nil
	}
	if r.use != nil && r.use.has("goog-remb") {
		bps := r.estimate.next(s.remb, r.stats.bytes, r.stats.fraction, seconds, s.minVideoRecv*1000, s.maxVideoRecv*1000)
		if limit := int(r.capBps.Load()); limit > 0 {
			bps = min(bps, max(limit, floorBps))
		}
		r.asked.rembBps = uint64(bps)
		remb = &rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: r.own, Bitrate: float32(bps), SSRCs: []uint32{r.stats.ssrc}}
	}
	return []rtcp.ReceptionReport{b}, remb
}

// blocksNow are the reception blocks between two intervals.
func (r *receiver) blocksNow(now time.Time) []rtcp.ReceptionReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b, ok := r.stats.block(now); ok {
		return []rtcp.ReceptionReport{b}
	}
	return nil
}
