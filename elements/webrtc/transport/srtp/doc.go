// Package srtp seals and opens the packets of one DTLS-SRTP association: SRTP
// and SRTCP (RFC 3711) with AES in counter mode and HMAC-SHA1, and with AES-GCM
// (RFC 7714), under keys that the DTLS handshake exported (RFC 5764).
//
// It is made for forwarding. A payload that many subscribers get is read from
// one shared place and encrypted straight into each datagram; nothing is copied
// before, nothing is allocated per packet, and no header is parsed twice: the
// caller says where the header ends, and which rollover counter it counts.
//
// A Sealer is one direction out, an Opener one direction in. Each is used by one
// goroutine at a time. The package starts no goroutines and keeps no clock.
package srtp
