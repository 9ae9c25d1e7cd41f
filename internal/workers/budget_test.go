package workers_test

import (
	"errors"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/workerstest"
)

// TestExpect: a running job may be given more to do as long as it fits.
func TestExpect(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{}, func(c *workers.Config) { c.Cores = 2 })
	f.Pool.Hurry(0, 0, 0, time.Hour) // estimates count all along
	a := start(t, f, workers.Spec{Kind: "director", Cores: 0.25})
	steps := []struct {
		job   *workers.Job
		cores float64
		fits  bool
		used  float64
	}{
		{a, 3, true, 3}, // the first raise of the only job
		{a, 3.5, false, 3},
		{a, 0.25, true, 0.25},
		{a, 2.5, true, 2.5}, // it is back at the start
		{a, 1, true, 1},
		{a, 1.5, true, 1.5},
		{a, 2.5, false, 1.5},
		{a, 1, true, 1},
	}
	check := func(i int, s int, job *workers.Job, cores float64, fits bool, used float64) {
		t.Helper()
		err := job.Expect(cores)
		if (err == nil) != fits || err != nil && !errors.Is(err, kerr.NotEnoughResources) {
			t.Errorf("step %d.%d: to %g cores: %v, want it to fit: %v", i, s, cores, err, fits)
		}
		sum := 0.0
		for _, j := range f.Pool.Jobs() {
			sum += j.Cores
		}
		if sum < used-0.001 || sum > used+0.001 {
			t.Errorf("step %d.%d: %g cores are counted, want %g", i, s, sum, used)
		}
	}
	for s, x := range steps {
		check(1, s, x.job, x.cores, x.fits, x.used)
	}
	b := start(t, f, workers.Spec{Kind: "director", Cores: 0.5})
	check(2, 0, b, 1, true, 2)
	check(2, 1, b, 1.1, false, 2)
	check(2, 2, a, 0.8, true, 1.8)
	check(2, 3, b, 1.1, true, 1.9)
	if _, err := f.Pool.Start(t.Context(), workers.Spec{Kind: "director", Cores: 0.5}); !errors.Is(err, kerr.NotEnoughResources) {
		t.Errorf("a third: %v", err)
	}
}
