package dtls

import (
	"crypto/cipher"
	"time"

	"github.com/pion/dtls/v3/pkg/protocol/alert"
)

// serve has a goroutine look at alerts and late flights, as long as there are
// any; mu is held.
func (c *Conn) serve() {
	if c.working || !c.told || c.phase != connected || len(c.control) == 0 {
		return
	}
	c.working = true
	c.wg.Go(func() {
		for c.step() {
		}
	})
}

// step serves one record; false when there is none left.
func (c *Conn) step() (more bool) {
	var answer []byte
	var closed bool
	func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.phase != connected || len(c.control) == 0 {
			c.working, c.control = false, nil
			return
		}
		more = true
		raw := c.control[0]
		c.control = c.control[1:]
		if raw[0] == typeHandshake {
			answer = c.flight()
		} else {
			answer, closed = c.hear(raw)
		}
	}()
	defer c.caught("dtls.serve", nil)
	if answer != nil {
		_ = c.cfg.Write(answer)
	}
	if closed && c.cfg.Closed != nil {
		c.cfg.Closed()
	}
	return more
}

// flight answers a Finished that came again: ours was lost (RFC 6347 §4.2.4).
// It is sent as it was, which repeats a nonce, but with the same content. mu is
// held.
func (c *Conn) flight() []byte {
	if now := time.Now(); now.Sub(c.resent) >= resendInterval {
		c.resent = now
		return c.last
	}
	return nil
}

// hear reads an alert. mu is held.
func (c *Conn) hear(raw []byte) (answer []byte, closed bool) {
	b, ok := c.open(raw)
	if !ok || len(b) != 2 {
		return nil, false
	}
	a := alert.Alert{Level: alert.Level(b[0]), Description: alert.Description(b[1])}
	c.cfg.Log.Debug("alert", "level", a.Level.String(), "description", a.Description.String())
	if a.Description == alert.CloseNotify {
		answer = c.farewell()
	} else if a.Level != alert.Fatal {
		return nil, false
	}
	c.phase = ended
	if c.stream != nil {
		c.stream.end()
	}
	c.early = nil
	return answer, true
}

// farewell is a close_notify of ours; mu is held.
func (c *Conn) farewell() []byte {
	b, err := c.seal(nil, typeAlert, []byte{byte(alert.Warning), byte(alert.CloseNotify)})
	if err != nil {
		return nil
	}
	return b
}

// reader gives the cipher of what the peer sends; mu is held.
func (c *Conn) reader() (x cipher.AEAD, err error) {
	if c.read == nil {
		c.read, err = c.secret.aead(&c.secret.read)
	}
	return c.read, err
}

// open decrypts a record of the peer, once; mu is held.
func (c *Conn) open(raw []byte) ([]byte, bool) {
	x, err := c.reader()
	r, _, ok := nextRecord(raw)
	if err != nil || !ok || !c.replay.fresh(r.seq) {
		return nil, false
	}
	b, ok := open(x, c.secret.read.iv, raw)
	if ok {
		c.replay.mark(r.seq)
	}
	return b, ok
}

// seal appends a record of ours to dst; mu is held.
func (c *Conn) seal(dst []byte, kind byte, content []byte) (_ []byte, err error) {
	if c.write == nil {
		if c.write, err = c.secret.aead(&c.secret.write); err != nil {
			return nil, err
		}
	}
	if c.next >= 1<<48 { // it must never come again; nobody gets here
		return nil, ErrNotConnected
	}
	c.next++
	return seal(dst, c.write, c.secret.write.iv, kind, c.next-1, content), nil
}
