// Package rtmp publishes one live stream to an RTMP server (Adobe's Real Time
// Messaging Protocol 1.0) over a connection that the caller has dialled. It knows
// the messages a publisher needs and no others.
//
// Everything a server sends is bounded: messages, chunk streams, the depth of
// AMF values. A Conn has one goroutine, which reads; Close waits for it. Errors
// never hold the name of the stream, which is the publisher's key.
package rtmp
