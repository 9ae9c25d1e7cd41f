//go:build !portable

package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// writerSystem is what sendmmsg(2) reads.
type writerSystem struct {
	hs     []mmsghdr
	iov    []unix.Iovec
	ctl    [][maxControl]uint64
	send   func(fd uintptr) // sendAll, bound once: a closure per call would be allocated
	socket *Socket
	run    []message
	waited bool
	one    mmsghdr // a datagram of a message that is sent in pieces
	oneIov unix.Iovec
	kernel kernel
}

// kernel is what is asked of the system, so that tests can refuse it.
type kernel struct {
	sendmmsg func(fd uintptr, first *mmsghdr, n int) (int, unix.Errno)
	sendmsg  func(fd uintptr, m *unix.Msghdr) unix.Errno
	wait     func(fd uintptr) bool // for room, for no longer than patience
}

// The calls do not wait, so they are made past the scheduler, as in readNow.
var linux = kernel{
	sendmmsg: func(fd uintptr, first *mmsghdr, n int) (int, unix.Errno) {
		r, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(first)), uintptr(n), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		return int(r), errno
	},
	sendmsg: func(fd uintptr, m *unix.Msghdr) unix.Errno {
		_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(m)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return errno
	},
	wait: func(fd uintptr) bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(patience.Milliseconds()))
		return n > 0 && err == nil
	},
}

func (w *Writer) prepare() {
	n := cap(w.msgs)
	w.hs, w.iov, w.ctl = make([]mmsghdr, n), make([]unix.Iovec, n), make([][maxControl]uint64, n)
	for i := range w.hs {
		w.hs[i].hdr.Iov = &w.iov[i]
		w.hs[i].hdr.SetIovlen(1)
	}
	w.one.hdr.Iov = &w.oneIov
	w.one.hdr.SetIovlen(1)
	w.send, w.kernel = w.sendAll, linux
}

// transmit sends messages of one Socket.
func (w *Writer) transmit(s *Socket, run []message) {
	for i := range run {
		m := &run[i]
		w.head(&w.hs[i].hdr, m.path, m.at, m.size)
		if m.n > 1 {
			w.control(&w.hs[i].hdr, &w.ctl[i], m)
		}
	}
	w.socket, w.run = s, run
	if s.raw.Control(w.send) != nil {
		for i := range run {
			w.stats.Closed += uint64(run[i].n)
		}
	}
	w.socket, w.run = nil, nil
}

// head addresses a message of one datagram. The caller has set the vector.
func (w *Writer) head(h *unix.Msghdr, p *Path, at, size int) {
	h.Name, h.Namelen = (*byte)(unsafe.Pointer(&p.name)), p.nameLen
	h.Iov.Base = &w.arena[at]
	h.Iov.SetLen(size)
	h.Control = nil
	if len(p.mark) > 0 {
		h.Control = &p.mark[0]
	}
	h.SetControllen(len(p.mark))
}

// control adds the segment size to the mark.
func (w *Writer) control(h *unix.Msghdr, words *[maxControl]uint64, m *message) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(words)), 8*maxControl)
	b = appendSegment(append(b[:0], m.path.mark...), m.seg)
	h.Control = &b[0]
	h.SetControllen(len(b))
}

// sendAll sends the run.
func (w *Writer) sendAll(fd uintptr) {
	for done := 0; done < len(w.run); {
		n, errno := w.call(fd, done)
		for ; n > 0; n-- {
			w.took(&w.run[done])
			done++
		}
		if errno == 0 {
			continue
		}
		m := &w.run[done]
		switch {
		case errno == unix.EINTR:
		case full(errno):
			if !w.room(fd) {
				w.stats.Full += count(w.run[done:])
				return
			}
		case errno == unix.ENOSYS && w.socket.many.Load():
			w.socket.many.Store(false)
		case m.n > 1 && unsegmentable(errno):
			// Not this way. The same bytes go as datagrams, now and from now on.
			m.path.whole.Store(true)
			if !w.pieces(fd, m) {
				w.stats.Full += count(w.run[done+1:])
				return
			}
			done++
		default:
			w.drop(m.n, errno)
			done++
		}
	}
}

// call sends messages from the i-th on and gives how many the kernel took.
func (w *Writer) call(fd uintptr, i int) (int, unix.Errno) {
	w.stats.Calls++
	n, errno := 1, unix.Errno(0)
	if w.socket.many.Load() {
		n, errno = w.kernel.sendmmsg(fd, &w.hs[i], len(w.run)-i)
	} else {
		errno = w.kernel.sendmsg(fd, &w.hs[i].hdr)
	}
	if errno != 0 {
		return 0, errno
	}
	return n, 0
}

// pieces sends a message's datagrams one by one; false when there is no room.
func (w *Writer) pieces(fd uintptr, m *message) bool {
	for sent, at := 0, m.at; sent < m.n; {
		size := min(m.seg, m.at+m.size-at)
		w.head(&w.one.hdr, m.path, at, size)
		w.stats.Calls++
		errno := w.kernel.sendmsg(fd, &w.one.hdr)
		switch {
		case errno == unix.EINTR:
			continue
		case full(errno):
			if w.room(fd) {
				continue
			}
			w.stats.Full += uint64(m.n - sent)
			return false
		case errno != 0:
			w.drop(1, errno)
		default:
			w.took(&message{n: 1, size: size})
		}
		sent++
		at += size
	}
	return true
}

// room waits until the kernel takes more, once per Flush.
func (w *Writer) room(fd uintptr) bool {
	if w.waited {
		return false
	}
	w.waited = true
	return w.kernel.wait(fd)
}

// drop counts datagrams that cannot be sent.
func (w *Writer) drop(n int, errno unix.Errno) {
	switch errno {
	case unix.EMSGSIZE:
		w.stats.TooBig += uint64(n)
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.ENETDOWN, unix.EHOSTDOWN, unix.ECONNREFUSED, unix.EADDRNOTAVAIL, unix.EACCES, unix.EPERM:
		w.stats.Unreachable += uint64(n)
	case unix.EBADF:
		w.stats.Closed += uint64(n)
	default:
		w.stats.Failed += uint64(n)
	}
}

// full: the socket's buffer, or the device's queue.
func full(e unix.Errno) bool { return e == unix.EAGAIN || e == unix.ENOBUFS }

// unsegmentable are the answers of a kernel to a message that it cannot cut: the
// segments are longer than the MTU (EINVAL, newer kernels EMSGSIZE), or the device
// makes no checksums (EIO).
func unsegmentable(e unix.Errno) bool {
	return e == unix.EINVAL || e == unix.EIO || e == unix.EMSGSIZE || e == unix.EOPNOTSUPP
}

func count(run []message) (n uint64) {
	for i := range run {
		n += uint64(run[i].n)
	}
	return n
}
