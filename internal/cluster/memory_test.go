package cluster_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/internal/cluster"
	"github.com/govidu/govidu/internal/cluster/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) cluster.Store {
		s := cluster.NewMemory()
		t.Cleanup(func() { _ = s.Close() })
		return s
	})
}

func TestMemoryWatchThatLagsIsTold(t *testing.T) {
	s := cluster.NewMemory()
	defer s.Close()
	ctx := t.Context()
	rev, err := s.Create(ctx, "k", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	var last error
	for _, err := range s.Watch(ctx, "") {
		if last = err; err != nil {
			break
		}
		if n++; n == 1 {
			for range 10000 {
				if rev, err = s.Update(ctx, "k", nil, rev); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if !errors.Is(last, cluster.ErrLagging) {
		t.Errorf("after %d entries the watch ended with %v, want ErrLagging", n, last)
	}
}

func TestMemoryClosed(t *testing.T) {
	s := cluster.NewMemory()
	_, _ = s.Create(t.Context(), "k", nil, 0)
	var last error
	for _, err := range s.Watch(t.Context(), "") {
		last = err
		_ = s.Close()
	}
	if !errors.Is(last, cluster.ErrClosed) {
		t.Errorf("watch ended with %v, want ErrClosed", last)
	}
	if _, err := s.Get(t.Context(), "k"); !errors.Is(err, cluster.ErrClosed) {
		t.Errorf("get: %v, want ErrClosed", err)
	}
}
