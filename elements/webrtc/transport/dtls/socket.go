package dtls

import (
	"net"
	"os"
	"time"
)

// ReadFrom implements net.PacketConn.
func (a *attempt) ReadFrom(b []byte) (int, net.Addr, error) {
	a.conn.mu.Lock()
	defer a.conn.mu.Unlock()
	for {
		switch {
		case a.ended:
			return 0, nil, net.ErrClosed
		case a.expired:
			return 0, nil, os.ErrDeadlineExceeded
		case len(a.queue) > 0:
			n := copy(b, a.queue[0])
			a.queue = a.queue[1:]
			return n, somewhere{}, nil
		}
		a.ready.Wait()
	}
}

// WriteTo implements net.PacketConn.
func (a *attempt) WriteTo(b []byte, _ net.Addr) (n int, err error) {
	defer a.conn.caught("dtls.write", &err)
	a.conn.mu.Lock()
	if a.muted {
		a.conn.mu.Unlock()
		return len(b), nil
	}
	a.sent(b)
	a.conn.mu.Unlock()
	// A network that does not take it has lost it: the next flight will tell.
	if err := a.conn.cfg.Write(b); err != nil {
		a.conn.cfg.Log.Debug("handshake datagram not sent", "err", err)
	}
	return len(b), nil
}

// Close implements net.PacketConn.
func (a *attempt) Close() error {
	a.conn.mu.Lock()
	defer a.conn.mu.Unlock()
	a.end()
	return nil
}

// SetReadDeadline implements net.PacketConn for a time long past, or none: the
// library knows no other.
func (a *attempt) SetReadDeadline(t time.Time) error {
	a.conn.mu.Lock()
	defer a.conn.mu.Unlock()
	a.expired = !t.IsZero()
	a.ready.Broadcast()
	return nil
}

// SetDeadline implements net.PacketConn.
func (a *attempt) SetDeadline(t time.Time) error { return a.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn: writing does not wait.
func (a *attempt) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr implements net.PacketConn.
func (a *attempt) LocalAddr() net.Addr { return somewhere{} }

// somewhere is the address of both ends: where datagrams go is not known here.
type somewhere struct{}

// Network implements net.Addr.
func (somewhere) Network() string { return "dtls" }

// String implements net.Addr.
func (somewhere) String() string { return "peer" }
