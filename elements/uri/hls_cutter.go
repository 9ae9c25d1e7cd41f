package uri

import (
	"bytes"
	"fmt"
	"log/slog"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/recorder"
)

const (
	// hlsGap is the longest silence of both kinds inside a period; after a longer
	// one players are told of a discontinuity.
	hlsGap = 1500 * time.Millisecond
	// hlsBack is how far back time may go: less is a unit that is late.
	hlsBack = 10 * time.Second
	// hlsHush is how far sound may be behind the picture before silence takes its
	// place, hlsHushRest how much of that is left open for sound that is only late.
	hlsHush     = 2 * time.Second
	hlsHushRest = time.Second
	// hlsStill is how long there may be no picture while sound goes on: then the
	// latest keyframe is shown again, or players would stop.
	hlsStill = 1500 * time.Millisecond
	// A segment for which no keyframe comes ends when it is hlsLong times too long,
	// at least hlsLongest, or has hlsMost bytes.
	hlsLong    = 3
	hlsLongest = 10 * time.Second
	hlsMost    = 16 << 20
)

// hlsCutter makes segments of units. Each begins with a keyframe, when there is a
// picture, and all of a period have the same tracks. Not safe for concurrent use.
type hlsCutter struct {
	list    *hlsList
	epoch   time.Time
	want    time.Duration // length of a segment
	part    time.Duration // longest part of one; 0 serves whole segments only
	needKey func()
	log     *slog.Logger

	frag    *recorder.Fragments // nil before the first period
	zero    time.Duration       // PTS of the stream's beginning
	tracks  [2]hlsTrack         // sound, picture
	renew   bool                // the next unit that can begins a period
	since   time.Duration       // PTS of the first unit that could not
	next    [2]*pipeline.Format // that it will have, where they are new
	waitKey bool                // the picture goes on with a keyframe
	asked   time.Time
	key     *pipeline.Packet // the latest keyframe

	began, partBegan             time.Duration
	partHas, partVideo, partFrom bool // the open part has anything; has a picture; begins with a keyframe
	size, pictures               int  // of the open segment
}

// hlsTrack is one kind of media in the present period; times are PTS.
type hlsTrack struct {
	index  int              // in the fragments
	format *pipeline.Format // nil: there is none
	source *pipeline.Format // of the units it was made of
	any    bool             // there was a unit
	last   time.Duration    // of the latest
	end    time.Duration    // where that ends
	length time.Duration
}

// begin starts with units; sound tells that there will be sound, whether or not it
// is among them.
func (c *hlsCutter) begin(formats [2]*pipeline.Format, sound bool, units []*pipeline.Packet) error {
	if formats[0] == nil && sound {
		f := pipeline.UnitOf(pipeline.Audio, codec.AAC)
		f.ClockRate, f.Channels = 48000, 2
		if f, ok := recorder.Describe(&pipeline.Packet{Format: &f}); ok {
			formats[0] = &f
		}
	}
	c.zero = units[0].PTS
	for _, p := range units {
		c.zero = min(c.zero, p.PTS)
	}
	if err := c.period(formats, c.zero); err != nil {
		return err
	}
	for _, p := range units {
		if err := c.add(p); err != nil {
			return err
		}
	}
	return nil
}

// period begins a row of segments of these formats at a PTS.
func (c *hlsCutter) period(formats [2]*pipeline.Format, at time.Duration) error {
	if err := c.finish(); err != nil {
		return err
	}
	var list []pipeline.Format
	var next [2]hlsTrack
	for _, i := range []int{1, 0} { // the picture first
		if formats[i] != nil {
			next[i] = hlsTrack{index: len(list), format: formats[i], last: at - 1, end: at}
			list = append(list, *formats[i])
		}
	}
	if len(list) == 0 {
		return fmt.Errorf("no sound and no picture: %w", recorder.ErrFormat)
	}
	frag, err := recorder.NewFragments(list, 0)
	if err != nil {
		return err
	}
	c.frag, c.tracks, c.renew, c.waitKey, c.key = frag, next, false, next[1].format != nil, nil
	c.next = [2]*pipeline.Format{}
	c.list.period(frag.Init(), formats[0], formats[1])
	if f := formats[1]; f != nil {
		c.log.Info("row of live segments begins", "sound", formats[0] != nil, "width", f.Width, "height", f.Height)
	} else {
		c.log.Info("row of live segments begins", "sound", true)
	}
	c.open(at)
	return nil
}

