package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// TestKillNine kills the server with SIGKILL at random moments of a recording.
// After the restart each recording is ready by itself, its files play without
// repair and miss at most 2 s of what had arrived, and no metadata was torn.
func TestKillNine(t *testing.T) {
	rounds := 2
	if n, err := strconv.Atoi(os.Getenv("GOVIDU_KILLS")); err == nil && n > 0 {
		rounds = n
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("%d rounds, seed %d", rounds, seed)
	random := rand.New(rand.NewPCG(seed, 0))
	home := t.TempDir()
	s := startServerIn(t, home)
	for round := range rounds {
		// All of a recording's life: its first half second as well as a time
		// when metadata has been written again.
		after := time.Duration(200+random.IntN(11_000)) * time.Millisecond
		s = killRound(t, s, home, round, after)
	}
}

func killRound(t *testing.T, s *server, home string, round int, after time.Duration) *server {
	t.Helper()
	id := s.session(map[string]any{"customSessionId": "round" + strconv.Itoa(round)})
	tokenA, _ := s.connection(id, "PUBLISHER", nil)
	tokenB, _ := s.connection(id, "PUBLISHER", nil)
	a, b := openPage(t, "a"), openPage(t, "b")
	a.join(tokenA, "")
	b.join(tokenB, "")
	camA, camB := a.publish(small()), b.publish(small())
	a.hears(camB.StreamID)
	b.hears(camA.StreamID)

	clean := watchMetadata(t, s.recordings)
	s.rest(200, "POST", "/recordings/start", map[string]any{"session": id, "outputMode": "INDIVIDUAL"}, nil)
	started := time.Now()
	runFor(t, after, "the server records", func() error { return want(!s.proc.exited(), "it ended: %v", s.proc.err) })
	recorded := time.Since(started)
	s.kill9()
	clean()
	metadata(t, s.recordings)
	a.close()
	b.close()

	s = startServerIn(t, home)
	ready := s.recordingIs(id, "ready")
	metadata(t, s.recordings)
	c, files := s.download(ready)
	if len(files) != 2 {
		t.Errorf("round %d: %d files, want 2: %+v", round, len(files), c.Files)
	}
	for name, path := range files {
		p := probe(t, path)
		plays(t, path)
		missing := recorded - p.Duration
		t.Logf("round %d: killed %v after the start, %s has %v", round, recorded.Round(time.Millisecond), name, p.Duration)
		if missing > 2*time.Second {
			t.Errorf("round %d: %s misses %v of %v", round, name, missing, recorded)
		}
		if p.Packets["video"] == 0 || p.Packets["audio"] == 0 {
			t.Errorf("round %d: %s holds %v packets", round, name, p.Packets)
		}
	}
	checkSums(t, s.recordings, files)
	s.healthy()
	return s
}
