// Package ice is the ICE agent of a media server (RFC 8445) as a pure state
// machine: full checks in both roles, trickle (RFC 8838), consent (RFC 7675),
// restart, passive TCP paths (RFC 6544). It has no goroutine, no clock and no
// socket: the owner hands in what came and what time it is, and sends what the
// agent wants sent. One component per agent, as BUNDLE and rtcp-mux need it.
//
// An Agent is not safe for concurrent use; its owner's lock guards it. Nothing
// that comes from outside makes it grow beyond fixed bounds, and it answers a
// request only when the integrity of that request holds.
package ice
