package dtls

import (
	"crypto/cipher"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/pion/dtls/v3/pkg/protocol/alert"
)

const (
	maxIdle     = 16 // datagrams before Start
	maxEarly    = 16 // records of application data before Stream
	maxControl  = 16 // other records of a connected peer that wait
	maxAttempts = 16 // handshakes until one succeeds
	// alertTimeout is what remains of a handshake once the peer says, without
	// proof, that it failed.
	alertTimeout = 5 * time.Second
	// resendInterval keeps a flood of late flights from being answered by one.
	resendInterval = 50 * time.Millisecond
)

type phase uint8

const (
	idle phase = iota // before Start
	shaking
	connected
	ended
)

// Conn is one DTLS association.
type Conn struct {
	cfg Config
	rsa bool

	mu      sync.Mutex // a leaf, never held during a callback
	wg      sync.WaitGroup
	phase   phase
	idle    [][]byte          // what came before Start
	until   time.Time         // the handshake's deadline
	timer   *time.Timer       // of the handshake
	cancel  func(error)       // ends the handshake
	running bool              // a goroutine shakes hands
	attempt *attempt          // the one that datagrams go to
	tries   int               // attempts so far
	alerted alert.Description // the last unproved alert …
	alert   bool              // … if there was one
	failed  error             // why the last attempt failed

	secret      *secret
	read, write cipher.AEAD // made when needed
	next        uint64      // sequence number of our next record
	replay      window
	last        []byte    // our last flight, as it was sent
	resent      time.Time // when it was sent last
	early       [][]byte  // application data before Stream, encrypted
	deaf        bool      // nobody wants application data
	control     [][]byte  // alerts and late flights, encrypted
	told        bool      // Done has returned
	working     bool      // a goroutine serves control
	stream      *stream
}

// New makes a Conn that waits for Start. It fails when Certificate has no key
// of a kind that DTLS can use here, or a callback is missing.
func New(cfg Config) (*Conn, error) {
	if len(cfg.Certificate.Certificate) == 0 || cfg.Certificate.PrivateKey == nil {
		return nil, errors.New("dtls: a certificate with its key is needed")
	}
	if cfg.Verify == nil || cfg.Write == nil || cfg.Done == nil {
		return nil, errors.New("dtls: Verify, Write and Done are needed")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	_, isRSA := cfg.Certificate.PrivateKey.(*rsa.PrivateKey)
	return &Conn{cfg: cfg, rsa: isRSA}, nil
}

// Start begins the handshake: a path to the peer is there. A second Start does
// nothing.
func (c *Conn) Start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != idle {
		return
	}
	c.phase = shaking
	c.attempt = newAttempt(c)
	c.until = time.Now().Add(c.cfg.Timeout)
	c.timer = time.AfterFunc(c.cfg.Timeout, c.expire)
	if c.cfg.Client {
		c.launch()
	}
	came := c.idle
	c.idle = nil
	for _, b := range came {
		c.handle(b)
	}
}

// Handle takes a datagram of the peer, first byte 20 to 63 (RFC 7983), whose
// address is known to be the peer's. It copies what it keeps and never waits;
// what finds no room is lost, as in a network.
func (c *Conn) Handle(datagram []byte) {
	if len(datagram) > maxDatagram {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != idle {
		c.handle(datagram)
	} else if len(c.idle) < maxIdle {
		c.idle = append(c.idle, slices.Clone(datagram))
	}
}

func (c *Conn) handle(b []byte) {
	for r, rest, ok := nextRecord(b); ok; r, rest, ok = nextRecord(rest) {
		switch {
		case c.phase == shaking:
			c.shake(r)
		case c.phase == connected && r.epoch == 1 && r.kind == typeData:
			c.data(r.raw)
		case c.phase == connected && r.epoch == 1 && (r.kind == typeAlert || r.kind == typeHandshake && len(r.raw) == finishedSize):
			if len(c.control) < maxControl {
				c.control = append(c.control, slices.Clone(r.raw))
				c.serve()
			}
		}
	}
}

// data takes a record of application data; mu is held.
func (c *Conn) data(raw []byte) {
	switch {
	case c.stream != nil:
		c.stream.push(slices.Clone(raw))
	case !c.deaf && len(c.early) < maxEarly:
		c.early = append(c.early, slices.Clone(raw))
	}
}

// Retire forgets what only a Stream needs: ciphers and application data that
// came early. The rest of a Conn goes on, and a later Stream makes what it needs
// again. ErrStreamOpen while there is one.
func (c *Conn) Retire() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stream != nil {
		return ErrStreamOpen
	}
	c.deaf, c.early, c.read, c.write = true, nil, nil, nil
	return nil
}

// Close ends the association, tells the peer (close_notify) and waits for the
// Conn's goroutines: do not call it inside of a callback, nor with a lock that
// one of them takes. Only the first Close does something.
func (c *Conn) Close() error {
	c.mu.Lock()
	var farewell []byte
	switch c.phase {
	case shaking:
		if c.running {
			c.cancel(net.ErrClosed)
		} else {
			c.release()
			c.wg.Go(func() { c.tell(Keys{}, net.ErrClosed) })
		}
	case connected:
		farewell = c.farewell()
	}
	c.phase = ended
	c.idle, c.early, c.control = nil, nil, nil
	if c.stream != nil {
		c.stream.end()
	}
	c.mu.Unlock()
	var err error
	if farewell != nil {
		err = c.cfg.Write(farewell)
	}
	c.wg.Wait()
	return err
}

// caught ends a panic of the deferring function as an error.
func (c *Conn) caught(where string, err *error) {
	r := recover()
	if r == nil {
		return
	}
	c.cfg.Log.Error("panic caught", "where", where, "err", fmt.Sprintf("%.256v", r), "stack", string(debug.Stack()))
	if err != nil {
		*err = fmt.Errorf("%s: panic", where)
	}
}
