//go:build !linux

package rtmp

import "syscall"

// unacknowledged is not known here.
func unacknowledged(syscall.RawConn) (n int, ok bool) { return 0, false }
