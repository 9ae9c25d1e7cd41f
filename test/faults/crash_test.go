package faults

import (
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/medianode"
	"github.com/govidu/govidu/internal/workers"
)

// pace is the time from one kill to the next: each of four jobs crashes less
// often than the ten times a minute at which supervision gives up.
const pace = 3500 * time.Millisecond

// startNode runs a media node in this process; its workers are our children.
func startNode(t testing.TB, files string) *medianode.Node {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("GOVIDU_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	n, err := medianode.New(medianode.Config{
		Loopback: true, FileRoots: []string{files}, Log: log, STUNPort: -1,
		Workers: workers.Config{Binary: program(t, "mediaworker", "worker"), Cores: 16},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// rest is what a node holds at rest: descriptors, goroutines and processes.
type rest struct{ files, routines, workers int }

func measure(t testing.TB) rest {
	return rest{descriptors(t, os.Getpid()), runtime.NumGoroutine(), len(children(t, os.Getpid()))}
}

// settled waits until a node is at rest as it was before.
func settled(t testing.TB, what string, before rest) {
	t.Helper()
	defer func() {
		if t.Failed() {
			buf := make([]byte, 1<<20)
			t.Logf("%s", buf[:runtime.Stack(buf, true)])
		}
	}()
	eventually(t, patience, what, func() error {
		now := measure(t)
		if now.workers != before.workers {
			return fmt.Errorf("%d workers, there were %d", now.workers, before.workers)
		}
		if err := near("descriptors", before.files, now.files); err != nil {
			return err
		}
		return near("goroutines", before.routines, now.routines)
	})
}

// wound is what one kill did.
type wound struct {
	victim    *victim
	gap       time.Duration // the longest of forwarded media until the next one
	where     stream
	event     time.Duration // until the event Error
	recovered time.Duration // until what the worker made flows again
}

func (w wound) String() string {
	return fmt.Sprintf("%s: forwarded media paused for %v (%s), event after %v, back after %v",
		w.victim.job, w.gap.Round(time.Millisecond), w.where, w.event.Round(time.Millisecond), w.recovered.Round(time.Millisecond))
}

// strike sends a signal to a victim's process and waits for the event, for
// another process, for its media, and for the end of the round.
func (c *call) strike(v *victim, how syscall.Signal, eventLimit, round time.Duration) wound {
	c.t.Helper()
	var pid int
	eventually(c.t, patience, v.job+" has a process", func() error {
		if pid = c.pid(v.job); pid == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	at := time.Now()
	if err := syscall.Kill(pid, how); err != nil {
		c.t.Fatalf("kill the %s worker: %v", v.job, err)
	}
	w := wound{victim: v}
	eventually(c.t, eventLimit, "event Error of "+v.job, func() error {
		heard, ok := v.errors.after(at)
		if !ok {
			return fmt.Errorf("none")
		}
		w.event = heard.Sub(at)
		return nil
	})
	if v.again != nil {
		v.again()
	}
	eventually(c.t, patience, v.job+" goes on in another process", func() error {
		if now := c.pid(v.job); now == 0 || now == pid {
			return fmt.Errorf("process %d instead of %d", now, pid)
		}
		return nil
	})
	for _, s := range v.media {
		c.flows(s)
	}
	w.recovered = time.Since(at)
	during(time.Until(at.Add(round)))
	until := time.Now()
	for _, s := range c.forwarded {
		if gap := s.at.gap(s.kind, at, until); gap >= w.gap {
			w.gap, w.where = gap, s
		}
	}
	return w
}

// quiet is the longest pause of forwarded media while nothing is done to the
// call: what the machine and the test do by themselves.
func (c *call) quiet(round time.Duration) time.Duration {
	at := time.Now()
	during(round)
	var longest time.Duration
	for _, s := range c.forwarded {
		longest = max(longest, s.at.gap(s.kind, at, at.Add(round)))
	}
	return longest
}

// percentile of sorted times.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[min((len(sorted)*p+99)/100, len(sorted))-1]
}

// report logs the figures of a row of wounds and, where times count, asserts
// that forwarded media paused for at most p95 and longest.
func report(t testing.TB, wounds []wound, p95, longest time.Duration) {
	t.Helper()
	var gaps, events, back []time.Duration
	for _, w := range wounds {
		gaps, events, back = append(gaps, w.gap), append(events, w.event), append(back, w.recovered)
	}
	for name, list := range map[string][]time.Duration{"gap of forwarded media": gaps, "event": events, "back": back} {
		slices.Sort(list)
		t.Logf("%s: median %v, p95 %v, longest %v", name, percentile(list, 50), percentile(list, 95), list[len(list)-1])
	}
	if got := percentile(gaps, 95); got > slack(p95) {
		t.Errorf("forwarded media pauses for %v at p95, at most %v is right", got, slack(p95))
	}
	if got := gaps[len(gaps)-1]; got > slack(longest) {
		t.Errorf("forwarded media paused for %v, at most %v is right", got, slack(longest))
	}
}

// rehearsed gives a node and a call on it, and what the node holds without one.
func rehearsed(t *testing.T) (*call, rest) {
	t.Helper()
	files := t.TempDir()
	film, long := newFilm(t), longFilm(t, files)
	n := startNode(t, files)
	// What the first call leaves (a warm worker, grown pools) is no leak.
	newCall(t, n, film, long).end()
	eventually(t, patience, "the first call is gone", func() error {
		if jobs, kids := len(n.Workers.Jobs()), len(children(t, os.Getpid())); jobs != 0 || kids != 1 {
			return fmt.Errorf("%d jobs, %d processes", jobs, kids)
		}
		return nil
	})
	during(time.Second) // goroutines of closed peers end by themselves
	before := measure(t)
	return newCall(t, n, film, long), before
}

// TestWorkerCrash kills workers of a running call with SIGSEGV, one after the
// other: media that needs no worker flows on, the worker's element tells of it at
// once, another worker takes over, and nothing stays behind.
func TestWorkerCrash(t *testing.T) {
	c, before := rehearsed(t)
	running := measure(t)
	t.Logf("undisturbed, forwarded media pauses for %v", c.quiet(pace))
	round := pace
	if !strict() {
		round = 0
	}
	var wounds []wound
	for i := range number("GOVIDU_CRASHES", 4) {
		c.show.lateness()
		w := c.strike(c.victims[i%len(c.victims)], syscall.SIGSEGV, slack(time.Second), round)
		t.Logf("%d. %s; the sender paused for %v", i+1, w, c.show.lateness().Round(time.Millisecond))
		wounds = append(wounds, w)
		noZombies(t, os.Getpid())
	}
	report(t, wounds, 100*time.Millisecond, 500*time.Millisecond)
	settled(t, "the call holds what it held", running)
	c.end()
	settled(t, "the node holds what it held", before)
}
