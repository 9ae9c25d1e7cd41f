// Package rtp is the family of RtpEndpoint: plain RTP, or SRTP keyed in the
// session description, as a media element (kurento-elements §5). It speaks with
// cameras, encoders, telephone systems and other media servers.
//
// An Endpoint negotiates once, by offer or answer. Each media section that both
// sides want is a leg: a pair of UDP ports (RFC 3550 §11), the rule of whose
// datagrams are taken, and the keys. A receiver produces what the peer sends and
// a sender takes what it shall hear; both exist before negotiation does.
//
// Who may send is fixed by the description (robustness §5): the address it
// names, or, when the peer asks for it (a=direction:active), the first source
// heard within two seconds. It is never learnt again, so that nobody can take a
// stream over by sending to a port that he guessed.
//
// Goroutines: a leg owns one reader per socket, an Endpoint one that writes
// reports and watches silence. Close waits for all of them. Packets go into the
// graph on the goroutine that read them.
//
// Specifications: RTP RFC 3550 and RFC 3551, feedback RFC 4585 and RFC 5104,
// SDP RFC 8866 with offer/answer RFC 3264, a=rtcp RFC 3605, rtcp-mux RFC 5761,
// SRTP RFC 3711 and RFC 6188 with keys by RFC 4568, REMB
// draft-alvestrand-rmcat-remb-03.
package rtp
