// Package jsonrpc carries JSON-RPC 2.0 messages over WebSockets and memory: a
// neutral Conn with a bounded write queue, the strict envelope, and Serve, which
// dispatches requests in order per key. It knows no method; kms and
// openvidu/signal bring handlers.
//
// Goroutines: a Conn owns one writer, ended by Close; Serve owns one goroutine
// per busy key and waits for them before it returns. Specifications: JSON-RPC
// 2.0, RFC 6455, and Kurento's envelope (docs/kurento-protocol.md).
package jsonrpc
