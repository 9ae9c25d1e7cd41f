package dtls

import (
	"encoding/binary"

	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/handshake"
	"github.com/pion/dtls/v3/pkg/protocol/recordlayer"
)

const (
	headerSize  = recordlayer.FixedHeaderSize
	messageSize = handshake.HeaderLength
	// maxDatagram is the longest datagram that is looked at: what the library
	// reads at once.
	maxDatagram = 8192
	// maxPlain is the longest plaintext of a record (RFC 5246 §6.2.1).
	maxPlain = 1 << 14
)

const (
	typeChange    = byte(protocol.ContentTypeChangeCipherSpec)
	typeAlert     = byte(protocol.ContentTypeAlert)
	typeHandshake = byte(protocol.ContentTypeHandshake)
	typeData      = byte(protocol.ContentTypeApplicationData)
)

// record is one record of a datagram (RFC 6347 §4.1).
type record struct {
	kind  byte
	epoch uint16
	seq   uint64
	raw   []byte // with its header
}

func (r record) body() []byte { return r.raw[headerSize:] }

// nextRecord takes the first record off a datagram; ok is false when there is
// no whole one, after which nothing in the datagram can be trusted.
func nextRecord(b []byte) (r record, rest []byte, ok bool) {
	if len(b) < headerSize {
		return r, nil, false
	}
	n := headerSize + int(binary.BigEndian.Uint16(b[11:]))
	if n == headerSize || n > len(b) || b[1] != 0xfe || b[2] != 0xfd && b[2] != 0xff {
		return r, nil, false
	}
	seq := binary.BigEndian.Uint64(b[3:])
	return record{b[0], binary.BigEndian.Uint16(b[3:]), seq & (1<<48 - 1), b[:n]}, b[n:], true
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }

func putUint24(b []byte, n int) { b[0], b[1], b[2] = byte(n>>16), byte(n>>8), byte(n) }
