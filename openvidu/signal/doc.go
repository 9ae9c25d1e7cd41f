// Package signal is the browsers' door to rooms: JSON-RPC over the WebSocket
// /openvidu, as openvidu-browser speaks it. It frames, limits and dispatches; the
// rules of rooms are openvidu's.
//
// Each socket has three goroutines: the HTTP handler's, which reads and answers
// pings, one that works the requests off in order, and the writer of
// internal/jsonrpc. Handler.Close ends all sockets and waits for them. Contract:
// OpenVidu signalling, 2.32.
package signal
