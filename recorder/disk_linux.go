package recorder

import (
	"os"
	"syscall"
)

// dataSync brings the data of f to the disk, and of its metadata what is needed to read it.
func dataSync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
