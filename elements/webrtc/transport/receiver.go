package transport

import (
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// Receiver produces what a peer sends of one kind. It is the Producer of an
// Output: give it that Output with SetOutput. Senders of the same Engine are
// served below the packet level (pipeline.Splicer); everybody else by Push.
type Receiver struct {
	peer *Peer
	kind pipeline.Kind
	out  atomic.Pointer[pipeline.Output]

	spliceMu sync.Mutex // leaf: changes of the list
	spliced  atomic.Pointer[[]*Sender]

	wantKey atomic.Bool

	mu      sync.Mutex // leaf: what follows
	taken   *webrtc.TrackRemote
	pc      *webrtc.PeerConnection
	clock   *pipeline.Clock
	stats   inbound
	level   uint8 // the peer's header extension id of the audio level
	stamp   uint8 // and of the capture time
	asked   int   // for a report, since the stream began
	askedAt time.Time
	remb    bool // goog-remb was negotiated
	pli     bool // nack pli was negotiated
	fir     bool // ccm fir was negotiated
	firSeq  uint8
	// declared is the stream that the peer's description names, 0 for none.
	declared uint32
	wished   int // the least that receivers can take, in bps; 0 until one told
	wishedAt time.Time
}

func newReceiver(p *Peer, kind pipeline.Kind) *Receiver { return &Receiver{peer: p, kind: kind} }

// Kind is the media type.
func (r *Receiver) Kind() pipeline.Kind { return r.kind }

// SetOutput names the Output that packets are pushed to; before, they go to
// spliced Senders only.
func (r *Receiver) SetOutput(out *pipeline.Output) { r.out.Store(out) }

// Feedback implements pipeline.Producer: a keyframe wish ends as a PLI (RFC 4585
// §6.3.1), or a FIR (RFC 5104 §4.3.1) when the peer knows no PLI; a bitrate as a
// REMB.
func (r *Receiver) Feedback(f pipeline.Feedback) {
	if r.kind != pipeline.Video {
		return
	}
	switch f.Wish {
	case pipeline.WishKeyFrame:
		r.wantKey.Store(true)
		r.peer.wake()
	case pipeline.WishBitrate:
		r.mu.Lock()
		r.wished, r.wishedAt = f.BitrateBps, time.Now()
		r.mu.Unlock()
	}
}

// declare notes which stream the peer's description names.
func (r *Receiver) declare(ssrc uint32) {
	r.mu.Lock()
	r.declared = ssrc
	r.mu.Unlock()
}

// Splice implements pipeline.Splicer for Senders of the same Engine.
func (r *Receiver) Splice(in pipeline.Input) bool {
	s, ok := in.(*Sender)
	if !ok || s.peer.engine != r.peer.engine || s.kind != r.kind {
		return false
	}
	s.sourceChanged()
	r.editSpliced(func(list []*Sender) []*Sender { return append(list, s) })
	return true
}

// Unsplice implements pipeline.Splicer.
func (r *Receiver) Unsplice(in pipeline.Input) {
	s, ok := in.(*Sender)
	if !ok {
		return
	}
	r.editSpliced(func(list []*Sender) []*Sender {
		if i := slices.Index(list, s); i >= 0 {
			return slices.Delete(list, i, i+1)
		}
		return list
	})
}

func (r *Receiver) editSpliced(edit func([]*Sender) []*Sender) {
	r.spliceMu.Lock()
	defer r.spliceMu.Unlock()
	var old []*Sender
	if p := r.spliced.Load(); p != nil {
		old = slices.Clone(*p)
	}
	next := edit(old)
	r.spliced.Store(&next)
}

// stop forgets the spliced Senders, once nothing reads any more.
func (r *Receiver) stop() { r.editSpliced(func([]*Sender) []*Sender { return nil }) }

// claim takes a remote track; false when there is one already.
func (r *Receiver) claim(t *webrtc.TrackRemote, from *webrtc.RTPReceiver) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken != nil {
		return false
	}
	r.taken = t
	for _, x := range from.GetParameters().HeaderExtensions {
		if x.ID <= 0 || x.ID >= 15 {
			continue
		}
		switch x.URI {
		case extAudioLevel:
			r.level = uint8(x.ID)
		case extCaptureTime:
			r.stamp = uint8(x.ID)
		}
	}
	return true
}

func (r *Receiver) connected(pc *webrtc.PeerConnection) {
	r.mu.Lock()
	r.pc = pc
	r.mu.Unlock()
}

// slabSize is how much memory read buffers are cut from at a time. A packet
// keeps its slab alive, so slabs are small.
const slabSize = 24 << 10

// read reads RTP until the track ends. Buffers are never reused: packets share
// them with whoever keeps them.
func (r *Receiver) read(pc *webrtc.PeerConnection, t *webrtc.TrackRemote) {
	var slab []byte
	formats := map[uint8]*pipeline.Format{}
	for {
		if len(slab) < MaxDatagram {
			slab = make([]byte, slabSize)
		}
		n, _, err := t.Read(slab[:MaxDatagram:MaxDatagram])
		if err != nil {
			if errors.Is(err, webrtc.ErrCodecNotFound) || errors.Is(err, io.ErrShortBuffer) {
				r.peer.engine.counters.malformed.Add(1)
				continue
			}
			return
		}
		now := time.Now()
		raw := slab[:n:n]
		slab = slab[(n+7)&^7:]
		p := &pipeline.Packet{Arrival: now}
		if !parseRTP(raw, p) {
			r.peer.engine.counters.malformed.Add(1)
			continue
		}
		f := formats[p.Header.PayloadType]
		if f == nil {
			f = r.format(t, pc)
			formats[p.Header.PayloadType] = f
		}
		p.Format = f
		captured := r.captured(&p.Header)
		levelOnly(&p.Header, r.levelID())
		p.Key = r.kind == pipeline.Audio || codec.KeyFrameRTP(f.Codec, p.Payload)
		if r.account(p, captured, now) {
			r.forward(p)
		}
	}
}

