package ice

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

// STUN message types and attributes that ICE uses (RFC 8489 §18, RFC 8445 §16.1).
const (
	headerSize = 20
	cookie     = 0x2112A442

	// maxMessage is the largest message that is read: one Ethernet frame.
	maxMessage = 1500

	bindingRequest = 0x0001
	bindingSuccess = 0x0101
	bindingError   = 0x0111

	attrUsername       = 0x0006
	attrIntegrity      = 0x0008
	attrErrorCode      = 0x0009
	attrXORMapped      = 0x0020
	attrPriority       = 0x0024
	attrUseCandidate   = 0x0025
	attrFingerprint    = 0x8028
	attrICEControlled  = 0x8029
	attrICEControlling = 0x802A
	attrNomination     = 0xC001 // draft-thatcher-ice-renomination

	fingerprintXOR = 0x5354554E
	codeConflict   = 487
)

type transactionID [12]byte

// message is what ICE reads from a STUN message. Slices point into the datagram.
type message struct {
	raw       []byte
	kind      uint16
	id        transactionID
	username  []byte
	priority  uint32
	role      Role
	hasRole   bool
	tiebreak  uint64
	use       bool   // USE-CANDIDATE
	value     uint32 // NOMINATION, 0 when there is none
	code      int
	mapped    netip.AddrPort
	integrity int // where MESSAGE-INTEGRITY begins, 0 when there is none
}

// parse reads b and tells whether it is a well-formed STUN message. Attributes
// after MESSAGE-INTEGRITY are not covered by it and are ignored, but FINGERPRINT,
// which must be right when it is there (RFC 8489 §14.5, §14.7).
func (m *message) parse(b []byte) bool {
	if !IsSTUN(b) || len(b) > maxMessage || int(binary.BigEndian.Uint16(b[2:]))+headerSize != len(b) || len(b)%4 != 0 {
		return false
	}
	*m = message{raw: b, kind: binary.BigEndian.Uint16(b)}
	copy(m.id[:], b[8:])
	for at := headerSize; at < len(b); {
		if len(b)-at < 4 {
			return false
		}
		kind, size := binary.BigEndian.Uint16(b[at:]), int(binary.BigEndian.Uint16(b[at+2:]))
		end := at + 4 + (size+3)&^3
		if end > len(b) {
			return false
		}
		value := b[at+4 : at+4+size]
		switch {
		case kind == attrFingerprint:
			return size == 4 && end == len(b) && binary.BigEndian.Uint32(value) == crc32.ChecksumIEEE(b[:at])^fingerprintXOR
		case m.integrity != 0:
		case kind == attrIntegrity:
			if size != 20 {
				return false
			}
			m.integrity = at
		case !m.attribute(kind, value):
			return false
		}
		at = end
	}
	return true
}

// attribute takes one attribute; false when its value is malformed.
func (m *message) attribute(kind uint16, v []byte) bool {
	switch kind {
	case attrUsername:
		m.username = v
		return len(v) < 514
	case attrPriority:
		if len(v) != 4 {
			return false
		}
		m.priority = binary.BigEndian.Uint32(v)
	case attrUseCandidate:
		m.use = true
	case attrNomination:
		if len(v) == 4 {
			m.value = binary.BigEndian.Uint32(v)
		}
	case attrICEControlled, attrICEControlling:
		if len(v) != 8 {
			return false
		}
		m.hasRole, m.role = true, Controlled
		if kind == attrICEControlling {
			m.role = Controlling
		}
		m.tiebreak = binary.BigEndian.Uint64(v)
	case attrErrorCode:
		if len(v) < 4 {
			return false
		}
		m.code = int(v[2]&7)*100 + int(v[3])
	case attrXORMapped:
		addr, ok := readAddr(v, m.raw)
		m.mapped = addr
		return ok
	}
	return true
}

// readAddr undoes the masking of XOR-MAPPED-ADDRESS (RFC 8489 §14.2).
func readAddr(v, raw []byte) (netip.AddrPort, bool) {
	if len(v) != 8 && len(v) != 20 || v[1] != 1 && v[1] != 2 || (v[1] == 1) != (len(v) == 8) {
		return netip.AddrPort{}, false
	}
	var ip [16]byte
	n := copy(ip[:], v[4:])
	for i := range n {
		ip[i] ^= raw[4+i]
	}
	addr, _ := netip.AddrFromSlice(ip[:n])
	return netip.AddrPortFrom(addr, binary.BigEndian.Uint16(v[2:])^cookie>>16), true
}

// begin starts a message in dst; its length is written by seal or finish.
func begin(dst []byte, kind uint16, id transactionID) []byte {
	dst = binary.BigEndian.AppendUint16(dst[:0], kind)
	dst = binary.BigEndian.AppendUint16(dst, 0)
	dst = binary.BigEndian.AppendUint32(dst, cookie)
	return append(dst, id[:]...)
}

func appendHead(b []byte, kind uint16, size int) []byte {
	b = binary.BigEndian.AppendUint16(b, kind)
	return binary.BigEndian.AppendUint16(b, uint16(size))
}

func appendUsername(b []byte, remote, local string) []byte {
	n := len(remote) + 1 + len(local)
	b = appendHead(b, attrUsername, n)
	b = append(append(append(b, remote...), ':'), local...)
	for ; n%4 != 0; n++ {
		b = append(b, 0)
	}
	return b
}

func appendUint32(b []byte, kind uint16, v uint32) []byte {
	return binary.BigEndian.AppendUint32(appendHead(b, kind, 4), v)
}

func appendRole(b []byte, r Role, tiebreaker uint64) []byte {
	kind := uint16(attrICEControlled)
	if r == Controlling {
		kind = attrICEControlling
	}
	return binary.BigEndian.AppendUint64(appendHead(b, kind, 8), tiebreaker)
}

func appendAddr(b []byte, addr netip.AddrPort) []byte {
	family, ip := byte(2), addr.Addr().As16()
	masked := ip[:]
	if a := addr.Addr(); a.Is4() {
		ip4 := a.As4()
		family, masked = 1, ip[:copy(ip[:], ip4[:])]
	}
	b = append(appendHead(b, attrXORMapped, 4+len(masked)), 0, family)
	b = binary.BigEndian.AppendUint16(b, addr.Port()^cookie>>16)
	for i, x := range masked {
		b = append(b, x^b[4+i]) // b begins with the message: cookie and transaction id
	}
	return b
}

func appendConflict(b []byte) []byte {
	const reason = "Role Conflict"
	b = append(appendHead(b, attrErrorCode, 4+len(reason)), 0, 0, codeConflict/100, codeConflict%100)
	return append(append(b, reason...), 0, 0, 0)
}

// finish writes the length and appends FINGERPRINT.
func finish(b []byte) []byte {
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)-headerSize+8))
	sum := crc32.ChecksumIEEE(b) ^ fingerprintXOR
	return appendUint32(b, attrFingerprint, sum)
}

// seal appends MESSAGE-INTEGRITY by pwd and FINGERPRINT.
func seal(b []byte, pwd string) []byte {
	mac := integrity(b, pwd)
	return finish(append(appendHead(b, attrIntegrity, len(mac)), mac[:]...))
}
