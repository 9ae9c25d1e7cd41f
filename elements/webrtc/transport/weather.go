package transport

import (
	"math"
	"time"
)

const (
	lossyFrom = 0.02 // share of packets lost from which something is done, when it is told twice
	lossySure = 0.08 // when it is told once
	// settledSure is when feedback tells it, which does not err.
	settledSure = 0.04
	lossyTo     = 0.01 // below which it is done no more
	lossyDeep   = 0.07 // from which sound is sent three times instead of twice
	// weatherMemory is the time in which what was heard of loss fades, to 1/e.
	weatherMemory = 10 * time.Second

	repairTrust = 0.003 // share of packets that may still be missing when they are due
	repairSlack = 25 * time.Millisecond
	frameSlack  = 50 * time.Millisecond
	maxPlayout  = 600 * time.Millisecond
	playoutUnit = 10 * time.Millisecond
	playoutStep = 20 * time.Millisecond  // of what is aimed at
	playoutHold = 10 * time.Second       // for which less has to do before it is aimed at
	playoutJump = 100 * time.Millisecond // at once: less than stands out
	playoutRise = 0.5                    // seconds per second, half as fast for the eye
	playoutFall = 0.02
	// settledLeast is how many packets a share is taken from.
	settledLeast = 30
	playoutTop   = 1000 // units: what peers take for their bound without the extension
)

// weather follows what a peer tells of loss on the way to it, and what is done about
// it: sound goes out redundantly, more may be sent again, and
// unasked, and video is shown later, so that what is sent again comes in time. Guarded by the lock of the
// Peer's shard.
type weather struct {
	loss   float64 // share of packets, rises fast and falls slowly
	at     time.Time
	lossy  bool
	warned bool // the latest report told of as much
	rtt    time.Duration

	came, lost int // packets whose fate was told, not yet judged
}

// lossOver is what reports tell of one stream's loss over the latest two of their
// intervals. One is not enough: packets that others have overtaken count as lost in
// it, and as found in the next. It is for peers that send no transport-wide feedback,
// which tells more exactly.
type lossOver struct {
	highest [2]uint32 // extended sequence numbers, of the latest report and the one before
	lost    [2]int64
	n       int
}

// heard takes one report; ok is false before the third.
func (o *lossOver) heard(highest uint32, lost int64) (fraction float64, ok bool) {
	expected := int64(int32(highest - o.highest[1]))
	if o.n > 0 && int32(highest-o.highest[0]) < 0 {
		o.n = 0 // another count
	}
	if ok = o.n >= 2 && expected > 0; ok {
		fraction = min(max(float64(lost-o.lost[1])/float64(expected), 0), 1)
	}
	o.highest[1], o.lost[1] = o.highest[0], o.lost[0]
	o.highest[0], o.lost[0] = highest, lost
	o.n = min(o.n+1, 2)
	return fraction, ok
}

// heard takes the share that was lost of a stream, now and again.
func (w *weather) heard(fraction float64, now time.Time) {
	if fraction > w.loss {
		w.loss = fraction
	} else if span := now.Sub(w.at); span > 0 && !w.at.IsZero() {
		w.loss += (fraction - w.loss) * (1 - math.Exp(-float64(span)/float64(weatherMemory)))
	}
	w.at = now
	if w.lossy {
		w.lossy = w.loss > lossyTo
	} else {
		w.lossy = fraction > lossySure || fraction > lossyFrom && w.warned
	}
	w.warned = fraction > lossyFrom
}

// settled takes the fates of packets that transport-wide feedback told of. What was
// only overtaken is not among the lost. It tells whether they made a share.
func (w *weather) settled(came, lost int, now time.Time) bool {
	w.came, w.lost = w.came+came, w.lost+lost
	n := w.came + w.lost
	if n < settledLeast {
		return false
	}
	fraction := float64(w.lost) / float64(n)
	w.came, w.lost = 0, 0
	w.warned = w.warned || fraction > settledSure
	w.heard(fraction, now)
	return true
}

