package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// usage is processor time in seconds: user and system, of a process and of its
// children, those that live and those that it has buried.
type usage struct{ server, workers float64 }

// perTick: USER_HZ is 100 on every Linux (proc_pid_stat(5)).
const perTick = 0.01

// usageOf reads /proc. A child that ends between two looks is found with the
// buried ones.
func usageOf(pid int) (usage, error) {
	s, err := readStat(pid)
	if err != nil {
		return usage{}, err
	}
	u := usage{server: s.own, workers: s.buried}
	children, err := childrenOf(pid)
	if err != nil {
		return usage{}, err
	}
	for _, child := range children {
		c, err := usageOf(child)
		if err != nil {
			continue // gone since
		}
		u.workers += c.server + c.workers
	}
	return u, nil
}

// stat is of one process, in seconds.
type stat struct{ own, buried float64 }

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// parseStat reads fields 14 to 17 of proc_pid_stat(5); the name before them may
// hold spaces and brackets.
func parseStat(b []byte) (stat, error) {
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 15 {
		return stat{}, fmt.Errorf("read processor time: %d fields", len(fields))
	}
	var ticks [4]float64
	for i := range ticks {
		n, err := strconv.ParseInt(string(fields[11+i]), 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("read processor time: %w", err)
		}
		ticks[i] = float64(n) * perTick
	}
	return stat{own: ticks[0] + ticks[1], buried: ticks[2] + ticks[3]}, nil
}

// childrenOf are the direct children, whichever thread made them.
func childrenOf(pid int) ([]int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var out []int
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, f := range bytes.Fields(b) {
			if n, err := strconv.Atoi(string(f)); err == nil {
				out = append(out, n)
			}
		}
	}
	return out, nil
}
