package transport

import (
	"net/netip"
	"strconv"
	"strings"
)

// Candidate is one ICE candidate with its place in the description (RFC 8839
// §5.1); Candidate begins with "candidate:", or is empty for the end of candidates.
type Candidate struct {
	Candidate     string
	SDPMid        string
	SDPMLineIndex int
}

// CandidatePair is a pair of candidate lines that passed ICE checks, of one
// transport.
type CandidatePair struct {
	Stream        int // from 1
	Local, Remote string
}

type candidateFate uint8

const (
	candidateUse  candidateFate = iota + 1
	candidateSkip               // fine, but of no use to us (TCP, RTCP component, end)
	candidateDrop               // counted: not readable, a host name, a forbidden address
)

// judge decides what happens to a remote candidate. Host names (mDNS) are never
// resolved: such a peer connects all the same, as peer-reflexive. Addresses on
// which no peer can be are not probed, so that nobody makes us knock there.
func judge(text string, loopback bool) candidateFate {
	rest, ok := strings.CutPrefix(text, "candidate:")
	if text == "" || ok && strings.TrimSpace(rest) == "" {
		return candidateSkip
	}
	f := strings.Fields(rest)
	if !ok || len(f) < 8 || len(text) > 1024 || f[6] != "typ" {
		return candidateDrop
	}
	component, err := strconv.Atoi(f[1])
	if err != nil {
		return candidateDrop
	}
	if _, err := strconv.ParseUint(f[3], 10, 32); err != nil {
		return candidateDrop
	}
	port, err := strconv.ParseUint(f[5], 10, 16)
	if err != nil {
		return candidateDrop
	}
	addr, err := netip.ParseAddr(f[4])
	if err != nil {
		return candidateDrop
	}
	addr = addr.Unmap()
	switch {
	case addr.IsUnspecified(), addr.IsMulticast():
		return candidateDrop
	case !loopback && (addr.IsLoopback() || addr.IsLinkLocalUnicast()):
		return candidateDrop
	case component != 1, !strings.EqualFold(f[2], "udp"), port == 0:
		return candidateSkip
	}
	return candidateUse
}
