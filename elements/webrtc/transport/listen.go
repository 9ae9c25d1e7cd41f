package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// localAddrs are the addresses to bind when the configuration names none: those
// of all interfaces that are up, without IPv6 link-local ones. Loopback is
// among them when wanted, or when there is nothing else.
func localAddrs(loopback bool) ([]netip.Addr, error) {
	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var addrs, loop []netip.Addr
	for _, i := range ifaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		list, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range list {
			p, err := netip.ParsePrefix(a.String())
			if err != nil {
				continue
			}
			addr := p.Addr().Unmap()
			switch {
			case addr.IsLoopback():
				loop = append(loop, addr)
			case addr.IsLinkLocalUnicast() && addr.Is6(), addr.IsMulticast():
			default:
				addrs = append(addrs, addr)
			}
		}
	}
	if loopback || len(addrs) == 0 {
		addrs = append(addrs, loop...)
	}
	slices.SortStableFunc(addrs, func(a, b netip.Addr) int { return rank(a) - rank(b) })
	return slices.Compact(addrs), nil
}

// rank puts IPv4 first and loopback last.
func rank(a netip.Addr) int {
	r := 0
	if a.Is6() {
		r = 1
	}
	if a.IsLoopback() {
		r += 2
	}
	return r
}

// bound is what one attempt to bind the media port gave.
type bound struct {
	port int
	udp  []*net.UDPConn
	tcp  []net.Listener
}

func (b *bound) close() {
	for _, c := range b.udp {
		c.Close()
	}
	for _, l := range b.tcp {
		l.Close()
	}
}

// bindPort binds UDP, and TCP when asked, with the same number on every
// address. Port 0 picks a number that is free for all of them.
func bindPort(addrs []netip.Addr, port int, tcp, explicit bool) (*bound, error) {
	if len(addrs) == 0 {
		return nil, errors.New("bind media port: no address to bind")
	}
	tries := 1
	if port == 0 {
		tries = 20
	}
	var err error
	for range tries {
		var b *bound
		if b, err = bindOnce(addrs, port, tcp, explicit); err == nil {
			return b, nil
		}
	}
	return nil, err
}

func bindOnce(addrs []netip.Addr, port int, tcp, explicit bool) (*bound, error) {
	b := &bound{port: port}
	var failed error
	for _, a := range addrs {
		err := b.bind(a, tcp)
		if err == nil {
			continue
		}
		// An address that cannot be bound at all (IPv6 switched off) is no
		// reason to stop, unless the operator named it.
		if explicit || errors.Is(err, errPortTaken) {
			b.close()
			return nil, err
		}
		failed = err
	}
	if len(b.udp) == 0 {
		return nil, failed
	}
	return b, nil
}

var errPortTaken = errors.New("port taken")

func (b *bound) bind(a netip.Addr, tcp bool) error {
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, uint16(b.port))))
	if err != nil {
		if b.port != 0 && len(b.udp) > 0 {
			return fmt.Errorf("bind media port %d on %s: %w: %w", b.port, a, errPortTaken, err)
		}
		return fmt.Errorf("bind media port %d on %s: %w", b.port, a, err)
	}
	port := udp.LocalAddr().(*net.UDPAddr).Port
	if tcp {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, uint16(port))))
		if err != nil {
			udp.Close()
			return fmt.Errorf("bind media port %d/tcp on %s: %w: %w", port, a, errPortTaken, err)
		}
		b.tcp = append(b.tcp, l)
	}
	// Media comes in bursts of a frame; the kernel's default holds few of them.
	_ = udp.SetReadBuffer(4 << 20)
	_ = udp.SetWriteBuffer(4 << 20)
	b.port = port
	b.udp = append(b.udp, udp)
	return nil
}

// maxTCP is how many ICE-TCP connections may be open at once.
const maxTCP = 8192

// listener joins several TCP listeners into one and closes with itself the
// connections it accepted, so that nobody waits for a silent one.
type listener struct {
	parts []net.Listener
	addr  *net.TCPAddr
	conns chan net.Conn
	done  chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex
	open   map[*tracked]struct{}
	closed bool
}

func newListener(parts []net.Listener, port int) *listener {
	l := &listener{
		parts: parts, addr: &net.TCPAddr{IP: net.IPv6unspecified, Port: port},
		conns: make(chan net.Conn), done: make(chan struct{}), open: map[*tracked]struct{}{},
	}
	for _, p := range parts {
		l.wg.Go(func() { l.accept(p) })
	}
	return l
}

func (l *listener) accept(p net.Listener) {
	for {
		conn, err := p.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			select { // out of file descriptors and the like: let some go
			case <-l.done:
				return
			case <-time.After(50 * time.Millisecond):
			}
			continue
		}
		t := &tracked{Conn: conn, owner: l}
		if !l.add(t) {
			conn.Close()
			continue
		}
		select {
		case l.conns <- t:
		case <-l.done:
			t.Close()
			return
		}
	}
}

func (l *listener) add(t *tracked) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.open) >= maxTCP {
		return false
	}
	l.open[t] = struct{}{}
	return true
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Addr is the unspecified address with the port.
func (l *listener) Addr() net.Addr { return l.addr }

// Close closes the listeners and every connection they accepted.
func (l *listener) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	open := make([]*tracked, 0, len(l.open))
	for t := range l.open {
		open = append(open, t)
	}
	l.mu.Unlock()
	close(l.done)
	for _, p := range l.parts {
		p.Close()
	}
	for _, t := range open {
		t.Close()
	}
	l.wg.Wait()
	return nil
}

type tracked struct {
	net.Conn
	owner *listener
}

// Close closes the connection and forgets it.
func (t *tracked) Close() error {
	t.owner.mu.Lock()
	delete(t.owner.open, t)
	t.owner.mu.Unlock()
	return t.Conn.Close()
}
