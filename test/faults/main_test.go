package faults

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// strict says whether figures of time are asserted: only where the suite runs
// alone on the machine.
func strict() bool { return os.Getenv("GOVIDU_STRICT_TIMES") == "1" }

// slack makes a deadline ten times as long where the machine is shared.
func slack(d time.Duration) time.Duration {
	if strict() {
		return d
	}
	return 10 * d
}

// number is a setting of the suite.
func number(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil && n > 0 {
		return n
	}
	return usual
}

// program is a built binary of the repository.
func program(t testing.TB, name, target string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make %s", err, target)
	}
	return path
}

// eventually polls until ok answers nil; after the deadline the test fails with
// the last reason.
func eventually(t testing.TB, deadline time.Duration, what string, ok func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(deadline); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err = ok(); err == nil {
			return
		}
	}
	t.Fatalf("not within %v: %s: %v", deadline, what, err)
}

// during lets things run for a length that is itself what is tested, and waits
// for nothing.
func during(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}
