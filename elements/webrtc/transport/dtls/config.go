package dtls

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"time"
)

// DefaultTimeout is how long a handshake may take.
const DefaultTimeout = 15 * time.Second

// SRTP protection profiles (RFC 5764 §4.1.2, RFC 7714 §14.2).
const (
	AES128CMHMACSHA180 uint16 = 0x0001
	AEADAES128GCM      uint16 = 0x0007
	AEADAES256GCM      uint16 = 0x0008
)

// Config is what a Conn is made of. Certificate, Verify, Write and Done are
// needed.
type Config struct {
	// Certificate is ours, with an ECDSA or RSA key.
	Certificate tls.Certificate
	// Client has us send the ClientHello (RFC 8842): the peer insists on being
	// the server.
	Client bool
	// Verify looks at the peer's certificate (DER), whose key the peer has
	// proved to hold. An error ends the handshake for good.
	Verify func(der []byte) error
	// Write sends one datagram, valid during the call. It is called by
	// goroutines of the Conn, by Close and by the Stream's Write, never by New,
	// Start, Handle, Stream and Retire. Two calls may run at once.
	Write func(b []byte) error
	// Timeout is how long the handshake may take since Start; 0 is
	// DefaultTimeout.
	Timeout time.Duration
	// Done tells how the handshake ended, once: ErrTimeout, net.ErrClosed when
	// Close came first, what Verify gave, or what the library found.
	Done func(Keys, error)
	// Closed tells that the peer ended the association (close_notify or an
	// authenticated fatal alert), once, after Done and never after Close.
	Closed func()
	// Log takes what goes on at debug level; nil discards it.
	Log *slog.Logger
}

// Keys are the SRTP keys of an association (RFC 5764 §4.2). A peer that did not
// ask for SRTP has Profile 0 and no keys.
type Keys struct {
	Profile             uint16 // one of the profiles above
	ReadKey, ReadSalt   []byte // the peer's packets
	WriteKey, WriteSalt []byte // ours
}

// Errors of this package.
var (
	// ErrTimeout is a handshake that took too long; its text says what was seen.
	ErrTimeout = errors.New("dtls: handshake timed out")
	// ErrNotConnected is a Stream before the handshake is done, or after the end.
	ErrNotConnected = errors.New("dtls: not connected")
	// ErrStreamOpen is a second Stream, or Retire while there is one.
	ErrStreamOpen = errors.New("dtls: a stream is open")
)
