package congestion

import "time"

const (
	PacerGain  = 2.5   // tokens come this much faster than the target
	pacerBurst = 0.04  // seconds of tokens that a bucket holds
	pacerFrame = 3_000 // bytes that it holds at least
	pacerDebt  = 1_500 // bytes that those who do not wait may owe at least
)

// Pacer smooths bursts of video towards one peer: a token bucket filled at 2.5
// times the target that holds 40 ms, at least two packets. Audio, retransmissions and
// probes do not wait, but count. The zero value lets everything pass.
type Pacer struct {
	rate  float64 // bytes per second, 0 without a bound
	level float64 // bytes
	clock clock
	at    int64
}

// Rate sets the target in bps; 0 takes the bound away.
func (p *Pacer) Rate(target int, now time.Time) {
	p.fill(now)
	began := p.rate == 0
	p.rate = float64(max(target, 0)) * PacerGain / 8
	if began {
		p.level = p.size()
	}
	p.level = min(p.level, p.size())
}

// Allow tells whether a video packet of size bytes goes now, and counts it if so.
func (p *Pacer) Allow(size int, now time.Time) bool {
	if p.rate == 0 {
		return true
	}
	p.fill(now)
	if p.level <= 0 {
		return false
	}
	p.level -= float64(size)
	return true
}

// Spend counts a packet that does not wait: audio, a retransmission, a probe.
func (p *Pacer) Spend(size int, now time.Time) {
	if p.rate == 0 {
		return
	}
	p.fill(now)
	// What may be owed is bounded, or else a probe would stop the video for long.
	p.level = max(p.level-float64(size), min(p.level, -max(pacerDebt, p.rate*pacerBurst)))
}

// When tells how long it is until Allow says yes; 0 means now.
func (p *Pacer) When(now time.Time) time.Duration {
	if p.rate == 0 {
		return 0
	}
	if p.fill(now); p.level > 0 {
		return 0
	}
	// Times count in whole microseconds.
	return time.Duration(-p.level/p.rate*1e9) + 2*time.Microsecond
}

func (p *Pacer) size() float64 { return max(pacerFrame, p.rate*pacerBurst) }

func (p *Pacer) fill(now time.Time) {
	at := p.clock.at(now)
	if p.at != 0 {
		p.level = min(p.level+p.rate*float64(at-p.at)/second, p.size())
	}
	p.at = at
}
