package faults

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// child is a process whose parent is the one looked at.
type child struct {
	pid   int
	name  string
	state string // R, S, D, T, Z …
}

// children lists the direct children of a process.
func children(t testing.TB, parent int) []child {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var out []child
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // it has gone
		}
		// The name is in parentheses and may hold any of them.
		open, shut := strings.IndexByte(string(text), '('), strings.LastIndexByte(string(text), ')')
		rest := strings.Fields(string(text[shut+1:]))
		if len(rest) > 1 && rest[1] == strconv.Itoa(parent) {
			out = append(out, child{pid, string(text[open+1 : shut]), rest[0]})
		}
	}
	return out
}

// descriptors counts the open files of a process.
func descriptors(t testing.TB, pid int) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// resident is the memory of a process that is in RAM, in bytes.
func resident(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// noZombies fails when a dead child of a process stays unreaped; for an instant
// each one is.
func noZombies(t testing.TB, parent int) {
	t.Helper()
	eventually(t, slack(time.Second), "no child is a zombie", func() error {
		for _, c := range children(t, parent) {
			if c.state == "Z" {
				return fmt.Errorf("%s (%d) is a zombie", c.name, c.pid)
			}
		}
		return nil
	})
}

// near tells whether two counts differ by at most 2, as of descriptors and
// goroutines that come and go by themselves.
func near(what string, before, now int) error {
	if now < before-2 || now > before+2 {
		return fmt.Errorf("%d %s, there were %d", now, what, before)
	}
	return nil
}
