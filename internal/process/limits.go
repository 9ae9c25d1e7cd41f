package process

import (
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
)

// File descriptors: one per browser and per recorded file. Under fdNeed the server
// does not start, under fdGood it warns.
const (
	fdNeed = 8_192
	fdGood = 65_536
)

// OpenFiles gives the process's soft limit of open files, after Go raised it to
// the hard one. warning is a sentence for the log; err means that it is too low.
func OpenFiles() (limit uint64, warning string, err error) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err != nil {
		return 0, "", fmt.Errorf("read the limit of open files: %w", err)
	}
	warning, err = judgeFiles(r.Cur)
	return r.Cur, warning, err
}

func judgeFiles(limit uint64) (warning string, err error) {
	const remedy = "raise it with `ulimit -n 65536`, LimitNOFILE=65536 in a systemd unit, or --ulimit nofile=65536 for a container"
	switch {
	case limit < fdNeed:
		return "", fmt.Errorf("only %d files may be open, %d are needed: %s", limit, fdNeed, remedy)
	case limit < fdGood:
		return fmt.Sprintf("only %d files may be open, a busy server wants %d: %s", limit, fdGood, remedy), nil
	}
	return "", nil
}

// NoCoreDumps keeps memory, and the secrets in it, out of core files.
func NoCoreDumps() { _ = syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}) }

// LimitMemory sets Go's soft memory limit to 80 % of what the control group or the
// machine has, unless GOMEMLIMIT says otherwise. It gives the limit in bytes, 0
// when none could be found.
func LimitMemory() int64 {
	if os.Getenv("GOMEMLIMIT") != "" {
		return debug.SetMemoryLimit(-1)
	}
	total := memoryOf(os.ReadFile)
	if total == 0 {
		return 0
	}
	limit := total / 10 * 8
	debug.SetMemoryLimit(limit)
	return limit
}

// heapGrowth is by how many percent Go's heap grows between two collections. A
// forwarding server allocates little: a collection more now and then costs it nothing
// that could be measured, Go's own 100 costs a third of its memory.
const heapGrowth = 25

// TrimHeap lets Go's heap grow by no more than a quarter between two collections, unless
// GOGC or GOMEMLIMIT say that somebody has decided about memory.
func TrimHeap() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(heapGrowth)
	}
}

// memoryOf is the lowest of the memory limits that apply, in bytes; 0 is unknown.
func memoryOf(read func(string) ([]byte, error)) int64 {
	var least int64
	consider := func(n int64) {
		// cgroup v1 writes a huge number for "no limit".
		if n > 0 && n < 1<<60 && (least == 0 || n < least) {
			least = n
		}
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		if b, err := read(path); err == nil {
			if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
				consider(n)
			}
		}
	}
	if b, err := read("/proc/meminfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) >= 2 && f[0] == "MemTotal:" {
				if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil {
					consider(kib << 10)
				}
			}
		}
	}
	return least
}
