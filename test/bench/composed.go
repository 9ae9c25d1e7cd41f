package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// What is composed: inputs of 640x360 in a grid of 1280x720, H264 in MP4, no sound
// (the screen of a browser has none, and mixing costs all the same).
const (
	composedWidth, composedHeight = 1280, 720
	composedFPS                   = 25
	composedBitrate               = 2_000_000
	composedKeys                  = 2 * time.Second
	// What the scoreboard asks for four tiles, of ffmpeg and of Chromium.
	mostOfStack, mostOfBrowser = 1.2, 0.6
)

// composer does the work: it records the composed picture into a file.
type composer interface {
	file() string
	cpu() (usage, error)
	// check looks whether it does its work, after measuring.
	check(ctx context.Context) error
	// close ends it; the file is whole then.
	close() error
}

// Sides of the comparison, in the order of their turns.
const (
	ourSide     = "director"
	stackSide   = "xstack"
	browserSide = "chromium"
)

// trial is one round of one side.
type trial struct {
	Tiles    int     `json:"tiles"`
	Side     string  `json:"side"`
	CPU      float64 `json:"cpu"`    // processor seconds per second of media, of all processes
	Server   float64 `json:"server"` // of it the media node's own, which forwards
	Rate     float64 `json:"rate"`   // pictures per second in the file
	Kbps     float64 `json:"kbps"`
	settings string  // of x264, as it wrote them into the file
}

func runComposed(ctx context.Context, o options, dir string) error {
	files, err := composedSources(ctx, dir)
	if err != nil {
		return err
	}
	sides := map[string]func(context.Context, options, string, *grid) (composer, error){ourSide: composeByNode, stackSide: composeByStack, browserSide: composeByBrowser}
	for round := range o.rounds {
		for _, tiles := range []int{4, 9} {
			if o.only != "" && !slices.Contains(strings.Split(o.only, ","), fmt.Sprint(tiles)) {
				continue
			}
			settings := map[string]string{}
			for _, side := range []string{ourSide, stackSide, browserSide} {
				if o.without != "" && slices.Contains(strings.Split(o.without, ","), side) {
					continue
				}
				t, err := composeRound(ctx, o, dir, &grid{tiles: tiles, sources: files}, sides[side])
				if err != nil {
					return fmt.Errorf("%d tiles by %s: %w", tiles, side, err)
				}
				t.Tiles, t.Side = tiles, side
				fmt.Printf("  round %d, %d tiles by %-9s %.4f (server %.4f), %.1f fps, %.0f kbit/s   load %s\n", round+1, tiles, side, t.CPU, t.Server, t.Rate, t.Kbps, load())
				if settings[side] = t.settings; t.settings != settings[ourSide] && settings[ourSide] != "" {
					return fmt.Errorf("%s encodes with other settings:\n%s\n%s", side, t.settings, settings[ourSide])
				}
				if err := keep(o.keep, t); err != nil {
					return err
				}
			}
		}
	}
	all, err := kept(o.keep)
	if err != nil {
		return err
	}
	fmt.Print(composedTable(all))
	return composedVerdict(all)
}

// composeRound measures one side once.
func composeRound(ctx context.Context, o options, dir string, g *grid, start func(context.Context, options, string, *grid) (composer, error)) (t trial, err error) {
	c, err := start(ctx, o, dir, g)
	if err != nil {
		return t, err
	}
	open := true
	defer func() {
		if open {
			err = errors.Join(err, c.close())
		}
	}()
	if err := grows(ctx, c.file()); err != nil {
		return t, err
	}
	if err := sleep(ctx, o.settle); err != nil {
		return t, err
	}
	from, err := c.cpu()
	if err != nil {
		return t, err
	}
	begin := time.Now()
	if err := sleep(ctx, o.measure); err != nil {
		return t, err
	}
	to, err := c.cpu()
	if err != nil {
		return t, err
	}
	seconds := time.Since(begin).Seconds()
	t.Server = (to.server - from.server) / seconds
	t.CPU = t.Server + (to.workers-from.workers)/seconds
	if err := c.check(ctx); err != nil {
		return t, err
	}
	open = false
	if err := c.close(); err != nil {
		return t, err
	}
	return t, inspect(ctx, c.file(), g.tiles, &t)
}

// grows waits until there is something in a file.
func grows(ctx context.Context, path string) error {
	for begin := time.Now(); time.Since(begin) < patience; {
		for _, name := range []string{path, path + ".part"} { // the node's has its name when it is whole
			if s, err := os.Stat(name); err == nil && s.Size() > 50_000 {
				return nil
			}
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("no picture in %s after %v", filepath.Base(path), patience)
}

// keep adds a trial to a file, so that rounds may be run in turns with other work.
func keep(path string, t trial) error {
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	return errors.Join(err, f.Close())
}

func kept(path string) (all []trial, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		var t trial
		if err := json.Unmarshal([]byte(line), &t); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		all = append(all, t)
	}
	return all, nil
}
