package codec

import "encoding/binary"

// opusFrame is the frame length in 48 kHz ticks by TOC configuration (RFC 6716 §3.1, table 2).
var opusFrame = [32]int{
	480, 960, 1920, 2880, 480, 960, 1920, 2880, 480, 960, 1920, 2880, // SILK
	480, 960, 480, 960, // hybrid
	120, 240, 480, 960, 120, 240, 480, 960, 120, 240, 480, 960, 120, 240, 480, 960, // CELT
}

// OpusTicks is how long an Opus packet lasts, in ticks of 48 kHz (RFC 6716
// §3.1, §3.2); 0 when it is malformed or longer than 120 ms.
func OpusTicks(packet []byte) int {
	if len(packet) == 0 {
		return 0
	}
	frames := 2
	switch packet[0] & 3 {
	case 0:
		frames = 1
	case 3:
		if len(packet) < 2 {
			return 0
		}
		frames = int(packet[1] & 0x3f)
	}
	if ticks := opusFrame[packet[0]>>3] * frames; ticks <= 5760 {
		return ticks
	}
	return 0
}

// OpusHead is the identification header (RFC 7845 §5.1) that WebM keeps as
// CodecPrivate: version 1, 48 kHz, mapping family 0. preSkip is in 48 kHz ticks.
func OpusHead(channels int, preSkip uint16) []byte {
	if channels < 1 || channels > 2 {
		channels = 2
	}
	h := append([]byte("OpusHead"), 1, byte(channels))
	h = binary.LittleEndian.AppendUint16(h, preSkip)
	h = binary.LittleEndian.AppendUint32(h, 48000)
	h = binary.LittleEndian.AppendUint16(h, 0)
	return append(h, 0)
}
