// Package wire is what the server and a media worker say to each other: coded
// frames on one socket, control on another. It starts no goroutines and knows
// neither the graph nor GStreamer.
//
// A worker inherits two sockets of a Unix socket pair each:
//
//   - MediaFD, SOCK_SEQPACKET: frames, one or more messages each (Header).
//     Both sides send without blocking and drop the frame when the socket is
//     full; the receiver asks for a keyframe (EventKeyFrame, MethodKeyFrame).
//   - ControlFD, SOCK_STREAM: JSON, one object a line (Message). Descriptors
//     travel beside a line as SCM_RIGHTS.
//
// Time is CLOCK_MONOTONIC in nanoseconds everywhere, the clock that Go, the
// kernel and GStreamer's system clock share on one machine.
package wire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
)

// Descriptors a worker inherits.
const (
	MediaFD   = 3
	ControlFD = 4
)

const (
	// HeaderSize is the length of Header on the wire.
	HeaderSize = 16
	// MaxFragment is the most payload in one message; longer frames take several.
	MaxFragment = 48 << 10
	// MaxFrame bounds a frame put together from fragments.
	MaxFrame = 8 << 20
	// MaxLine bounds a control line.
	MaxLine = 4 << 20
)

// FirstOwnStream is the least id that a worker gives to frames it sends by itself
// (EventStream). The server gives ids to inputs and outputs below it, so that a
// frame which overtakes its announcement is known for what it is.
const FirstOwnStream = 0x8000

// Flags of a message.
const (
	Key  uint8 = 1 << iota // a decoder can start here
	Gap                    // something before this was lost
	More                   // another fragment of the same frame follows
)

// Header begins every message on the media socket, big-endian.
type Header struct {
	Stream   uint16 // given by who announces the stream; see StreamParams and OutputParams
	Flags    uint8
	Fragment uint8 // 0, 1, 2 … within a frame, wrapping; a jump means a lost message
	Frame    uint32
	PTS      int64 // presentation instant, CLOCK_MONOTONIC ns
}

// ErrShort means a message too short to hold a Header.
var ErrShort = errors.New("media message shorter than its header")

// Put writes h into the first HeaderSize bytes of b.
func (h Header) Put(b []byte) {
	binary.BigEndian.PutUint16(b, h.Stream)
	b[2], b[3] = h.Flags, h.Fragment
	binary.BigEndian.PutUint32(b[4:], h.Frame)
	binary.BigEndian.PutUint64(b[8:], uint64(h.PTS))
}

// Parse reads a Header and returns the payload behind it, not copied.
func Parse(b []byte) (Header, []byte, error) {
	if len(b) < HeaderSize {
		return Header{}, nil, ErrShort
	}
	return Header{
		Stream: binary.BigEndian.Uint16(b), Flags: b[2], Fragment: b[3],
		Frame: binary.BigEndian.Uint32(b[4:]), PTS: int64(binary.BigEndian.Uint64(b[8:])),
	}, b[HeaderSize:], nil
}

// Message is one line on the control socket: a request (Method, ID), an answer
// (ID with Result or Error) or an event (Event).
type Message struct {
	ID     uint64          `json:"id,omitempty"` // from 1; 0 asks for no answer
	Method string          `json:"method,omitempty"`
	Params json.RawMessage `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
	Event  string          `json:"event,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
}

