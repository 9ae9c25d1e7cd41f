//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

// group are the rounds of all servers under the same load.
type group struct {
	title   string
	load    string
	results []result
}

// groups are in the order of their first result.
func groups(all []result) (out []group) {
	for _, r := range all {
		title := fmt.Sprintf("%s: %d to %d, SRTP %s", r.Load, r.Publishers, r.Viewers, r.SRTP)
		if r.Viewers == 0 {
			title = fmt.Sprintf("%s: %d publishers, no viewers, SRTP %s", r.Load, r.Publishers, r.SRTP)
		}
		if r.Feedback {
			title += ", every viewer sends RTCP"
		}
		i := slices.IndexFunc(out, func(g group) bool { return g.title == title })
		if i < 0 {
			i = len(out)
			out = append(out, group{title: title, load: r.Load})
		}
		out[i].results = append(out[i].results, r)
	}
	return out
}

// of are the rounds of a server.
func (g group) of(server string) (out []result) {
	for _, r := range g.results {
		if r.Server == server {
			out = append(out, r)
		}
	}
	return out
}

func (g group) servers() (out []string) {
	for _, r := range g.results {
		if !slices.Contains(out, r.Server) {
			out = append(out, r.Server)
		}
	}
	return out
}

// ratios are of one figure, the server's to ours in the same round.
func (g group) ratios(server string, figure func(result) float64) (out []float64) {
	for _, r := range g.of(server) {
		for _, ours := range g.of(us) {
			if ours.Run == r.Run && ours.Round == r.Round && figure(ours) > 0 {
				out = append(out, figure(r)/figure(ours))
			}
		}
	}
	return out
}

// us is the server that others are compared with.
const us = "govidu"

func cpu(r result) float64       { return r.CPU }
func delivered(r result) float64 { return r.Delivered }
func p50(r result) float64       { return r.P50 }
func rss(r result) float64       { return r.RSSKB }

var columns = []struct {
	title  string
	format string
	figure func(result) float64
	spread bool
}{
	{"CPU, µs per packet", "%.1f", cpu, true},
	{"cores", "%.2f", func(r result) float64 { return r.Cores }, false},
	{"delivered", "%.4f", delivered, true},
	{"latency p50, ms", "%.2f", p50, true}, // 0 without viewers
	{"p99, ms", "%.1f", func(r result) float64 { return r.P99 }, true},
	{"memory, kB per stream", "%.0f", rss, true},
	{"switches per packet", "%.3f", func(r result) float64 { return r.Switches }, false},
	{"join, ms", "%.0f", func(r result) float64 { return r.JoinMS }, false},
}

// tables are medians with the least and the most, and medians of the ratios of one round.
func tables(all []result, markdown bool) string {
	var b strings.Builder
	for _, g := range groups(all) {
		first := g.results[0]
		day, _, _ := strings.Cut(first.Run, "T")
		about := fmt.Sprintf("%s; median (least to most); %s, %s", g.title, day, first.Machine)
		rows := [][]string{{"server"}}
		for _, c := range columns {
			rows[0] = append(rows[0], c.title)
		}
		rows[0] = append(rows[0], "CPU : ours", "p50 : ours", "rounds")
		for _, s := range g.servers() {
			list := g.of(s)
			row := []string{s}
			for _, c := range columns {
				row = append(row, spread(list, c.figure, c.format, c.spread))
			}
			row = append(row, ratio(g.ratios(s, cpu)), ratio(g.ratios(s, p50)), fmt.Sprint(len(list)))
			rows = append(rows, row)
		}
		if markdown {
			fmt.Fprintf(&b, "\n%s\n\n%s", about, inMarkdown(rows))
		} else {
			fmt.Fprintf(&b, "\n%s\n\n%s", about, inColumns(rows))
		}
	}
	return b.String()
}

func spread(list []result, figure func(result) float64, format string, whole bool) string {
	values := make([]float64, 0, len(list))
	for _, r := range list {
		values = append(values, figure(r))
	}
	middle, least, most := fmt.Sprintf(format, median(values)), fmt.Sprintf(format, slices.Min(values)), fmt.Sprintf(format, slices.Max(values))
	switch {
	case slices.Max(values) == 0:
		return "–"
	case !whole || least == most:
		return middle
	}
	return fmt.Sprintf("%s (%s to %s)", middle, least, most)
}

func ratio(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", median(values))
}

// median of a list that is not empty; the mean of the middle two.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

func inMarkdown(rows [][]string) string {
	var b strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "|%s\n", strings.Repeat("---|", len(row)))
		}
	}
	return b.String()
}

func inColumns(rows [][]string) string {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", width[i]-len([]rune(cell))+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}
