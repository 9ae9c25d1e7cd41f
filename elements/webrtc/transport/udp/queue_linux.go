//go:build !portable

package udp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Places in what SO_MEMINFO tells (linux/sock_diag.h).
const (
	memQueued  = 0
	memDropped = 8
	memVars    = 9
)

// Queue asks the kernel how many bytes of memory datagrams that wait to be read take,
// and how many it has dropped for want of room since the socket was opened; the latter
// wraps at 2^32. Both are 0 where it does not tell.
func (s *Socket) Queue() (bytes, dropped uint32) {
	var info [memVars]uint32
	size := uint32(unsafe.Sizeof(info))
	_ = s.raw.Control(func(fd uintptr) {
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&info[0])), uintptr(unsafe.Pointer(&size)), 0)
		if errno != 0 {
			info = [memVars]uint32{}
		}
	})
	return info[memQueued], info[memDropped]
}
