package congestion

import "encoding/binary"

// Symbols of packets and limits of chunks (§3.1.1 to §3.1.4 of the draft).
const (
	symbolMissing = 0
	symbolSmall   = 1 // delta of one byte
	symbolLarge   = 2 // delta of two
	feedbackFMT   = 15
	feedbackPT    = 205
	feedbackFixed = 20  // bytes before the chunks
	vectorOne     = 14  // symbols of one bit in a chunk
	vectorTwo     = 7   // symbols of two bits
	maxSmall      = 255 // ticks
	maxRun        = 1<<13 - 1
)

// build appends one feedback packet from begin on, and tells how many packets it
// covers: up to the end, or to a gap in time that no delta can express.
func (r *Recorder) build(dst []byte, sender, media uint32) ([]byte, int) {
	n := int(r.end - r.begin)
	first := r.begin
	for !r.has(first) {
		if first++; first == r.end {
			return dst, 0
		}
	}
	reference := r.ticks[first%recorderSlots] >> 8 // 64 ms
	var symbols [recorderSlots]byte
	last := reference << 8
	for i := range n {
		seq := r.begin + uint16(i)
		if !r.has(seq) {
			continue
		}
		at := r.ticks[seq%recorderSlots]
		d := int32(at - last)
		if d != int32(int16(d)) {
			n = i
			break
		}
		symbols[i], last = symbolLarge, at
		if d >= 0 && d <= maxSmall {
			symbols[i] = symbolSmall
		}
	}
	start := len(dst)
	dst = append(dst, 2<<6|feedbackFMT, feedbackPT, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, sender)
	dst = binary.BigEndian.AppendUint32(dst, media)
	dst = binary.BigEndian.AppendUint16(dst, r.begin)
	dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	dst = binary.BigEndian.AppendUint32(dst, reference<<8|uint32(r.count))
	r.count++
	dst = appendChunks(dst, symbols[:n])
	last = reference << 8
	for i, s := range symbols[:n] {
		if s == symbolMissing {
			continue
		}
		at := r.ticks[(r.begin+uint16(i))%recorderSlots]
		if d := at - last; s == symbolSmall {
			dst = append(dst, byte(d))
		} else {
			dst = append(dst, byte(d>>8), byte(d))
		}
		last = at
	}
	if pad := -(len(dst) - start) & 3; pad != 0 {
		dst[start] |= 1 << 5
		for i := range pad {
			b := byte(0)
			if i == pad-1 {
				b = byte(pad)
			}
			dst = append(dst, b)
		}
	}
	binary.BigEndian.PutUint16(dst[start+2:], uint16((len(dst)-start)/4-1))
	return dst, n
}

// appendChunks writes symbols as runs where they are long, else as vectors.
func appendChunks(dst []byte, symbols []byte) []byte {
	for len(symbols) > 0 {
		run := 1
		for run < min(len(symbols), maxRun) && symbols[run] == symbols[0] {
			run++
		}
		wide := false
		for _, s := range symbols[:min(len(symbols), vectorOne)] {
			wide = wide || s == symbolLarge
		}
		var chunk uint16
		n := run
		switch {
		case run == len(symbols) || run >= vectorOne || wide && run >= vectorTwo:
			chunk = uint16(symbols[0])<<13 | uint16(run)
		case wide:
			chunk, n = 3<<14, min(len(symbols), vectorTwo)
			for i, s := range symbols[:n] {
				chunk |= uint16(s) << (12 - 2*i)
			}
		default:
			chunk, n = 1<<15, min(len(symbols), vectorOne)
			for i, s := range symbols[:n] {
				chunk |= uint16(s) << (13 - i)
			}
		}
		dst = binary.BigEndian.AppendUint16(dst, chunk)
		symbols = symbols[n:]
	}
	return dst
}
