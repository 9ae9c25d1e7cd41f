package transport

import (
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/congestion"
	"github.com/govidu/govidu/elements/webrtc/transport/layers"
	"github.com/govidu/govidu/pipeline"
)

const (
	// paceEvery is how often the ticker comes while packets wait for their turn.
	paceEvery = 5 * time.Millisecond
	// paceBelow is the estimate, in bps, above which bursts do no harm.
	paceBelow = 4_000_000
	// paceGain is how much faster than the estimate what waits leaves: the queue of the
	// way takes the rest.
	paceGain = 1.5
	// paceDrain is the time in which what waits shall be gone, faster than the estimate
	// has it if need be: the estimate may be wrong, and late pictures are of no use.
	paceDrain = 250 * time.Millisecond
	paceOld   = 400 * time.Millisecond // after which a packet waits no more
	// paceMost is how many packets wait; the oldest then leaves before its time.
	paceMost = 512
)

// pace spreads the bursts of video to one peer whose way has shown to be narrow: a
// keyframe sent at once would overflow the queue in front of it. Sound, what is sent
// again and probes do not wait, but count. Guarded by the lock of the Peer's shard.
type pace struct {
	pacer congestion.Pacer
	rate  int // bps, the estimate
	queue []held
	first int
	bytes int
}

// held is a packet that waits. It gets its header and is sealed when it leaves.
type held struct {
	p   *pipeline.Packet
	out layers.Out
	at  time.Time
}

// pacing begins or ends pacing as the estimate has it.
func (l *leg) pacing(t *turn, bps int) {
	if bps < paceBelow && !l.peer.engine.cfg.bursts && l.rate.Narrow(t.now) {
		if l.pace == nil {
			l.pace = &pace{}
		}
		l.pace.rate = bps
		l.pace.tune(t.now)
		l.peer.soon(t.now.Add(steerEvery))
		return
	}
	if l.pace != nil {
		l.release(t, true)
		l.pace = nil
	}
}

// tune makes the queue empty in time.
func (x *pace) tune(now time.Time) {
	x.pacer.Rate(int(max(paceGain*float64(x.rate), float64(8*x.bytes)/paceDrain.Seconds())/congestion.PacerGain), now)
}

func (x *pace) waits() int { return len(x.queue) - x.first }

// hold keeps a packet for later; false when it is to leave now.
func (l *leg) hold(t *turn, s *Sender, p *pipeline.Packet, out *layers.Out) bool {
	x := l.pace
	if s.kind != pipeline.Video {
		return false
	}
	if x.waits() > 0 {
		l.release(t, false)
	}
	if x.waits() == 0 {
		if x.pacer.When(t.now) == 0 {
			return false
		}
		if e := l.peer.engine; e.pacing.Add(1) == 1 {
			e.nudge()
		}
	}
	if x.waits() >= paceMost {
		l.next(t)
	}
	if x.first > 0 && len(x.queue) == cap(x.queue) {
		n := copy(x.queue, x.queue[x.first:])
		clear(x.queue[n:])
		x.queue, x.first = x.queue[:n], 0
	}
	x.queue = append(x.queue, held{p, *out, t.now})
	x.bytes += len(p.Payload)
	x.tune(t.now)
	t.shard.tally.paced++
	l.peer.soon(t.now.Add(paceEvery))
	return true
}

// release sends what may leave now, or all of it.
func (l *leg) release(t *turn, all bool) {
	x := l.pace
	if x.waits() == 0 {
		return
	}
	x.tune(t.now)
	for x.waits() > 0 && (all || x.pacer.When(t.now) == 0 || t.now.Sub(x.queue[x.first].at) >= paceOld) {
		l.next(t)
	}
	if x.waits() > 0 {
		l.peer.soon(t.now.Add(paceEvery))
		return
	}
	l.peer.engine.pacing.Add(-1)
	x.queue, x.first, x.bytes = x.queue[:0], 0, 0
}

// next sends the packet that waits longest.
func (l *leg) next(t *turn) {
	x := l.pace
	h := x.queue[x.first]
	x.queue[x.first] = held{}
	x.first++
	x.bytes -= len(h.p.Payload)
	if s := l.peer.videoOut; s.leg == l && s.live && s.use != nil {
		s.emit(t, h.p, &h.out)
	} else {
		s.omit(t, omittedConnection)
	}
}

// forgetHeld drops what waits, because there is nobody to send it to any more.
func (l *leg) forgetHeld() {
	if l.pace != nil && l.pace.waits() > 0 {
		l.peer.engine.pacing.Add(-1)
	}
	l.pace = nil
}

// every is how often the ticker shall come.
func (e *Engine) every() time.Duration {
	if e.pacing.Load() > 0 {
		return paceEvery
	}
	return tickEvery
}
