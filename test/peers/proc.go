//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick: USER_HZ is 100 on every Linux (proc_pid_stat(5)).
const tick = 10 * time.Millisecond

// usage is of a process with all its threads, those that ended included.
type usage struct {
	user, system time.Duration
	switches     int64 // of context, of the threads that live
}

func (u usage) total() time.Duration { return u.user + u.system }

func (u usage) minus(v usage) usage {
	return usage{u.user - v.user, u.system - v.system, u.switches - v.switches}
}

// usageOf reads /proc. The kernel scales user and system to the scheduler's exact
// runtime, in ticks.
func usageOf(pid int) (u usage, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	if u.user, u.system, err = parseStat(b); err != nil {
		return u, err
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return u, err
	}
	for _, t := range threads {
		if b, err := os.ReadFile(t); err == nil { // else it has ended
			s := parseStatus(b)
			u.switches += s["voluntary_ctxt_switches"] + s["nonvoluntary_ctxt_switches"]
		}
	}
	return u, nil
}

// memoryOf is the resident set in kB, and the number of threads.
func memoryOf(pid int) (rss, threads int64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	s := parseStatus(b)
	return s["VmRSS"], s["Threads"], nil
}

// busy is the processor time of the whole machine.
func busy() time.Duration {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(b, []byte("\n"))
	var sum int64
	for i, f := range bytes.Fields(line) {
		if i == 0 || i == 4 || i == 5 || i > 8 { // its name; idle and waiting; guests are in user
			continue
		}
		n, _ := strconv.ParseInt(string(f), 10, 64)
		sum += n
	}
	return time.Duration(sum) * tick
}

// parseStat reads fields 14 and 15 of proc_pid_stat(5); the name before them may
// hold spaces and brackets.
func parseStat(b []byte) (user, system time.Duration, err error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0, 0, fmt.Errorf("read processor time: %d fields", len(fields))
	}
	u, err := strconv.ParseInt(string(fields[11]), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("read processor time: %w", err)
	}
	s, err := strconv.ParseInt(string(fields[12]), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("read processor time: %w", err)
	}
	return time.Duration(u) * tick, time.Duration(s) * tick, nil
}

// parseStatus reads the lines of proc_pid_status(5) that begin with a number.
func parseStatus(b []byte) map[string]int64 {
	out := map[string]int64{}
	for line := range strings.SplitSeq(string(b), "\n") {
		key, value, _ := strings.Cut(line, ":")
		if f := strings.Fields(value); len(f) > 0 {
			if n, err := strconv.ParseInt(f[0], 10, 64); err == nil {
				out[key] = n
			}
		}
	}
	return out
}
