//go:build linux

package main

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is how many datagrams the drain takes in one call.
const batch = 64

// drain empties the sockets of all viewers, on a thread of its own.
type drain struct {
	every atomic.Int64 // ns between two looks
	mu    sync.Mutex
	all   []*socket
	over  atomic.Bool
	wg    sync.WaitGroup

	bufs  [batch][2048]byte
	names [batch]unix.RawSockaddrInet4
	ctl   [batch][64]byte
	iov   [batch]unix.Iovec
	msgs  [batch]message
}

// message is the kernel's struct mmsghdr on 64 bits (recvmmsg(2)).
type message struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

func startDrain() *drain {
	d := &drain{}
	d.every.Store(int64(time.Millisecond))
	d.wg.Go(d.run)
	return d
}

func (d *drain) add(c *socket) { d.mu.Lock(); d.all = append(d.all, c); d.mu.Unlock() }

// stop closes the sockets, too.
func (d *drain) stop() {
	d.over.Store(true)
	d.wg.Wait()
	for _, c := range d.all {
		_ = c.Close()
		unix.Close(c.fd)
	}
}

func (d *drain) run() {
	runtime.LockOSThread()
	for !d.over.Load() {
		pause := unix.NsecToTimespec(d.every.Load())
		_ = unix.Nanosleep(&pause, nil)
		d.mu.Lock()
		all := d.all
		d.mu.Unlock()
		for _, c := range all {
			for d.take(c) == batch {
			}
		}
	}
}

// take reads one batch of a socket and tells how much it was.
func (d *drain) take(c *socket) int {
	for i := range d.msgs {
		d.iov[i] = unix.Iovec{Base: &d.bufs[i][0], Len: uint64(len(d.bufs[i]))}
		h := unix.Msghdr{Name: (*byte)(unsafe.Pointer(&d.names[i])), Namelen: unix.SizeofSockaddrInet4, Iov: &d.iov[i], Iovlen: 1}
		if c.sampled {
			h.Control, h.Controllen = &d.ctl[i][0], uint64(len(d.ctl[i]))
		}
		d.msgs[i].hdr = h
	}
	n, _, e := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(c.fd), uintptr(unsafe.Pointer(&d.msgs[0])), batch, unix.MSG_DONTWAIT, 0, 0)
	if e != 0 {
		return 0
	}
	for i := range int(n) {
		b := d.bufs[i][:d.msgs[i].n]
		switch kindOfPacket(b) {
		case media:
			c.media.Add(1)
			if !c.sampled {
				continue
			}
			if at, ok := kernelTime(d.ctl[i][:d.msgs[i].hdr.Controllen]); ok {
				c.arrived(b, at)
			}
		case control:
			c.rtcp.Add(1)
			if !c.sampled {
				continue
			}
		}
		port := d.names[i].Port // in the network's order
		p := datagram{append([]byte(nil), b...), &net.UDPAddr{IP: append(net.IP(nil), d.names[i].Addr[:]...), Port: int(port>>8 | port<<8)}}
		select {
		case c.up <- p:
		default:
		}
	}
	return int(n)
}

const (
	other = iota // STUN and DTLS
	media
	control
)

// kindOfPacket tells them apart (RFC 7983, RFC 5761 §4).
func kindOfPacket(b []byte) int {
	switch {
	case len(b) < 12 || b[0] < 128 || b[0] > 191:
		return other
	case b[1] >= 192 && b[1] <= 223:
		return control
	}
	return media
}

// kernelTime is that of SO_TIMESTAMPNS (socket(7)).
func kernelTime(ctl []byte) (ns int64, ok bool) {
	all, err := unix.ParseSocketControlMessage(ctl)
	if err != nil {
		return 0, false
	}
	for _, m := range all {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			return (*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Nano(), true
		}
	}
	return 0, false
}
