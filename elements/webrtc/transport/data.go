package transport

import (
	"sync/atomic"

	"github.com/govidu/govidu/pipeline"
)

// dataFormat is that of messages on DATA links: a whole message for a Packet,
// whose Key says that it is text (UTF-8); without, it is binary.
var dataFormat = pipeline.Format{Kind: pipeline.Data, Codec: "message", Framing: pipeline.Unit}

// DataFormat is the Format of messages on DATA links: Payload is one whole
// message of at most MaxMessage bytes, Packet.Key tells that it is text.
func DataFormat() *pipeline.Format { return &dataFormat }

// DataReceiver produces the messages of a Peer's data channels, all in one
// stream. Give it its Output with SetOutput.
type DataReceiver struct {
	out atomic.Pointer[pipeline.Output]
}

// SetOutput names the Output that messages are pushed to.
func (r *DataReceiver) SetOutput(out *pipeline.Output) { r.out.Store(out) }

// Feedback implements pipeline.Producer: nothing can be wished of messages.
func (r *DataReceiver) Feedback(pipeline.Feedback) {}

func (r *DataReceiver) push(p *pipeline.Packet) {
	if out := r.out.Load(); out != nil {
		out.Push(p)
	}
}

// DataSender sends messages to every open data channel of a Peer. It is an
// Input.
type DataSender struct {
	channels       *channels
	packets, bytes atomic.Uint64
}

// Accepts implements pipeline.Input.
func (s *DataSender) Accepts() []pipeline.Format {
	return []pipeline.Format{{Kind: pipeline.Data}}
}

// Push implements pipeline.Input. What is longer than MaxMessage is dropped.
func (s *DataSender) Push(p *pipeline.Packet) {
	if len(p.Payload) > MaxMessage {
		return
	}
	s.packets.Add(1)
	s.bytes.Add(uint64(len(p.Payload)))
	s.channels.send(p.Payload, p.Key)
}

// Counters are messages and bytes taken in since birth.
func (s *DataSender) Counters() (packets, bytes uint64) { return s.packets.Load(), s.bytes.Load() }

// Data are the Peer's ends of its data channels.
func (p *Peer) Data() (*DataReceiver, *DataSender) { return p.dataIn, p.dataOut }
