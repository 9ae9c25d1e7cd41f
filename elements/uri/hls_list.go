package uri

import (
	"sync"
	"time"

	"github.com/govidu/govidu/pipeline"
)

// hlsBytes bounds what one stream holds: when segments are that large, fewer of
// them are kept, though never fewer than a playlist needs.
const hlsBytes = 64 << 20

// hlsList is what is served of one stream: the segments of the live playlist, as
// many that were just in it, and the one that is being made. Safe for concurrent use.
type hlsList struct {
	window int           // segments in the playlist
	part   time.Duration // longest part; 0 serves whole segments only

	mu       sync.Mutex // leaf
	segments []*hlsSegment
	building *hlsSegment // nil between periods
	next     uint64      // number of the next segment
	inits    map[int][]byte
	rows     int // periods so far
	breaks   uint64
	fresh    bool                // the next segment is the first of another period
	formats  [2]*pipeline.Format // sound, picture
	target   int                 // s; only grows
	sum      hlsSum
	ended    bool
	folder   *hlsFolder
	changed  chan struct{} // closed at the next change
	text     []byte        // the media playlist; nil when it must be written anew
	waiting  int           // requests
}

// hlsSegment is a segment. The bytes are only appended to.
type hlsSegment struct {
	number  uint64
	period  int
	first   bool   // of a period that is not the first: a discontinuity
	breaks  uint64 // discontinuities before the next segment
	at      time.Time
	length  time.Duration
	data    []byte
	parts   []hlsPiece
	whole   bool
	formats [2]*pipeline.Format
}

// hlsPiece is a part of a segment.
type hlsPiece struct {
	from, to int
	length   time.Duration
	key      bool // a player can begin here
}

// hlsSum is what a stream needs to be carried, in bits per second.
type hlsSum struct {
	peak   float64
	bytes  int64
	length time.Duration
	rate   float64 // pictures per second in the latest segment
}

func newHLSList(window, seconds int, part time.Duration) *hlsList {
	return &hlsList{window: window, part: part, target: seconds, inits: map[int][]byte{}, changed: make(chan struct{})}
}

// news wakes who waits. The caller holds l.mu.
func (l *hlsList) news() {
	l.text = nil
	close(l.changed)
	l.changed = make(chan struct{})
}

// begin opens the stream, again after its end; folder, which may be nil, keeps it.
func (l *hlsList) begin(folder *hlsFolder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.folder = false, folder
	l.news()
}

// end closes it: nothing will come.
func (l *hlsList) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.building = true, nil
	l.news()
}

// period begins a row of segments with an initialisation of their own.
func (l *hlsList) period(init []byte, sound, picture *pipeline.Format) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows++
	l.inits[l.rows] = init
	l.fresh = l.next > 0
	l.formats = [2]*pipeline.Format{sound, picture}
	l.folder.init(l.rows, init)
}

// open begins a segment at an instant.
func (l *hlsList) open(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.building = &hlsSegment{number: l.next, period: l.rows, first: l.fresh, at: at, formats: l.formats}
}

// add appends a part to the open segment.
func (l *hlsList) add(data []byte, length time.Duration, key bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.building
	if s == nil || len(data) == 0 {
		return
	}
	s.parts = append(s.parts, hlsPiece{len(s.data), len(s.data) + len(data), length, key})
	if s.data == nil {
		s.data = data
	} else {
		s.data = append(s.data, data...)
	}
	if l.part > 0 {
		l.news()
	}
}

// close ends the open segment, which lasts length; pictures is how many it has, 0 when
// it does not end where they do.
func (l *hlsList) close(length time.Duration, pictures int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.building
	l.building = nil
	if s == nil || len(s.data) == 0 {
		return
	}
	if s.first {
		l.breaks++
	}
	s.length, s.whole, s.breaks = length, true, l.breaks
	l.segments = append(l.segments, s)
	l.next++
	l.fresh = false
	l.target = max(l.target, roundSeconds(length))
	l.sum.add(s, pictures, time.Duration(l.target)*time.Second/2)
	l.trim()
	l.folder.segment(s, l.sum)
	l.news()
}

// add counts a segment; one shorter than least says nothing (RFC 8216 §4.3.4.2).
func (x *hlsSum) add(s *hlsSegment, pictures int, least time.Duration) {
	x.bytes += int64(len(s.data))
	x.length += s.length
	if s.length < least && x.peak > 0 {
		return
	}
	x.peak = max(x.peak, 8*float64(len(s.data))/s.length.Seconds())
	if pictures > 0 {
		x.rate = float64(pictures) / s.length.Seconds()
	}
}

// trim forgets what nobody can want any more. A segment is served for as long as
// a playlist lasts after it left it (RFC 8216 §6.2.2). The caller holds l.mu.
func (l *hlsList) trim() {
	size := 0
	for _, s := range l.segments {
		size += len(s.data)
	}
	for len(l.segments) > 2*l.window || size > hlsBytes && len(l.segments) > minHLSSegments {
		size -= len(l.segments[0].data)
		l.segments[0] = nil
		l.segments = l.segments[1:]
	}
	for p := range l.inits {
		if p < l.segments[0].period {
			delete(l.inits, p)
		}
	}
}

// listed are the segments of the playlist: the latest, as far as they have the
// same kinds of media, because a player that begins with one kind cannot take up
// the other. The caller holds l.mu.
func (l *hlsList) listed() []*hlsSegment {
	list := l.segments[max(0, len(l.segments)-l.window):]
	for i := len(list) - 2; i >= 0; i-- {
		if list[i].kinds() != list[i+1].kinds() {
			return list[i+1:]
		}
	}
	return list
}

// kinds tells whether there is sound, and a picture.
func (s *hlsSegment) kinds() [2]bool { return [2]bool{s.formats[0] != nil, s.formats[1] != nil} }

// find gives a segment by number; nil when it is not there. The caller holds l.mu.
func (l *hlsList) find(number uint64) *hlsSegment {
	if l.building != nil && l.building.number == number {
		return l.building
	}
	for _, s := range l.segments {
		if s.number == number {
			return s
		}
	}
	return nil
}

// size is how many bytes the list holds.
func (l *hlsList) size() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		n += len(s.data)
	}
	return n
}

// roundSeconds is a length as a playlist's target must cover it (RFC 8216 §4.3.3.1).
func roundSeconds(d time.Duration) int { return int((d + time.Second/2) / time.Second) }
