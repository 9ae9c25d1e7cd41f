package congestion

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// ErrFeedback says that transport-wide feedback is malformed.
var ErrFeedback = errors.New("congestion: malformed transport-wide feedback")

// IsFeedback tells whether an RTCP packet is transport-wide feedback: transport
// layer feedback (205) of format 15.
func IsFeedback(packet []byte) bool {
	return len(packet) >= feedbackFixed && packet[0]>>6 == 2 && packet[0]&31 == feedbackFMT && packet[1] == feedbackPT
}

// feedback walks through the statuses of one feedback packet. It works on the
// bytes, for a peer may claim 65535 packets in a few of them.
type feedback struct {
	chunks, deltas []byte
	reference      uint32 // 64 ms, 24 bits
	left           int    // statuses
	seq            uint16 // of the next status
	chunk          uint16
	inChunk        int // statuses left in chunk
}

// readFeedback checks all of a packet before anything is believed.
func readFeedback(b []byte) (feedback, error) {
	var f feedback
	if !IsFeedback(b) {
		return f, ErrFeedback
	}
	size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
	if size > len(b) || size < feedbackFixed+2 {
		return f, ErrFeedback
	}
	padded := b[0]>>5&1 != 0
	b = b[:size]
	if padded {
		pad := int(b[size-1])
		if pad == 0 || pad > size-feedbackFixed {
			return f, ErrFeedback
		}
		b = b[:size-pad]
	}
	f.seq = binary.BigEndian.Uint16(b[12:])
	f.left = int(binary.BigEndian.Uint16(b[14:]))
	f.reference = binary.BigEndian.Uint32(b[16:]) >> 8
	b = b[feedbackFixed:]
	if f.left == 0 {
		return f, ErrFeedback
	}
	need, at := 0, 0
	for todo := f.left; todo > 0; at += 2 {
		if at+2 > len(b) {
			return f, ErrFeedback
		}
		n, size, ok := chunkSize(binary.BigEndian.Uint16(b[at:]), todo)
		if !ok {
			return f, ErrFeedback
		}
		todo -= n
		need += size
	}
	if need > len(b)-at {
		return f, ErrFeedback
	}
	f.chunks, f.deltas = b[:at], b[at:]
	return f, nil
}

// chunkSize tells how many statuses a chunk has, at most todo, and how many bytes
// of deltas belong to them.
func chunkSize(chunk uint16, todo int) (n, size int, ok bool) {
	switch {
	case chunk>>15 == 0:
		symbol := int(chunk >> 13)
		n = int(chunk & maxRun)
		// The length 0 would take this loop nowhere, and 3 is reserved.
		if n == 0 || symbol > symbolLarge {
			return 0, 0, false
		}
		n = min(n, todo)
		return n, n * symbol, true
	case chunk>>14 == 2:
		n = min(todo, vectorOne)
		return n, bits.OnesCount16(chunk & 0x3fff >> (vectorOne - n) << (vectorOne - n)), true
	}
	n = min(todo, vectorTwo)
	for i := range n {
		symbol := int(chunk >> (12 - 2*i) & 3)
		if symbol > symbolLarge {
			return 0, 0, false
		}
		size += symbol
	}
	return n, size, true
}

// status is what is told of n packets from seq on: that they are missing, or that
// one came, delta ticks of 250 µs after the one before.
type status struct {
	delta int32
	n     int
	seq   uint16
	came  bool
}

// next is the next status; false: that was all. Missing packets in a row come as
// one where they share a chunk.
func (f *feedback) next() (status, bool) {
	if f.left <= 0 {
		return status{}, false
	}
	s := status{seq: f.seq, n: 1}
	if f.inChunk == 0 {
		f.chunk = binary.BigEndian.Uint16(f.chunks)
		f.chunks = f.chunks[2:]
		f.inChunk, _, _ = chunkSize(f.chunk, f.left)
	}
	symbol, zeros := 0, 0
	switch {
	case f.chunk>>15 == 0:
		symbol, zeros = int(f.chunk>>13), f.inChunk
	case f.chunk>>14 == 2:
		symbol, zeros = int(f.chunk>>13&1), bits.LeadingZeros16(f.chunk<<2)
	default:
		symbol, zeros = int(f.chunk>>12&3), bits.LeadingZeros16(f.chunk<<2)/2
	}
	if symbol == symbolMissing {
		s.n = min(zeros, f.inChunk)
	}
	if kind := f.chunk >> 14; kind == 2 {
		f.chunk = kind<<14 | f.chunk<<s.n&0x3fff
	} else if kind == 3 {
		f.chunk = kind<<14 | f.chunk<<(2*s.n)&0x3fff
	}
	switch symbol {
	case symbolSmall:
		s.came, s.delta, f.deltas = true, int32(f.deltas[0]), f.deltas[1:]
	case symbolLarge:
		s.came, s.delta, f.deltas = true, int32(int16(binary.BigEndian.Uint16(f.deltas))), f.deltas[2:]
	}
	f.inChunk -= s.n
	f.left -= s.n
	f.seq += uint16(s.n)
	return s, true
}
