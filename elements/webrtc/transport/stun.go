package transport

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"
)

// STUN (RFC 8489): the values that a Binding answer needs.
const (
	stunHeader         = 20
	stunCookie         = 0x2112A442
	stunBindingRequest = 0x0001
	stunBindingSuccess = 0x0101
	stunUsername       = 0x0006
	stunXORMapped      = 0x0020
)

// isPlainBinding tells whether b is a Binding request without USERNAME, that is
// one for a STUN server and not an ICE check.
func isPlainBinding(b []byte) bool {
	if len(b) < stunHeader || binary.BigEndian.Uint16(b) != stunBindingRequest ||
		binary.BigEndian.Uint32(b[4:]) != stunCookie {
		return false
	}
	body := b[stunHeader:]
	if int(binary.BigEndian.Uint16(b[2:])) != len(body) {
		return false
	}
	for len(body) >= 4 {
		size := (int(binary.BigEndian.Uint16(body[2:])) + 3) &^ 3
		if binary.BigEndian.Uint16(body) == stunUsername {
			return false
		}
		if 4+size > len(body) {
			return false
		}
		body = body[4+size:]
	}
	return len(body) == 0
}

// appendBindingSuccess appends the answer to request with the one attribute
// XOR-MAPPED-ADDRESS (RFC 8489 §14.2), 32 bytes for IPv4 and 44 for IPv6.
func appendBindingSuccess(dst, request []byte, from netip.AddrPort) []byte {
	addr := from.Addr().Unmap()
	size := 4 + 8
	family := byte(1)
	if addr.Is6() {
		size, family = 4+20, 2
	}
	dst = binary.BigEndian.AppendUint16(dst, stunBindingSuccess)
	dst = binary.BigEndian.AppendUint16(dst, uint16(size))
	dst = append(dst, request[4:stunHeader]...)
	dst = binary.BigEndian.AppendUint16(dst, stunXORMapped)
	dst = binary.BigEndian.AppendUint16(dst, uint16(size-4))
	dst = append(dst, 0, family)
	dst = binary.BigEndian.AppendUint16(dst, from.Port()^(stunCookie>>16))
	for i, b := range addr.AsSlice() {
		dst = append(dst, b^request[4+i]) // cookie and transaction id, in that order
	}
	return dst
}

// perSource allows each source address a number of events per second. It
// remembers the sources of the current second only, and at most maxSources.
type perSource struct {
	mu     sync.Mutex
	limit  int
	second int64
	seen   map[netip.Addr]int
}

const maxSources = 1 << 16

func (p *perSource) allow(a netip.Addr, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := now.Unix(); s != p.second || p.seen == nil {
		p.second, p.seen = s, make(map[netip.Addr]int)
	}
	n := p.seen[a]
	if n >= p.limit || n == 0 && len(p.seen) >= maxSources {
		return false
	}
	p.seen[a] = n + 1
	return true
}
