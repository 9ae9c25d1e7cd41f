//go:build !portable

package udp

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// batchSystem is what recvmmsg(2) fills.
type batchSystem struct {
	hs     []mmsghdr
	iov    []unix.Iovec
	names  []unix.RawSockaddrInet6 // large enough for IPv4 too
	read   func(fd uintptr)        // readNow, bound once: a closure per call would be allocated
	ready  func(uintptr) bool      // readReady, likewise
	soon   func(fd uintptr)        // readSoon
	poll   unix.PollFd             // of readSoon
	left   unix.Timespec
	socket *Socket // of the call under way
	got    int
	errno  unix.Errno
}

func (b *Batch) prepare() {
	n := len(b.bufs)
	b.hs, b.iov, b.names = make([]mmsghdr, n), make([]unix.Iovec, n), make([]unix.RawSockaddrInet6, n)
	for i := range b.hs {
		h := &b.hs[i].hdr
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&b.names[i])), unix.SizeofSockaddrInet6
		h.Iov = &b.iov[i]
		h.SetIovlen(1)
		b.swapped(i)
	}
	b.read, b.ready, b.soon = b.readNow, b.readReady, b.readSoon
}

func (b *Batch) swapped(i int) {
	b.iov[i].Base = &b.bufs[i][0]
	b.iov[i].SetLen(b.size)
}

// readReady takes what is there; false when that is nothing.
func (b *Batch) readReady(uintptr) bool {
	if b.socket.raw.Control(b.read) != nil {
		b.got, b.errno = 0, unix.EBADF
	}
	return b.errno != unix.EAGAIN
}

// readNow makes the call past the scheduler: it does not wait, and telling the
// runtime of it costs more than reading does.
func (b *Batch) readNow(fd uintptr) {
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.hs[0])), uintptr(len(b.hs)), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		b.got, b.errno = int(r), errno
		return
	}
}

// readOne is readNow where a sandbox knows no recvmmsg(2).
func (b *Batch) readOne(fd uintptr) {
	for {
		r, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&b.hs[0].hdr)), unix.MSG_DONTWAIT)
		if errno == unix.EINTR {
			continue
		}
		b.got, b.errno, b.hs[0].n = 1, errno, uint32(r)
		return
	}
}

// readSoon waits for a datagram, not longer than there is left. The runtime does not
// know: the thread and its share of the processors wait along, which is cheap for so
// short a time.
func (b *Batch) readSoon(fd uintptr) {
	if b.read(fd); b.errno != unix.EAGAIN {
		return
	}
	b.poll = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&b.poll)), 1, uintptr(unsafe.Pointer(&b.left)), 0, 0, 0)
	if errno == 0 && n > 0 {
		b.read(fd)
	}
}

// ReadWithin is ReadBatch that gives up after so much time and gives 0 then; up to
// maxWithin, for it keeps a thread from other work. 0 waits as ReadBatch does.
func (s *Socket) ReadWithin(b *Batch, d time.Duration) (int, error) {
	if d <= 0 {
		return s.ReadBatch(b)
	}
	b.begin(s)
	b.left = unix.NsecToTimespec(int64(min(d, maxWithin)))
	if s.raw.Control(b.soon) != nil {
		return 0, net.ErrClosed
	}
	if b.errno == 0 {
		b.n = b.got
	}
	return b.n, nil // ReadBatch judges errors
}

// begin makes room.
func (b *Batch) begin(s *Socket) {
	for i := range b.n {
		b.hs[i].hdr.Namelen, b.hs[i].hdr.Flags = unix.SizeofSockaddrInet6, 0
	}
	b.n, b.socket = 0, s
}

// ReadBatch waits until there is a datagram and takes all that are there, as many
// as the batch holds; it gives their number. A socket has one reader at a time.
// The error is net.ErrClosed after Close; another one means that the socket is of
// no use any more. Errors that the network reports about earlier datagrams are
// passed over.
func (s *Socket) ReadBatch(b *Batch) (int, error) {
	for failures := 0; ; {
		b.begin(s)
		if s.waiting.Read(b.ready) != nil || b.errno == unix.EBADF {
			return 0, net.ErrClosed
		}
		switch b.errno {
		case 0:
			b.n = b.got
			return b.n, nil
		case unix.ENOSYS:
			b.read = b.readOne
		}
		if failures++; failures == maxFailures {
			return 0, fmt.Errorf("read from %v: %w", s.local, os.NewSyscallError("recvmmsg", b.errno))
		}
	}
}

func (b *Batch) length(i int) (int, bool) {
	return int(b.hs[i].n), b.hs[i].hdr.Flags&unix.MSG_TRUNC != 0
}

func (b *Batch) from(i int) netip.AddrPort {
	switch a := &b.names[i]; a.Family {
	case unix.AF_INET:
		a := (*unix.RawSockaddrInet4)(unsafe.Pointer(a))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), hostOrder(a.Port))
	case unix.AF_INET6:
		addr := netip.AddrFrom16(a.Addr).Unmap()
		if a.Scope_id != 0 && addr.IsLinkLocalUnicast() {
			addr = addr.WithZone(b.zone(a.Scope_id))
		}
		return netip.AddrPortFrom(addr, hostOrder(a.Port))
	}
	return netip.AddrPort{}
}

// hostOrder turns a port's bytes, which stand in network order, into a number.
func hostOrder(p uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&p))
	return uint16(b[0])<<8 | uint16(b[1])
}
