package transport

import (
	"log/slog"
	"testing"

	"github.com/govidu/govidu/elements/webrtc/transport/udp"
)

func TestShardsOf(t *testing.T) {
	for _, c := range []struct {
		configured, cores, addrs int
		shares                   bool
		want                     int
	}{
		{0, 1, 1, true, 1}, {0, 2, 1, true, 1}, {0, 16, 1, true, 8}, {3, 16, 1, true, 3}, {3, 1, 1, true, 3},
		{500, 4, 1, true, maxShards}, {40, 4, 2, true, maxShards / 2}, {0, 4, 1000, true, 1},
		{0, 16, 1, false, 1}, {3, 16, 1, false, 1}, {1, 1, 2, false, 1},
	} {
		if got := shardsOf(c.configured, c.cores, c.addrs, c.shares); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// TestShards starts with more sockets than there may be: it says so, and only then.
func TestShards(t *testing.T) {
	for _, configured := range []int{0, 1, 2, 2 * maxShards} {
		log := &lines{}
		e := newEngine(t, func(c *Config) { c.Shards, c.Log = configured, slog.New(slog.NewTextHandler(log, nil)) })
		want := configured
		if configured > maxShards {
			want = maxShards
		}
		if !udp.Shares {
			want = 1
		}
		if len(e.shards) != want && configured > 0 {
			t.Errorf("%d sockets of %d", len(e.shards), configured)
		}
		if said := log.has("fewer sockets share the media port"); said != (configured > want) {
			t.Errorf("%d sockets of %d, said: %v", len(e.shards), configured, said)
		}
	}
}
