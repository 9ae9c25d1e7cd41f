//go:build !portable

package udp

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Shares tells whether several sockets can share a port here.
const Shares = true

// Marks tells whether datagrams carry the TOS byte that they are sent with.
const Marks = true

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

// send goes past the scheduler, as Writer does: a call that the runtime is told of
// wakes its monitor, which then looks 50,000 times a second whether it should step in.
func (s *Socket) send(b []byte, to netip.AddrPort, tos uint8) error {
	p := NewPath(s, to, tos)
	h := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&p.name)), Namelen: p.nameLen, Iov: &unix.Iovec{}}
	h.SetIovlen(1)
	if len(b) > 0 {
		h.Iov.Base = &b[0]
		h.Iov.SetLen(len(b))
	}
	if len(p.mark) > 0 {
		h.Control = &p.mark[0]
		h.SetControllen(len(p.mark))
	}
	errno := unix.EINTR
	closed := s.raw.Control(func(fd uintptr) {
		for errno == unix.EINTR {
			errno = linux.sendmsg(fd, &h)
		}
	})
	switch {
	case closed != nil:
		return net.ErrClosed
	case full(errno):
		return ErrFull
	case errno != 0:
		return fmt.Errorf("send to %v: %w", to, os.NewSyscallError("sendmsg", errno))
	}
	return nil
}
