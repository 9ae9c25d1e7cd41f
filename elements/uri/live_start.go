package uri

import (
	"slices"
	"time"

	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
)

// liveWait is how long an output waits for the picture, and for the sound, of a
// source that is connected before it begins without.
const liveWait = 2 * time.Second

// liveMost is how many units are kept meanwhile.
const liveMost = 512

// liveStart decides where a row of units begins: with a keyframe, when there is a
// picture, and with the formats of both kinds known.
type liveStart struct {
	expect  [2]bool // sound, picture: a source is connected
	formats [2]*pipeline.Format
	pending []*pipeline.Packet
	since   time.Time
}

func newLiveStart(sound, picture *liveInput) *liveStart {
	return &liveStart{expect: [2]bool{sound.source() != nil, picture.source() != nil}, since: time.Now()}
}

// add takes a unit; when the row can begin it gives all units to begin with, of
// which none is older than the first keyframe.
func (s *liveStart) add(p *pipeline.Packet) []*pipeline.Packet {
	if i := liveIndex(p.Format.Kind); s.formats[i] == nil {
		if f, ok := recorder.Describe(p); ok {
			s.formats[i] = &f
			s.expect[i] = true
		} else if i == 1 {
			return nil // not before a keyframe
		}
	}
	s.pending = append(s.pending, p)
	if late := time.Since(s.since) >= liveWait || len(s.pending) > liveMost; !late && !s.ready() {
		return nil
	}
	for i, p := range s.pending {
		s.pending[i] = mended(p)
	}
	if s.formats[1] != nil {
		for i, p := range s.pending {
			if p.Format.Kind == pipeline.Video {
				return s.from(p.PTS, i)
			}
		}
	}
	return s.pending
}

// from is what is pending of PTS and later, where unit i is the first picture.
func (s *liveStart) from(pts time.Duration, i int) (out []*pipeline.Packet) {
	for j, p := range s.pending {
		if j == i || p.PTS >= pts && (j > i || p.Format.Kind == pipeline.Audio) {
			out = append(out, p)
		}
	}
	return out
}

// ready tells whether nothing is waited for any more: a source, or, where sound
// and picture go together, the instants that a sender's timestamps stand for.
func (s *liveStart) ready() bool {
	for i := range s.expect {
		if s.expect[i] && s.formats[i] == nil {
			return false
		}
	}
	return !s.expect[0] || !s.expect[1] || !slices.ContainsFunc(s.pending, func(p *pipeline.Packet) bool { return !p.Fix.Known() })
}

// mended is p at the time its sender meant.
func mended(p *pipeline.Packet) *pipeline.Packet {
	by := p.Fix.By()
	if by == 0 {
		return p
	}
	q := *p
	q.PTS, q.Fix = q.PTS+by, nil
	return &q
}
