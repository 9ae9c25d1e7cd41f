package congestion

import (
	"testing"
	"time"
)

// TestReordering: packets that others overtake are not lost, however often the peer
// says so before they come, and the estimate does not fall for them.
func TestReordering(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		for name, l := range map[string]link{
			"a twentieth late":        {delay: 50 * ms, overtake: 0.05},
			"a twentieth, and jitter": {delay: 50 * ms, overtake: 0.05, jitter: 30 * ms},
			"a twentieth early":       {delay: 40 * ms, early: 0.05},
			"early, and jitter":       {delay: 60 * ms, early: 0.05, jitter: 30 * ms},
			"all, by jitter":          {delay: 50 * ms, jitter: 30 * ms, reorder: true},
			"a third, far away":       {delay: 150 * ms, overtake: 0.33},
		} {
			for _, interval := range []time.Duration{0, 50 * ms, 100 * ms} {
				l.rate = steady(20e6)
				c := call{link: l, wish: 3e6, interval: interval}
				c.start(seed).run(2 * s)
				worst, ceiling := 0.0, false
				c.each(20*ms, func() {
					worst = max(worst, c.est.Stats(c.now()).Loss)
					ceiling = ceiling || c.est.loss.ceiling != 0
				})
				c.run(60 * s)
				if m := mean(c.between(10*s, 60*s)); worst > 0.005 || ceiling || m < 3e6 {
					t.Errorf("%s, feedback each %v: %.3f taken for lost, bounded %v, mean target %.0f", name, interval, worst, ceiling, m)
				}
			}
		}
	})
}

// TestReorderedLoss: what is lost among what is overtaken counts.
func TestReorderedLoss(t *testing.T) {
	seeds(t, func(t *testing.T, seed uint64) {
		c := call{link: link{rate: steady(20e6), delay: 50 * ms, overtake: 0.1, loss: 0.05}, wish: 3e6}
		c.start(seed).run(5 * s)
		sum, n := 0.0, 0
		c.each(100*ms, func() { sum, n = sum+c.est.Stats(c.now()).Loss, n+1 })
		c.run(60 * s)
		if got := sum / float64(n); got < 0.035 || got > 0.065 {
			t.Errorf("a twentieth is lost, counted are %.3f", got)
		}
	})
}
