package gather

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/turn/v5"
)

// Bounds of one Relay.
const (
	maxQueue   = 256             // datagrams that wait to be sent
	maxPeers   = 128             // addresses that the server was asked to let through
	maxAsking  = 8               // at once
	denialTime = 5 * time.Second // before a refused address is asked for again
	maxPacket  = 1500

	maxFailures = 16 // of reading in a row
)

// Relay is an allocation on a TURN server: a relayed candidate. Its methods are
// safe for concurrent use.
type Relay struct {
	sock    net.PacketConn
	server  netip.AddrPort
	client  *turn.Client
	conn    net.PacketConn // the allocation
	addr    netip.AddrPort
	related netip.AddrPort

	queue chan *datagram
	done  chan struct{}
	once  sync.Once
	wg    sync.WaitGroup

	mu     sync.Mutex
	closed bool
	peers  map[netip.Addr]time.Time // zero: let through; else no earlier than then again
	asking int
}

type datagram struct {
	to netip.AddrPort
	n  int
	b  [maxPacket]byte
}

var datagrams = sync.Pool{New: func() any { return new(datagram) }}

// asked marks an address whose permission is on its way.
var asked = time.Unix(1<<40, 0)

// Allocate gets a relayed address from the server. The context bounds all of it;
// afterwards the allocation lives until Close.
func Allocate(ctx context.Context, s Server) (*Relay, error) {
	sock, server, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	r := &Relay{
		sock: sock, server: server, queue: make(chan *datagram, maxQueue), done: make(chan struct{}), peers: map[netip.Addr]time.Time{},
	}
	r.client, err = turn.NewClient(&turn.ClientConfig{
		TURNServerAddr: server.String(), Conn: sock, Username: s.User, Password: s.Password, LoggerFactory: quiet{},
	})
	if err != nil {
		sock.Close()
		return nil, fmt.Errorf("make TURN client: %w", err)
	}
	r.wg.Go(r.read)
	stop := context.AfterFunc(ctx, func() {
		sock.Close()
		r.client.Close()
	})
	conn, err := r.client.Allocate()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if conn != nil {
		r.mu.Lock()
		r.conn = conn
		if r.closed && err == nil {
			err = net.ErrClosed
		}
		r.mu.Unlock()
	}
	if err == nil {
		r.addr, err = addrPort(r.conn.LocalAddr())
	}
	if err == nil {
		r.related, err = addrPort(sock.LocalAddr())
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("allocate on TURN server %s: %w", server, errors.Join(err, ctx.Err()))
	}
	r.wg.Go(r.write)
	return r, nil
}

func addrPort(a net.Addr) (netip.AddrPort, error) {
	var p netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		p = a.AddrPort()
	case *net.TCPAddr:
		p = a.AddrPort()
	}
	if !p.IsValid() || p.Port() == 0 {
		return p, fmt.Errorf("the address %v is of no use", a)
	}
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port()), nil
}

// Addr is the relayed address.
func (r *Relay) Addr() netip.AddrPort { return r.addr }

// Related is our side of the way to the server: the related address of the
// candidate (RFC 8839 §5.1).
func (r *Relay) Related() netip.AddrPort { return r.related }

// Send sends a datagram from the relayed address. It copies b and never blocks;
// false when it is dropped: too large, too many waiting, or the server does not
// let this peer through yet. Asking for that takes one round trip, begun by the
// first datagram, which goes out when it is done.
func (r *Relay) Send(b []byte, to netip.AddrPort) bool {
	if len(b) > maxPacket {
		return false
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	at, known := r.peers[to.Addr()]
	if known && !at.IsZero() && (at.Equal(asked) || time.Now().Before(at)) {
		return false
	}
	if known && at.IsZero() {
		d := load(b, to)
		select {
		case r.queue <- d:
			return true
		default:
			datagrams.Put(d)
			return false
		}
	}
	if r.asking >= maxAsking || !known && len(r.peers) >= maxPeers && !r.forget() {
		return false
	}
	r.asking++
	r.peers[to.Addr()] = asked
	d := load(b, to)
	r.wg.Go(func() { r.ask(d) })
	return true
}

func load(b []byte, to netip.AddrPort) *datagram {
	d := datagrams.Get().(*datagram)
	d.to, d.n = to, copy(d.b[:], b)
	return d
}

// forget makes room by forgetting a refusal that is over.
func (r *Relay) forget() bool {
	now := time.Now()
	for a, at := range r.peers {
		if !at.IsZero() && !at.Equal(asked) && now.After(at) {
			delete(r.peers, a)
			return true
		}
	}
	return false
}

// ask sends the first datagram to an address: the client asks for the permission
// (RFC 8656 §9) and waits for it before it sends.
func (r *Relay) ask(d *datagram) {
	err := errors.New("panic")
	defer func() {
		_ = recover() // the server's bytes are read on the way
		datagrams.Put(d)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asking--
		r.peers[d.to.Addr()] = time.Time{}
		if err != nil {
			r.peers[d.to.Addr()] = time.Now().Add(denialTime)
		}
	}()
	_, err = r.conn.WriteTo(d.b[:d.n], net.UDPAddrFromAddrPort(d.to))
}

func (r *Relay) write() {
	for {
		select {
		case <-r.done:
			return
		case d := <-r.queue:
			r.send(d)
		}
	}
}

func (r *Relay) send(d *datagram) {
	defer func() { _ = recover() }()
	_, _ = r.conn.WriteTo(d.b[:d.n], net.UDPAddrFromAddrPort(d.to))
	datagrams.Put(d)
}

// read gives the client what comes from the server, and from nobody else. It ends
// with the socket, and ends the Relay with it.
func (r *Relay) read() {
	b := make([]byte, maxFrame)
	_, udp := r.sock.(*net.UDPConn)
	for failures := 0; ; {
		n, from, err := r.sock.ReadFrom(b)
		if err != nil {
			// What ICMP says of one datagram is not the end of a socket.
			if failures++; udp && failures < maxFailures && !errors.Is(err, net.ErrClosed) {
				continue
			}
			r.end()
			return
		}
		failures = 0
		if a, err := addrPort(from); err == nil && a == r.server {
			r.handle(b[:n], from)
		}
	}
}

func (r *Relay) handle(b []byte, from net.Addr) {
	defer func() { _ = recover() }()
	_, _ = r.client.HandleInbound(b, from)
}

// ReadFrom waits for a datagram of a peer to the relayed address. It fails with
// net.ErrClosed after Close and when the server is gone.
func (r *Relay) ReadFrom(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := r.conn.ReadFrom(b)
		switch {
		case errors.Is(err, io.ErrShortBuffer):
		case err != nil:
			r.end()
			return 0, netip.AddrPort{}, fmt.Errorf("read from relay %s: %w", r.addr, net.ErrClosed)
		default:
			if a, err := addrPort(from); err == nil {
				return n, a, nil
			}
		}
	}
}

// end lets everything go without waiting.
func (r *Relay) end() {
	r.once.Do(func() {
		r.mu.Lock()
		r.closed = true
		conn := r.conn
		r.mu.Unlock()
		close(r.done)
		if conn != nil {
			_ = conn.Close() // also tells the server
		}
		r.sock.Close()
		r.client.Close()
	})
}

// Close frees the allocation and waits for the Relay's goroutines.
func (r *Relay) Close() error {
	r.end()
	r.wg.Wait()
	return nil
}
