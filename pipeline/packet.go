package pipeline

import (
	"context"
	"io"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/codec"
)

// Kind is what a track carries, in Kurento's words (MediaType).
type Kind uint8

// The three media types of Kurento's MediaType enumeration.
const (
	Audio Kind = iota + 1
	Video
	Data
)

// String is the Kurento spelling: AUDIO, VIDEO, DATA.
func (k Kind) String() string {
	switch k {
	case Audio:
		return "AUDIO"
	case Video:
		return "VIDEO"
	case Data:
		return "DATA"
	}
	return "UNKNOWN"
}

// Framing is how a Packet's payload is cut.
type Framing uint8

const (
	// RTP: one RTP payload per Packet; Header is valid.
	RTP Framing = iota + 1
	// Unit: one access unit (a coded frame) per Packet; Header is zero.
	// H264 is Annex B, VP8/VP9 a whole frame, AV1 a temporal unit of OBUs with
	// sizes, Opus one Opus packet, PCMU/PCMA samples.
	Unit
	// Raw: decoded pictures or samples. They never leave the worker that made
	// them: a Packet of this framing has no payload and only tells that media
	// flows at the Format's Origin, which is asked for encodings of it.
	Raw
	// Undecided is what a receiver that has not negotiated yet accepts: nothing
	// is sent to it, and that is no error. See Link.Renegotiate.
	Undecided
)

// Format describes what travels on a link. A Format is immutable once a Packet
// points to it: senders make a new one to renegotiate.
type Format struct {
	Kind    Kind
	Codec   codec.Name
	Framing Framing
	// ClockRate is in Hz: 90000 for video, 48000 for Opus (RFC 7587 §4.1), 8000 for PCMU and PCMA.
	ClockRate uint32
	// Channels is 1 or 2 for audio, 0 for video.
	Channels uint16
	// Fmtp is the a=fmtp text of the source's SDP (RFC 8866 §6.15); may be empty.
	Fmtp string
	// Config is the decoder configuration outside the stream, when there is one
	// (Unit framing: OpusHead, avcC, av1C); may be nil.
	Config []byte
	// Width and Height are in pixels; zero until known.
	Width, Height int
	// Caps is GStreamer's caps text of coded media that has no codec.Name, from a
	// file; only decoders in workers can use it, and Codec is then Other.
	Caps string
	// Reordered tells that frames are in decoding order with bidirectional
	// prediction (H264 of files): PTS is not monotonic, and no RTP line, no
	// recorder takes it as it is.
	Reordered bool
	// Origin of Framing Raw: where the media can be encoded.
	Origin Origin
}

// RawCodec is the Codec of Framing Raw, Other that of media described by Caps.
const (
	RawCodec codec.Name = "raw"
	Other    codec.Name = "other"
)

// Origin is a place with decoded media, in a worker.
type Origin interface {
	// Encodes tells whether the platform can make to (Framing Unit) of it.
	Encodes(to Format) bool
	// Encode starts to push to's units to out and returns at once; a failure
	// comes by out.Fail. Wishes of out's receivers reach the Producer that it
	// sets with out.SetProducer.
	Encode(ctx context.Context, to Format, out *Output) (io.Closer, error)
}

// Fits tells whether a packet of format f can go to a receiver that accepts g
// without conversion: same kind, codec and framing. A zero Codec or Framing in
// g is a wildcard.
func (f *Format) Fits(g *Format) bool {
	if f.Reordered && !g.Reordered {
		return false
	}
	return f.Kind == g.Kind && (g.Codec == "" || f.Codec == g.Codec) && (g.Framing == 0 || f.Framing == g.Framing)
}

// Layer names one simulcast encoding and its temporal sublayer; zero when single.
type Layer struct {
	RID      string // a=rid id (RFC 8851)
	Temporal int8
}

// Packet is one unit on a link. After Push it is read-only: a receiver that
// rewrites copies the struct first (q := *p) and clones Header.Extensions
// before editing them. The payload is shared by all receivers and lives as long
// as any of them keeps it.
type Packet struct {
	Format  *Format       // pointer identity: a new pointer means renegotiate
	Header  rtp.Header    // valid when Format.Framing is RTP
	Payload []byte        // RTP payload, access unit or raw frame; never written
	PTS     time.Duration // since Pipeline.Epoch; not RTP ticks
	Arrival time.Time     // monotonic, for jitter and latency
	Layer   Layer
	// Descriptor is the dependency descriptor that came with an RTP packet (RTP
	// Payload Format For AV1, appendix A); nil without. Never written.
	Descriptor []byte
	Key        bool // a decoder can start here
	Gap        bool // something before this was lost
	// Fix is set while PTS is a guess by arrival, and tells the correction once it
	// is known; nil when PTS is right.
	Fix *Fix
}

// Wish is what a receiver asks of a producer.
type Wish uint8

// The wishes a Producer may hear.
const (
	WishKeyFrame Wish = iota + 1 // RFC 4585 §6.3.1 (PLI)
	WishBitrate                  // Feedback.BitrateBps is what the receiver can take
	WishLayer                    // Feedback.Layer is wanted
	WishPause                    // nothing is needed for now
	WishResume
)

// Encoding is what an element wants of the encoders behind its outputs, in
// bps; 0 is the encoder's own choice (BitrateBps) or no bound.
type Encoding struct{ BitrateBps, MinBps, MaxBps int }

// Feedback travels from a receiver up to the producer.
type Feedback struct {
	Wish       Wish
	BitrateBps int
	Layer      Layer
}

// Producer hears what receivers want. Feedback must not block; it may be called
// from any goroutine.
type Producer interface{ Feedback(f Feedback) }

// Splicer is a Producer that can forward below the packet level to receivers of
// its own kind. Splice returns true when it took the link over: nothing is then
// pushed to in until Unsplice.
type Splicer interface {
	Producer
	Splice(in Input) bool
	Unsplice(in Input)
}

// Input receives. Push must not block, fail or call back into the sender's
// locks: a slow receiver owns a bounded Queue and drops to the next keyframe.
// A Push that raced with Disconnect may arrive after it and must be harmless.
type Input interface {
	Accepts() []Format // in order of preference; empty accepts anything
	Push(p *Packet)
}

// Attachable is an Input that wants to know its link, to send Feedback up.
// Both calls come on the goroutine of Connect or Disconnect, never under a lock
// that Push takes.
type Attachable interface {
	Attached(l *Link)
	Detached(l *Link)
}

// Steady is an Input for whose sake an encoder keeps the bitrate that its element
// was set: what other receivers of the same encoder can take does not lower it.
type Steady interface{ Steady() bool }

// Ender is an Input that wants to know when its source's media ends by itself
// (a file is over). Output.End calls it.
type Ender interface{ End() }

// Element is a node of the graph. Close is idempotent and waits for its goroutines.
// Input and Output answer kerr.UnsupportedMediaType for a kind they do not have.
type Element interface {
	ID() string
	Input(kind Kind, label string) (Input, error)
	Output(kind Kind, label string) (*Output, error)
	Close() error
}
