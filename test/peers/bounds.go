//go:build linux

package main

import (
	"errors"
	"fmt"
)

// Bounds of -check. Ratios are the other's figure to ours in the same round, their median over rounds.
var (
	leastCPU     = map[string]float64{"livekit": 4, "janus-loops": 4, "janus": 7}
	leastLatency = map[string]float64{"livekit": 4}
)

const (
	enough     = 0.999 // of what was due, median
	mostKB     = 96    // per viewer
	manyToRoom = 3     // CPU per packet, of the loads many and room
)

// verdict is an error for each bound that does not hold, and for each that could not
// be looked at because a server did not take part.
func verdict(all []result) error {
	var bad []error
	fail := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	room := 0.0
	for _, g := range groups(all) {
		ours := g.of(us)
		if len(ours) == 0 {
			fail("%s: govidu took no part", g.title)
			continue
		}
		middle := func(figure func(result) float64) float64 {
			var v []float64
			for _, r := range ours {
				v = append(v, figure(r))
			}
			return median(v)
		}
		if d := middle(delivered); d < enough {
			fail("%s: delivered %.4f, want at least %.3f", g.title, d, enough)
		}
		switch g.load {
		case "room":
			bad = append(bad, againstPeers(g)...)
			if kb := middle(rss); kb > mostKB {
				fail("%s: %.0f kB per viewer, want at most %d", g.title, kb, mostKB)
			}
			if room == 0 {
				room = middle(cpu)
			}
		case "many":
			if room == 0 {
				fail("%s: compare with the load room, in the same run or file and before it", g.title)
			} else if c := middle(cpu); c > manyToRoom*room {
				fail("%s: %.2f µs per packet, want at most %d times the %.2f of the load room", g.title, c, manyToRoom, room)
			}
		case "publish":
			if v := g.ratios("livekit", cpu); len(v) == 0 {
				fail("%s: no round with livekit", g.title)
			} else if m := median(v); m < 1 {
				fail("%s: livekit takes %.2f of our CPU per packet, want at least 1", g.title, m)
			}
		}
	}
	return errors.Join(bad...)
}

// againstPeers looks at the load room.
func againstPeers(g group) (bad []error) {
	least := func(what string, bounds map[string]float64, figure func(result) float64) {
		for server, bound := range bounds {
			if v := g.ratios(server, figure); len(v) == 0 {
				bad = append(bad, fmt.Errorf("%s: no round with %s", g.title, server))
			} else if m := median(v); m < bound {
				bad = append(bad, fmt.Errorf("%s: %s of %s is %.2f times ours, want at least %.0f", g.title, what, server, m, bound))
			}
		}
	}
	least("CPU per packet", leastCPU, cpu)
	least("latency p50", leastLatency, p50)
	for _, v := range g.ratios("livekit", delivered) {
		if v > 1 {
			bad = append(bad, fmt.Errorf("%s: livekit delivered %.4f times what we did in the same round", g.title, v))
		}
	}
	return bad
}
