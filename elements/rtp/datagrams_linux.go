package rtp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchReader reads with recvmmsg(2), which never waits here. It is called past
// Go's scheduler: to tell that of every call, as package net does, wakes the
// runtime's monitor, and that costs several times what reading does.
type batchReader struct {
	raw   syscall.RawConn
	memo  []byte
	msgs  [batchSize]message
	iovs  [batchSize]unix.Iovec
	names [batchSize]unix.RawSockaddrInet6 // large enough for IPv4 too
	out   [batchSize]datagram

	n     int // of the latest call
	errno syscall.Errno
	call  func(fd uintptr) bool
}

// message is struct mmsghdr.
type message struct {
	unix.Msghdr
	size uint32
}

func newBatchReader(c *net.UDPConn) (*batchReader, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	const each = maxDatagram + 1
	r := &batchReader{raw: raw, memo: make([]byte, batchSize*each)}
	for i := range r.msgs {
		m := &r.msgs[i]
		r.iovs[i].Base = &r.memo[i*each]
		r.iovs[i].SetLen(each)
		m.Iov = &r.iovs[i]
		m.SetIovlen(1)
		m.Name = (*byte)(unsafe.Pointer(&r.names[i]))
	}
	r.call = r.now
	return r, nil
}

// now reads what is there; false when that is nothing.
func (r *batchReader) now(fd uintptr) bool {
	for {
		for i := range r.msgs {
			r.msgs[i].Namelen = unix.SizeofSockaddrInet6
		}
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.msgs[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		r.n, r.errno = int(n), errno
		return errno != unix.EAGAIN
	}
}

// read waits for datagrams. The result is valid until the next read.
func (r *batchReader) read() ([]datagram, error) {
	if err := r.raw.Read(r.call); err != nil {
		return nil, err
	}
	if r.errno != 0 {
		return nil, r.errno
	}
	for i := range r.n {
		d, base := &r.out[i], i*(maxDatagram+1)
		d.raw = r.memo[base : base+int(r.msgs[i].size)]
		d.from = address(&r.names[i])
	}
	return r.out[:r.n], nil
}

// address reads a sockaddr.
func address(name *unix.RawSockaddrInet6) netip.AddrPort {
	// The port stands in both kinds at the same place, in the network's order.
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), port)
	}
	a := netip.AddrFrom16(name.Addr).Unmap()
	if name.Scope_id != 0 && a.Is6() {
		a = a.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10))
	}
	return netip.AddrPortFrom(a, port)
}
