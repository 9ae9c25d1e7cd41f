// Package storetest holds the contract that every cluster.Store passes.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/cluster"
)

// Run checks a store. open gives a fresh, empty one and ends it with the test.
func Run(t *testing.T, open func(t *testing.T) cluster.Store) {
	t.Run("CreateGetUpdateDelete", func(t *testing.T) { lifecycle(t, open(t)) })
	t.Run("ValuesAreCopied", func(t *testing.T) { copies(t, open(t)) })
	t.Run("StaleRevisionIsRefused", func(t *testing.T) { stale(t, open(t)) })
	t.Run("OneOfManyDeletesWins", func(t *testing.T) { race(t, open(t)) })
	t.Run("OneOfManyCreatesWins", func(t *testing.T) { createRace(t, open(t)) })
	t.Run("EntriesExpire", func(t *testing.T) { expiry(t, open(t)) })
	t.Run("WatchSeesEverythingInOrder", func(t *testing.T) { watch(t, open(t)) })
	t.Run("WatchEndsWithItsContext", func(t *testing.T) { watchEnds(t, open(t)) })
	t.Run("EndedContextIsRefused", func(t *testing.T) { ended(t, open(t)) })
}

func want(t *testing.T, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: error %v, want %v", what, err, target)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func lifecycle(t *testing.T, s cluster.Store) {
	ctx := t.Context()
	_, err := s.Get(ctx, "a")
	want(t, "get of nothing", err, cluster.ErrNotFound)
	r1 := must[cluster.Revision](t)(s.Create(ctx, "a", []byte("1"), 0))
	if r1 == 0 {
		t.Error("revision 0 for an existing entry")
	}
	_, err = s.Create(ctx, "a", []byte("2"), 0)
	want(t, "second create", err, cluster.ErrExists)
	r2 := must[cluster.Revision](t)(s.Update(ctx, "a", []byte("3"), r1))
	if r2 <= r1 {
		t.Errorf("revision went from %d to %d", r1, r2)
	}
	e := must[cluster.Entry](t)(s.Get(ctx, "a"))
	if string(e.Value) != "3" || e.Revision != r2 || e.Key != "a" || e.Deleted {
		t.Errorf("got %+v", e)
	}
	if err := s.Delete(ctx, "a", r2); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(ctx, "a")
	want(t, "get after delete", err, cluster.ErrNotFound)
	want(t, "delete of nothing", s.Delete(ctx, "a", r2), cluster.ErrNotFound)
	_, err = s.Update(ctx, "a", nil, r2)
	want(t, "update of nothing", err, cluster.ErrNotFound)
	r3 := must[cluster.Revision](t)(s.Create(ctx, "a", nil, 0))
	if r3 <= r2 {
		t.Errorf("revision %d after re-creation, want above %d", r3, r2)
	}
}

func copies(t *testing.T, s cluster.Store) {
	ctx := t.Context()
	v := []byte("abc")
	must[cluster.Revision](t)(s.Create(ctx, "k", v, 0))
	v[0] = 'X'
	e := must[cluster.Entry](t)(s.Get(ctx, "k"))
	e.Value[1] = 'Y'
	if e = must[cluster.Entry](t)(s.Get(ctx, "k")); string(e.Value) != "abc" {
		t.Errorf("the stored value became %q", e.Value)
	}
}

func stale(t *testing.T, s cluster.Store) {
	ctx := t.Context()
	r1 := must[cluster.Revision](t)(s.Create(ctx, "k", []byte("1"), 0))
	r2 := must[cluster.Revision](t)(s.Update(ctx, "k", []byte("2"), r1))
	_, err := s.Update(ctx, "k", []byte("3"), r1)
	want(t, "stale update", err, cluster.ErrConflict)
	want(t, "stale delete", s.Delete(ctx, "k", r1), cluster.ErrConflict)
	if err := s.Delete(ctx, "k", r2); err != nil {
		t.Error(err)
	}
}

func race(t *testing.T, s cluster.Store) {
	ctx := t.Context()
	for i := range 200 {
		key := fmt.Sprintf("token/%d", i)
		rev := must[cluster.Revision](t)(s.Create(ctx, key, []byte("x"), time.Hour))
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if s.Delete(ctx, key, rev) == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of 4 deletes of one revision succeeded, want exactly 1", won.Load())
		}
	}
}

func createRace(t *testing.T, s cluster.Store) {
	ctx := t.Context()
	for i := range 100 {
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := s.Create(ctx, fmt.Sprint("c", i), nil, 0); err == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of 4 creates succeeded, want exactly 1", won.Load())
		}
	}
}

func expiry(t *testing.T, s cluster.Store) {
	ctx := t.Context()
	must[cluster.Revision](t)(s.Create(ctx, "short", nil, 50*time.Millisecond))
	must[cluster.Revision](t)(s.Create(ctx, "long", nil, time.Hour))
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	deadline := time.After(10 * time.Second)
	for {
		if _, err := s.Get(ctx, "short"); errors.Is(err, cluster.ErrNotFound) {
			break
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatal("the entry outlived its time to live by far")
		}
	}
	must[cluster.Entry](t)(s.Get(ctx, "long"))
	must[cluster.Revision](t)(s.Create(ctx, "short", nil, 0))
}

func watch(t *testing.T, s cluster.Store) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := must[cluster.Revision](t)(s.Create(ctx, "p/0", []byte("old"), 0))
	must[cluster.Revision](t)(s.Create(ctx, "q/0", []byte("other"), 0))
	started := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		<-started
		_ = s.Delete(ctx, "p/0", r)
		for i := 1; i <= 100; i++ {
			_, _ = s.Create(ctx, "q/x"+fmt.Sprint(i), nil, 0)
			_, _ = s.Create(ctx, "p/"+fmt.Sprint(i), []byte{byte(i)}, 0)
		}
	})
	var got []string
	var last cluster.Revision
	for e, err := range s.Watch(ctx, "p/") {
		if err != nil {
			t.Fatal(err)
		}
		if e.Revision <= last {
			t.Errorf("revision %d came after %d", e.Revision, last)
		}
		last = e.Revision
		name := e.Key
		if e.Deleted {
			name = "-" + name
		}
		if got = append(got, name); len(got) == 1 {
			close(started)
		}
		if len(got) == 102 {
			break
		}
	}
	wg.Wait()
	if len(got) != 102 || got[0] != "p/0" || got[1] != "-p/0" || got[101] != "p/100" {
		t.Errorf("watch saw %d changes: %v", len(got), got)
	}
}

func watchEnds(t *testing.T, s cluster.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	must[cluster.Revision](t)(s.Create(ctx, "k", nil, 0))
	n := 0
	for _, err := range s.Watch(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
		cancel()
	}
	if n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
}

func ended(t *testing.T, s cluster.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Create(ctx, "k", nil, 0)
	want(t, "create", err, context.Canceled)
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("the refused create wrote: %v", err)
	}
}
