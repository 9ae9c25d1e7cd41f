package transport

import (
	"math"
	"time"
)

const (
	lossyFrom = 0.02 // share of packets lost from which something is done, when it is told twice
	lossySure = 0.08 // when it is told once
	lossyTo   = 0.01 // below which it is done no more
	lossyDeep = 0.07 // from which sound is sent three times instead of twice
	// weatherMemory is the time in which what was heard of loss fades, to 1/e.
	weatherMemory = 10 * time.Second

	repairTrust = 0.003 // share of packets that may still be missing when they are due
	repairSlack = 25 * time.Millisecond
	frameSlack  = 50 * time.Millisecond
	maxPlayout  = 600 * time.Millisecond
	playoutUnit = 10 * time.Millisecond
	playoutTop  = 1000 // units: what peers take for their bound without the extension
)

// weather follows what a peer's reports tell of loss on the way to it, and what is
// done about it: sound goes out redundantly, more may be sent again, and video is
// shown later, so that what is sent again comes in time. Guarded by the lock of the
// Peer's shard.
type weather struct {
	loss   float64 // share of packets, rises fast and falls slowly
	at     time.Time
	lossy  bool
	warned bool // the latest report told of as much
}

// lossOver is what reports tell of one stream's loss over the latest two of their
// intervals. One is not enough: packets that others have overtaken count as lost in
// it, and as found in the next.
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

// playout is how long after the first packet could be shown the picture should be,
// so that nearly all of it has come by then.
func (w *weather) playout(rtt time.Duration) time.Duration {
	if !w.lossy || rtt <= 0 {
		return 0
	}
	rounds := math.Ceil(math.Log(repairTrust) / math.Log(min(w.loss, 0.5)))
	return min(frameSlack+time.Duration(rounds)*(rtt+repairSlack), maxPlayout)
}

// adapt does what the weather asks for.
func (l *leg) adapt() {
	w := &l.weather
	if s := l.peer.audioOut; s.leg == l && (w.lossy || s.red != nil) {
		if s.red == nil {
			s.red = &redundancy{}
		}
		switch {
		case !w.lossy:
			s.red = nil
		case w.loss < lossyDeep:
			s.red.deep = 1
		default:
			s.red.deep = redMost
		}
	}
	s := l.peer.videoOut
	if s.leg != l {
		return
	}
	s.resend.budget.Lossy(w.loss)
	if w.lossy && s.ext.playout != 0 {
		s.delayed = true // and from then on, for the peer keeps what it heard last
	}
	if s.delayed {
		s.playout = uint16((w.playout(l.roundTrip()) + playoutUnit - 1) / playoutUnit)
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
