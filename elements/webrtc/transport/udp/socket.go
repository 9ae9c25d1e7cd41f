package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
)

// BufferSize is what a socket asks the kernel to hold in each direction, in
// bytes: media comes in bursts of a picture for everybody at once.
const BufferSize = 4 << 20

// Errors of Send. Others are the system's, wrapped.
var (
	// ErrFull is for a datagram for which the kernel has no room now.
	ErrFull = errors.New("udp: no room to send")
	// ErrFamily is for an IPv6 address on an IPv4 socket, or the reverse.
	ErrFamily = errors.New("udp: address of another family")
)

// Socket is one bound UDP socket.
type Socket struct {
	conn  *net.UDPConn // closed where the system part has adopted its descriptor
	raw   syscall.RawConn
	local netip.AddrPort
	socketSystem
	// What the system is still believed to be able to do. Off once it refused.
	gso, many atomic.Bool
}

// Listen binds a UDP socket to addr; port 0 takes a free one. With reusePort
// several sockets share an address, and the kernel spreads the peers over them:
// all of them must ask for it, the first too. An IPv6 socket takes no IPv4.
func Listen(addr netip.AddrPort, reusePort bool) (*Socket, error) {
	if !addr.IsValid() {
		return nil, errors.New("listen: no address")
	}
	addr = unmap(addr)
	network := "udp4"
	if addr.Addr().Is6() {
		network = "udp6"
	}
	lc := net.ListenConfig{}
	if reusePort {
		lc.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			if e := c.Control(func(fd uintptr) { err = sharePort(fd) }); e != nil {
				return e
			}
			return err
		}
	}
	pc, err := lc.ListenPacket(context.Background(), network, addr.String())
	if err != nil {
		return nil, err
	}
	conn := pc.(*net.UDPConn)
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	// A smaller buffer than asked for is the administrator's choice.
	_ = conn.SetReadBuffer(BufferSize)
	_ = conn.SetWriteBuffer(BufferSize)
	s := &Socket{conn: conn, raw: raw, local: unmap(conn.LocalAddr().(*net.UDPAddr).AddrPort())}
	_ = raw.Control(s.probe)
	if err := s.adopt(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("listen: %w", err)
	}
	return s, nil
}

// LocalAddr is the address that the socket is bound to.
func (s *Socket) LocalAddr() netip.AddrPort { return s.local }

// Close ends a waiting ReadBatch. It may be called again.
func (s *Socket) Close() error {
	if err := s.close(); err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Send sends one datagram without waiting: for signalling and checks, not for
// media. tos is the byte that carries DSCP in its upper six bits (RFC 2474 §3); 0
// is the default. It is safe for concurrent use. Errors are ErrFull, ErrFamily,
// net.ErrClosed, and the system's.
func (s *Socket) Send(b []byte, to netip.AddrPort, tos uint8) error {
	to = unmap(to)
	if !to.IsValid() || to.Addr().Is4() != s.local.Addr().Is4() {
		return fmt.Errorf("%w: %v from %v", ErrFamily, to, s.local)
	}
	return s.send(b, to, tos)
}

// unmap makes an IPv4 address of one that is written as IPv6.
func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// scope is the number of an IPv6 zone, which is a number or an interface's name;
// 0 when there is none.
func scope(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	return 0
}
