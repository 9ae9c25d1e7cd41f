package ice

import (
	"bytes"
	"encoding/binary"
)

// IsSTUN tells whether a datagram is a STUN message by its first bytes and the
// magic cookie (RFC 8489 §5, RFC 7983).
func IsSTUN(b []byte) bool {
	return len(b) >= headerSize && b[0] < 4 && binary.BigEndian.Uint32(b[4:]) == cookie
}

// IsResponse tells whether a datagram is a Binding success or error response.
func IsResponse(b []byte) bool {
	if !IsSTUN(b) {
		return false
	}
	kind := binary.BigEndian.Uint16(b)
	return kind == bindingSuccess || kind == bindingError
}

// Tag gives the first four bytes of the transaction id: Config.Tag of the agent
// that asked, when the message is a response; 0 when it is no STUN message.
func Tag(b []byte) uint32 {
	if !IsSTUN(b) {
		return 0
	}
	return binary.BigEndian.Uint32(b[8:])
}

// UsernameFragment gives the receiver's user fragment of a Binding request: what
// stands before the colon of USERNAME (RFC 8445 §7.2.2). Not ok for other
// messages and for requests without USERNAME, which ask a STUN server. The
// fragment points into b; nothing about it is proven yet.
func UsernameFragment(b []byte) (ufrag []byte, ok bool) {
	if !IsSTUN(b) || binary.BigEndian.Uint16(b) != bindingRequest {
		return nil, false
	}
	for at := headerSize; len(b)-at >= 4; {
		kind, size := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		if len(b)-at-4 < size {
			return nil, false
		}
		if kind == attrUsername {
			ours, _, found := bytes.Cut(b[at+4:at+4+size], []byte{':'})
			return ours, found && len(ours) > 0
		}
		at += 4 + (size+3)&^3
	}
	return nil, false
}