// open begins a segment at a PTS.
func (c *hlsCutter) open(at time.Duration) {
	c.began, c.size, c.pictures = at, 0, 0
	c.openPart(at)
	c.list.open(c.epoch.Add(at))
}

func (c *hlsCutter) openPart(at time.Duration) {
	c.partBegan, c.partHas, c.partVideo, c.partFrom = at, false, false, c.tracks[1].format == nil
}

// add takes the next unit.
func (c *hlsCutter) add(p *pipeline.Packet) error {
	i := liveIndex(p.Format.Kind)
	if !c.fits(p, i) && (!c.renew || p.PTS < c.since) {
		c.renew, c.since = true, p.PTS
	}
	if c.renew {
		began, err := c.again(p, i)
		if !began || err != nil {
			return err
		}
	}
	t := &c.tracks[i]
	if t.format == nil {
		return nil
	}
	if i == 0 {
		return c.sound(p)
	}
	return c.picture(p)
}

// fits tells whether a unit belongs to the present period, in time and format.
func (c *hlsCutter) fits(p *pipeline.Packet, i int) bool {
	t := &c.tracks[i]
	end := max(c.tracks[0].end, c.tracks[1].end)
	if p.PTS-end > hlsGap || t.format != nil && t.last-p.PTS > hlsBack {
		return false
	}
	if p.Format == t.source && (i == 0 || !p.Key) {
		return true
	}
	f, ok := recorder.Describe(p)
	if !ok {
		return true // a picture that goes on; or what cannot be told is as it was
	}
	if t.format == nil || !bytes.Equal(f.Config, t.format.Config) || f.ClockRate != t.format.ClockRate || f.Channels != t.format.Channels {
		return false
	}
	t.source = p.Format
	return true
}

// again begins a period with p, if it can: with a keyframe, or with sound when
// there is no picture any more.
func (c *hlsCutter) again(p *pipeline.Packet, i int) (bool, error) {
	f, ok := recorder.Describe(p)
	if ok {
		c.next[i] = &f
	}
	formats := c.next
	for j := range formats {
		if formats[j] == nil {
			formats[j] = c.tracks[j].format
		}
	}
	switch {
	case formats[1] == nil:
		return ok, c.period(formats, p.PTS)
	case i == 1 && p.Key && ok:
		return true, c.period(formats, p.PTS)
	case i == 1 || c.key == nil || p.PTS-c.since < hlsStill:
		c.ask()
		return false, nil
	}
	// Sound waits for the picture, but not for ever.
	key := c.key
	if err := c.period(formats, p.PTS); err != nil {
		return false, err
	}
	return true, c.still(key, p.PTS)
}

// still shows a keyframe again.
func (c *hlsCutter) still(key *pipeline.Packet, at time.Duration) error {
	q := *key
	q.PTS = at
	if err := c.picture(&q); err != nil {
		return err
	}
	c.waitKey = true // what comes refers to other pictures
	c.ask()
	return nil
}

// ask wants a keyframe, without haste.
func (c *hlsCutter) ask() {
	if now := time.Now(); now.Sub(c.asked) >= pipeline.KeyFrameInterval {
		c.asked = now
		c.needKey()
	}
}

// picture adds a unit of video.
func (c *hlsCutter) picture(p *pipeline.Packet) error {
	t := &c.tracks[1]
	if c.waitKey && !p.Key {
		c.ask()
		return nil
	}
	if p.Key {
		c.key, c.waitKey = p, false
	}
	if p.PTS <= t.last { // decoders need it all the same
		q := *p
		q.PTS = t.last + time.Millisecond
		p = &q
	}
	if s := &c.tracks[0]; s.format != nil && p.PTS-s.end > hlsHush {
		if err := c.silence(p.PTS-hlsHushRest, p); err != nil {
			return err
		}
	}
	age := p.PTS - c.began
	switch {
	case p.Key && c.size > 0 && (age >= c.want*3/4 || c.size > hlsMost):
		c.frag.Until(t.index, p.PTS-c.zero)
		c.cut(p.PTS)
	case age >= max(hlsLongest, hlsLong*c.want) || c.size > 2*hlsMost:
		c.waitKey, c.renew, c.since = true, true, p.PTS
		c.ask()
		return nil
	}
	t.length = 40 * time.Millisecond
	if t.any {
		t.length = min(p.PTS-t.last, 5*t.length)
	}
	return c.put(t, p)
}

