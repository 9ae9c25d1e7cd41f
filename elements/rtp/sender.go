package rtp

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

const (
	// stragglers is how long packets of a source that was just left are ignored.
	stragglers = 300 * time.Millisecond
	// keyRetry is how often a sender that waits for a keyframe asks again.
	keyRetry = 500 * time.Millisecond
	// trailer is the most that SRTP adds to a packet.
	trailer = 16
)

// sender sends one kind of media to the peer. Whatever its sources do, the peer
// sees one stream: own SSRC, unbroken sequence numbers, timestamps that follow
// the clock, and video that begins with a keyframe.
type sender struct {
	e    *Endpoint
	kind pipeline.Kind

	packets, bytes atomic.Uint64 // taken in, sent or not
	link           atomic.Pointer[pipeline.Link]
	accepts        atomic.Pointer[[]pipeline.Format]

	mu       sync.Mutex // leaf, but for the socket write and the leg's locks
	leg      *leg       // nil before negotiation, and when the peer takes nothing
	codecs   []payload
	ssrc     uint32
	sendTime uint8 // header extension id, 0 without

	source  *pipeline.Format // of the latest packet
	use     *payload         // for source; nil when not negotiated
	changed bool             // the next packet is from another source
	from    uint32
	left    uint32    // SSRC of the source before
	leftAt  time.Time // when it was left
	askedAt time.Time
	line    line
	resend  resend
	stats   outbound
	plain   [maxDatagram]byte
	sealed  []byte
}

func newSender(e *Endpoint, kind pipeline.Kind, ssrc uint32) *sender {
	s := &sender{e: e, kind: kind, ssrc: ssrc, changed: true}
	s.accepts.Store(&[]pipeline.Format{{Kind: kind, Framing: pipeline.Undecided}})
	return s
}

// Accepts implements pipeline.Input: nothing yet before negotiation, then RTP of
// the peer's codecs in its order.
func (s *sender) Accepts() []pipeline.Format { return *s.accepts.Load() }

// Counters are packets and payload bytes taken in since birth, whether or not
// the peer could be sent them.
func (s *sender) Counters() (packets, bytes uint64) { return s.packets.Load(), s.bytes.Load() }

// Attached implements pipeline.Attachable: the link is the way up for wishes.
func (s *sender) Attached(l *pipeline.Link) {
	s.mu.Lock()
	s.changed = true
	s.mu.Unlock()
	s.link.Store(l)
	s.limit()
}

// Detached implements pipeline.Attachable.
func (s *sender) Detached(l *pipeline.Link) { s.link.CompareAndSwap(l, nil) }

// wish sends a wish to the source; false when there is none.
func (s *sender) wish(f pipeline.Feedback) bool {
	l := s.link.Load()
	if l != nil {
		l.Feedback(f)
	}
	return l != nil
}

// requestKeyFrame asks the source for a keyframe; false when there is none.
func (s *sender) requestKeyFrame() bool {
	return s.wish(pipeline.Feedback{Wish: pipeline.WishKeyFrame})
}

// open makes the sender live on a leg. Call it without a lock.
func (s *sender) open(l *leg, m *remote) {
	if !m.receives() {
		return
	}
	formats := make([]pipeline.Format, 0, len(m.payloads))
	for _, p := range m.payloads {
		f := p.format(s.kind)
		formats = append(formats, pipeline.Format{
			Kind: s.kind, Codec: p.name, Framing: pipeline.RTP, ClockRate: f.ClockRate, Channels: f.Channels, Fmtp: p.fmtp,
		})
	}
	s.mu.Lock()
	s.leg, s.codecs, s.sendTime = l, m.payloads, m.sendTime
	s.source, s.changed = nil, true
	s.mu.Unlock()
	s.accepts.Store(&formats)
	if link := s.link.Load(); link != nil {
		link.Renegotiate()
	}
	s.limit()
}

// opened begins anew when it has become known where to send.
func (s *sender) opened() {
	s.mu.Lock()
	s.changed = true
	s.mu.Unlock()
	if s.kind == pipeline.Video {
		s.requestKeyFrame()
	}
}

// limit tells the source what the peer can take as far as that is known without
// reports from it.
func (s *sender) limit() {
	if s.kind != pipeline.Video {
		return
	}
	s.mu.Lock()
	l, bps := s.leg, int(s.stats.rembBps)
	s.mu.Unlock()
	if l == nil {
		return
	}
	if bps = s.e.sendBound(bps, l.remote.kbps); bps > 0 {
		s.wish(pipeline.Feedback{Wish: pipeline.WishBitrate, BitrateBps: bps})
	}
}

