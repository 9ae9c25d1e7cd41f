//go:build unix

package recorder

import (
	"errors"
	"os"
	"syscall"
)

// errHeld says that a living process writes or recovers the file.
var errHeld = errors.New("file is being written")

// hold takes a media file for whoever has f open, until f is closed or the
// process dies, whatever way: a file is written, or recovered, by one at a time,
// also where several servers share a folder. errHeld when another has it. A file
// system without locks holds nothing back.
func hold(f *os.File) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return errHeld
		default:
			return nil
		}
	}
}