// sound adds a unit of audio.
func (c *hlsCutter) sound(p *pipeline.Packet) error {
	t := &c.tracks[0]
	t.length = aacLength(t.format)
	if p.PTS <= t.last || p.PTS < t.end-t.length/2 {
		return nil // too late: silence is in its place
	}
	if err := c.silence(p.PTS-t.length/2, p); err != nil {
		return err
	}
	if v := &c.tracks[1]; v.format != nil && c.key != nil && p.PTS-v.end > hlsStill {
		if err := c.still(c.key, p.PTS); err != nil {
			return err
		}
	} else if v.format == nil && c.size > 0 && p.PTS-c.began >= c.want-t.length/2 {
		c.cut(p.PTS)
	}
	return c.put(t, p)
}

// silence fills the sound up to a PTS.
func (c *hlsCutter) silence(to time.Duration, like *pipeline.Packet) error {
	t := &c.tracks[0]
	frame := hlsSilence(t.format)
	t.length = aacLength(t.format)
	if frame == nil || t.length <= 0 {
		return nil
	}
	for t.end+t.length <= to+t.length/2 {
		q := pipeline.Packet{Format: t.format, Payload: frame, PTS: t.end, Arrival: like.Arrival, Key: true}
		if err := c.put(t, &q); err != nil {
			return err
		}
	}
	return nil
}

// put writes a unit, after ending the part that it does not fit into.
func (c *hlsCutter) put(t *hlsTrack, p *pipeline.Packet) error {
	if c.part > 0 && c.partHas && p.PTS+t.length-c.partBegan > c.part && p.PTS > c.partBegan {
		if t == &c.tracks[1] {
			c.frag.Until(t.index, p.PTS-c.zero)
		}
		c.cutPart(p.PTS)
	}
	if t.format.Kind == pipeline.Video {
		if !c.partVideo {
			c.partVideo, c.partFrom = true, p.Key
		}
		c.pictures++
	}
	c.partHas = true
	q := *p
	q.PTS -= c.zero
	if err := c.frag.Add(t.index, &q); err != nil {
		return err
	}
	t.any, t.last, t.end = true, p.PTS, p.PTS+t.length
	c.size += len(p.Payload)
	return nil
}

// cutPart ends the open part at a PTS.
func (c *hlsCutter) cutPart(at time.Duration) {
	if data := c.frag.Cut(); data != nil {
		c.list.add(data, max(at-c.partBegan, time.Millisecond), c.partFrom)
	}
	c.openPart(at)
}

// cut ends the open segment at a PTS, where the next begins.
func (c *hlsCutter) cut(at time.Duration) {
	c.cutPart(at)
	c.list.close(max(at-c.began, time.Millisecond), c.pictures)
	c.open(at)
}

// finish ends the open segment where its media ends.
func (c *hlsCutter) finish() error {
	if c.frag == nil {
		return nil
	}
	end := max(c.tracks[0].end, c.tracks[1].end)
	if c.partHas || end > c.began {
		c.cutPart(end)
		c.list.close(max(end-c.began, time.Millisecond), 0)
	}
	c.frag = nil
	return nil
}

// aacLength is how long a frame of AAC-LC lasts.
func aacLength(f *pipeline.Format) time.Duration {
	if f.ClockRate == 0 {
		return 0
	}
	return time.Duration(1024) * time.Second / time.Duration(f.ClockRate)
}

// hlsSilence is a frame of AAC-LC without any spectrum (ISO/IEC 14496-3 §4.4.2);
// nil where more than two channels are.
func hlsSilence(f *pipeline.Format) []byte {
	switch {
	case len(f.Config) < 2 || f.Config[0]>>3 != 2:
		return nil
	case f.Channels == 1:
		return []byte{0, 0, 0, 7} // single_channel_element, max_sfb 0, ID_END
	case f.Channels == 2:
		return []byte{0x21, 0, 0, 0, 0, 0x1c} // channel_pair_element with one ics_info
	}
	return nil
}
