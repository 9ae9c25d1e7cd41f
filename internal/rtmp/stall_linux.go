package rtmp

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledged is how many bytes are written and not acknowledged by the peer's
// kernel, those not sent yet included (SIOCOUTQ of tcp(7)).
func unacknowledged(raw syscall.RawConn) (n int, ok bool) {
	var err error
	control := raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n, control == nil && err == nil
}