// Error is a refused request. Code is a Kurento code (kerr.Code), 0 when the
// worker has none to tell.
type Error struct {
	Code int    `json:"code,omitempty"`
	Text string `json:"text"`
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// Methods, server to worker.
const (
	MethodStart    = "start"    // StartParams: the one job of this process; first request
	MethodInput    = "input"    // StreamParams: a row of frames, or its new format
	MethodNoInput  = "noinput"  // NameParams: the row ends; unknown names are no error
	MethodOutput   = "output"   // OutputParams: encode a raw port
	MethodNoOutput = "nooutput" // IDParams: end that encoding
	MethodKeyFrame = "keyframe" // IDParams: the next frame of an output is a keyframe
	MethodBitrate  = "bitrate"  // BitrateParams
	MethodCall     = "call"     // CallParams: what only this kind of job knows
	MethodDot      = "dot"      // none → string, the job's GStreamer graph in DOT
	MethodLatency  = "latency"  // none → LatencyResult
	MethodPing     = "ping"     // none: whose owner does not answer hangs, and is killed
	MethodClose    = "close"    // none: end of stream, then the process exits with 0
)

// Events, worker to server.
const (
	EventReady    = "ready"    // ReadyData: GStreamer is up, start may come
	EventKeyFrame = "keyframe" // NameData: an input's decoder needs a keyframe
	EventFlow     = "flow"     // FlowData: raw media began, changed or stopped on a port
	EventStream   = "stream"   // StreamParams: the job itself sends coded frames (player)
	EventEnd      = "end"      // NameData: such a stream, or (name "") the job, has ended by itself
	EventError    = "error"    // ErrorData
	EventJob      = "job"      // JobData: what only this kind of job knows
)

// StartParams begin the job.
type StartParams struct {
	Kind   string          `json:"kind"`
	Params json.RawMessage `json:"params,omitempty"`
}

// StreamParams announce coded frames with this Stream id: an input of the job,
// or (EventStream) what the job sends by itself. A second announcement of a name
// replaces the first; the old id is dead.
type StreamParams struct {
	Stream uint16 `json:"stream"`
	Name   string `json:"name"`
	Media
}

// Media describes coded frames, or what an encoder shall make.
type Media struct {
	Kind      string `json:"kind"`           // audio, video
	Codec     string `json:"codec"`          // codec.Name: VP8 VP9 AV1 H264 H265 opus PCMU PCMA AAC; "" with Caps
	Caps      string `json:"caps,omitempty"` // GStreamer caps, for codecs without a codec.Name
	ClockRate int    `json:"clockRate,omitempty"`
	Channels  int    `json:"channels,omitempty"`
	Fmtp      string `json:"fmtp,omitempty"`
	Config    []byte `json:"config,omitempty"` // decoder configuration (pipeline.Format.Config)
	Width     int    `json:"width,omitempty"`
	Height    int    `json:"height,omitempty"`
	Reordered bool   `json:"reordered,omitempty"` // frames are in decoding order, with B-frames
}

// OutputParams ask for raw port Port in a codec. Its frames come with Stream.
type OutputParams struct {
	Stream uint16 `json:"stream"`
	Port   string `json:"port"`
	Media
	Bitrate int `json:"bitrate,omitempty"` // bps
}

// NameParams name an input.
type NameParams struct {
	Name string `json:"name"`
}

// IDParams name a stream.
type IDParams struct {
	Stream uint16 `json:"stream"`
}

// BitrateParams set an encoder's target, in bps.
type BitrateParams struct {
	Stream  uint16 `json:"stream"`
	Bitrate int    `json:"bitrate"`
}

// CallParams are a job's own request.
type CallParams struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params,omitempty"`
}

// ReadyData tell what the platform has.
type ReadyData struct {
	Version  string   `json:"version"`  // GStreamer's
	Encoders []string `json:"encoders"` // codec.Names
	Decoders []string `json:"decoders"`
	Elements []string `json:"elements"` // of those filters may ask for, the ones that exist
}

// NameData name an input or a stream.
type NameData struct {
	Name string `json:"name"`
}

// FlowData tell of raw media on a port.
type FlowData struct {
	Port    string `json:"port"`
	Kind    string `json:"kind"`
	Flowing bool   `json:"flowing"`
	Width   int    `json:"width,omitempty"`
	Height  int    `json:"height,omitempty"`
}

// ErrorData tell of a failure. Type is a type of Kurento's Error event
// (RESOURCE_ERROR_OPEN, STREAM_ERROR_DECODE, …). Fatal: the job has ended.
type ErrorData struct {
	Type  string `json:"type"`
	Code  int    `json:"code"`
	Text  string `json:"text"`
	Input string `json:"input,omitempty"`
	Fatal bool   `json:"fatal,omitempty"`
}

// JobData is a job's own event.
type JobData struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data,omitempty"`
}

// LatencyResult maps a port to the delay of its raw media behind its PTS, in ns.
type LatencyResult map[string]int64
