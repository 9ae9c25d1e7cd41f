package loop

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunsInOrderOnOneGoroutine(t *testing.T) {
	l := New(Options{Where: "test"})
	var got []int // written without a lock: the race detector proves one goroutine
	for i := range 1000 {
		if err := l.Post(func() { got = append(got, i) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for i, v := range got {
		if i != v {
			t.Fatalf("closure %d ran at place %d", v, i)
		}
	}
	if len(got) != 1000 {
		t.Fatalf("%d closures ran before Close returned, want 1000", len(got))
	}
}

func TestDoFromManyGoroutines(t *testing.T) {
	l := New(Options{Where: "test"})
	n := 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 100 {
				if err := l.Do(context.Background(), func() { n++ }); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	_ = l.Close()
	if n != 5000 {
		t.Fatalf("counted %d, want 5000", n)
	}
	if err := l.Do(context.Background(), func() { t.Error("ran after Close") }); !errors.Is(err, ErrClosed) {
		t.Fatalf("Do after Close: %v, want ErrClosed", err)
	}
}

func TestDoSkipsWhatItsContextGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Where: "test"})
		hold := make(chan struct{})
		_ = l.Post(func() { <-hold })
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := l.Do(ctx, func() { t.Error("ran after its context ended") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do: %v, want DeadlineExceeded", err)
		}
		close(hold)
		_ = l.Close()
	})
}

func TestDoWaitsForWhatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Options{Where: "test"})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		done := false
		if err := l.Do(ctx, func() { time.Sleep(time.Minute); done = true }); err != nil || !done {
			t.Errorf("Do: %v, done %v; want it to wait for the begun closure", err, done)
		}
		_ = l.Close()
	})
}

func TestMailboxIsBounded(t *testing.T) {
	l := New(Options{Where: "test", Limit: 3})
	hold, begun := make(chan struct{}), make(chan struct{})
	_ = l.Post(func() { close(begun); <-hold })
	<-begun
	for range 3 {
		if err := l.Post(func() {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Post(func() {}); !errors.Is(err, ErrFull) {
		t.Errorf("fourth: %v, want ErrFull", err)
	}
	close(hold)
	_ = l.Close()
}

func TestPanicEndsTheOwnerNotTheLoop(t *testing.T) {
	owner := 0
	l := New(Options{Where: "test.panic", OnPanic: func() { owner++ }})
	if err := l.Do(context.Background(), func() { panic("bad") }); !errors.Is(err, ErrPanic) {
		t.Errorf("Do: %v, want ErrPanic", err)
	}
	if err := l.Do(context.Background(), func() {}); err != nil {
		t.Errorf("the loop ended: %v", err)
	}
	l.Stop()
	<-l.Done()
	if owner != 1 {
		t.Errorf("OnPanic ran %d times, want 1", owner)
	}
}
