//go:build gst

package mediaworker

import (
	"golang.org/x/sys/unix"
)

// Limits of a worker. Address space is not memory: Go and GStreamer reserve much
// of it; a runaway job ends here and not with the machine.
const (
	maxAddressSpace = 8 << 30
	maxFiles        = 1024
)

// Limit bounds this process: no core files (they would hold people's pictures),
// address space, descriptors; and it dies with its parent.
func Limit() {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	lower := func(what int, to uint64) {
		var r unix.Rlimit
		if unix.Getrlimit(what, &r) == nil {
			r.Cur, r.Max = min(r.Max, to), min(r.Max, to)
			_ = unix.Setrlimit(what, &r)
		}
	}
	lower(unix.RLIMIT_AS, maxAddressSpace)
	lower(unix.RLIMIT_NOFILE, maxFiles)
	_ = unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
}
