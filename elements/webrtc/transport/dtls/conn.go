package dtls

import (
	"context"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/tls"
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

// shake takes a record during the handshake; mu is held.
func (c *Conn) shake(r record) {
	switch {
	case r.epoch == 1 && r.kind == typeData:
		c.data(r.raw)
	case r.epoch == 1 && r.kind == typeAlert:
		if len(c.control) < maxControl {
			c.control = append(c.control, slices.Clone(r.raw))
		}
	case r.epoch == 0 && r.kind == typeAlert:
		// Anybody could have sent it, so it ends nothing by itself.
		if b := r.body(); len(b) == 2 && alert.Level(b[0]) == alert.Fatal && !c.alert {
			c.alert, c.alerted = true, alert.Description(b[1])
			c.timer.Reset(min(alertTimeout, time.Until(c.until)))
		}
	default:
		c.attempt.offer(r)
		if len(c.attempt.queue) > 0 {
			c.launch()
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

// launch has a goroutine shake hands; mu is held.
func (c *Conn) launch() {
	if c.running {
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	c.running, c.cancel = true, func(err error) { cancel(err) }
	c.wg.Go(func() {
		defer cancel(nil)
		c.shakeHands(ctx)
	})
}

// again begins anew with another ClientHello, as long as the client of the one
// before has not gone on: the first may have been a stranger's. mu is held.
func (c *Conn) again(v seen) {
	a := c.attempt
	if a.later || c.tries >= maxAttempts {
		return
	}
	c.tries++
	a.end()
	c.attempt = newAttempt(c)
	c.attempt.hello, c.attempt.clientRandom = true, v.random
	c.attempt.push(v.out)
}

// shakeHands runs attempts until one succeeds or none may follow.
func (c *Conn) shakeHands(ctx context.Context) {
	for {
		c.mu.Lock()
		a := c.attempt
		c.mu.Unlock()
		keys, err := c.try(ctx, a)
		if err == nil {
			c.tell(keys, nil)
			return
		}
		c.mu.Lock()
		final := ctx.Err() != nil || c.phase != shaking || a.refused != nil || c.cfg.Client
		if !final && c.attempt == a {
			// What failed may have been a stranger's; the peer's hello is yet to come.
			c.tries++
			c.failed = err
			final = c.tries > maxAttempts
			a.end()
			c.attempt = newAttempt(c)
		}
		c.mu.Unlock()
		if final {
			c.fail(ctx, a, err)
			return
		}
		c.cfg.Log.Debug("handshake failed, waiting for another", "err", err)
	}
}

// try runs one attempt and takes over from the library when it succeeds.
func (c *Conn) try(ctx context.Context, a *attempt) (keys Keys, err error) {
	defer c.caught("dtls.handshake", &err)
	p, err := a.run(ctx)
	if err != nil {
		return Keys{}, err
	}
	profile, _ := p.SelectedSRTPProtectionProfile()
	err = c.connect(a)
	_ = p.Close() // muted: the peer hears nothing of it
	if err != nil {
		return Keys{}, err
	}
	return exportKeys(c.cfg.Client, uint16(profile), *a.server, a.clientRandom[:], a.master)
}

// connect takes the association over.
func (c *Conn) connect(a *attempt) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.phase != shaking:
		return net.ErrClosed
	case a != c.attempt || !a.verified || a.secret == nil || a.server == nil:
		return errors.New("dtls: the handshake is not complete")
	}
	a.end()
	c.phase = connected
	c.secret, c.next = a.secret, a.next
	if !c.cfg.Client { // a client hears the server's last flight, and has none to repeat
		c.last = a.last
	}
	c.replay.mark(0) // the peer's Finished; its copies are told apart before this is asked
	c.release()
	return nil
}

// release forgets what only a handshake needs; mu is held.
func (c *Conn) release() {
	if c.timer != nil {
		c.timer.Stop()
	}
	c.timer, c.cancel, c.attempt = nil, nil, nil
	c.failed = nil
	c.cfg.Certificate, c.cfg.Verify = tls.Certificate{}, nil
}

// expire ends a handshake that takes too long.
func (c *Conn) expire() {
	c.mu.Lock()
	if c.phase != shaking {
		c.mu.Unlock()
		return
	}
	err := ErrTimeout
	switch {
	case c.alert:
		err = fmt.Errorf("%w: the peer sent the alert %q", ErrTimeout, c.alerted.String())
	case c.failed != nil:
		err = fmt.Errorf("%w: %w", ErrTimeout, c.failed)
	case c.attempt.screen.reason != "":
		err = fmt.Errorf("%w: %s", ErrTimeout, c.attempt.screen.reason)
	}
	if c.running {
		c.cancel(err)
		c.mu.Unlock()
		return
	}
	c.phase = ended
	c.release()
	c.wg.Add(1)
	c.mu.Unlock()
	defer c.wg.Done()
	c.tell(Keys{}, err)
}

// fail ends the association before it was one.
func (c *Conn) fail(ctx context.Context, a *attempt, err error) {
	c.mu.Lock()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case a.refused != nil:
		err = fmt.Errorf("dtls: certificate of the peer: %w", a.refused)
	}
	c.phase = ended
	c.release()
	a.end()
	c.early, c.control = nil, nil
	c.mu.Unlock()
	c.tell(Keys{}, err)
}

// tell calls Done, and then lets Closed follow.
func (c *Conn) tell(k Keys, err error) {
	func() {
		defer c.caught("dtls.done", nil)
		c.cfg.Done(k, err)
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told, c.cfg.Done = true, nil
	c.serve()
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
