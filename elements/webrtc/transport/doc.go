// Package transport carries media between this process and WebRTC peers: offer
// and answer, candidates, one sender and one receiver per kind, fan-out of a
// receiver to senders, data channels, statistics. Everything that is Kurento's
// (codes of states, events, properties) lives above, in elements/webrtc.
//
// The seam is narrow on purpose: an Engine owns the media port, a Peer is one
// connection, a Receiver produces what the remote end sends and a Sender takes
// what it shall hear. No type of a library behind it appears in an
// exported signature.
//
// The packet path: a shard is one UDP socket of the media port with one goroutine
// that reads what is there at once, opens it, and for each subscriber writes a
// header and seals from the one plaintext into memory that leaves in few system
// calls. The shard's lock is taken once for a batch; under it nothing blocks, calls
// back or waits for another lock (see turn), and nothing is allocated per packet and
// subscriber. A Peer lives on the shard where its selected pair's datagrams come.
//
// Goroutines: an Engine owns a reader and an inbox for each shard. The reader does for
// the Peers of its shard what is due, and where no datagrams come the ticker does. A Peer has none of its own but while its
// Handler is told something, while its handshake runs, for its data channels, and
// for sockets and relays that only it has. Close of either waits for them.
//
// The parts, each a package: srtp, udp, ice, dtls, data (channels), congestion
// (feedback, estimation), layers (simulcast and scalable streams).
//
// Specifications: SDP offer/answer RFC 8829 and RFC 9143 (BUNDLE), ICE RFC 8445
// with trickle RFC 8838 and TCP RFC 6544, DTLS-SRTP RFC 5764, RTP RFC 3550,
// feedback RFC 4585 and RFC 5104, retransmission RFC 4588, STUN RFC 8489, TURN
// RFC 8656, data channels RFC 8831 and RFC 8832.
package transport
