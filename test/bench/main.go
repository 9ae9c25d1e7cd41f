package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the command line's.
type options struct {
	rounds  int
	settle  time.Duration // before measuring
	measure time.Duration
	limit   float64
	only    string
	kms     string
	pprof   string
	dir     string
	// Of composites with a director.
	composed bool
	keep     string
	without  string
	files    bool
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds per side, in turns")
	flag.DurationVar(&o.settle, "settle", 4*time.Second, "time of media before measuring")
	flag.DurationVar(&o.measure, "measure", 10*time.Second, "time of media measured")
	flag.Float64Var(&o.limit, "limit", 1.25, "largest ratio that passes")
	flag.StringVar(&o.only, "only", "", "comma separated names of scenes")
	flag.StringVar(&o.kms, "kms", "bin/kms", "the media node; bin/mediaworker is found beside it")
	flag.StringVar(&o.pprof, "pprof", "", "address of the node's profiler, for looking closer")
	flag.StringVar(&o.dir, "dir", "", "folder for sources and logs, kept; sources that are there are used again")
	flag.BoolVar(&o.composed, "composed", false, "compare composites of a director with ffmpeg's xstack and with Chromium under Xvfb; -only takes 4 or 9 then")
	flag.StringVar(&o.keep, "keep", "", "with -composed: file to which rounds are added, and whose rounds make the table")
	flag.BoolVar(&o.files, "files", false, "with -composed: ffmpeg reads files, and no packets")
	flag.StringVar(&o.without, "without", "", "with -composed: comma separated sides to leave out")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	dir := o.dir
	var err error
	if dir == "" {
		if dir, err = os.MkdirTemp("", "bench-elements-"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	if o.kms, err = filepath.Abs(o.kms); err != nil {
		return err
	}
	if o.composed {
		if o.keep == "" {
			o.keep = filepath.Join(dir, "composed.jsonl")
		}
		return runComposed(ctx, o, dir)
	}
	var chosen []*scene
	for _, s := range scenes() {
		if o.only == "" || slices.Contains(strings.Split(o.only, ","), s.name) {
			chosen = append(chosen, s)
		}
	}
	media, err := prepare(ctx, dir)
	if err != nil {
		return err
	}
	fmt.Printf("%d rounds per side in turns, %v of media measured after %v; load now %s\n", o.rounds, o.measure, o.settle, load())
	var results []result
	for _, s := range chosen {
		r, err := compare(ctx, o, dir, media, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		results = append(results, r)
	}
	fmt.Print(table(results, o.limit))
	fmt.Printf("load now %s\n", load())
	return verdict(results, o.limit)
}

// compare measures one scene on both sides, in turns.
func compare(ctx context.Context, o options, dir string, media *media, s *scene) (result, error) {
	r := result{scene: s}
	for n := range o.rounds {
		ours, err := calmRound(ctx, o, dir, media, s, "node", func() (side, error) { return startNode(ctx, o, dir, s) })
		if err != nil {
			return r, fmt.Errorf("the node: %w", err)
		}
		theirs, err := calmRound(ctx, o, dir, media, s, "launch", func() (side, error) { return startLaunch(ctx, o, dir, s) })
		if err != nil {
			return r, fmt.Errorf("gst-launch-1.0: %w", err)
		}
		if err := sameWork(ctx, s.codec, sample(dir, s, "node"), sample(dir, s, "launch")); err != nil {
			return r, err
		}
		r.ours, r.theirs = append(r.ours, ours), append(r.theirs, theirs)
		fmt.Printf("  %-12s round %d: node %s   gst-launch %s   load %s\n", s.name, n+1, ours, theirs, load())
	}
	return r, nil
}

// sample is the file with what a side has sent.
func sample(dir string, s *scene, name string) string { return filepath.Join(dir, s.name+"-"+name) }

// side is one of the two that do a scene's work.
type side interface {
	// inputs are where the scene's inputs are to be sent to.
	inputs() []inputPorts
	// cpu is the processor time used so far.
	cpu() (usage, error)
	// check looks at the side while it works.
	check(ctx context.Context) error
	close() error
}

// tooLate: a round in which the sources themselves came this late is measured
// again, calmTries times at most. libvpx takes its speed from the distances of
// pictures and from the time that encoding took, and gst-launch-1.0 stamps packets
// when they arrive: on a busy machine it encodes faster and worse than the node,
// whose time stamps are the sender's, and the two do not do the same work.
const (
	tooLate   = 40 * time.Millisecond
	calmTries = 6
)

// calmRound is a round with punctual sources; an error when the machine has no
// time for one.
func calmRound(ctx context.Context, o options, dir string, media *media, s *scene, name string, start func() (side, error)) (measurement, error) {
	for range calmTries {
		m, err := round(ctx, o, dir, media, s, name, start)
		if err != nil || m.late < tooLate {
			return m, err
		}
		fmt.Printf("  %-12s once more, the machine is busy: %s %s   load %s\n", s.name, name, m, load())
	}
	return measurement{}, fmt.Errorf("the machine is too busy to measure: in %d rounds the sources were more than %v late", calmTries, tooLate)
}

// round measures one side once.
func round(ctx context.Context, o options, dir string, media *media, s *scene, name string, start func() (side, error)) (m measurement, err error) {
	if err := s.open(); err != nil {
		return m, err
	}
	defer s.shut()
	x, err := start()
	if err != nil {
		return m, err
	}
	defer func() {
		if e := x.close(); err == nil {
			err = e
		}
	}()
	feed := newFeed(media, s, x.inputs())
	defer feed.stop()
	if err := s.flowing(ctx); err != nil {
		return m, err
	}
	if err := sleep(ctx, o.settle); err != nil {
		return m, err
	}
	from, err := x.cpu()
	if err != nil {
		return m, err
	}
	begin, before := time.Now(), s.counts()
	if err := sleep(ctx, o.measure); err != nil {
		return m, err
	}
	to, err := x.cpu()
	if err != nil {
		return m, err
	}
	m.seconds = time.Since(begin).Seconds()
	after := s.counts()
	m.server, m.workers = (to.server-from.server)/m.seconds, (to.workers-from.workers)/m.seconds
	m.frames, m.sounds = after.frames-before.frames, after.sounds-before.sounds
	m.bytes = after.bytes - before.bytes
	m.late = feed.late()
	if err := x.check(ctx); err != nil {
		return m, err
	}
	feed.stop()
	m.decoded, m.sampled, err = s.decode(ctx, sample(dir, s, name))
	return m, err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
