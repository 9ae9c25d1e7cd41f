package data

import (
	"encoding/binary"
	"errors"

	"github.com/pion/sctp"
)

// Messages of the Data Channel Establishment Protocol (RFC 8832 §8.2.1).
const (
	dcepAck  = 0x02
	dcepOpen = 0x03

	openSize = 12 // of DATA_CHANNEL_OPEN without its texts
	priority = 256
)

// Channel types (RFC 8832 §8.2.2).
const (
	typeReliable  = 0x00
	typeRexmit    = 0x01
	typeTimed     = 0x02
	typeUnordered = 0x80 // is added to the others
)

// Init are the parameters of a data channel (RFC 8832 §5.1). Of
// MaxPacketLifeTime (ms) and MaxRetransmits at most one may be set.
type Init struct {
	Label, Protocol                   string
	Ordered                           bool
	MaxPacketLifeTime, MaxRetransmits *uint16
}

// reliability is how SCTP is to treat the messages.
func (i *Init) reliability() (kind byte, value uint32) {
	switch {
	case i.MaxPacketLifeTime != nil:
		return sctp.ReliabilityTypeTimed, uint32(*i.MaxPacketLifeTime)
	case i.MaxRetransmits != nil:
		return sctp.ReliabilityTypeRexmit, uint32(*i.MaxRetransmits)
	}
	return sctp.ReliabilityTypeReliable, 0
}

// marshal makes a DATA_CHANNEL_OPEN (RFC 8832 §5.1).
func (i *Init) marshal() []byte {
	kind, value := byte(typeReliable), uint32(0)
	switch {
	case i.MaxPacketLifeTime != nil:
		kind, value = typeTimed, uint32(*i.MaxPacketLifeTime)
	case i.MaxRetransmits != nil:
		kind, value = typeRexmit, uint32(*i.MaxRetransmits)
	}
	if !i.Ordered {
		kind |= typeUnordered
	}
	b := []byte{dcepOpen, kind}
	b = binary.BigEndian.AppendUint16(b, priority)
	b = binary.BigEndian.AppendUint32(b, value)
	b = binary.BigEndian.AppendUint16(b, uint16(len(i.Label)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(i.Protocol)))
	return append(append(b, i.Label...), i.Protocol...)
}

var errOpen = errors.New("data: not a DATA_CHANNEL_OPEN")

// parseInit reads a DATA_CHANNEL_OPEN. A limit beyond 65535 is cut to that.
func parseInit(b []byte) (i Init, err error) {
	if len(b) < openSize || b[0] != dcepOpen {
		return i, errOpen
	}
	label, protocol := int(binary.BigEndian.Uint16(b[8:])), int(binary.BigEndian.Uint16(b[10:]))
	if len(b) != openSize+label+protocol {
		return i, errOpen
	}
	i.Label, i.Protocol = string(b[openSize:openSize+label]), string(b[openSize+label:])
	i.Ordered = b[1]&typeUnordered == 0
	value := uint16(min(binary.BigEndian.Uint32(b[4:]), 1<<16-1))
	switch b[1] &^ typeUnordered {
	case typeReliable:
	case typeRexmit:
		i.MaxRetransmits = &value
	case typeTimed:
		i.MaxPacketLifeTime = &value
	default:
		return Init{}, errOpen
	}
	return i, nil
}
