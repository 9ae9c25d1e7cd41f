package faults

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/proof"
)

// The ways in which a composed recording is wrecked.
const (
	byKill     = "kill -9 of the server"
	byWorker   = "SIGSEGV of the worker"
	byFull     = "disk full"
	byFullKill = "disk full, kill -9, start on the full disk"
	byNothing  = "nothing"
)

// ways are taken in turn.
var ways = []string{byKill, byWorker, byFull, byKill, byWorker, byFullKill, byKill, byWorker, byFull, byNothing}

const (
	// mostMissing is what may be missing of a recording (robustness §4.1).
	mostMissing = 2 * time.Second
	// exact is how far what verify names may be from what is missing: two pictures
	// and a packet of sound.
	exact = 100 * time.Millisecond
	// stutter is a pause of the pictures that a busy machine makes.
	stutter = 200 * time.Millisecond
	// speak is how long a unit of composed sound is (AAC, 1024 samples).
	speak = 1024 * time.Second / 48000
)

// wreck is one recording that was wrecked.
type wreck struct {
	Way     string
	Missing time.Duration // of what was sent until the recording's end
	Wrong   []string      // what is not as it should be
}

// TestComposites wrecks composed recordings of two players at random moments. Their
// files play without repair, at most two seconds are missing, and `ovctl recording
// verify` names exactly those. GOVIDU_RUNS is how many, GOVIDU_RESULTS a file that
// gathers the results of several runs of the test for one table.
func TestComposites(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	all, file := earlier(t)
	before := len(all)
	for n := range number("GOVIDU_RUNS", 3) {
		way := ways[(n+before)%len(ways)]
		if only := os.Getenv("GOVIDU_WAY"); only != "" {
			way = only
		}
		t.Run(fmt.Sprint(n+1, " ", way), func(t *testing.T) {
			w := &wreck{Way: way}
			s := newStage(t, w, random)
			s.run()
			if keep := os.Getenv("GOVIDU_KEEP"); keep != "" && len(w.Wrong) > 0 {
				if err := os.CopyFS(filepath.Join(keep, fmt.Sprint(n+1)), os.DirFS(s.folder())); err != nil {
					t.Log(err)
				}
			}
			t.Logf("%s: %.3f s are missing", w.Way, w.Missing.Seconds())
			if w.Missing > slack(mostMissing) {
				w.Wrong = append(w.Wrong, fmt.Sprintf("%v are missing", w.Missing))
			}
			for _, text := range w.Wrong {
				t.Error(text)
			}
			all = append(all, *w)
			if file != nil {
				if err := json.NewEncoder(file).Encode(w); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Logf("composed recordings, seconds missing\n%s", table(all))
}

// earlier are the results of runs before, and the file that takes those of this one.
func earlier(t *testing.T) (all []wreck, file *os.File) {
	name := os.Getenv("GOVIDU_RESULTS")
	if name == "" {
		return nil, nil
	}
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	for d := json.NewDecoder(file); d.More(); {
		var w wreck
		if err := d.Decode(&w); err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	return all, file
}

// table sums up.
func table(all []wreck) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-45s %5s %7s %7s %7s %5s\n", "", "runs", "p50", "p95", "most", "right")
	for _, way := range []string{byKill, byWorker, byFull, byFullKill, byNothing} {
		var missing []time.Duration
		right := 0
		for _, w := range all {
			if w.Way == way {
				missing = append(missing, w.Missing)
				if len(w.Wrong) == 0 {
					right++
				}
			}
		}
		if len(missing) == 0 {
			continue
		}
		slices.Sort(missing)
		fmt.Fprintf(&b, "%-45s %5d %7.3f %7.3f %7.3f %5d\n", way, len(missing),
			percentile(missing, 50).Seconds(), percentile(missing, 95).Seconds(), missing[len(missing)-1].Seconds(), right)
	}
	return b.String()
}

// stage is one recording from its start to its verification.
type stage struct {
	*testing.T
	*wreck
	random   *rand.Rand
	disk     *volume
	server   *server
	begin    time.Time // when picture 0 of the players was due
	players  []*player
	tiles    []tile
	id       string
	answered time.Time // when the start was
}

func newStage(t *testing.T, w *wreck, random *rand.Rand) *stage {
	return &stage{T: t, wreck: w, random: random}
}

func (s *stage) wrong(format string, args ...any) {
	s.Wrong = append(s.Wrong, fmt.Sprintf(format, args...))
}

// wait lets a random time pass.
func (s *stage) wait(least, most time.Duration) {
	during(least + time.Duration(s.random.Int64N(int64(most-least))))
}

func (s *stage) run() {
	home := s.TempDir()
	recordings := filepath.Join(home, "recordings")
	if s.Way == byFull || s.Way == byFullKill {
		s.disk = newVolume(s)
		recordings = s.disk.path
	}
	s.server = startServer(s, home, recordings)
	s.start()
	switch s.Way {
	case byNothing:
		s.wait(2*time.Second, 4*time.Second)
		s.server.ok("POST", "/recordings/stop/"+s.id, nil, nil)
		s.judge(s.server.becomes(s.id, "ready", "failed"), "ready", time.Time{}, time.Time{})
	case byWorker:
		s.seen()
		s.wait(500*time.Millisecond, 3*time.Second)
		at, pid := time.Now(), s.server.worker()
		if err := syscall.Kill(pid, syscall.SIGSEGV); err != nil {
			s.Fatal(err)
		}
		during(3 * time.Second)
		s.server.ok("POST", "/recordings/stop/"+s.id, nil, nil)
		s.judge(s.server.becomes(s.id, "ready", "failed"), "ready", at, at)
	case byKill:
		s.wait(300*time.Millisecond, 5*time.Second)
		at := s.crash()
		s.server = startServer(s, home, recordings)
		r := s.server.becomes(s.id, "ready", "failed")
		if s.nothing(r, at) {
			return
		}
		s.judge(r, "ready", at, at)
	case byFull:
		s.wait(500*time.Millisecond, 3*time.Second)
		s.disk.fill()
		full := time.Now()
		r := s.server.becomes(s.id, "failed")
		if s.nothing(r, full) {
			return
		}
		s.judge(r, "failed", full, time.Now())
		if status, text := s.server.ask("POST", "/recordings/start", map[string]any{"session": "room"}); status != 507 && status != 500 {
			s.wrong("a start on a full disk answers %d %s", status, text)
		}
	case byFullKill:
		s.wait(500*time.Millisecond, 3*time.Second)
		s.disk.fill()
		full := time.Now()
		s.wait(0, 900*time.Millisecond)
		at := s.crash()
		s.server = startServer(s, home, recordings)
		r := s.server.becomes(s.id, "failed", "ready")
		if s.nothing(r, full) {
			return
		}
		found, _ := filepath.Glob(filepath.Join(recordings, s.id, "film.mp4*"))
		if len(found) != 1 {
			s.wrong("on the full disk there are %v (%s)", found, r.Status)
			return
		}
		if f := watch(s, found[0], s.tiles); f.said != "" || len(f.pictures) == 0 {
			s.wrong("on the full disk %s has %d pictures and says %s", filepath.Base(found[0]), len(f.pictures), f.said)
		}
		s.disk.clear()
		s.server.kill()
		s.server = startServer(s, home, recordings)
		s.judge(s.server.becomes(s.id, "ready", "failed"), "", full, at)
	}
}

// nothing tells whether a recording was broken so soon that no media was on the
// disk: it has failed then, and what is missing is all of it.
func (s *stage) nothing(r recorded, broken time.Time) bool {
	s.Helper()
	if r.Status != "failed" || r.URL != nil || broken.Sub(s.answered) > slack(time.Second) {
		return false
	}
	found, _ := filepath.Glob(filepath.Join(s.folder(), "film.mp4*"))
	for _, name := range found {
		if info, err := os.Stat(name); err != nil || info.Size() > 0 {
			return false
		}
	}
	s.Missing = broken.Sub(s.answered)
	s.Logf("broken %v after the start: nothing was recorded", s.Missing)
	return true
}

// start begins to record two players.
func (s *stage) start() {
	s.Helper()
	s.server.ok("POST", "/sessions", map[string]any{"customSessionId": "room", "forcedVideoCodec": "NONE"}, nil)
	s.begin = time.Now()
	for n := range 2 {
		s.players = append(s.players, join(s, s.server, "room", n+1, s.begin))
	}
	var r recorded
	s.server.ok("POST", "/recordings/start", map[string]any{
		"session": "room", "name": "film", "outputMode": "COMPOSED", "resolution": fmt.Sprintf("%dx%d", filmWidth, filmHeight), "frameRate": 25,
	}, &r)
	s.answered, s.id = time.Now(), r.ID
	eventually(s, patience, "both players have a tile", func() error {
		var now struct{ Tiles []tile }
		s.server.ok("GET", "/recordings/"+s.id+"/layout", nil, &now)
		s.tiles = now.Tiles
		if len(s.tiles) != len(s.players) {
			return fmt.Errorf("there are %d", len(s.tiles))
		}
		return nil
	})
}

// seen waits until all players are in the composed picture.
func (s *stage) seen() {
	s.Helper()
	eventually(s, patience, "both players are seen", func() error {
		var now struct{ Tiles []tile }
		s.server.ok("GET", "/recordings/"+s.id+"/layout", nil, &now)
		for _, x := range now.Tiles {
			if x.Avatar {
				return fmt.Errorf("%s is not", x.StreamID)
			}
		}
		return nil
	})
}

// crash kills the server, and says when.
func (s *stage) crash() time.Time {
	at := time.Now() // its memory takes a while to go
	s.server.kill()
	for _, p := range s.players {
		p.leave()
	}
	return at
}

// folder is the recording's.
func (s *stage) folder() string { return filepath.Join(s.server.recordings, s.id) }

// judge looks at a recording that is final. Something happened to it between two
// moments, if they are not zero; the first is that of the fault.
func (s *stage) judge(r recorded, status string, from, until time.Time) {
	s.Helper()
	if status != "" && r.Status != status || r.URL == nil || r.Size == 0 {
		s.wrong("the recording is %+v, want it %s, with its file", r, status)
	}
	path := filepath.Join(s.folder(), "film.mp4")
	f := watch(s, path, s.tiles)
	if f.said != "" || len(f.pictures) == 0 || len(f.sound) == 0 {
		s.wrong("the file has %d pictures and %d units of sound, and ffmpeg says %q", len(f.pictures), len(f.sound), f.said)
		return
	}
	var m proof.Manifest
	b, err := os.ReadFile(filepath.Join(s.folder(), proof.ManifestFile))
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err != nil || len(m.Files) != 1 || m.Files[0].Clock == nil {
		s.wrong("the manifest is %.300s, %v", b, err)
		return
	}
	zero := time.UnixMicro(m.Files[0].Clock.ZeroUs)
	behind, spread := f.behind(zero, s.begin)
	s.Logf("%d pictures of %d×%d, %.3f s; the players' are %d of 40 ms behind their moment, within %d", len(f.pictures), filmWidth, filmHeight, f.end().Seconds(), behind, spread)
	if behind < -3 || behind > 3 {
		s.wrong("pictures show what was sent %d pictures before the moment that the manifest's clock gives them", behind)
	}
	for _, e := range m.Events {
		// A recording that the disk has stopped goes no further.
		if at := time.UnixMilli(e.At); e.Event == "stopped" && s.disk != nil && at.After(from) && at.Before(until) {
			until = at
		}
	}
	report := s.verify()
	s.compare(f, report, zero, from, until)
	s.flip(path, f)
}

// compare sets what verify names against what is missing.
func (s *stage) compare(f *composed, report proof.Report, zero, from, until time.Time) {
	s.Helper()
	// On a full disk it may have been final when the server was killed.
	if s.Way != byFullKill && report.Recovered != (s.Way == byKill) {
		s.wrong("verify says recovered: %v", report.Recovered)
	}
	var named = map[string]hole{}
	for _, x := range report.Findings {
		kind, _, _ := strings.Cut(x.Text, " ")
		if _, twice := named[kind]; twice || x.Kind != proof.Missing || !x.Timed || x.File != "film.mp4" || kind != "video" && kind != "audio" {
			s.wrong("verify finds %s", x)
			continue
		}
		named[kind] = hole{time.Duration(x.FromMs) * time.Millisecond, time.Duration(x.ToMs) * time.Millisecond}
	}
	for _, x := range report.Notes {
		s.wrong("verify notes %s", x)
	}
	if from.IsZero() {
		if !report.True {
			s.wrong("verify does not say true of a whole recording")
		}
		return
	}
	if report.True {
		s.wrong("verify says true of a recording that misses something")
	}
	var sound []time.Duration
	for _, u := range f.sound {
		sound = append(sound, u.at)
	}
	truth := map[string]hole{
		"video": {f.end(), until.Sub(zero)},
		"audio": {sound[len(sound)-1] + speak, until.Sub(zero)},
	}
	if s.Way == byWorker {
		at := from.Sub(zero)
		truth["video"] = around(holes(f.fresh(), filmPicture, stutter), at)
		truth["audio"] = around(holes(sound, speak, stutter/2), at)
	}
	for _, kind := range []string{"video", "audio"} {
		h, n := truth[kind], named[kind]
		s.Logf("missing of the %s: %s; named: %s", kind, h, n)
		s.Missing = max(s.Missing, h.length())
		early := h.to
		if s.Way == byFull || s.Way == byFullKill {
			early = min(early, from.Sub(zero)) // the disk noticed between the two
		}
		if (n.from-h.from).Abs() > slack(exact) || n.to > h.to+slack(exact) || n.to < early-slack(exact) {
			s.wrong("of the %s %s is missing, verify names %s", kind, h, n)
		}
	}
}

// around is the longest of the holes near a moment.
func around(list []hole, at time.Duration) (longest hole) {
	for _, h := range list {
		if h.to > at-time.Second && h.from < at+3*time.Second && h.length() > longest.length() {
			longest = h
		}
	}
	return longest
}

// verify runs the program that people run.
func (s *stage) verify() (r proof.Report) {
	s.Helper()
	var said bytes.Buffer
	cmd := exec.Command(program(s, "ovctl", "build"), "--json", "recording", "verify", s.folder(), "--key", filepath.Join(s.server.home, "state", "recording-keys"))
	cmd.Stderr = &said
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		s.wrong("ovctl recording verify: %v: %s", err, said.String())
		return r
	}
	if err := json.Unmarshal(out, &r); err != nil || r.True != (exit == nil) {
		s.wrong("ovctl recording verify says %s %v", out, err)
	}
	return r
}

// flip changes a byte of a picture: verify must name its second.
func (s *stage) flip(path string, f *composed) {
	s.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		s.Fatal(err)
	}
	defer file.Close()
	p := f.pictures[s.random.IntN(len(f.pictures))]
	at := p.pos + p.size/2
	b := make([]byte, 1)
	turn := func() {
		_, err := file.ReadAt(b, at)
		b[0] ^= 0x10
		if _, err2 := file.WriteAt(b, at); errors.Join(err, err2) != nil {
			s.Fatal(err, err2)
		}
	}
	turn()
	defer turn()
	for _, x := range s.verify().Findings {
		from, to := time.Duration(x.FromMs)*time.Millisecond, time.Duration(x.ToMs)*time.Millisecond
		switch {
		case x.Kind != proof.Changed:
		case !x.Timed && s.disk != nil: // the log was on the full disk, too
			return
		case x.Timed && p.at >= from-exact && p.at <= to+exact && to-from <= mostMissing+exact:
			return
		}
	}
	s.wrong("a byte of the picture at %v was changed, and verify finds %v", p.at, s.verify().Findings)
}
