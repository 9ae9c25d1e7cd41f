package jsonrpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// WebSocket close codes this package uses (RFC 6455 §7.4.1).
const (
	CloseNormal       = 1000
	CloseGoingAway    = 1001
	CloseProtocol     = 1002
	CloseUnsupported  = 1003
	CloseInvalidUTF8  = 1007
	ClosePolicy       = 1008
	CloseTooBig       = 1009
	CloseInternal     = 1011
	reasonSlow        = "slow consumer"
	reasonInvalidUTF8 = "invalid UTF-8"
	reasonBinary      = "text messages only"
)

var (
	// ErrClosed: the connection is closed or closing.
	ErrClosed = errors.New("connection closed")
	// ErrSlow: the write queue was full; the connection is closed with 1008.
	ErrSlow = errors.New("slow consumer")
	// ErrTooBig: a message over the read limit arrived; nothing more can be read.
	ErrTooBig = errors.New("message too big")
)

// Conn is one stream of whole JSON messages.
type Conn interface {
	// ReadFrame returns the next message as it came. One goroutine reads. After
	// an error (io.EOF for an orderly end, ErrTooBig) nothing more comes.
	ReadFrame() ([]byte, error)
	// WriteJSON queues a message and never blocks; []byte and json.RawMessage go
	// out as they are. A full queue closes the connection (ErrSlow). Safe for
	// concurrent use; order is the order of calls.
	WriteJSON(v any) error
	// Close sends what is queued, then the close code and reason, and waits for
	// the writer. Idempotent: the first call's code counts. Not from ReadFrame's
	// goroutine while another goroutine expects it to read on.
	Close(code int, reason string) error
	// Abort is Close without waiting and without what is queued.
	Abort(code int, reason string)
	// Unsent gives the messages that WriteJSON took and that were never written,
	// oldest first; before them, if asked for and with
	// SocketOptions.TrackDelivery, those written and not known to be delivered. It
	// is final once Close has returned.
	Unsent(undelivered bool) [][]byte
	// Alive says that the peer is there, and will be for d: what its TCP has
	// acknowledged by then counts as delivered. A later acknowledgement does not:
	// the system gives it for a program that has given the socket up already.
	Alive(d time.Duration)
	// Done is closed when the connection is closed or lost.
	Done() <-chan struct{}
	// SetReadLimit changes the largest message ReadFrame accepts, in bytes.
	SetReadLimit(n int64)
	// RemoteAddr is for logs; "memory" for an in-process stream.
	RemoteAddr() string
}

// Marshal is json.Marshal without HTML escaping, as the originals write.
func Marshal(v any) ([]byte, error) {
	switch raw := v.(type) {
	case []byte:
		return raw, nil
	case json.RawMessage:
		return raw, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
