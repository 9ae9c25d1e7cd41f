// Package layers chooses and rewrites: which simulcast encoding, spatial and
// temporal layer of a publisher's video a subscriber gets, and how its packets
// are numbered so that the subscriber sees one unbroken stream. A source of one
// encoding without layers, sound too, is the simple case of the same path.
//
// A Parser reads the layers of a received packet (Info) from the payload
// descriptors of VP8 (RFC 7741 §4.2) and VP9 (RFC 9628 §4.2), from H264's NAL
// headers (RFC 6184, RFC 6190), from AV1's OBU headers, or from the dependency
// descriptor (RTP Payload Format For AV1, appendix A). A Source measures what a
// publisher sends. A Selector is one subscriber's view of it.
//
// It is arithmetic only: no goroutine, no clock, no socket, and nothing is
// allocated per packet. Estimating the bandwidth, asking for keyframes, keeping
// packets for retransmission and sending them is left to the transport.
package layers
