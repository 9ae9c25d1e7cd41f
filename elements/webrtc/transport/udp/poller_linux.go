//go:build !portable

package udp

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// socketSystem waits for datagrams, and for nothing else. The runtime's poller asks of
// every descriptor whether it may be written to, too, so that each message that leaves
// the kernel wakes the thread that sleeps there: thousands of times a second at a
// socket that serves a room, for nobody. Therefore the socket is not in it. It is in an
// epoll instance of its own that asks for datagrams only, and that instance, itself a
// descriptor that becomes readable, is in the runtime's.
type socketSystem struct {
	waiting syscall.RawConn // what the reader waits on: the poller, or the socket itself
	poller  *os.File        // nil where the system nests none
	file    *os.File        // the socket, once it is out of the runtime's poller
}

// adopt takes the socket over from package net, which takes it out of the runtime's
// poller when it closes. Where that cannot be, all stays as it is.
func (s *Socket) adopt() error {
	s.waiting = s.raw
	fd := -1
	if err := s.raw.Control(func(old uintptr) { fd, _ = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil || fd < 0 {
		return err
	}
	poller, waiting, err := nest(fd)
	if err != nil {
		return unix.Close(fd)
	}
	// os.NewFile gives to the runtime's poller what does not block.
	_ = unix.SetNonblock(fd, false)
	file := os.NewFile(uintptr(fd), "udp")
	_ = unix.SetNonblock(fd, true)
	raw, err := file.SyscallConn()
	if err != nil {
		return errors.Join(err, poller.Close(), file.Close())
	}
	s.raw, s.waiting, s.poller, s.file = raw, waiting, poller, file
	return s.conn.Close()
}

// nest makes an epoll instance that becomes readable with a datagram at fd, and is
// in the runtime's poller.
func nest(fd int) (*os.File, syscall.RawConn, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, nil, err
	}
	err = errors.Join(unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}), unix.SetNonblock(epoll, true))
	poller := os.NewFile(uintptr(epoll), "epoll")
	if err == nil {
		err = poller.SetReadDeadline(time.Time{}) // refused when it is not pollable
	}
	var waiting syscall.RawConn
	if err == nil {
		waiting, err = poller.SyscallConn()
	}
	if err != nil {
		return nil, nil, errors.Join(err, poller.Close())
	}
	return poller, waiting, nil
}

// close wakes the reader; the descriptor goes when the last call on it has ended.
func (s *Socket) close() error {
	if s.file == nil {
		return s.conn.Close()
	}
	return errors.Join(s.poller.Close(), s.file.Close())
}
