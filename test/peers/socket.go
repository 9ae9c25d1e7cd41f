//go:build linux

package main

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// socket is a net.PacketConn over a UDP socket that is in no poller. The drain
// empties it by the clock: media is counted and dropped (at a sampled viewer it goes
// on, with the kernel's time of arrival noted), STUN and DTLS go up to the peer. So a
// viewer costs almost nothing, and the server is not charged for waking a reader
// at each packet, which a network card would not do either.
type socket struct {
	fd      int
	local   *net.UDPAddr
	up      chan datagram
	closed  chan struct{}
	once    sync.Once
	sampled bool

	media, rtcp atomic.Int64 // packets

	mu      sync.Mutex
	arrival map[uint64]int64 // SSRC and sequence number: kernel's time, ns
}

type datagram struct {
	b    []byte
	from *net.UDPAddr
}

const (
	receiveBuffer = 4 << 20
	waiting       = 512 // datagrams for the peer, the later ones are dropped
	arrivals      = 1 << 14
)

func newSocket(address string, sampled bool) (*socket, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if sampled {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: ip.As4()})
	}
	var bound unix.Sockaddr
	if err == nil {
		bound, err = unix.Getsockname(fd)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &socket{fd: fd, sampled: sampled, up: make(chan datagram, waiting), closed: make(chan struct{}), arrival: map[uint64]int64{},
		local: &net.UDPAddr{IP: ip.AsSlice(), Port: bound.(*unix.SockaddrInet4).Port}}, nil
}

// ReadFrom implements net.PacketConn.
func (c *socket) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case d := <-c.up:
		return copy(p, d.b), d.from, nil
	case <-c.closed:
		return 0, nil, net.ErrClosed
	}
}

// WriteTo implements net.PacketConn.
func (c *socket) WriteTo(p []byte, to net.Addr) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	u := to.(*net.UDPAddr)
	s := &unix.SockaddrInet4{Port: u.Port}
	copy(s.Addr[:], u.IP.To4())
	return len(p), unix.Sendto(c.fd, p, 0, s)
}

// Close implements net.PacketConn. The drain closes the descriptor, which it may be
// reading.
func (c *socket) Close() error { c.once.Do(func() { close(c.closed) }); return nil }

// LocalAddr implements net.PacketConn.
func (c *socket) LocalAddr() net.Addr { return c.local }

// SetDeadline implements net.PacketConn; there are none.
func (c *socket) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn; there are none.
func (c *socket) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.PacketConn; there are none.
func (c *socket) SetWriteDeadline(time.Time) error { return nil }

// arrived notes when a packet came.
func (c *socket) arrived(b []byte, at int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.arrival) >= arrivals { // what never was decrypted
		clear(c.arrival)
	}
	c.arrival[arrivalKey(uint32(b[8])<<24|uint32(b[9])<<16|uint32(b[10])<<8|uint32(b[11]), uint16(b[2])<<8|uint16(b[3]))] = at
}

// takeArrival is when a packet came, ns by the machine's clock.
func (c *socket) takeArrival(ssrc uint32, seq uint16) (int64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := arrivalKey(ssrc, seq)
	t, ok := c.arrival[k]
	delete(c.arrival, k)
	return t, ok
}

func arrivalKey(ssrc uint32, seq uint16) uint64 { return uint64(ssrc)<<16 | uint64(seq) }
