package recorder

import (
	"encoding/binary"
	"math"
)

// Element ids of EBML and Matroska (RFC 8794 §11, RFC 9559 §5.1).
const (
	idEBML          = 0x1A45DFA3
	idVoid          = 0xEC
	idSegment       = 0x18538067
	idSeekHead      = 0x114D9B74
	idSeek          = 0x4DBB
	idSeekID        = 0x53AB
	idSeekPosition  = 0x53AC
	idInfo          = 0x1549A966
	idTimestampUnit = 0x2AD7B1
	idDuration      = 0x4489
	idDateUTC       = 0x4461
	idMuxingApp     = 0x4D80
	idWritingApp    = 0x5741
	idTracks        = 0x1654AE6B
	idTrackEntry    = 0xAE
	idTrackNumber   = 0xD7
	idTrackUID      = 0x73C5
	idTrackType     = 0x83
	idFlagLacing    = 0x9C
	idCodecID       = 0x86
	idCodecPrivate  = 0x63A2
	idCodecDelay    = 0x56AA
	idSeekPreRoll   = 0x56BB
	idVideo         = 0xE0
	idPixelWidth    = 0xB0
	idPixelHeight   = 0xBA
	idAudio         = 0xE1
	idSamplingRate  = 0xB5
	idChannels      = 0x9F
	idBitDepth      = 0x6264
	idCluster       = 0x1F43B675
	idTimestamp     = 0xE7
	idSimpleBlock   = 0xA3
	idCues          = 0x1C53BB6B
	idCuePoint      = 0xBB
	idCueTime       = 0xB3
	idCuePositions  = 0xB7
	idCueTrack      = 0xF7
	idCueCluster    = 0xF1
)

// unknownSize is the 8-byte size of an element that has not ended yet (RFC 8794 §6.2).
var unknownSize = []byte{0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func appendID(b []byte, id uint32) []byte {
	switch {
	case id > 0xffffff:
		b = append(b, byte(id>>24))
		fallthrough
	case id > 0xffff:
		b = append(b, byte(id>>16))
		fallthrough
	case id > 0xff:
		b = append(b, byte(id>>8))
	}
	return append(b, byte(id))
}

// size8 is an element size in eight bytes.
func size8(n int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(n)|1<<56)
}

// appendSize writes an element size in as few bytes as it takes (RFC 8794 §4).
func appendSize(b []byte, n int) []byte {
	width := 1
	for width < 8 && n >= 1<<(7*width)-1 {
		width++
	}
	v := uint64(n) | 1<<(7*width)
	for i := width - 1; i >= 0; i-- {
		b = append(b, byte(v>>(8*i)))
	}
	return b
}

func appendElement(b []byte, id uint32, body ...[]byte) []byte {
	n := 0
	for _, x := range body {
		n += len(x)
	}
	b = appendSize(appendID(b, id), n)
	for _, x := range body {
		b = append(b, x...)
	}
	return b
}

func element(id uint32, body ...[]byte) []byte { return appendElement(nil, id, body...) }

func uintElement(id uint32, v uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, v)
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return element(id, b)
}

func floatElement(id uint32, v float64) []byte {
	return element(id, binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
}

func stringElement(id uint32, s string) []byte { return element(id, []byte(s)) }

// void fills exactly n bytes (n is 2 to 126, or 9 and more).
func void(n int) []byte {
	if n < 127 {
		return element(idVoid, make([]byte, n-2))
	}
	return append(append([]byte{idVoid}, size8(int64(n-9))...), make([]byte, n-9)...)
}

// padded is b followed by a Void so that both fill n bytes; ok is false when b
// is too long.
func padded(b []byte, n int) ([]byte, bool) {
	rest := n - len(b)
	switch {
	case rest == 0:
		return b, true
	case rest < 2:
		return nil, false
	}
	return append(b, void(rest)...), true
}

// parseElement reads an element's header. size is -1 when unknown; n is the
// header's length, 0 when b does not begin with a valid header.
func parseElement(b []byte) (id uint32, size int64, n int) {
	if len(b) == 0 || b[0] < 0x10 {
		return 0, 0, 0
	}
	width := 1
	for mask := byte(0x80); b[0]&mask == 0; mask >>= 1 {
		width++
	}
	if len(b) < width+1 {
		return 0, 0, 0
	}
	for _, x := range b[:width] {
		id = id<<8 | uint32(x)
	}
	rest := b[width:]
	if rest[0] == 0 {
		return 0, 0, 0
	}
	sw := 1
	for mask := byte(0x80); rest[0]&mask == 0; mask >>= 1 {
		sw++
	}
	if len(rest) < sw {
		return 0, 0, 0
	}
	v := uint64(rest[0]) & (1<<(8-sw) - 1)
	for _, x := range rest[1:sw] {
		v = v<<8 | uint64(x)
	}
	size = int64(v)
	if v == 1<<(7*sw)-1 {
		size = -1
	}
	return id, size, width + sw
}

// parseFloat reads a number as floatElement writes it; 0 for another length.
func parseFloat(b []byte) float64 {
	if len(b) != 8 {
		return 0
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

func parseUint(b []byte) (v uint64) {
	if len(b) > 8 {
		return 0
	}
	for _, x := range b {
		v = v<<8 | uint64(x)
	}
	return v
}
