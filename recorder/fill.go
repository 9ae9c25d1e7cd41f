package recorder

import (
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

const (
	// fillFrame is what a packet of sound lasts, fillLeast the shortest hole that is
	// filled: less is a correction of the clock, which nobody hears.
	fillFrame = 20 * time.Millisecond
	fillLeast = 15 * time.Millisecond
	// fillMost is the longest: after that, players must heed times.
	fillMost = 30 * time.Second
)

// opusShort are TOC bytes of one frame without its content, CELT of full band
// (RFC 6716 §3.1), longest first.
var opusShort = []struct {
	toc    byte
	length time.Duration
}{{31 << 3, fillFrame}, {30 << 3, 10 * time.Millisecond}, {29 << 3, 5 * time.Millisecond}, {28 << 3, 2500 * time.Microsecond}}

// fill puts frames without content before a unit of Opus that does not follow
// the one before, as a sender with DTX leaves it: a decoder conceals or is
// silent (RFC 6716 §4.4), and players that count samples stay in time.
func (t *fileTrack) fill(mux Muxer, next *pipeline.Packet) error {
	hole := next.PTS - t.end
	if t.format.Codec != codec.Opus || hole < fillLeast || hole > fillMost || len(next.Payload) == 0 {
		return nil
	}
	put := func(toc byte, length time.Duration) error {
		u := *next
		u.PTS, u.Payload, u.Gap = t.end, []byte{toc}, false
		if err := mux.Write(t.index, &u); err != nil {
			return err
		}
		t.last = t.end
		t.end += length
		return nil
	}
	stereo := next.Payload[0] & 4
	for _, x := range opusShort {
		least := x.length
		if x.length == fillFrame {
			least = fillLeast // a lost packet, and the clock was corrected
		}
		for next.PTS-t.end >= least {
			if err := put(x.toc|stereo, x.length); err != nil {
				return err
			}
		}
	}
	return nil
}
