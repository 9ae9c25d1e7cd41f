// Package dtls makes the keys of DTLS-SRTP (RFC 5764) and carries the records of
// data channels (RFC 8261): DTLS 1.2 (RFC 6347) over datagrams that somebody
// else moves.
//
// pion/dtls runs the handshake and nothing else. What comes from the network is
// screened before it gets there: a datagram of a stranger, an unusable
// ClientHello or a lying fragment neither ends the association nor reaches a
// parser it could hurt. As soon as both ends have finished, the library's
// connection, its goroutines and its buffers are let go, and a record layer of
// our own answers late flights, hears close_notify and serves Stream. A Conn
// without a Stream has no goroutine and holds under a kilobyte.
package dtls
