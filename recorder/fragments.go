package recorder

import (
	"fmt"
	"time"

	"github.com/govidu/govidu/pipeline"
)

// Fragments makes the pieces of a fragmented MP4 that are served one by one
// (RFC 8216 §3.3): an initialisation segment, then fragments cut where the caller
// says. Tracks are fixed; another codec configuration needs another Fragments.
// Not safe for concurrent use.
type Fragments struct {
	w    mp4
	size int
}

// NewFragments is for tracks of these complete formats (see Describe), numbered
// from 0. seq is the number of the first fragment.
func NewFragments(tracks []pipeline.Format, seq uint32) (*Fragments, error) {
	x := &Fragments{w: mp4{seq: seq, created: time.Unix(0, 0)}}
	for i, f := range tracks {
		if !MP4.Takes(&f) || len(f.Config) > mp4MoovArea {
			return nil, fmt.Errorf("cut %s into fragments: %w", f.Codec, ErrFormat)
		}
		x.w.tracks = append(x.w.tracks, newMP4Fragment(i+1, f))
		x.w.formats = append(x.w.formats, f)
	}
	return x, nil
}

// Init is the initialisation segment.
func (x *Fragments) Init() []byte { return append(ftyp(), x.w.initMoov(x.w.tracks)...) }

// Add puts a unit of a track into the fragment that is gathered. PTS must grow
// within a track, across fragments too, and is not negative.
func (x *Fragments) Add(track int, au *pipeline.Packet) error {
	if track < 0 || track >= len(x.w.tracks) {
		return fmt.Errorf("write to track %d of %d: %w", track, len(x.w.tracks), ErrFormat)
	}
	x.w.gather(track, au)
	x.size += len(au.Payload)
	return nil
}

// Until tells where the latest unit of a track ends, when that is known: at the
// next one's PTS. Otherwise it is taken to be as long as the one before it.
func (x *Fragments) Until(track int, pts time.Duration) {
	if track >= 0 && track < len(x.w.tracks) {
		t := x.w.tracks[track]
		t.until = timeTicks(max(pts, 0), t.scale)
	}
}

// Size is about how many bytes are gathered.
func (x *Fragments) Size() int { return x.size }

// Cut is the fragment gathered, nil when there is nothing, and begins the next.
func (x *Fragments) Cut() []byte {
	if x.w.pending == 0 {
		return nil
	}
	out := x.w.fragment()
	x.w.taken()
	x.size = 0
	return out
}
