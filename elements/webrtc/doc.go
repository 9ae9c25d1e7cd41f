// Package webrtc is the family of WebRtcEndpoint: a browser (or any WebRTC
// peer) as a media element. It holds what is Kurento's about it, the once-only
// negotiation, gathering that is held back until asked, states, events and
// codes (kurento-elements §5, kurento-protocol §6); packets, ICE and DTLS are
// elements/webrtc/transport's.
//
// Events are raised on the transport Peer's goroutine, which ends with the
// element. ActiveSpeakers alone has a goroutine of its own, until its Close.
package webrtc
