package dtls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/pion/dtls/v3/pkg/protocol/alert"
)

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
