package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// of picks the figures of one side.
func of(all []trial, tiles int, side string, f func(trial) float64) (out []float64) {
	for _, t := range all {
		if t.Tiles == tiles && t.Side == side {
			out = append(out, f(t))
		}
	}
	slices.Sort(out)
	return out
}

// middle is the median of sorted figures, 0 of none.
func middle(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[n/2] + sorted[(n-1)/2]) / 2
}

func cpuOf(t trial) float64 { return t.CPU }

// composedTable has a line per number of tiles and side.
func composedTable(all []trial) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nProcessor seconds per second of media, grid of %dx%dp%d in H264\n\n", composedWidth, composedHeight, composedFPS)
	fmt.Fprintf(&b, "| Tiles | Made by | Rounds | Median | Least to most | Of it the server | Pictures/s | kbit/s | Ours, of it |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, tiles := range []int{4, 9} {
		ours := middle(of(all, tiles, ourSide, cpuOf))
		for _, side := range []string{ourSide, stackSide, browserSide} {
			list := of(all, tiles, side, cpuOf)
			if len(list) == 0 {
				continue
			}
			ratio, server := "", ""
			if side == ourSide {
				server = fmt.Sprintf("%.3f", middle(of(all, tiles, side, func(t trial) float64 { return t.Server })))
			} else if ours > 0 {
				ratio = fmt.Sprintf("%.2f", ours/middle(list))
			}
			fmt.Fprintf(&b, "| %d | %s | %d | %.3f | %.3f to %.3f | %s | %.1f | %.0f | %s |\n", tiles, side, len(list), middle(list), list[0], list[len(list)-1], server,
				middle(of(all, tiles, side, func(t trial) float64 { return t.Rate })), middle(of(all, tiles, side, func(t trial) float64 { return t.Kbps })), ratio)
		}
	}
	b.WriteString("\n")
	return b.String()
}

// composedVerdict is an error for a ratio above the limit, with four tiles, and
// for every side that did not make its pictures.
func composedVerdict(all []trial) error {
	var wrong []error
	ours := middle(of(all, 4, ourSide, cpuOf))
	for side, most := range map[string]float64{stackSide: mostOfStack, browserSide: mostOfBrowser} {
		if x := ours / middle(of(all, 4, side, cpuOf)); ours > 0 && len(of(all, 4, side, cpuOf)) > 0 && !(x <= most) {
			wrong = append(wrong, fmt.Errorf("4 tiles cost %.3f of what %s takes, above %.2f", x, side, most))
		}
	}
	for _, t := range all {
		if t.Rate < enough*composedFPS {
			wrong = append(wrong, fmt.Errorf("%d tiles by %s: %.1f pictures a second of %d", t.Tiles, t.Side, t.Rate, composedFPS))
		}
	}
	return errors.Join(wrong...)
}
