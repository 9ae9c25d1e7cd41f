//go:build linux

package main

import (
	"context"
	"errors"
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
	loads    string
	servers  string
	rounds   int
	viewers  int
	settle   time.Duration // after the last join
	measure  time.Duration // 0: the load's own
	parallel int
	srtp     string
	feedback bool
	out      string
	from     string
	markdown bool
	check    bool
	dir      string
	govidu   string
	janus    string
	livekit  string
	programs programs
	profile  string
	perf     string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serveNaive(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "peers:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.StringVar(&o.loads, "loads", "room,big,many,publish", "comma separated loads")
	flag.StringVar(&o.servers, "servers", "", "comma separated servers instead of each load's own: "+strings.Join(serverNames(), ", "))
	flag.IntVar(&o.rounds, "rounds", 0, "rounds in which the servers take turns, instead of each load's own")
	flag.IntVar(&o.viewers, "viewers", 0, "viewers in the load room (100)")
	flag.DurationVar(&o.settle, "settle", 1500*time.Millisecond, "time after the last join and before measuring")
	flag.DurationVar(&o.measure, "measure", 0, "measured time, instead of each load's own")
	flag.IntVar(&o.parallel, "parallel", 4, "viewers that join at the same time, after the first 20")
	flag.StringVar(&o.srtp, "srtp", "gcm", "what peers allow: gcm (128), gcm256, cm (SHA1), any")
	flag.BoolVar(&o.feedback, "feedback", false, "every viewer decrypts and sends RTCP; for few viewers")
	flag.StringVar(&o.out, "out", "", "file to which every result is added as a line of JSON, and whose results make the tables")
	flag.StringVar(&o.from, "from", "", "measure nothing: tables of this file of -out")
	flag.BoolVar(&o.markdown, "markdown", false, "tables in Markdown, for the documents")
	flag.BoolVar(&o.check, "check", false, "fail when a bound does not hold")
	flag.StringVar(&o.dir, "dir", "", "folder for settings and logs of the servers, kept")
	flag.StringVar(&o.govidu, "govidu", "bin/kms", "the media node")
	flag.StringVar(&o.janus, "janus", ".tools/janus", "folder with Debian's Janus unpacked, or / for an installed one")
	flag.StringVar(&o.livekit, "livekit", ".tools/livekit-server-v1.9.12/livekit-server", "LiveKit's program")
	flag.Var(&o.programs, "program", "NAME=PROGRAM ARGUMENTS: one more server, started with -listen ADDRESS, which answers offers at /publish and /subscribe")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the measured time to this file and the heap's to FILE.heap (govidu, naive)")
	flag.StringVar(&o.perf, "perf", "", "perf record the server into this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	loads, err := o.chosen()
	if err != nil {
		return err
	}
	var results []result
	if o.from == "" {
		if slices.ContainsFunc(loads, load.withJanus) {
			if err := isolate(); err != nil {
				return err
			}
		}
		if o.dir == "" {
			if o.dir, err = os.MkdirTemp("", "bench-peers-"); err != nil {
				return err
			}
			defer os.RemoveAll(o.dir)
		}
		if o.dir, err = filepath.Abs(o.dir); err != nil {
			return err
		}
		if err := os.MkdirAll(o.dir, 0o755); err != nil {
			return err
		}
		if results, err = measureAll(ctx, o, loads); err != nil {
			return err
		}
		o.from = o.out
	}
	if o.from != "" {
		if results, err = readResults(o.from); err != nil {
			return err
		}
	}
	fmt.Print(tables(results, o.markdown))
	if o.check {
		return verdict(results)
	}
	return nil
}

// measureAll runs the loads. A server that fails is told and left out of the round.
func measureAll(ctx context.Context, o options, loads []load) ([]result, error) {
	began := time.Now().UTC().Format(time.RFC3339)
	var all []result
	var failed []error
	for _, l := range loads {
		for n := range l.rounds {
			for _, name := range l.servers {
				r, err := measure(ctx, o, l, name)
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				if err != nil {
					err = fmt.Errorf("%s, %s, round %d: %w", l.name, name, n+1, err)
					fmt.Println("  ", err)
					failed = append(failed, err)
					continue
				}
				r.Run, r.Machine, r.Round = began, machine(), n+1
				fmt.Println("  ", r)
				all = append(all, r)
				if err := addResult(o.out, r); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(all) == 0 || o.check {
		return all, errors.Join(failed...)
	}
	return all, nil
}
