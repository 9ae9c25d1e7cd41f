package rtp

import (
	"net/netip"

	"github.com/govidu/govidu/elements"
)

// Deps is what the family needs of the process.
type Deps struct {
	// ListenIPs are the addresses that ports are bound on, the first of each
	// family; empty binds all.
	ListenIPs []netip.Addr
	// AnnouncedIPs replace the bound address in descriptions, the first of each
	// family: what the world sees of a host behind NAT 1:1. Empty tells the
	// bound one, or the one a peer is reached from.
	AnnouncedIPs []netip.Addr
	// MinPort and MaxPort bound the UDP ports, both included; 0 and 0 is 1024 to 65535.
	MinPort, MaxPort int
	// MTU is what endpoints begin with, in bytes; 0 is 1200.
	MTU int
}

// Types are the types of this family.
func Types(d Deps) []elements.Type {
	return []elements.Type{{
		Name: "RtpEndpoint", Extends: "BaseRtpEndpoint", Module: "elements",
		Doc:     "Exchanges audio and video by plain RTP, or by SRTP keyed in the session description; one negotiation in its life.",
		New:     elements.New(newEndpoint(d)),
		Members: []elements.Member{elements.Event[keyLimitFields]("OnKeySoftLimit")},
	}}
}

// keyLimitFields are those of OnKeySoftLimit.
type keyLimitFields struct {
	MediaType elements.MediaType `json:"mediaType"`
}
