package faults

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// hung is how soon supervision must have found a worker that has stopped: it
// asks each second and gives up after five without an answer.
const hung = 8 * time.Second

// TestWorkerHang stops workers of a running call (SIGSTOP): they neither die nor
// answer. Each is killed and replaced in time, and forwarded media does not care.
func TestWorkerHang(t *testing.T) {
	c, before := rehearsed(t)
	var wounds []wound
	usual := 1
	if strict() {
		usual = 2 * len(c.victims)
	}
	for i := range number("GOVIDU_HANGS", usual) {
		w := c.strike(c.victims[i%len(c.victims)], syscall.SIGSTOP, slack(hung), 0)
		t.Log(w)
		wounds = append(wounds, w)
		noZombies(t, os.Getpid())
	}
	report(t, wounds, 100*time.Millisecond, 500*time.Millisecond)
	c.end()
	settled(t, "the node holds what it held", before)
}

// TestReleaseOfAHungWorker: who releases a pipeline with stopped workers waits
// for a moment, not for ever, and nothing stays behind.
func TestReleaseOfAHungWorker(t *testing.T) {
	c, before := rehearsed(t)
	for _, v := range c.victims {
		if err := syscall.Kill(c.pid(v.job), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	c.control.release(c.pipeline)
	took := time.Since(began)
	t.Logf("released after %v", took)
	if limit := slack(20 * time.Second); took > limit {
		t.Errorf("the release took %v, at most %v is right", took, limit)
	}
	c.end()
	settled(t, "the node holds what it held", before)
}
