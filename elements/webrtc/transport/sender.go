package transport

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

const (
	// stragglers is how long packets of a source that was just left are ignored.
	stragglers = 300 * time.Millisecond
	// keyRetry is how often a Sender that waits for a keyframe asks again.
	keyRetry = 500 * time.Millisecond
)

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

	// Guarded by the lock of the Peer's shard.
	leg     *leg // nil before negotiation
	live    bool
	codecs  []rtpCodec
	ext     extIDs
	stamped bool // packets carry the time of sending
	served  job  // the latest, less its packets

	source   *pipeline.Format // of the latest packet
	use      *rtpCodec        // for source; nil when not negotiated
	changed  bool             // the next packet is from another source
	from     uint32
	left     uint32    // SSRC of the source before
	leftAt   time.Time // when it was left
	askedAt  time.Time
	line     line
	pictures pictures
	resend   resend
	estimate estimate
	stats    outbound
}

func newSender(p *Peer, kind pipeline.Kind) *Sender {
	return &Sender{peer: p, kind: kind, changed: true, ssrc: newSSRC(), rtxSSRC: newSSRC()}
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
	s.leg, s.codecs, s.ext = l, m.codecs, m.ext
	s.source, s.use, s.changed = nil, nil, true
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
	s.take(t, p)
}

// Attached implements pipeline.Attachable: the link is the way up for wishes.
func (s *Sender) Attached(l *pipeline.Link) {
	s.peer.under(func(*turn) {
		if !l.Spliced() {
			s.changed = true
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
	s.peer.under(func(*turn) { s.changed = true })
}

// setLive opens the Sender when its connection is up.
func (s *Sender) setLive(t *turn, up bool) {
	s.live, s.changed = up, true
	s.estimate = estimate{}
	if up && s.leg != nil && s.kind == pipeline.Video {
		t.keys = append(t.keys, s)
	}
}

func (s *Sender) stop() {
	s.live, s.leg = false, nil
	s.resend.clear()
}

// serve sends a batch of the Receiver that the Sender is spliced to.
func (s *Sender) serve(t *turn, j *job) {
	if s.served.from == j.from && j.n <= s.served.n {
		return // it was on the other shard
	}
	s.served = job{from: j.from, n: j.n}
	size := 0
	for _, p := range j.packets {
		size += len(p.Payload)
		s.take(t, p)
	}
	s.packets.Add(uint64(len(j.packets)))
	s.bytes.Add(uint64(size))
}

// take sends one packet of the source, or drops it.
func (s *Sender) take(t *turn, p *pipeline.Packet) {
	switch s.write(t, p) {
	case wantKey:
		t.keys = append(t.keys, s)
	case wrongCodec:
		t.strays = append(t.strays, s)
	}
}

type verdict uint8

const (
	sent verdict = iota
	dropped
	wantKey
	wrongCodec
)

func (s *Sender) write(t *turn, p *pipeline.Packet) verdict {
	if !s.live || s.leg == nil {
		s.stats.dropped++
		return dropped
	}
	at := p.Arrival
	if at.IsZero() {
		at = t.now // a source that is not the network
	}
	if s.source != p.Format {
		if s.source != nil && !s.source.Fits(p.Format) {
			s.changed = true
		}
		s.source, s.use = p.Format, s.choose(p.Format)
	}
	if s.use == nil {
		s.stats.dropped++
		if at.Sub(s.askedAt) < keyRetry {
			return dropped
		}
		s.askedAt = at
		return wrongCodec
	}
	if s.changed || p.Header.SSRC != s.from {
		if v := s.begin(p, at); v != sent {
			s.stats.dropped++
			return v
		}
	}
	seq, ts, ok := s.line.place(p.Header.SequenceNumber, p.Header.Timestamp)
	if !ok {
		s.stats.dropped++
		return dropped
	}
	s.send(t, p, at, seq, ts)
	return sent
}

// begin starts a source at p, unless it must wait: video for its keyframe, and
// what is left over of a source that was just left for ever.
func (s *Sender) begin(p *pipeline.Packet, at time.Time) verdict {
	if !s.changed && p.Header.SSRC == s.left && at.Sub(s.leftAt) < stragglers {
		return dropped
	}
	if s.kind == pipeline.Video && !p.Key {
		if at.Sub(s.askedAt) < keyRetry {
			return dropped
		}
		s.askedAt = at
		return wantKey
	}
	s.left, s.leftAt = s.from, at
	s.from, s.changed = p.Header.SSRC, false
	s.line.begin(p.Header.SequenceNumber, p.Header.Timestamp, at, s.use.rate)
	s.pictures.begin(p.Format.Codec, p.Payload)
	return sent
}

// send writes the packet in its new place and keeps it for retransmission.
func (s *Sender) send(t *turn, p *pipeline.Packet, at time.Time, seq uint16, ts uint32) {
	if out := s.pictures.pass(p.Payload); len(out) > 0 && &out[0] != &p.Payload[0] {
		q := *p
		q.Payload = out
		p = &q
	}
	if s.use.nack {
		s.resend.keep(seq, ts, s.use, p)
	}
	slot := s.leg.slot(t)
	n := s.header(t, slot, &p.Header, seq, ts)
	b := s.leg.sealer.Seal(slot, n, p.Payload, s.ssrc, seq, s.line.rollover(seq))
	if b == nil {
		s.stats.dropped++
		return
	}
	s.leg.commit(t, len(b))
	s.counted(t, len(b))
	s.line.sent(ts, at, p.PTS)
	s.stats.packets++
	s.stats.bytes += uint64(len(p.Payload))
	s.resend.budget.Earn(len(p.Payload))
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
