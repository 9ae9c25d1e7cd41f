package pipeline

import (
	"slices"
	"time"
)

const (
	// clockSlew is how much PTS moves per second while a small error is mended:
	// too little to be heard.
	clockSlew = 5 * time.Millisecond
	// clockJump is what a report must differ by for the sender to have set its
	// clock; two in a row that agree within a fifth of it are believed.
	clockJump = 250 * time.Millisecond
	// clockDrift is how far a track may be from its sender's reports, the median
	// of which counts; more is mended when it lasts clockPatience.
	clockDrift    = 10 * time.Millisecond
	clockPatience = time.Second
	clockReports  = 5
	// clockLost is how far PTS and arrival may part before the timestamps count as
	// begun anew (RFC 3550 §5.1).
	clockLost = 10 * time.Second
)

// Fix tells how wrong the PTS of some packets is. Until a sender has said which
// instants its timestamps are, PTS is guessed by arrival; who keeps packets for a
// while can mend them.
type Fix struct {
	by   time.Duration
	done chan struct{}
}

// Known tells whether the sender has spoken. A nil Fix is known: the PTS is right.
func (f *Fix) Known() bool {
	if f == nil {
		return true
	}
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// By is what to add to the PTS of the packets that carry f: never negative, 0
// until it is known.
func (f *Fix) By() time.Duration {
	if f == nil || !f.Known() {
		return 0
	}
	return f.by
}

// Clock maps a track's RTP timestamps to PTS since the pipeline's epoch; make it
// with SenderClock.Track. Timestamps wrap at 2^32 (RFC 3550 §5.1). Safe for
// concurrent use.
type Clock struct {
	sender *SenderClock

	// Guarded by sender.mu. Times are since the epoch.
	rate  int64
	base  uint32 // RTP timestamp of offset 0
	last  int64  // unwrapped ticks of the latest packet, since base
	begun bool
	born  time.Duration // when it began
	seen  time.Duration // the latest packet's arrival
	high  time.Duration // the highest PTS given
	at    time.Duration // PTS of base, but for the sender's shift
	want  time.Duration // where at is slewing to
	moved time.Duration // when at was last moved

	heard   bool          // a report came
	placed  bool          // at follows from reports
	origin  time.Duration // sender's time of base, since the sender's ref
	origins []time.Duration
	doubt   time.Duration // since when origins say something else; 0 when they do not
	strange time.Duration // the origin by a report that differs much; 0 when the latest does not
	fix     *Fix

	window time.Duration // when the present window began
	least  time.Duration // the least lateness in it
	low    time.Duration // and in the one before
	known  bool          // there was one
}

// PTS maps the RTP timestamp of a packet that arrived at the given instant.
func (c *Clock) PTS(timestamp uint32, arrival time.Time) time.Duration {
	s := c.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	now := arrival.Sub(s.epoch)
	s.slew(now)
	if !c.begun {
		c.begin(timestamp, now)
	}
	c.slew(now)
	ticks := c.unwrap(timestamp)
	pts := c.at + s.shift + c.span(ticks)
	if (now - pts).Abs() > clockLost {
		c.begin(timestamp, now)
		ticks, pts = 0, c.at+s.shift
	}
	c.last = max(c.last, ticks)
	c.high = max(c.high, pts)
	c.seen = now
	c.watch(now, now-pts)
	s.settle(now)
	return pts
}

// Fix is what packets shall carry whose PTS was given just now: nil once the
// sender has spoken.
func (c *Clock) Fix() *Fix {
	c.sender.mu.Lock()
	defer c.sender.mu.Unlock()
	return c.fix
}

// Waits tells whether packets flow but the sender has said nothing about their
// timestamps.
func (c *Clock) Waits() bool {
	c.sender.mu.Lock()
	defer c.sender.mu.Unlock()
	return c.begun && !c.heard
}

// Restart says that the next packet belongs to another numbering, of another
// clock rate perhaps; PTS goes on, and never back.
func (c *Clock) Restart(rateHz uint32) {
	c.sender.mu.Lock()
	defer c.sender.mu.Unlock()
	c.begun, c.rate = false, rateOf(rateHz)
}

// Report takes a sender report (RFC 3550 §6.4.1) or a capture time that came with
// a packet: timestamp was sampled at the instant theirs by the sender's clock,
// which all its tracks share.
func (c *Clock) Report(timestamp uint32, theirs, arrival time.Time) {
	s := c.sender
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.begun {
		return
	}
	if s.ref.IsZero() {
		s.ref = theirs
	}
	since := theirs.Sub(s.ref)
	if since.Abs() > clockSane {
		return
	}
	now := arrival.Sub(s.epoch)
	origin := since - c.span(c.unwrap(timestamp))
	switch {
	case !c.heard:
		c.hear(origin)
	case (origin - c.origin).Abs() > clockJump:
		if c.strange == 0 || (origin-c.strange).Abs() > clockJump/5 {
			c.strange = origin
			return
		}
		s.unsettle(now)
		c.hear(origin)
	default:
		c.strange = 0
		c.follow(origin, now)
	}
	s.settle(now)
}

func rateOf(hz uint32) int64 {
	if hz == 0 {
		return 90000
	}
	return int64(hz)
}

// begin makes a packet the first; its PTS is a guess.
func (c *Clock) begin(timestamp uint32, now time.Duration) {
	c.begun, c.base, c.last, c.born = true, timestamp, 0, now
	c.at = now - c.sender.shift
	if least := c.high + time.Millisecond - c.sender.shift; c.high > 0 {
		c.at = max(c.at, least)
	}
	c.want, c.moved = c.at, now
	c.window, c.least, c.known = now, clockLost, false
	c.forget()
}

// forget what reports said.
func (c *Clock) forget() {
	c.heard, c.placed, c.doubt, c.strange, c.origins = false, false, 0, 0, c.origins[:0]
	c.want = c.at
	if c.fix == nil {
		c.fix = &Fix{done: make(chan struct{})}
	}
}

func (c *Clock) hear(origin time.Duration) {
	c.heard, c.origin, c.strange = true, origin, 0
	c.origins = append(c.origins[:0], origin)
}

// follow mends the drift between the track's timestamps and its sender's clock:
// a microphone has a clock of its own.
func (c *Clock) follow(origin, now time.Duration) {
	if len(c.origins) == clockReports {
		c.origins = slices.Delete(c.origins, 0, 1)
	}
	c.origins = append(c.origins, origin)
	middle := slices.Sorted(slices.Values(c.origins))[len(c.origins)/2]
	switch {
	case (middle - c.origin).Abs() <= clockDrift:
		c.doubt = 0
	case c.doubt == 0:
		c.doubt = now
	case now-c.doubt >= clockPatience:
		c.doubt = 0
		if c.placed {
			c.want += middle - c.origin
		}
		c.origin = middle
	}
}

// place moves the track to where its reports say it is.
func (c *Clock) place(at time.Duration) {
	if c.fix != nil {
		c.fix.by = at - c.at
		close(c.fix.done)
		c.fix = nil
	}
	c.least -= at - c.at
	c.low -= at - c.at
	c.at, c.want, c.placed = at, at, true
}

// slew moves at towards want.
func (c *Clock) slew(now time.Duration) {
	most := slewIn(now-c.moved, clockSlew)
	c.moved = max(c.moved, now)
	c.at += min(max(c.want-c.at, -most), most)
}

// slewIn is how far time moves in d at a pace per second.
func slewIn(d, pace time.Duration) time.Duration {
	return time.Duration(int64(pace) * int64(min(max(d, 0), 10*time.Second)/time.Microsecond) / 1e6)
}

// watch notes how late the most punctual packet of each second is.
func (c *Clock) watch(now, late time.Duration) {
	c.least = min(c.least, late)
	if now-c.window < clockWindow {
		return
	}
	c.low, c.known = c.least, true
	c.window, c.least = now, clockLost
	c.sender.review(now)
}

func (c *Clock) unwrap(timestamp uint32) int64 {
	return c.last + int64(int32(timestamp-c.base-uint32(c.last)))
}

func (c *Clock) span(ticks int64) time.Duration {
	return time.Duration(ticks/c.rate)*time.Second + time.Duration(ticks%c.rate)*time.Second/time.Duration(c.rate)
}
