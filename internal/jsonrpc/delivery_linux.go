package jsonrpc

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// position gives how many bytes of the stream the peer has acknowledged, and where
// what was written ends. Acknowledgements that come between the two looks would
// make the end too great, so it looks again when they did.
func position(raw syscall.RawConn) (acked, end uint64, ok bool) {
	err := raw.Control(func(fd uintptr) {
		for range 8 {
			before, err1 := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			queued, err2 := unix.IoctlGetInt(int(fd), unix.TIOCOUTQ)
			after, err3 := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
			if err1 != nil || err2 != nil || err3 != nil {
				return
			}
			acked, end, ok = after.Bytes_acked, after.Bytes_acked+uint64(queued), true
			if before.Bytes_acked == after.Bytes_acked {
				return
			}
		}
	})
	return acked, end, ok && err == nil
}
