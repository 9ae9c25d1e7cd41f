package recording

import (
	"cmp"
	"slices"

	"github.com/govidu/govidu/internal/proof"
)

// gapNear is how far in ms from the end of a worker the hole that it left is looked
// for: what it had not sent yet is missing before that moment.
const gapNear = 3000

// composedGaps are the stretches that a composed file misses, and why. Its picture
// and its sound are made here and never pause, so what the recorder found missing
// was not lost on its way to the server: the worker ended, or the machine was too
// slow. A picture that shows the avatar of somebody who is to be seen, because a new
// worker waits for a keyframe, is missing too.
func composedGaps(m *metadata, side *sidecar, events []proof.Event) []gap {
	cause := proof.CauseLoad
	if slices.ContainsFunc(events, func(e proof.Event) bool { return e.Event == eventWorker }) {
		cause = proof.CauseWorker
	}
	gaps := slices.Clone(side.Gaps)
	for i := range gaps {
		gaps[i].Cause = cmp.Or(gaps[i].Cause, cause)
	}
	level(gaps)
	if !m.HasVideo || side.Clock == nil {
		return gaps
	}
	for i, e := range events {
		if e.Event != eventWorker {
			continue
		}
		ended := side.at(m, e.At)
		back := side.DurationMs // when nothing tells of an end
		for _, later := range events[i+1:] {
			if later.Event == eventPictures && later.At >= e.At {
				back = side.at(m, later.At)
				break
			}
		}
		gaps = prolong(gaps, ended, min(back, side.DurationMs))
	}
	return gaps
}

// level has what a crash or the disk took of picture and sound reach equally far:
// both went on until then, whichever of them was heard last.
func level(gaps []gap) {
	for _, cause := range []string{proof.CauseCrash, proof.CauseDisk} {
		until := int64(0)
		for _, g := range gaps {
			if g.Cause == cause {
				until = max(until, g.ToMs)
			}
		}
		for i := range gaps {
			if gaps[i].Cause == cause {
				gaps[i].ToMs = until
			}
		}
	}
}

// prolong has the hole that a worker left reach until its pictures are back, in ms
// of the file.
func prolong(gaps []gap, ended, back int64) []gap {
	best := -1
	for i, g := range gaps {
		if g.Kind == "VIDEO" && g.Cause == proof.CauseWorker && g.FromMs <= ended+gapNear && g.ToMs >= ended-gapNear &&
			(best < 0 || distance(g, ended) < distance(gaps[best], ended)) {
			best = i
		}
	}
	switch {
	case best >= 0:
		gaps[best].ToMs = max(gaps[best].ToMs, back)
	case back > ended:
		gaps = append(gaps, gap{Kind: "VIDEO", FromMs: max(ended, 0), ToMs: back, Cause: proof.CauseWorker})
	}
	return gaps
}

func distance(g gap, at int64) int64 { return max(g.FromMs-at, at-g.ToMs, 0) }

// at is the time in the file of a moment (ms since 1970): pauses are cut out.
func (c *sidecar) at(m *metadata, moment int64) int64 {
	paused, since := int64(0), int64(0)
	for _, x := range m.Changes {
		switch {
		case x.At > moment:
		case x.Type == "pause":
			since = x.At
		case x.Type == "resume" && since > 0:
			paused, since = paused+x.At-since, 0
		}
	}
	if since > 0 {
		moment = since
	}
	return moment - c.Clock.ZeroUs/1000 - paused
}
