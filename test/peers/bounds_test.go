//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
)

// rounds of all servers under all loads, within all bounds.
func good() (all []result) {
	for n := range 3 {
		add := func(load, server string, c, p, d float64) {
			r := result{Run: "a", Round: n + 1, Load: load, Server: server, SRTP: "gcm", Publishers: 1, Viewers: 100, CPU: c, P50: p, Delivered: d, RSSKB: 60}
			if load == "publish" {
				r.Publishers, r.Viewers = 100, 0
			}
			all = append(all, r)
		}
		add("room", us, 5, .5, 1)
		add("room", "livekit", 25, 3, .9999)
		add("room", "janus-loops", 26, 3, 1)
		add("room", "janus", 50, 6, 1)
		add("many", us, 14, .5, .9995)
		add("publish", us, 10, 0, 1)
		add("publish", "livekit", 20, 0, 1)
	}
	return all
}

func TestVerdict(t *testing.T) {
	if err := verdict(good()); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(r *result)
		want   string
	}{
		"LiveKit is near":        {func(r *result) { set(r, "room", "livekit", &r.CPU, 19) }, "CPU per packet of livekit is 3.80"},
		"tuned Janus is near":    {func(r *result) { set(r, "room", "janus-loops", &r.CPU, 19) }, "CPU per packet of janus-loops"},
		"default Janus is near":  {func(r *result) { set(r, "room", "janus", &r.CPU, 34) }, "CPU per packet of janus is"},
		"latency":                {func(r *result) { set(r, "room", "livekit", &r.P50, 1.9) }, "latency p50 of livekit"},
		"packets are lost":       {func(r *result) { set(r, "room", us, &r.Delivered, .998) }, "delivered 0.9980"},
		"LiveKit delivers more":  {func(r *result) { set(r, "room", us, &r.Delivered, .9998) }, "livekit delivered"},
		"memory":                 {func(r *result) { set(r, "room", us, &r.RSSKB, 97) }, "97 kB per viewer"},
		"many costs more":        {func(r *result) { set(r, "many", us, &r.CPU, 15.1) }, "15.10 µs per packet"},
		"many loses":             {func(r *result) { set(r, "many", us, &r.Delivered, .99) }, "many: 1 to 100, SRTP gcm: delivered"},
		"receiving costs more":   {func(r *result) { set(r, "publish", us, &r.CPU, 20.1) }, "livekit takes 1.00"},
		"somebody was not there": {func(r *result) { set(r, "room", "livekit", &r.Round, 9) }, "no round with livekit"},
	} {
		all := good()
		for i := range all {
			c.change(&all[i])
		}
		if err := verdict(all); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verdict(slices.DeleteFunc(good(), func(r result) bool { return r.Server == us })); err == nil {
		t.Error("without ours it passes")
	}
}

func set[T any](r *result, load, server string, what *T, to T) {
	if r.Load == load && r.Server == server {
		*what = to
	}
}

// Ratios are within a round, whatever other rounds were like.
func TestTables(t *testing.T) {
	all := []result{
		{Run: "a", Round: 1, Load: "room", Server: us, Publishers: 1, Viewers: 100, SRTP: "gcm", CPU: 5, P50: 1, Delivered: 1},
		{Run: "a", Round: 1, Load: "room", Server: "x", Publishers: 1, Viewers: 100, SRTP: "gcm", CPU: 10, P50: 3, Delivered: 1},
		{Run: "b", Round: 1, Load: "room", Server: us, Publishers: 1, Viewers: 100, SRTP: "gcm", CPU: 50, P50: 10, Delivered: 1},
		{Run: "b", Round: 1, Load: "room", Server: "x", Publishers: 1, Viewers: 100, SRTP: "gcm", CPU: 100, P50: 30, Delivered: 1},
		{Run: "b", Round: 1, Load: "publish", Server: us, Publishers: 100, SRTP: "gcm", CPU: 7, Delivered: 1},
	}
	text := tables(all, true)
	for _, want := range []string{"room: 1 to 100", "| x | 55.0 (10.0 to 100.0) |", "| 2.00 | 3.00 | 2 |", "publish: 100 publishers, no viewers"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if plain := tables(all, false); strings.Contains(plain, "|") || !strings.Contains(plain, "median") {
		t.Error(plain)
	}
}
