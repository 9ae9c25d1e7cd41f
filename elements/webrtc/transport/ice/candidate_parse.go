package ice

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// What AddRemote refuses, all of them harmless to the agent.
var (
	// ErrMalformed: not a candidate line (RFC 8839 §5.1).
	ErrMalformed = errors.New("malformed ICE candidate")
	// ErrUnusable: a candidate, but none that can be checked: a host name (names
	// are never resolved, such a peer is found as peer-reflexive), TCP (the peer
	// connects to us), another component, an address on which no peer can be, a
	// candidate of another generation, or the end of candidates.
	ErrUnusable = errors.New("unusable ICE candidate")
	// ErrTooMany: the bound is reached.
	ErrTooMany = errors.New("too many ICE candidates")
)

const maxLine = 1024

// candidate is a remote candidate as signalled.
type candidate struct {
	addr     netip.AddrPort
	priority uint32
	kind     CandidateType
	ufrag    string // the generation that it names, or ""
}

func parseCandidate(text string) (candidate, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "a=")
	if text == "" || text == "end-of-candidates" {
		return candidate{}, ErrUnusable
	}
	rest, ok := strings.CutPrefix(text, "candidate:")
	if !ok || len(text) > maxLine {
		return candidate{}, ErrMalformed
	}
	f := strings.Fields(rest)
	if len(f) == 0 {
		return candidate{}, ErrUnusable
	}
	if len(f) < 8 || f[6] != "typ" {
		return candidate{}, ErrMalformed
	}
	var c candidate
	switch f[7] {
	case "host":
	case "srflx":
		c.kind = ServerReflexive
	case "prflx":
		c.kind = PeerReflexive
	case "relay":
		c.kind = Relay
	default:
		return candidate{}, ErrUnusable
	}
	component, err := strconv.ParseUint(f[1], 10, 16)
	if err != nil {
		return candidate{}, ErrMalformed
	}
	priority, err := strconv.ParseUint(f[3], 10, 32)
	if err != nil {
		return candidate{}, ErrMalformed
	}
	port, err := strconv.ParseUint(f[5], 10, 16)
	if err != nil {
		return candidate{}, ErrMalformed
	}
	for i := 8; i+1 < len(f); i += 2 {
		if f[i] == "ufrag" {
			c.ufrag = f[i+1]
		}
	}
	addr, err := netip.ParseAddr(f[4])
	if err != nil || addr.Zone() != "" || component != 1 || !strings.EqualFold(f[2], "udp") {
		return candidate{}, ErrUnusable
	}
	c.addr, c.priority = netip.AddrPortFrom(addr.Unmap(), uint16(port)), uint32(priority)
	if !reachable(c.addr) {
		return candidate{}, ErrUnusable
	}
	return c, nil
}

// reachable excludes addresses on which no peer can be. Whether loopback and
// link-local ones are allowed is the owner's policy.
func reachable(a netip.AddrPort) bool {
	ip := a.Addr()
	return ip.IsValid() && !ip.IsUnspecified() && !ip.IsMulticast() && a.Port() != 0 &&
		ip != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
