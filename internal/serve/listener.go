package serve

import (
	"net"
	"net/netip"
	"sync"
)

// Defaults of connection limits.
const (
	DefaultMaxConns = 20_000
	// DefaultPerAddr leaves room for an office behind one address.
	DefaultPerAddr = 4_096
)

// limitListener refuses connections beyond its limits at accept, by closing them.
type limitListener struct {
	net.Listener
	total, perAddr int
	uncounted      []netip.Prefix

	mu   sync.Mutex // leaf
	open int
	by   map[netip.Addr]int
}

func newLimitListener(ln net.Listener, total, perAddr int, uncounted []netip.Prefix) *limitListener {
	return &limitListener{Listener: ln, total: total, perAddr: perAddr, uncounted: uncounted, by: map[netip.Addr]int{}}
}

// Accept implements net.Listener.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		key := l.key(c)
		if !l.take(key) {
			_ = c.Close()
			continue
		}
		return &limitedConn{Conn: c, release: sync.OnceFunc(func() { l.give(key) })}, nil
	}
}

// key is the address a connection counts for; the zero Addr counts for nobody.
// IPv6 counts by /64, since one caller owns at least that.
func (l *limitListener) key(c net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	addr := ap.Addr().Unmap().WithZone("")
	if addr.IsLoopback() {
		return netip.Addr{}
	}
	for _, p := range l.uncounted {
		if p.Contains(addr) {
			return netip.Addr{}
		}
	}
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return addr
}

func (l *limitListener) take(key netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.total || key.IsValid() && l.by[key] >= l.perAddr {
		return false
	}
	l.open++
	if key.IsValid() {
		l.by[key]++
	}
	return true
}

func (l *limitListener) give(key netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if key.IsValid() {
		if l.by[key]--; l.by[key] == 0 {
			delete(l.by, key)
		}
	}
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	release func()
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// NetConn gives the connection underneath, whose TCP counters tell a signalling
// socket what its browser has received.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }
