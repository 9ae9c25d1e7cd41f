package transport

import (
	"time"

	"github.com/govidu/govidu/pipeline"
)

const (
	// startBps is what a peer is said to take before it has reported, unless the
	// user says otherwise.
	startBps = 300_000
	// floorBps is the least that is ever asked of a source.
	floorBps = 30_000
	// ceilingBps is the most, where the user sets no bound.
	ceilingBps = 20_000_000
	// rembAge is how long a peer's REMB counts.
	rembAge = 10 * time.Second
	// wishAge is how long a wish for a bitrate counts; it is renewed in time.
	wishAge   = 12 * time.Second
	wishRenew = 4 * time.Second
)

// estimate follows what a peer can take of one video stream: its own REMB
// (draft-alvestrand-rmcat-remb-03), and the loss that its receiver reports tell
// of. Guarded by the lock of
// the Peer's shard; times are the caller's.
type estimate struct {
	lossBps  float64
	fraction float64
	reported bool // a report came since the last step
	remb     int
	rembAt   time.Time
	bytes    uint64 // sent before the last step
	at       time.Time
	told     int
	toldAt   time.Time
}

// heardREMB takes the peer's own estimate.
func (e *estimate) heardREMB(bps float32, now time.Time) {
	e.remb, e.rembAt = int(min(max(float64(bps), 1), ceilingBps*10)), now
}

// heardLoss takes the fraction of a receiver report.
func (e *estimate) heardLoss(fraction float64) {
	e.fraction = max(e.fraction, fraction)
	e.reported = true
}

// fresh tells whether the peer's own estimate counts.
func (e *estimate) fresh(now time.Time) bool { return e.remb > 0 && now.Sub(e.rembAt) < rembAge }

// step moves the estimate by one interval, of about a second; sent is the number
// of bytes sent since birth. Up by 8 %, as long as what is allowed is also used,
// when next to nothing is lost; down by half the loss when that is over a tenth
// (draft-ietf-rmcat-gcc-02 §6). A peer that says it can take more than that
// speeds things up: it sees the delay, which comes before loss.
func (e *estimate) step(now time.Time, sent uint64, start int) {
	if e.lossBps == 0 {
		e.lossBps = float64(max(start, floorBps))
	}
	span := now.Sub(e.at).Seconds()
	used := false
	if !e.at.IsZero() && span > 0 {
		used = float64(sent-e.bytes)*8/span > e.lossBps/2
	}
	e.at, e.bytes = now, sent
	switch {
	case e.fraction > 0.1:
		e.lossBps *= 1 - e.fraction/2
	case e.fraction > 0.02 || !used:
	case e.fresh(now) && float64(e.remb) > e.lossBps:
		e.lossBps = min(e.lossBps*1.5, float64(e.remb))
	case e.reported:
		e.lossBps = e.lossBps*1.08 + 1000
	}
	e.lossBps = min(max(e.lossBps, floorBps), ceilingBps)
	e.fraction, e.reported = 0, false
}

// allowed is the estimate within the user's bounds, in bps.
func (e *estimate) allowed(c *caps, now time.Time) int {
	bps := int(e.lossBps)
	if e.fresh(now) {
		bps = min(bps, e.remb)
	}
	return bounded(bps, c.MinVideoSend, c.MaxVideoSend)
}

func bounded(bps, minKbps, maxKbps int) int {
	bps = max(bps, minKbps*1000, floorBps)
	if maxKbps > 0 {
		bps = min(bps, maxKbps*1000)
	}
	return min(bps, ceilingBps)
}

// wish is what to ask the source of a video Sender for: the estimate of what the
// peer can take from an encoder, and from a publisher whose packets are forwarded
// (spliced) only what the user set, for one slow viewer must not take the quality
// from all others. due is false when nothing is to be asked.
func (s *Sender) wish(spliced bool, now time.Time) (bps int, due bool) {
	if s.kind != pipeline.Video || !s.live || s.leg == nil {
		return 0, false
	}
	c := s.peer.caps.Load()
	// Only where the peer's estimate is of use do packets pay for it.
	s.stamped = s.ext.sendTime != 0 && s.ext.twcc == 0 && (!spliced || s.layered)
	e := &s.estimate
	start := c.StartVideoSend
	if start <= 0 {
		start = startBps
	}
	e.step(now, s.stats.bytes, start)
	bps = e.allowed(c, now)
	if s.leg.rate.Active() { // what transport-wide feedback tells is better
		bps = bounded(s.leg.rate.Target(now)-audioShare, c.MinVideoSend, c.MaxVideoSend)
	}
	if spliced {
		bps = 0
		if c.MaxVideoSend > 0 {
			bps = bounded(ceilingBps, c.MinVideoSend, c.MaxVideoSend)
		}
	}
	due = bps != 0 && (now.Sub(e.toldAt) >= wishRenew || bps < e.told*97/100 || bps > e.told*103/100)
	if due {
		e.told, e.toldAt = bps, now
	}
	return bps, due
}
