package recorder

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// Take is one file that Join puts in its place.
type Take struct {
	Name string
	R    io.ReaderAt
	Size int64
	// At is where the file's zero lies in the joined file; not negative.
	At time.Duration
	// Group tells takes of the same source: they follow each other in the same
	// tracks. Takes of other groups get tracks of their own.
	Group string
}

// JoinReport is what Join wrote.
type JoinReport struct {
	Summary Summary
	// Problems name takes that are in the file in part, or not at all.
	Problems []string
}

type joining struct {
	take  Take
	r     *Reader
	to    []int // by the take's track: that of the joined file, -1 for none
	until []time.Duration
	track int
	next  *pipeline.Packet
}

// Join writes all takes (WebM, Matroska) into one Matroska file, without touching
// a picture or a sample: each unit at its take's place in time. Where takes of one
// group overlap, the later one holds. A take that cannot be read is a problem in
// the report; errors are those of writing, of ctx, and ErrEmpty. progress, when
// set, hears how far it is.
func Join(ctx context.Context, m Media, created time.Time, takes []Take, progress func(time.Duration)) (JoinReport, error) {
	var report JoinReport
	mux := newWebM(Matroska, m, created)
	all, err := openTakes(mux, takes, &report)
	if err != nil {
		return report, err
	}
	last := make([]time.Duration, len(mux.tracks))
	for i := range last {
		last[i] = -1
	}
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return report, ctx.Err()
		}
		var j *joining
		for _, x := range all {
			if x.next != nil && (j == nil || x.next.PTS < j.next.PTS) {
				j = x
			}
		}
		if j == nil {
			break
		}
		p, track := j.next, j.to[j.track]
		if p.PTS < j.until[j.track] {
			// Containers want strictly growing times.
			p.PTS = max(p.PTS, last[track]+time.Millisecond)
			last[track] = p.PTS
			if err := mux.Write(track, p); err != nil {
				return report, err
			}
			if len(mux.buf) > 1<<20 {
				if err := mux.Flush(); err != nil {
					return report, err
				}
			}
		}
		if progress != nil && n%512 == 0 {
			progress(p.PTS)
		}
		j.advance(&report)
	}
	if err := mux.Close(); err != nil {
		return report, err
	}
	report.Summary = mux.summary()
	return report, nil
}

// advance reads the take's next unit that has a place.
func (j *joining) advance(report *JoinReport) {
	for {
		track, p, err := j.r.Next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				report.Problems = append(report.Problems, fmt.Sprintf("%s: ends early: %v", j.take.Name, err))
			}
			j.next = nil
			return
		}
		if j.to[track] < 0 {
			continue
		}
		p.PTS += j.take.At
		j.track, j.next = track, p
		return
	}
}

// openTakes reads the heads and makes the tracks: per group, kind and codec one.
func openTakes(mux *webm, takes []Take, report *JoinReport) ([]*joining, error) {
	takes = slices.Clone(takes)
	slices.SortStableFunc(takes, func(a, b Take) int { return cmp.Compare(a.At, b.At) })
	type key struct {
		group string
		kind  pipeline.Kind
		codec codec.Name
	}
	type source struct {
		group string
		kind  pipeline.Kind
	}
	tracks := map[key]int{}
	latest := map[source]*time.Duration{} // where the take before must give way
	var all []*joining
	for _, t := range takes {
		r, err := NewReader(t.R, t.Size)
		if err != nil {
			report.Problems = append(report.Problems, fmt.Sprintf("%s: %v", t.Name, err))
			continue
		}
		j := &joining{take: t, r: r, to: make([]int, len(r.tracks)), until: make([]time.Duration, len(r.tracks))}
		for i, f := range r.tracks {
			k := key{t.Group, f.Kind, f.Codec}
			n, ok := tracks[k]
			if !ok {
				if n, err = mux.AddTrack(f); err != nil {
					report.Problems = append(report.Problems, fmt.Sprintf("%s: %v", t.Name, err))
					j.to[i] = -1
					continue
				}
				tracks[k] = n
			}
			j.to[i], j.until[i] = n, 1<<62
			s := source{t.Group, f.Kind}
			if before := latest[s]; before != nil {
				*before = t.At
			}
			latest[s] = &j.until[i]
		}
		j.advance(report)
		all = append(all, j)
	}
	if len(mux.tracks) == 0 {
		return nil, fmt.Errorf("join: %w", ErrEmpty)
	}
	return all, nil
}