func (s *sender) close() {
	s.mu.Lock()
	s.leg = nil
	s.resend = resend{}
	s.mu.Unlock()
}

// Push implements pipeline.Input.
func (s *sender) Push(p *pipeline.Packet) {
	if p.Format == nil || p.Format.Framing != pipeline.RTP {
		return
	}
	s.packets.Add(1)
	s.bytes.Add(uint64(len(p.Payload)))
	s.mu.Lock()
	ask := s.write(p)
	s.mu.Unlock()
	if ask {
		s.requestKeyFrame()
	}
}

// write sends one packet or drops it; ask tells that a keyframe is needed.
func (s *sender) write(p *pipeline.Packet) (ask bool) {
	if s.leg == nil {
		return false
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
		return false
	}
	if s.changed || p.Header.SSRC != s.from {
		ok, ask := s.begin(p, at)
		if !ok {
			s.stats.dropped++
			return ask
		}
	}
	seq, ts, ok := s.line.place(p.Header.SequenceNumber, p.Header.Timestamp)
	if !ok {
		s.stats.dropped++
		return false
	}
	if s.use.has("nack") {
		s.resend.keep(seq, ts, p.Header.Marker, s.use.pt, p.Payload)
	}
	if !s.send(seq, ts, p.Header.Marker, s.use.pt, p.Payload, at) {
		s.stats.dropped++
		return false
	}
	s.line.sent(ts, at, p.PTS)
	s.stats.packets++
	s.stats.bytes += uint64(len(p.Payload))
	s.stats.sentAt = at
	s.resend.earn(len(p.Payload))
	return false
}

// begin starts a source at p, unless it must wait: video for its keyframe, and
// what is left over of a source that was just left for ever.
func (s *sender) begin(p *pipeline.Packet, at time.Time) (ok, ask bool) {
	if !s.changed && p.Header.SSRC == s.left && at.Sub(s.leftAt) < stragglers {
		return false, false
	}
	if s.kind == pipeline.Video && !p.Key {
		if at.Sub(s.askedAt) < keyRetry {
			return false, false
		}
		s.askedAt = at
		return false, true
	}
	s.left, s.leftAt = s.from, at
	s.from, s.changed = p.Header.SSRC, false
	s.line.begin(p.Header.SequenceNumber, p.Header.Timestamp, at, p.Format.ClockRate)
	return true, false
}

// choose finds the negotiated payload type for a format: of several of one
// codec, the one with the source's own parameters.
func (s *sender) choose(f *pipeline.Format) *payload {
	var found *payload
	for i := range s.codecs {
		c := &s.codecs[i]
		if c.name != f.Codec || c.rate != f.ClockRate {
			continue
		}
		if c.fmtp == f.Fmtp {
			return c
		}
		if found == nil {
			found = c
		}
	}
	return found
}

// send writes one RTP packet (RFC 3550 §5.1) to the peer; false when it could
// not go. The caller holds s.mu.
func (s *sender) send(seq uint16, ts uint32, marker bool, pt uint8, body []byte, now time.Time) bool {
	to, ok := s.leg.lock.target(false, now)
	n := 12
	if s.sendTime != 0 {
		n = 20
	}
	if !ok || n+len(body)+trailer > maxDatagram {
		return false
	}
	b := s.plain[:n]
	b[0], b[1] = 2<<6, pt
	if marker {
		b[1] |= 1 << 7
	}
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	binary.BigEndian.PutUint32(b[8:], s.ssrc)
	if s.sendTime != 0 {
		// One element of RFC 8285 §4.2: seconds of 6.18 bits fixed point.
		b[0] |= 1 << 4
		at := uint32(toNTP(time.Now()) >> 14 & 0xffffff)
		copy(b[12:], []byte{0xbe, 0xde, 0, 1, s.sendTime<<4 | 2, byte(at >> 16), byte(at >> 8), byte(at)})
	}
	b = append(b, body...)
	if s.leg.security != nil {
		if b, ok = s.leg.security.protect(s.sealed[:0], b, false); !ok {
			return false
		}
		s.sealed = b
	}
	_, err := s.leg.ports.rtp.WriteToUDPAddrPort(b, to)
	return err == nil
}

// noSource is what requestKeyframe answers when nothing feeds the endpoint.
func noSource() error {
	return kerr.New(kerr.MediaObjectOperationNotSupported, "No source of video to ask for a key frame")
}
