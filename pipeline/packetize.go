package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
)

const (
	packetizeCost = 5
	// MTU bounds an RTP packet that the packetizer makes: header and payload, in
	// bytes. Header extensions and SRTP come on top.
	MTU = 1200
	// rtpHeader is an RTP header without extensions (RFC 3550 §5.1).
	rtpHeader  = 12
	maxPayload = MTU - rtpHeader
)

// packetizer is the Converter from access units to RTP payloads.
type packetizer struct{}

// NewPacketizer makes the Converter Unit → RTP for VP8, VP9, H264, AV1, opus,
// PCMU and PCMA; pass it to New. Each conversion is an RTP stream of its own:
// random SSRC, first sequence number and timestamp offset; timestamps follow PTS
// at the format's clock rate. Packets carry PTS, Arrival and Layer of their unit
// (long PCM is split, and PTS advances with it), its Key on the first packet, for
// H264 also on those that carry parameter sets or begin an IDR slice, and its Gap
// on the first. The marker is on the last packet of a picture (RFC 7741 §4.1 and
// others), and on the first of a talkspurt of sound (RFC 3551 §4.1): that is the
// first, and the first after a Gap. Units that do not parse are dropped; video
// then asks for a keyframe. Reordered formats are refused.
func NewPacketizer() Converter { return packetizer{} }

func (packetizer) Cost(from, to Format) (int, bool) {
	ok := from.Framing == Unit && to.Framing == RTP && from.Kind == to.Kind && from.Codec == to.Codec && !from.Reordered && payloaders[from.Codec] != nil
	return packetizeCost, ok
}

func (packetizer) Expand(from Format) []Format {
	if from.Framing != Unit || from.Reordered || payloaders[from.Codec] == nil {
		return nil
	}
	from.Framing, from.Config = RTP, nil
	return []Format{from}
}

func (packetizer) Open(_ context.Context, from, to Format, out *Output) (ConverterInput, error) {
	cut := payloaders[from.Codec]
	if cut == nil || from.Framing != Unit || to.Framing != RTP || from.Reordered {
		return nil, fmt.Errorf("packetize %s: %w", from.Codec, kerr.UnsupportedMediaType)
	}
	usual := UnitOf(from.Kind, from.Codec)
	to.Kind, to.Codec, to.ClockRate, to.Channels = from.Kind, from.Codec, from.ClockRate, from.Channels
	if to.ClockRate == 0 {
		to.ClockRate = usual.ClockRate
	}
	if to.Channels == 0 {
		to.Channels = usual.Channels
	}
	to.Width, to.Height, to.Config, to.Origin = from.Width, from.Height, nil, nil
	return &packetization{
		from: from, out: out, format: &to, cut: cut(), offset: rand.Uint32(), fresh: true,
		header: rtp.Header{Version: 2, SSRC: rand.Uint32(), SequenceNumber: uint16(rand.Uint32()), PayloadType: payloadType(from.Codec)},
	}, nil
}

// payloadType is what a packet says before a sender with an SDP rewrites it: the
// static numbers of RFC 3551 §6, else the first dynamic one.
func payloadType(n codec.Name) uint8 {
	switch n {
	case codec.PCMU:
		return 0
	case codec.PCMA:
		return 8
	}
	return 96
}

// packetization is one running conversion. mu is held while packets are pushed
// on, so that their order is that of their numbers.
type packetization struct {
	from   Format
	out    *Output
	format *Format
	cut    payloader

	mu     sync.Mutex
	closed bool
	header rtp.Header
	offset uint32
	fresh  bool // nothing was sent yet
	gap    bool // a unit was dropped
	asked  time.Time
}

// Accepts tells the one format this conversion was opened for.
func (c *packetization) Accepts() []Format { return []Format{c.from} }

// Push takes an access unit.
func (c *packetization) Push(p *Packet) {
	if c.push(p) {
		c.out.Feedback(Feedback{Wish: WishKeyFrame})
	}
}

// push tells whether a keyframe is to be asked for, which happens without the lock.
func (c *packetization) push(p *Packet) (wish bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || p.Format == nil || p.Format.Framing != Unit || p.Format.Codec != c.from.Codec {
		return false
	}
	var payloads [][]byte
	if len(p.Payload) <= maxUnitBytes {
		payloads = c.cut.payloads(p.Payload)
	}
	if len(payloads) == 0 {
		c.gap = true
		wish = c.from.Kind == Video && time.Since(c.asked) >= keyFrameRetry
		if wish {
			c.asked = time.Now()
		}
		return wish
	}
	if p.Format.Width != c.format.Width || p.Format.Height != c.format.Height {
		f := *c.format
		f.Width, f.Height = p.Format.Width, p.Format.Height
		c.format = &f
	}
	gap := p.Gap || c.gap
	c.gap = false
	first := c.fresh
	c.fresh = false
	pts := p.PTS
	if c.from.Codec == codec.Opus {
		pts += opusLookahead // timestamps name the sample that went into the encoder
	}
	if first {
		// The random offset places the first timestamp; PTS may be large.
		c.offset -= ticks(pts, c.format.ClockRate)
		c.offset += rand.Uint32()
	}
	video := c.from.Kind == Video
	packets := make([]Packet, len(payloads))
	done := 0 // samples of this unit already sent
	for i, payload := range payloads {
		q := &packets[i]
		*q = Packet{Format: c.format, Header: c.header, Payload: payload, PTS: pts, Arrival: p.Arrival, Layer: p.Layer, Gap: gap && i == 0}
		if video {
			q.Key = p.Key && (i == 0 || codec.KeyFrameRTP(c.from.Codec, payload))
			q.Header.Marker = i == len(payloads)-1
		} else {
			q.Key = true
			q.PTS += span(done, c.format.ClockRate)
			q.Header.Marker = i == 0 && (first || gap)
			done += len(payload) / int(max(c.format.Channels, 1)) // used by PCM alone: others are one packet
		}
		q.Header.Timestamp = c.offset + ticks(q.PTS, c.format.ClockRate)
		c.header.SequenceNumber++
		c.out.Push(q)
	}
	return false
}

// ticks is d in units of rate, to the nearest, modulo 2^32.
func ticks(d time.Duration, rate uint32) uint32 {
	whole, rest := int64(d/time.Second), int64(d%time.Second)
	if rest < 0 {
		whole, rest = whole-1, rest+int64(time.Second)
	}
	return uint32(whole*int64(rate) + (rest*int64(rate)+int64(time.Second)/2)/int64(time.Second))
}

func span(samples int, rate uint32) time.Duration {
	return time.Duration(samples) * time.Second / time.Duration(rate)
}

// Close ends the conversion.
func (c *packetization) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}
