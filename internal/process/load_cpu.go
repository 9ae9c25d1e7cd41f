package process

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

const (
	// clockTick is the unit of /proc/PID/stat: USER_HZ, 100 on every Linux of Go.
	clockTick = 10 * time.Millisecond
	// maxChildren bounds the processes that one sample looks at.
	maxChildren = 1024
)

// cpuTime is the user and system time of this process and of its children: those
// that have ended, and, where there is a /proc, those that live, with theirs.
func cpuTime() time.Duration {
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	left := maxChildren
	return sum + childrenTime(os.Getpid(), &left)
}

// childrenTime is the time of the living children of a process (proc_pid_stat(5),
// proc_tid_children(5)) and of what they have waited for.
func childrenTime(pid int, left *int) (sum time.Duration) {
	tasks := "/proc/" + strconv.Itoa(pid) + "/task"
	threads, err := os.ReadDir(tasks)
	if err != nil {
		return 0
	}
	for _, thread := range threads {
		list, err := os.ReadFile(tasks + "/" + thread.Name() + "/children")
		if err != nil {
			continue
		}
		for _, field := range bytes.Fields(list) {
			child, err := strconv.Atoi(string(field))
			if err != nil || *left == 0 {
				continue
			}
			*left--
			sum += ownTime(child) + childrenTime(child, left)
		}
	}
	return sum
}

// ownTime is the time of a process and of the children that it has waited for.
func ownTime(pid int) (sum time.Duration) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 {
		return 0
	}
	for _, f := range fields[11:15] { // utime, stime, cutime, cstime
		ticks, err := strconv.ParseInt(string(f), 10, 64)
		if err != nil || ticks < 0 {
			return 0
		}
		sum += time.Duration(ticks) * clockTick
	}
	return sum
}
