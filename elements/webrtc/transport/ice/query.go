package ice

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
)

// NewID makes a transaction id that begins with tag; the rest is unguessable, as
// the runtime's generator is seeded by the system (RFC 8489 §5).
func NewID(tag uint32) [12]byte {
	var id [12]byte
	binary.BigEndian.PutUint32(id[:], tag)
	binary.BigEndian.PutUint64(id[4:], rand.Uint64())
	return id
}

// AppendQuery appends a Binding request for a STUN server to dst: the question
// under which address the asking socket is seen (RFC 8489 §7.1).
func AppendQuery(dst []byte, id [12]byte) []byte {
	return append(dst, finish(begin(make([]byte, 0, headerSize+8), bindingRequest, id))...)
}

// Mapped reads the answer to the query with the given id: the address that the
// server saw, which is a server-reflexive candidate. Not ok for anything else.
func Mapped(b []byte, id [12]byte) (netip.AddrPort, bool) {
	var m message
	if !m.parse(b) || m.kind != bindingSuccess || m.id != id || !m.mapped.IsValid() || m.mapped.Port() == 0 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(m.mapped.Addr().Unmap(), m.mapped.Port()), true
}
