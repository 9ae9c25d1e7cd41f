package transport

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/elements/webrtc/transport/srtp"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// keyRetry is how often a Sender that is fed what its peer does not take says so.
const keyRetry = 500 * time.Millisecond

// Sender sends one kind of media to a peer. It is an Input: packets come pushed,
// or spliced from a Receiver of the same Engine. Whatever the sources do, the
// peer sees one stream: own SSRC, unbroken sequence numbers, timestamps that
// follow the clock, and video that begins with a keyframe.
type Sender struct {
	peer *Peer
	kind pipeline.Kind

	packets, bytes atomic.Uint64 // taken in, sent or not
	link           atomic.Pointer[pipeline.Link]
	// negotiated is what Accepts answers; nil before negotiation.
	negotiated    atomic.Pointer[[]pipeline.Format]
	ssrc, rtxSSRC uint32
	fecSSRC       uint32

	// Guarded by the lock of the Peer's shard.
	leg     *leg // nil before negotiation
	live    bool
	layered bool  // what is spliced has several
	mixed   bool  // elements with two bytes of header are allowed
	wide    bool  // and needed
	midLeft uint8 // packets that tell the mid
	codecs  []rtpCodec
	ext     extIDs
	playout *playout    // of pictures; nil before anything was lost
	red     *redundancy // of sound; nil while nothing is lost and the source has none
	// How many packets are repeated because the source does, or for the weather.
	redSource, redWeather uint8
	lossOver              lossOver
	fec                   *fecOut   // of pictures; nil while it is of no use
	fecSeq                uint32    // with its rollover
	fecPT                 uint8     // 0: not negotiated
	stamped               bool      // packets carry the time of sending
	served                job       // the latest, less its items
	layer                 *encoding // of the latest packet, nil when it was pushed

	source    *pipeline.Format // of the latest packet
	use       *rtpCodec        // for source; nil when not negotiated
	publisher *layers.Source   // of what is spliced; nil else
	mid       *string          // of the section; nil when it is not told
	selector  layers.Selector
	parser    *layers.Parser // of what is pushed; nil before
	from      uint32         // SSRC of the latest that was
	askedAt   time.Time
	rolls     rolls
	resend    resend
	ledger    *ledger // of video; nil while nothing is lost
	wished    layerWish
	estimate  estimate
	stats     outbound
}

func newSender(p *Peer, kind pipeline.Kind) *Sender {
	s := &Sender{peer: p, kind: kind, ssrc: newSSRC(), rtxSSRC: newSSRC(), fecSSRC: newSSRC(), wished: anyLayer}
	s.selector.Init(kind)
	return s
}

// newSSRC is a random name of a stream (RFC 3550 §8.1), never 0.
func newSSRC() uint32 { return max(rand.Uint32(), 1) }

// bind takes what was negotiated. The caller holds the lock.
func (s *Sender) bind(l *leg, m *media) {
	accepts := make([]pipeline.Format, len(m.codecs))
	for i, c := range m.codecs {
		accepts[i] = pipeline.Format{
			Kind: s.kind, Codec: c.name, Framing: pipeline.RTP, ClockRate: c.rate, Fmtp: c.fmtp,
		}
	}
	s.leg, s.codecs = l, m.codecs
	s.takeIDs(m)
	s.selector.Bare(s.ext.descriptor == 0)
	s.fec, s.fecPT = nil, m.fec
	s.source, s.use = nil, nil
	s.selector.Restart()
	s.negotiated.Store(&accepts)
	// The link may wait for this; locks are held here.
	s.peer.post(func() {
		if l := s.link.Load(); l != nil {
			l.Renegotiate()
		}
	})
}

// Kind is the media type.
func (s *Sender) Kind() pipeline.Kind { return s.kind }

// Accepts implements pipeline.Input: undecided before negotiation, then RTP of
// the negotiated codecs, the first being the peer's favourite.
func (s *Sender) Accepts() []pipeline.Format {
	if p := s.negotiated.Load(); p != nil {
		return *p
	}
	return []pipeline.Format{{Kind: s.kind, Framing: pipeline.Undecided}}
}

// Counters are packets and payload bytes taken in since birth, whatever way
// they came and whether or not the peer could be sent them.
func (s *Sender) Counters() (packets, bytes uint64) { return s.packets.Load(), s.bytes.Load() }

