// Package broadcast sends the composed picture and sound of a session out live:
// to an RTMP or RTMPS target, as OpenVidu does, or as HLS served by this server.
//
// One broadcast is one view of the session's studio and one RtmpEndpoint or
// HlsEndpoint behind it, both on the media node; here is decided when they begin
// and end, and what is told of them. A start fails when the target refuses. From
// then on the endpoint tries again by itself for as long as the broadcast is on,
// and neither call nor recording notices.
//
// The URL of a target holds its stream key. It goes to the media node and, by
// contract, into the fields of the two events; everything else shows it redacted.
//
// Service owns all goroutines: one per broadcast that ends because its session
// does; Close waits for them. Specification: OpenVidu REST contract §10 and §11.2.
package broadcast
