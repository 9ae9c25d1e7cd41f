// Package transport carries media between this process and WebRTC peers: offer
// and answer, candidates, one sender and one receiver per kind, fan-out of a
// receiver to senders, data channels, statistics. Everything that is Kurento's
// (codes of states, events, properties) lives above, in elements/webrtc.
//
// The seam is narrow on purpose: an Engine owns the media port, a Peer is one
// connection, a Receiver produces what the remote end sends and a Sender takes
// what it shall hear. No type of the WebRTC library behind it appears in an
// exported signature, so that library can be replaced.
//
// Goroutines: an Engine owns the readers of its sockets; a Peer owns one that
// delivers the Handler's calls and periodic RTCP, one per remote track for RTP,
// one per track for RTCP, and one per data channel. Close of either waits for
// them. Receivers forward to Senders on the goroutine that read the packet.
//
// Specifications: SDP offer/answer RFC 8829 and RFC 9143 (BUNDLE), ICE RFC 8445
// with trickle RFC 8838 and TCP RFC 6544, DTLS-SRTP RFC 5764, RTP RFC 3550,
// feedback RFC 4585 and RFC 5104, retransmission RFC 4588, STUN RFC 8489, TURN
// RFC 8656, data channels RFC 8831 and RFC 8832.
package transport