// Push implements pipeline.Input.
func (s *Sender) Push(p *pipeline.Packet) {
	if p.Format == nil || p.Format.Framing != pipeline.RTP {
		return
	}
	s.packets.Add(1)
	s.bytes.Add(uint64(len(p.Payload)))
	t := turns.Get().(*turn)
	t.on(s.peer)
	defer turns.Put(t)
	defer t.end()
	if s.publisher != nil {
		s.follow(nil)
	}
	if s.parser == nil {
		s.parser = &layers.Parser{}
	}
	if s.redSource != 0 {
		s.repeats(0)
	}
	s.layer = nil
	x := item{p: p}
	s.parser.Read(p, nil, &x.info)
	if p.Key && (s.selector.NeedsKey() || p.Header.SSRC != s.from) {
		x.info.Enter()
	}
	s.from = p.Header.SSRC
	s.take(t, &x)
}

// follow takes note of which publisher's layers there are to choose from.
func (s *Sender) follow(publisher *layers.Source) {
	s.publisher = publisher
	s.selector.SetSource(publisher)
}

// Attached implements pipeline.Attachable: the link is the way up for wishes.
func (s *Sender) Attached(l *pipeline.Link) {
	s.peer.under(func(*turn) {
		if !l.Spliced() {
			s.selector.Restart()
		}
		s.estimate.toldAt = time.Time{} // another source, which knows no wish yet
	})
	s.link.Store(l)
}

// Detached implements pipeline.Attachable.
func (s *Sender) Detached(l *pipeline.Link) { s.link.CompareAndSwap(l, nil) }

// RequestKeyFrame asks the source for a keyframe; false when there is none.
func (s *Sender) RequestKeyFrame() bool {
	l := s.link.Load()
	if l == nil {
		return false
	}
	l.Feedback(pipeline.Feedback{Wish: pipeline.WishKeyFrame})
	return true
}

// sourceChanged makes the next packet begin a new source.
func (s *Sender) sourceChanged() {
	s.peer.under(func(*turn) { s.selector.Restart() })
}

// setLive opens the Sender when its connection is up.
func (s *Sender) setLive(t *turn, up bool) {
	s.live = up
	s.sayMid()
	if s.leg != nil && s.kind == pipeline.Video {
		s.leg.forgetHeld()
	}
	s.selector.Restart()
	s.estimate = estimate{}
	if up && s.leg != nil && s.kind == pipeline.Video {
		t.keys = append(t.keys, s)
	}
}

func (s *Sender) stop() {
	s.live, s.leg, s.fec = false, nil, nil
	s.resend.clear()
}

// serve sends a batch of the Receiver that the Sender is spliced to.
func (s *Sender) serve(t *turn, j *job) {
	if s.served.from == j.from && j.n <= s.served.n {
		return // it was on the other shard
	}
	s.served = job{from: j.from, n: j.n}
	if p := j.from.source.Load(); p != s.publisher {
		s.follow(p)
	}
	if s.kind == pipeline.Audio {
		if deep := j.from.redDeep.Load(); deep != int32(s.redSource) {
			s.repeats(int(deep))
		}
	}
	size := 0
	for i := range j.items {
		x := &j.items[i]
		s.layer = j.from.encs[x.enc]
		size += len(x.p.Payload)
		s.take(t, x)
	}
	s.packets.Add(uint64(len(j.items)))
	s.bytes.Add(uint64(size))
}

// take sends one packet of the source, or drops it.
func (s *Sender) take(t *turn, x *item) {
	p := x.p
	if !s.live || s.leg == nil {
		s.omit(t, omittedConnection)
		return
	}
	at := p.Arrival
	if at.IsZero() {
		at = t.now // a source that is not the network
	}
	if s.source != p.Format {
		if s.leg.pace != nil && s.kind == pipeline.Video {
			s.leg.release(t, true) // under the codec that they have
		}
		if s.source != nil && !s.source.Fits(p.Format) {
			s.selector.Restart()
		}
		s.source, s.use = p.Format, s.choose(p.Format)
	}
	if s.use == nil {
		s.omit(t, omittedCodec)
		if at.Sub(s.askedAt) >= keyRetry {
			s.askedAt = at
			t.strays = append(t.strays, s)
		}
		return
	}
	out, ok := s.selector.Take(int(x.enc), p, &x.info, at)
	if s.selector.NeedsKey() {
		s.wantKey(t, at)
		if !ok {
			s.omit(t, omittedKeyFrame)
		}
	}
	if !ok {
		return
	}
	s.send(t, p, &out)
}

