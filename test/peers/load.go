//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// load is what servers are given to do.
type load struct {
	name                string
	publishers, viewers int
	burst, fps, size    int // packets per frame, frames per second, bytes per payload
	rounds              int
	measure             time.Duration
	servers             []string
	sampled             int // viewers that decrypt
}

// loads are what -loads chooses from.
func loads() []load {
	return []load{
		{name: "room", publishers: 1, viewers: 100, burst: 5, fps: 30, size: 1200, rounds: 3, measure: 8 * time.Second, sampled: 2,
			servers: []string{"govidu", "janus", "janus-loops", "livekit", "naive"}},
		{name: "big", publishers: 1, viewers: 600, burst: 5, fps: 30, size: 1200, rounds: 1, measure: 10 * time.Second, sampled: 2,
			servers: []string{"govidu"}},
		// 30 packets of 1000 bytes and the sound: 300 kbit/s with all headers.
		{name: "many", publishers: 20, viewers: 19, burst: 1, fps: 30, size: 1000, rounds: 1, measure: time.Minute, sampled: 1,
			servers: []string{"govidu"}},
		{name: "publish", publishers: 100, burst: 5, fps: 30, size: 1200, rounds: 3, measure: 8 * time.Second,
			servers: []string{"govidu", "livekit"}},
	}
}

// flows is how many streams leave the server: each viewer has all publishers.
func (l load) flows() int { return l.publishers * l.viewers }

func (l load) withJanus() bool {
	return slices.ContainsFunc(l.servers, func(s string) bool { return strings.HasPrefix(s, "janus") })
}

// chosen are the loads of -loads with what else the command line says of them.
func (o options) chosen() ([]load, error) {
	var out []load
	for name := range strings.SplitSeq(o.loads, ",") {
		all := loads()
		i := slices.IndexFunc(all, func(l load) bool { return l.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no load %q", name)
		}
		l := all[i]
		if o.viewers > 0 && l.name == "room" {
			l.viewers = o.viewers
		}
		if o.rounds > 0 {
			l.rounds = o.rounds
		}
		if o.measure > 0 {
			l.measure = o.measure
		}
		if o.servers != "" {
			l.servers = strings.Split(o.servers, ",")
		}
		for _, s := range l.servers {
			if _, err := newServer(s, o, l); err != nil {
				return nil, err
			}
		}
		out = append(out, l)
	}
	return out, nil
}
