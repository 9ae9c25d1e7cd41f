package transport

import (
	"testing"
	"time"
)

// TestTicks: what is due is done by the reader while it comes often, else by the ticker.
func TestTicks(t *testing.T) {
	e := bareEngine(testLog(), 2)
	p, err := e.NewPeer(PeerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	home, other := e.shards[0], e.shards[1]
	if p.shard.Load() == other {
		home, other = other, home
	}
	now := time.Now()
	home.born, other.born = now.Add(-time.Minute), now.Add(-time.Minute)
	served := func() bool {
		was := p.due.Load()
		p.due.Store(0)
		return was != 0
	}
	x := &turn{}

	p.due.Store(0)
	other.tick(x, now)
	if served() {
		t.Error("the reader of another shard served the Peer")
	}
	home.tick(x, now)
	if !served() {
		t.Error("the reader did not do what was due")
	}
	if rest := e.tickIdle(x, now.Add(tickLate-1)); rest != tickRest || served() {
		t.Errorf("the ticker does not leave it to a reader who comes often: %v", rest)
	}
	if rest := e.tickIdle(x, now.Add(tickLate)); rest != tickEvery || !served() {
		t.Errorf("the ticker does not step in for a reader who does not come: %v", rest)
	}
	e.pacing.Store(1)
	if rest := e.tickIdle(x, now); rest != paceEvery || !served() {
		t.Errorf("the ticker does not come for what is paced: %v", rest)
	}
}

// TestTickerWakes: a Peer that comes to an Engine at rest is served soon.
func TestTickerWakes(t *testing.T) {
	e := newEngine(t, nil)
	for range 5 {
		p, err := e.NewPeer(PeerConfig{})
		if err != nil {
			t.Fatal(err)
		}
		p.due.Store(0)
		for start := time.Now(); p.due.Load() == 0; time.Sleep(time.Millisecond) {
			if time.Since(start) > 10*time.Second {
				t.Fatal("nothing is done for a new Peer")
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
