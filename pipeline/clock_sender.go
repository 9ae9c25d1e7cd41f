package pipeline

import (
	"slices"
	"sync"
	"time"
)

const (
	// clockWindow is the stretch in which the most punctual packet counts.
	clockWindow = time.Second
	// clockSlack is how far PTS may be from arrival; more is mended when it lasts
	// clockPatience: by clockSlew, or, when it is more than clockStep, at once if
	// media comes late and by clockHaste if it comes early. That is so when the
	// first packet took long, and until it is mended this sender is seen later than
	// others that are composed with it.
	clockSlack = 20 * time.Millisecond
	clockStep  = 100 * time.Millisecond
	clockHaste = 50 * time.Millisecond
	// clockAlone is how long a track waits for others before it settles.
	clockAlone = time.Second
	// clockSilence is how long a track may say nothing and hold up the others;
	// clockIdle is how long it must send nothing not to.
	clockSilence = 6 * time.Second
	clockIdle    = 2 * time.Second
	// clockStale is after how much silence a track's lateness says nothing more.
	clockStale = time.Minute
	// clockSane bounds how far two times of one sender may be apart.
	clockSane = 10 * 365 * 24 * time.Hour
)

// SenderClock is the clock of one sender against ours, common to its tracks, so
// that what was sampled together has one PTS, whatever way each track took.
//
// Before the sender's reports a track's PTS is its first packet's arrival plus
// what its timestamps say. Once each track has a report, the one that comes
// latest against the sender's clock decides for all: PTS only ever steps
// forward, by Fix, and no track is later than its PTS when it has the delay it
// began with. From then on the relation is frozen; it moves only on an error that
// lasts, and then for all tracks at once. Safe for concurrent use.
type SenderClock struct {
	epoch time.Time

	mu     sync.Mutex // leaf: what follows, and the tracks
	tracks []*Clock
	ref    time.Time     // sender's time that origins count from
	off    time.Duration // PTS of ref, but for shift
	placed bool          // off is known
	since  time.Duration // when waiting for reports began
	waits  bool
	shift  time.Duration // added to every PTS
	want   time.Duration // where shift is slewing to
	pace   time.Duration // how fast, in a second
	moved  time.Duration
	doubt  time.Duration // since when packets are early or late; 0 when they are not
}

// NewSenderClock makes the clock of a sender whose media gets PTS since epoch.
func NewSenderClock(epoch time.Time) *SenderClock { return &SenderClock{epoch: epoch} }

// Track adds a track; rateHz is its RTP clock rate.
func (s *SenderClock) Track(rateHz uint32) *Clock {
	c := &Clock{sender: s, rate: rateOf(rateHz)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tracks = append(s.tracks, c)
	return c
}

// Drop removes a track that has ended.
func (s *SenderClock) Drop(c *Clock) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tracks = slices.DeleteFunc(s.tracks, func(x *Clock) bool { return x == c })
}

// slew moves the shift towards where it shall be.
func (s *SenderClock) slew(now time.Duration) {
	most := slewIn(now-s.moved, s.pace)
	s.moved = max(s.moved, now)
	s.shift += min(max(s.want-s.shift, -most), most)
}

// settle places the tracks that have reports, as soon as none that flows is
// waited for.
func (s *SenderClock) settle(now time.Duration) {
	if s.placed {
		for _, c := range s.tracks {
			if c.heard && !c.placed {
				s.join(c)
			}
		}
		return
	}
	if !s.waits {
		s.waits, s.since = true, now
	}
	flowing, heard := 0, 0
	for _, c := range s.tracks {
		if !c.begun {
			continue
		}
		flowing++
		if c.heard {
			heard++
		} else if now-c.seen < clockIdle && now-max(s.since, c.born) < clockSilence {
			return
		}
	}
	if heard == 0 || flowing < 2 && now-s.since < clockAlone {
		return
	}
	first := true
	for _, c := range s.tracks {
		if d := c.at - c.origin; c.heard && (first || d > s.off) {
			s.off, first = d, false
		}
	}
	s.placed = true
	for _, c := range s.tracks {
		if c.heard {
			c.place(c.origin + s.off)
		}
	}
}

// join places a track that begins when others are settled. One that comes later
// than they did takes them along, since nothing goes back.
func (s *SenderClock) join(c *Clock) {
	if more := c.at - c.origin - s.off; more > clockSlack {
		s.off += more
		for _, x := range s.tracks {
			if x.placed {
				x.place(x.at + more)
			}
		}
	}
	c.place(c.origin + s.off)
}

// unsettle makes all tracks wait for reports again: the sender set its clock.
func (s *SenderClock) unsettle(now time.Duration) {
	s.placed, s.waits, s.since = false, true, now
	for _, c := range s.tracks {
		c.forget()
	}
}

// review compares PTS with arrival: the latest track's most punctual packets
// shall arrive at their PTS.
func (s *SenderClock) review(now time.Duration) {
	if s.shift != s.want {
		return
	}
	worst, any := -clockLost, false
	for _, c := range s.tracks {
		if c.begun && c.known && now-c.seen < clockStale {
			worst, any = max(worst, c.low), true
		}
	}
	switch {
	case !any || worst.Abs() <= clockSlack:
		s.doubt = 0
	case s.doubt == 0:
		s.doubt = now
	case now-s.doubt >= clockPatience:
		s.doubt = 0
		s.want += worst
		s.pace = clockSlew
		if worst > clockStep {
			s.shift = s.want
		} else if worst < -clockStep {
			s.pace = clockHaste
		}
		for _, c := range s.tracks {
			c.known = false
		}
	}
}