// parseRTP fills p from a datagram (RFC 3550 §5.1). Padding is cut off; a packet
// of nothing but padding keeps its place with an empty payload.
func parseRTP(raw []byte, p *pipeline.Packet) bool {
	var h rtp.Header
	at, err := h.Unmarshal(raw)
	if err != nil || h.Version != 2 {
		return false
	}
	end := len(raw)
	if h.Padding {
		pad := int(raw[end-1])
		if pad == 0 || at+pad > end {
			return false
		}
		end -= pad
		h.Padding = false
	}
	p.Header, p.Payload = h, raw[at:end:end]
	return true
}

// format makes the Format of the track's current codec.
func (r *Receiver) format(t *webrtc.TrackRemote, pc *webrtc.PeerConnection) *pipeline.Format {
	c := t.Codec()
	f := &pipeline.Format{
		Kind: r.kind, Codec: codec.Parse(c.MimeType), Framing: pipeline.RTP,
		ClockRate: c.ClockRate, Channels: c.Channels, Fmtp: c.SDPFmtpLine,
	}
	if r.kind == pipeline.Audio && f.Channels == 0 {
		f.Channels = 1
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pc = pc
	if r.clock == nil {
		r.clock = r.peer.clock.Track(f.ClockRate)
	} else {
		r.clock.Restart(f.ClockRate)
	}
	for _, fb := range c.RTCPFeedback {
		switch fb.Type + " " + fb.Parameter {
		case "goog-remb ":
			r.remb = true
		case "nack pli":
			r.pli = true
		case "ccm fir":
			r.fir = true
		}
	}
	return f
}

// audioLevelID is the header extension id under which packets on a link carry
// the audio level (RFC 6464); it is the only extension they keep.
const audioLevelID = 1

// levelOnly drops the header extensions, whose ids mean something to one peer
// only, except the audio level, which it files under audioLevelID. id is the
// peer's, 0 when it has none.
func levelOnly(h *rtp.Header, id uint8) {
	var level []byte
	if id != 0 && h.Extension {
		level = h.GetExtension(id)
	}
	h.Extension, h.ExtensionProfile, h.Extensions = false, 0, nil
	if len(level) == 1 {
		_ = h.SetExtension(audioLevelID, level)
	}
}

func (r *Receiver) levelID() uint8 {
	if r.kind != pipeline.Audio {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.level
}

// account gives the packet its PTS and counts it; false for a duplicate.
// captured is when it was, by the sender's clock, if it says so.
func (r *Receiver) account(p *pipeline.Packet, captured, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stats.packets > 0 && r.stats.ssrc != p.Header.SSRC {
		r.clock.Restart(p.Format.ClockRate)
		r.asked = 0
	}
	if !r.stats.count(&p.Header, len(p.Payload), p.Format.ClockRate, now.Sub(r.peer.start)) {
		return false
	}
	p.PTS = r.clock.PTS(p.Header.Timestamp, now)
	if !captured.IsZero() {
		r.clock.Report(p.Header.Timestamp, captured, now)
		p.PTS = r.clock.PTS(p.Header.Timestamp, now)
	}
	p.Fix = r.clock.Fix()
	if r.stats.packets == 1 || p.Fix != nil && r.asked < maxAsked && now.Sub(r.askedAt) >= askPause {
		r.peer.wake() // now it is known whom to ask for a keyframe or a report
	}
	return true
}

// forward hands the packet to spliced Senders and to the Output.
func (r *Receiver) forward(p *pipeline.Packet) {
	if list := r.spliced.Load(); list != nil {
		for _, s := range *list {
			s.write(p)
		}
	}
	if out := r.out.Load(); out != nil {
		out.Push(p)
	}
}

// readRTCP follows the sender reports of the track.
func (r *Receiver) readRTCP(from *webrtc.RTPReceiver) {
	buf := make([]byte, MaxDatagram)
	for {
		n, _, err := from.Read(buf)
		if err != nil {
			return
		}
		r.peer.sawRTCP()
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			r.peer.engine.counters.malformed.Add(1)
			continue
		}
		for _, p := range packets {
			if sr, ok := p.(*rtcp.SenderReport); ok {
				r.anchor(sr, time.Now())
			}
		}
	}
}

// anchor tells the clock of a sender report, so that audio and video of one
// sender line up. One without a time (RFC 3550 §6.4.1) says nothing.
func (r *Receiver) anchor(sr *rtcp.SenderReport, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.clock == nil || r.stats.ssrc != sr.SSRC || sr.NTPTime == 0 {
		return
	}
	r.clock.Report(sr.RTPTime, ntpTime(sr.NTPTime), now)
}