// wantKey asks the source for the keyframe that the selector waits for, now and
// again.
func (s *Sender) wantKey(t *turn, now time.Time) {
	enc, ok := s.selector.WantsKeyFrame(now)
	switch {
	case !ok:
	case s.layer == nil || len(s.layer.of.encs) == 1:
		t.keys = append(t.keys, s)
	case enc < len(s.layer.of.encs):
		t.layers = append(t.layers, s.layer.of.encs[enc])
	}
}

// send writes the packet in its new place and keeps it for retransmission.
func (s *Sender) send(t *turn, p *pipeline.Packet, out *layers.Out) {
	if s.leg.pace != nil && s.leg.hold(t, s, p, out) {
		return
	}
	s.emit(t, p, out)
}

// emit is send for a packet whose turn has come.
func (s *Sender) emit(t *turn, p *pipeline.Packet, out *layers.Out) {
	if s.use.nack {
		s.resend.keep(t, s.use, p, out)
		if s.ledger != nil {
			s.enter(s.resend.slot(out.Seq))
		}
	}
	b := s.seal(t, p, out, out.Seq, s.rolls.of(out.Seq))
	if b == 0 {
		s.omit(t, omittedSize)
		return
	}
	s.leg.commit(t, b)
	s.counted(t, b)
	s.stats.packets++
	s.stats.bytes += uint64(len(p.Payload))
	s.resend.budget.Earn(len(p.Payload))
	if s.fec != nil {
		s.repairDue(t)
	}
}

// seal writes a packet into the slot as the selector wants it; it gives its size,
// 0 when it does not fit.
func (s *Sender) seal(t *turn, p *pipeline.Packet, out *layers.Out, seq uint16, roc uint32) int {
	b := s.leg.slot(t)
	n := s.header(t, b, p, out, seq)
	payload := p.Payload
	switch {
	case out.Empty:
		payload = nil
	case s.red != nil && s.use.red != 0:
		if payload = s.red.wrap(b[n:len(b)-srtp.MaxOverhead], s.use.pt, out, payload); payload == nil {
			return 0
		}
		b[1] = b[1]&0x80 | s.use.red
	case out.PatchLen != 0: // others share the original
		if n+len(payload) > len(b) {
			return 0
		}
		payload = b[n : n+copy(b[n:], payload)]
		out.Apply(payload)
	}
	if s.fec != nil {
		s.fec.add(b, n, payload, &s.ext, t.now)
	}
	return len(s.leg.sealer.Seal(b, n, payload, s.ssrc, seq, roc))
}

// rolls counts how often sequence numbers have wrapped (RFC 3711 §3.3.1).
type rolls struct {
	begun bool
	last  uint16 // highest so far
	n     uint32
}

// of is the count for a number that leaves now, or has left lately.
func (r *rolls) of(seq uint16) uint32 {
	if !r.begun {
		r.begun, r.last = true, seq
	}
	if d := int16(seq - r.last); d > 0 {
		if seq < r.last {
			r.n++
		}
		r.last = seq
	} else if seq > r.last {
		return r.n - 1
	}
	return r.n
}

// choose finds the negotiated codec for a format. H264 prefers the same profile
// (RFC 6184 §8.2.2), then one whose decoders play it, then any: decoders play
// more than their peers negotiate, and the alternative is no picture.
func (s *Sender) choose(f *pipeline.Format) *rtpCodec {
	var fits, other *rtpCodec
	profile := h264Profile(f.Fmtp)
	for i := range s.codecs {
		c := &s.codecs[i]
		if c.name != f.Codec || f.ClockRate != 0 && c.rate != f.ClockRate {
			continue
		}
		if f.Codec != codec.H264 || profile == "" || c.profile == profile {
			return c
		}
		if fits == nil && compatible(profile, c.profile) {
			fits = c
		}
		if other == nil {
			other = c
		}
	}
	if fits != nil {
		return fits
	}
	return other
}
