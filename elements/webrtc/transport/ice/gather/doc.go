// Package gather gets the candidates of an ICE agent that need a server: relayed
// ones from TURN (RFC 8656, over UDP, TCP and TLS) and server-reflexive ones from
// STUN (RFC 8489) for sockets of one's own. It opens sockets and has goroutines;
// the state machine in package ice has neither.
package gather
