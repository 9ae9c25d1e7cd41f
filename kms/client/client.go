// Package client speaks the Kurento protocol from the client's side. openvidu
// drives media nodes with it and with nothing else, whether the node is in this
// process (a memory stream), on this host or on another (a WebSocket).
//
// A connection owns one reading goroutine and one that delivers events in
// order; Close waits for both. Specification: Kurento JSON-RPC protocol.
package client

import (
	"context"
	"encoding/json"
)

// ID is a media object's id, "<uuid>_kurento.<Type>", children below their
// pipeline separated by "/".
type ID string

// Client is one Kurento session on one media node. All methods are safe for
// concurrent use; requests that concern one pipeline are served in the order
// they were sent. Errors carry a kerr.Code.
type Client interface {
	// Create makes an object of a type by its bare name ("WebRtcEndpoint"); params
	// marshal to a JSON object, nil is none.
	Create(ctx context.Context, typ string, params any) (ID, error)
	// Invoke calls an operation; result is a pointer to unmarshal into, or nil.
	Invoke(ctx context.Context, obj ID, op string, params, result any) error
	// Subscribe delivers the event's data object to fn, one at a time and in
	// order per object, on the client's own goroutine: fn must not block and
	// must not call back into the client synchronously. An event that overtakes
	// the reply to subscribe is not lost.
	Subscribe(ctx context.Context, obj ID, event string, fn func(data json.RawMessage)) (cancel func(), err error)
	// Release frees an object and its children; an unknown one is no error.
	Release(ctx context.Context, obj ID) error
	// Lost is closed when the session cannot be resumed: every ID is void then.
	Lost() <-chan struct{}
}
