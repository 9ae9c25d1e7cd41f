// Package data has the data channels of WebRTC (RFC 8831) over one DTLS
// connection: SCTP (RFC 8261) by pion/sctp, and the protocol that opens channels
// (RFC 8832).
package data
