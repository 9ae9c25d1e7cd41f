package workers

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// link is our end of a SOCK_SEQPACKET socket. Go's poller does not know the socket,
// since that asks for all events at once, and would wake with every message that
// the other end takes, because there is more room then. It knows an epoll
// descriptor, which tells only of what comes in.
//
// System calls that never wait are made past Go's scheduler: to tell that of every
// call, as package net does, wakes the runtime's monitor, and that costs several
// times what they do.
type link struct {
	file, wake *os.File
	fd, inbox  syscall.RawConn
}

// newLink takes the connection over.
func newLink(c *net.UnixConn) (_ *link, err error) {
	defer c.Close() // and the poller forgets it
	l := &link{}
	defer func() {
		if err != nil {
			l.close()
			err = fmt.Errorf("use media socket: %w", err)
		}
	}()
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	epoll := -1
	again := raw.Control(func(old uintptr) {
		var fd int
		if fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return
		}
		_ = unix.SetNonblock(fd, false) // or package os gives it to the poller
		l.file = os.NewFile(uintptr(fd), "media")
		if epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
			return
		}
		_ = unix.SetNonblock(epoll, true)
		l.wake = os.NewFile(uintptr(epoll), "media")
		err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN})
	})
	if err = errors.Join(again, err); err != nil {
		return nil, err
	}
	if l.fd, err = l.file.SyscallConn(); err != nil {
		return nil, err
	}
	l.inbox, err = l.wake.SyscallConn()
	return l, err
}

// close ends what waits. Idempotent.
func (l *link) close() {
	if l.fd != nil {
		_ = l.fd.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
	for _, f := range []*os.File{l.wake, l.file} {
		if f != nil {
			f.Close()
		}
	}
}

// send sends one message without waiting. full tells that there is no room.
func (l *link) send(message []byte) (full bool, err error) {
	again := l.fd.Write(func(fd uintptr) bool {
		for {
			_, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(message))), uintptr(len(message)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
			switch errno {
			case 0:
			case unix.EINTR:
				continue
			case unix.EAGAIN, unix.ENOBUFS:
				full = true
			default:
				err = errno
			}
			return true
		}
	})
	return full, errors.Join(again, err)
}

// sendUntil sends one message, waiting for room until then.
func (l *link) sendUntil(end time.Time, message []byte) error {
	for {
		full, err := l.send(message)
		if err != nil || !full {
			return err
		}
		left := time.Until(end)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		err = l.fd.Control(func(fd uintptr) {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, int(left/time.Millisecond)+1)
		})
		if err != nil {
			return err
		}
	}
}

// receive waits for a message; io.EOF when there will be none.
func (l *link) receive(buf []byte) (n int, err error) {
	waited := l.inbox.Read(func(uintptr) bool {
		some := true
		if again := l.fd.Read(func(fd uintptr) bool { n, some, err = receiveNow(fd, buf); return true }); again != nil {
			n, err = 0, again
		}
		return some
	})
	if waited != nil {
		return 0, waited
	}
	return n, err
}

func receiveNow(fd uintptr, buf []byte) (n int, some bool, err error) {
	for {
		size, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return 0, false, nil
		case errno != 0:
			return 0, true, errno
		case size == 0:
			return 0, true, io.EOF
		default:
			return int(size), true, nil
		}
	}
}

// waiting tells whether a message lies in the socket.
func (l *link) waiting() (some bool) {
	_ = l.fd.Control(func(fd uintptr) {
		n, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
		some = err == nil && n > 0
	})
	return some
}
