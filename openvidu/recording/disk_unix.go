//go:build unix

package recording

import (
	"os"
	"syscall"
)

// freeBytes is what an unprivileged process may still write on dir's volume.
func freeBytes(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return uint64(st.Bavail) * uint64(st.Bsize), nil
}

// lock takes a folder for whoever has it open, until dir is closed or the process
// dies, whatever way. False when another process has it. A file system without
// locks holds nobody back.
func lock(dir *os.File) bool {
	for {
		switch err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return false
		default:
			return true
		}
	}
}