// near takes a measured round trip: jitter must not move the picture.
func (w *weather) near(rtt time.Duration) {
	if rtt <= 0 {
		return
	}
	if w.rtt == 0 {
		w.rtt = rtt
	}
	w.rtt += (rtt - w.rtt) / 8
}

// playout is how long after the first packet could be shown the picture should be,
// so that nearly all of it has come by then.
func (w *weather) playout() time.Duration {
	if !w.lossy || w.rtt <= 0 {
		return 0
	}
	rounds := math.Ceil(math.Log(repairTrust) / math.Log(min(w.loss, 0.5)))
	return min(frameSlack+time.Duration(rounds)*(w.rtt+repairSlack), maxPlayout)
}

// playout is the least delay of pictures that a peer is told. Peers obey at once, and
// a picture that has to wait for a sixth of a second more is a picture that stands
// still: so it goes to where it should be little by little, and comes back when it
// has been too long for a while, more slowly.
type playout struct {
	goal, now time.Duration
	at        time.Time // of now
	needed    time.Time // when the goal was, lately
}

// aim says how long pictures should wait.
func (p *playout) aim(want time.Duration, now time.Time) {
	want = (want + playoutStep - 1) / playoutStep * playoutStep
	if want >= p.goal || 4*want >= 3*p.goal { // little less is not less
		p.goal, p.needed = max(p.goal, want), now
	} else if now.Sub(p.needed) >= playoutHold {
		p.goal, p.needed = want, now
	}
}

// units is how long the picture that leaves now waits, in playoutUnit.
func (p *playout) units(now time.Time) uint16 {
	span := max(now.Sub(p.at), 0)
	if p.at.IsZero() {
		span = 0
	}
	p.at = now
	if p.now < p.goal {
		p.now = max(p.now, min(playoutJump, p.goal))
		p.now = min(p.now+time.Duration(playoutRise*float64(min(span, time.Second/10))), p.goal)
	} else {
		p.now = max(p.now-time.Duration(playoutFall*float64(min(span, time.Second))), p.goal)
	}
	return uint16(p.now / playoutUnit)
}

// watch takes what feedback told lately, each second.
func (l *leg) watch(t *turn) {
	came, lost := l.rate.Settled(t.now)
	if l.weather.settled(came, lost, t.now) {
		l.adapt(t.now)
	}
}

// adapt does what the weather asks for.
func (l *leg) adapt(now time.Time) {
	w := &l.weather
	w.near(l.roundTrip())
	if s := l.peer.audioOut; s.leg == l {
		switch {
		case !w.lossy:
			s.redWeather = 0
		case w.loss < lossyDeep:
			s.redWeather = 1
		default:
			s.redWeather = redMost
		}
		s.repeats(int(s.redSource))
	}
	s := l.peer.videoOut
	if s.leg != l {
		return
	}
	s.resend.budget.Lossy(w.loss)
	s.keepLedger(w.lossy)
	l.protect(s)
	if w.lossy && s.ext.playout != 0 && s.playout == nil {
		s.playout = &playout{} // and from then on, for the peer keeps what it heard last
	}
	if s.playout != nil {
		s.playout.aim(w.playout(), now)
	}
}

// roundTrip is what is known of the way to the peer and back, 0 when nothing is.
func (l *leg) roundTrip() time.Duration {
	rtt := l.agent.Stats().RoundTrip
	for _, s := range []*Sender{l.peer.videoOut, l.peer.audioOut} {
		if s.leg == l {
			rtt = max(rtt, s.stats.rtt)
		}
	}
	return rtt
}

// describePlayout writes the extension of playout delay: from min on, in
// playoutUnit, without a bound of ours. It gives its length.
func describePlayout(dst []byte, id uint8, least uint16) int {
	dst[0] = id<<4 | 2
	dst[1], dst[2], dst[3] = byte(least>>4), byte(least<<4)|byte(playoutTop>>8), byte(playoutTop&0xff)
	return 4
}
