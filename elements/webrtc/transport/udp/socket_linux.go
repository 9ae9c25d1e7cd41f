//go:build !portable

package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

func sharePort(fd uintptr) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}

// probe asks for larger buffers than the system's bound, which a privileged
// process gets, and whether the kernel can segment.
func (s *Socket) probe(fd uintptr) {
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, BufferSize)
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, BufferSize)
	_, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	s.gso.Store(err == nil)
	s.many.Store(true)
}

func (s *Socket) send(b []byte, to netip.AddrPort, tos uint8) error {
	var sa unix.Sockaddr
	if a := to.Addr(); a.Is4() {
		sa = &unix.SockaddrInet4{Port: int(to.Port()), Addr: a.As4()}
	} else {
		sa = &unix.SockaddrInet6{Port: int(to.Port()), Addr: a.As16(), ZoneId: scope(a.Zone())}
	}
	var control []byte
	if tos != 0 {
		control = appendTOS(nil, tos, to.Addr().Is4())
	}
	var err error
	closed := s.raw.Control(func(fd uintptr) {
		for {
			_, err = unix.SendmsgN(int(fd), b, control, sa, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	switch {
	case closed != nil:
		return net.ErrClosed
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.ENOBUFS):
		return ErrFull
	case err != nil:
		return fmt.Errorf("send to %v: %w", to, err)
	}
	return nil
}
