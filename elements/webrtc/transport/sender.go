package transport

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

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
	peer  *Peer
	kind  pipeline.Kind
	track *localTrack

	packets, bytes atomic.Uint64 // taken in, sent or not
	link           atomic.Pointer[pipeline.Link]
	// negotiated is what Accepts answers; nil before negotiation.
	negotiated atomic.Pointer[[]pipeline.Format]

	mu       sync.Mutex // leaf, but for the library's socket write
	live     bool
	writer   webrtc.TrackLocalWriter
	codecs   []sendCodec
	levelExt uint8 // header extension id of the audio level, 0 without
	ssrc     uint32
	rtxSSRC  uint32
	timeExt  uint8      // header extension id of abs-send-time, 0 without
	stamp    [3]byte    // scratch of abs-send-time
	stamped  bool       // packets carry it
	header   rtp.Header // reused: the library copies what it keeps

	source   *pipeline.Format // of the latest packet
	use      *sendCodec       // for source; nil when not negotiated
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

// sendCodec is one negotiated codec.
type sendCodec struct {
	name    codec.Name
	rate    uint32
	fmtp    string
	pt      uint8
	rtx     uint8 // payload type of its retransmissions, 0 without
	nack    bool
	profile string // H264 profile_idc and constraints, four hexadecimal digits
}

func newSender(p *Peer, kind pipeline.Kind) *Sender {
	s := &Sender{peer: p, kind: kind, changed: true}
	s.track = &localTrack{s}
	return s
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
	s.write(p)
}

// Attached implements pipeline.Attachable: the link is the way up for wishes.
func (s *Sender) Attached(l *pipeline.Link) {
	if !l.Spliced() {
		s.sourceChanged()
	}
	s.mu.Lock()
	s.estimate.toldAt = time.Time{} // another source, which knows no wish yet
	s.mu.Unlock()
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
	s.mu.Lock()
	s.changed = true
	s.mu.Unlock()
}

// setLive opens the Sender when its connection is up.
func (s *Sender) setLive(up bool) {
	s.mu.Lock()
	s.live, s.changed = up, true
	s.estimate = estimate{}
	ask := up && s.writer != nil && s.kind == pipeline.Video
	s.mu.Unlock()
	if ask {
		s.RequestKeyFrame()
	}
}

func (s *Sender) stop() {
	s.mu.Lock()
	s.live, s.writer = false, nil
	s.resend.clear()
	s.mu.Unlock()
}

// write sends one packet of the source, or drops it.
func (s *Sender) write(p *pipeline.Packet) {
	s.packets.Add(1)
	s.bytes.Add(uint64(len(p.Payload)))
	s.mu.Lock()
	verdict := s.writeLocked(p)
	s.mu.Unlock()
	switch verdict {
	case wantKey:
		s.RequestKeyFrame()
	case wrongCodec:
		// Whoever plans conversions finds the way from here. Not on this
		// goroutine: it is the source's.
		if l := s.link.Load(); l != nil && l.Spliced() {
			s.peer.post(l.Unsplice)
		}
	}
}

type verdict uint8

const (
	sent verdict = iota
	dropped
	wantKey
	wrongCodec
)

func (s *Sender) writeLocked(p *pipeline.Packet) verdict {
	if !s.live || s.writer == nil {
		s.stats.dropped++
		return dropped
	}
	at := p.Arrival
	if at.IsZero() {
		at = time.Now() // a source that is not the network
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
	s.send(p, at, seq, ts)
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
func (s *Sender) send(p *pipeline.Packet, at time.Time, seq uint16, ts uint32) {
	h := &s.header
	h.Version, h.Marker, h.PayloadType = 2, p.Header.Marker, s.use.pt
	h.SequenceNumber, h.Timestamp, h.SSRC = seq, ts, s.ssrc
	switch {
	case s.levelExt != 0:
		s.copyLevel(&p.Header)
	case s.stamped:
		s.stampTime()
	}
	payload := s.pictures.pass(p.Payload)
	if s.use.nack {
		s.resend.keep(seq, ts, p.Header.Marker, s.use, payload)
	}
	if _, err := s.writer.WriteRTP(h, payload); err != nil {
		s.stats.dropped++
		return
	}
	s.line.sent(ts, at, p.PTS)
	s.stats.packets++
	s.stats.bytes += uint64(len(p.Payload))
	s.resend.earn(len(p.Payload))
}

// choose finds the negotiated codec for a format. H264 prefers the same profile
// (RFC 6184 §8.2.2), then one whose decoders play it, then any: decoders play
// more than their peers negotiate, and the alternative is no picture.
func (s *Sender) choose(f *pipeline.Format) *sendCodec {
	var fits, other *sendCodec
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

// h264Profile is the first two bytes of profile-level-id, lower case.
func h264Profile(fmtp string) string {
	for part := range strings.SplitSeq(fmtp, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(k, "profile-level-id") && len(v) == 6 {
			return strings.ToLower(v[:4])
		}
	}
	return ""
}

// compatible tells whether a decoder of profile to plays a stream of profile
// from: baseline is played by all, main by high.
func compatible(from, to string) bool {
	if len(from) < 4 || len(to) < 4 {
		return false
	}
	order := map[string]int{"42": 1, "4d": 2, "64": 3}
	a, b := order[from[:2]], order[to[:2]]
	return a != 0 && b != 0 && a <= b
}
