// Package kms serves a registry of element types over the Kurento protocol: the
// tree of objects, rpcSessions that outlive their sockets, subscriptions, and
// the methods create, invoke, subscribe, release and so on. It names no element
// family and handles no media.
//
// Goroutines: one collector per Server, those of jsonrpc.Serve per connection,
// and one per pipeline while something in it is being released. Server.Close
// waits for all. What is served is described in docs/kurento-protocol.md.
package kms
