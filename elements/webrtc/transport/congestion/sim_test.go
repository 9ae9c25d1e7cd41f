package congestion

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

func show(c *call, name string) {
	if os.Getenv("SHOW") == "" {
		return
	}
	fmt.Printf("%s: lost %d of %d, slowest %v, rtt %v probes %d\n", name, c.lost, c.sent, c.slowest, c.est.rtt, c.est.probe.count)
	for i := 0; i < 60; i += 10 {
		w := c.between(time.Duration(i)*time.Second, time.Duration(i+10)*time.Second)
		fmt.Printf("%d: %d-%d mean %.0f; ", i, slices.Min(w)/1000, slices.Max(w)/1000, mean(w)/1000)
	}
	fmt.Println()
}

func TestSim(t *testing.T) {
	const s = time.Second
	for seed := uint64(1); seed <= 3; seed++ {
		for _, tc := range []struct {
			name string
			c    call
		}{
			{"steady", call{link: link{rate: steady(2e6), delay: 40 * time.Millisecond}, wish: 3e6}},
			{"dip", call{link: link{rate: dip(2e6, 3e5, 20*s, 40*s), delay: 20 * time.Millisecond}, wish: 3e6}},
			{"diplayers", call{layers: []int{150e3, 500e3, 1500e3}, link: link{rate: dip(2e6, 3e5, 20*s, 40*s), delay: 20 * time.Millisecond}, wish: 15e5}},
			{"loss5", call{link: link{rate: steady(2e6), delay: 40 * time.Millisecond, loss: 0.05}, wish: 3e6}},
			{"loss20", call{link: link{rate: steady(2e6), delay: 40 * time.Millisecond, loss: 0.2}, wish: 3e6}},
			{"jitter", call{link: link{rate: steady(2e6), delay: 60 * time.Millisecond, jitter: 30 * time.Millisecond}, wish: 3e6}},
			{"jitterreorder", call{link: link{rate: steady(2e6), delay: 60 * time.Millisecond, jitter: 30 * time.Millisecond, reorder: true}, wish: 3e6}},
			{"nopad", call{nopad: true, link: link{rate: steady(2e6), delay: 40 * time.Millisecond}, wish: 3e6}},
			{"shallow", call{link: link{rate: dip(2e6, 3e5, 20*s, 40*s), queue: 30 * time.Millisecond, delay: 20 * time.Millisecond}, wish: 3e6}},
			{"tick50", call{tick: 50 * time.Millisecond, link: link{rate: dip(2e6, 3e5, 20*s, 40*s), delay: 20 * time.Millisecond}, wish: 3e6}},
			{"wide", call{link: link{rate: steady(50e6), delay: 20 * time.Millisecond}, wish: 5e6}},
			{"rtt300", call{link: link{rate: steady(2e6), delay: 150 * time.Millisecond}, wish: 3e6}},
		} {
			c := tc.c
			c.start(seed).run(60 * s)
			show(&c, fmt.Sprint(tc.name, seed))
			_ = slices.Max(c.trace)
		}
	}
}
