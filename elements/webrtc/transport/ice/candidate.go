package ice

import (
	"fmt"
	"hash/crc32"
	"net/netip"
	"strings"
)

// CandidateType says how an address was learnt (RFC 8445 §5.1.1).
type CandidateType uint8

// The types of candidates.
const (
	Host CandidateType = iota
	PeerReflexive
	ServerReflexive
	Relay
)

// String is the type's name in a candidate line (RFC 8839 §5.1).
func (t CandidateType) String() string {
	switch t {
	case PeerReflexive:
		return "prflx"
	case ServerReflexive:
		return "srflx"
	case Relay:
		return "relay"
	}
	return "host"
}

// preference is the type preference of RFC 8445 §5.1.2.2. TCP stays below every
// kind of UDP but relayed (RFC 6544 §4.2).
func (t CandidateType) preference(tcp bool) uint32 {
	p := [...]uint32{Host: 126, PeerReflexive: 110, ServerReflexive: 100, Relay: 0}[t]
	if tcp && p > 27 {
		p -= 27
	}
	return p
}

// Local is one of our candidates.
type Local struct {
	// Base names the socket for Config.Send: the agent only hands it back. What
	// comes in on one local address and port is one base.
	Base int
	// Type is Host, ServerReflexive or Relay.
	Type CandidateType
	// Addr is the candidate's address, Related the one it was learnt from: the
	// base of a reflexive one, the mapped address of a relayed one (RFC 8839 §5.1).
	Addr, Related netip.AddrPort
	// TCP marks a passive TCP candidate (RFC 6544): only the peer opens paths to it.
	TCP bool
	// LocalPreference orders candidates of one type, higher is better.
	LocalPreference uint16
}

// Priority is the candidate's priority (RFC 8445 §5.1.2.1) for component 1.
func (l Local) Priority() uint32 { return l.priority(l.Type) }

// priority is that of a candidate of another type with the same base, as the
// PRIORITY attribute of checks wants it.
func (l Local) priority(t CandidateType) uint32 {
	local := uint32(l.LocalPreference)
	if l.TCP {
		local = 4<<13 | local&0x1fff // direction preference of passive (RFC 6544 §4.2)
	}
	return t.preference(l.TCP)<<24 | local<<8 | 255
}

// Line is the candidate in the form "candidate:…" of RFC 8839 §5.1. A valid
// announced address replaces the candidate's own.
func (l Local) Line(announced netip.Addr) string {
	addr := l.Addr
	if announced.IsValid() {
		addr = netip.AddrPortFrom(announced.Unmap(), addr.Port())
	}
	return line(l.Type, l.Priority(), addr, l.Related, l.TCP, "passive")
}

func line(t CandidateType, priority uint32, addr, related netip.AddrPort, tcp bool, tcptype string) string {
	proto := "udp"
	if tcp {
		proto = "tcp"
	}
	base := addr
	if related.IsValid() {
		base = related
	}
	foundation := crc32.ChecksumIEEE([]byte(t.String() + " " + base.Addr().String() + " " + proto))
	var b strings.Builder
	fmt.Fprintf(&b, "candidate:%d 1 %s %d %s %d typ %s", foundation, proto, priority, addr.Addr(), addr.Port(), t)
	if t != Host {
		if !related.IsValid() {
			related = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
		}
		fmt.Fprintf(&b, " raddr %s rport %d", related.Addr(), related.Port())
	}
	if tcp {
		b.WriteString(" tcptype " + tcptype)
	}
	return b.String()
}
