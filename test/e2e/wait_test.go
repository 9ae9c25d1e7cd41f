package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// eventually polls check until it returns nil. After the deadline the test
// fails with the last reason. The pause between two looks is no wait for an
// outcome: it only keeps the polling from taking the processor.
func eventually(t testing.TB, deadline time.Duration, what string, check func() error) {
	t.Helper()
	if err := poll(deadline, check); err != nil {
		t.Fatalf("not within %v: %s: %v", deadline, what, err)
	}
}

func poll(deadline time.Duration, check func() error) error {
	end := time.NewTimer(deadline)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-end.C:
			return err
		case <-tick.C:
		}
	}
}

// runFor keeps checking for the whole time: for what must stay true, and for
// letting a call of a given length take place.
func runFor(t testing.TB, length time.Duration, what string, check func() error) {
	t.Helper()
	end := time.NewTimer(length)
	defer end.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := check(); err != nil {
			t.Fatalf("did not stay true: %s: %v", what, err)
		}
		select {
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// want is a short error for polled conditions.
func want(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// strictTimes says whether figures of time are asserted: only where the suite
// runs alone on the machine.
func strictTimes() bool { return os.Getenv("GOVIDU_STRICT_TIMES") == "1" }
