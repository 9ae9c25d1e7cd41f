package congestion

import (
	"math"
	"time"
)

// The bounds of an Estimator where its user sets none, in bps.
const (
	DefaultMin   = 30_000
	DefaultMax   = 20_000_000
	DefaultStart = 300_000
)

const (
	silencePackets = 10 // sent without hearing anything
	silence        = second
	silenceStep    = 500 * millisecond
	peerStart      = 1000 * second   // where the peer's clock is taken to begin
	feedbackPause  = 4 * millisecond // a peer is heard so often on average
	feedbackBurst  = 400 * millisecond
	settleMore     = 200 * millisecond // besides two round trips
	settleLeast    = 300 * millisecond
	settleMost     = second
	narrowAge      = 30 * second // for which a queue that grew is remembered
	ackedShort     = 5           // bins of 50 ms
	ackedLong      = 16
)

// Estimator finds out what may be sent to one peer, all streams together
// (draft-ietf-rmcat-gcc-02, at the sender): from the delay and loss that the
// peer's transport-wide feedback tells of, and from probes; from REMB and receiver
// reports where a peer sends no such feedback. The history of what was sent
// exists only once feedback has come. The zero value is ready.
type Estimator struct {
	clock           clock
	min, max, start float64
	wish            float64
	history         history
	trend           trend
	rate            rate
	loss            loss
	legacy          legacy
	probe           probe
	drain           drain
	tick, probed    int64 // µs between calls of Probe; the latest
	sending         throughput
	acked           throughput
	rtt             int64 // µs; 0: unknown
	peer            int64 // µs of the peer's clock at reference
	reference       uint32
	heard           int64 // the latest feedback
	unheard         int   // packets sent since
	silenced        int64
	remb            float64
	rembAt          int64
	bytes           uint64
	feedbacks       uint64
	credit          int64 // feedback before this time has been paid for
	active          bool
}

// Set bounds the target and says where it begins, in bps; 0 takes the default of
// each. It may be called at any time.
func (e *Estimator) Set(min, max, start int) {
	e.min, e.max, e.start = float64(min), float64(max), float64(start)
	if min <= 0 {
		e.min = DefaultMin
	}
	if max <= 0 {
		e.max = DefaultMax
	}
	if start <= 0 {
		e.start = DefaultStart
	}
	if e.max < e.min {
		e.max = e.min
	}
	e.start = math.Min(math.Max(e.start, e.min), e.max)
	if e.legacy.at == 0 {
		e.legacy.bps = e.start
	}
	if e.rate.stepped == 0 {
		e.rate.bps = e.start
	}
}

func (e *Estimator) ready() {
	if e.max == 0 {
		e.Set(0, 0, 0)
	}
}

// Wish says what all that goes to the peer would come to at best, in bps, audio
// included: it is probed for as long as the target is less. 0: nothing is known,
// and nothing is probed for.
func (e *Estimator) Wish(bps int) { e.wish = float64(max(bps, 0)) }

// Restart forgets what was measured, because the way to the peer is another now:
// the selected pair has changed. Bounds, wish and history stay.
func (e *Estimator) Restart() {
	e.ready()
	e.trend, e.loss, e.drain, e.acked = trend{}, loss{}, drain{}, throughput{}
	e.probe = probe{id: e.probe.id, count: e.probe.count}
	e.rate, e.legacy = rate{bps: min(e.rate.bps, e.start)}, legacy{bps: min(e.legacy.bps, e.start)}
	e.rtt, e.remb = 0, 0
}

// Active tells whether the peer sends transport-wide feedback: only then is there
// a use in padding.
func (e *Estimator) Active() bool { return e.active }

// Sent counts a packet with a transport-wide sequence number, in the order of
// these numbers. size is that of the datagram in bytes.
func (e *Estimator) Sent(seq uint16, size int, now time.Time) {
	e.bytes += uint64(size)
	if !e.active {
		return
	}
	at := e.clock.at(now)
	e.unheard++
	e.sending.add(size, at)
	e.history.sent(seq, size, e.probe.sent(size, at), at)
}

// Count counts a packet without such a number.
func (e *Estimator) Count(size int) { e.bytes += uint64(size) }

// REMB takes the peer's own estimate in bps, whatever it is.
func (e *Estimator) REMB(bps float64, now time.Time) {
	if !(bps > 1) { // NaN too
		bps = 1
	}
	e.remb, e.rembAt = min(bps, 1e12), e.clock.at(now)
}

// Loss takes the fraction lost of a receiver report, 0 to 1, and the round trip
// time if it is known. It counts only for peers without transport-wide feedback.
func (e *Estimator) Loss(fraction float64, rtt time.Duration, now time.Time) {
	e.clock.at(now)
	if fraction > 0 { // not NaN
		e.legacy.fraction = max(e.legacy.fraction, min(fraction, 1))
	}
	e.legacy.reported = true
	if rtt > 0 && !e.active {
		e.rtt = min(rtt.Microseconds(), 10*second)
	}
}

// Feedback takes one RTCP packet of transport-wide feedback, header included. It
// gives ErrFeedback, and changes nothing, when the packet is malformed. The work
// is bounded by the packet's length and the history, whatever it claims; of a peer
// that sends more than 250 per second, the rest is not heard.
func (e *Estimator) Feedback(packet []byte, now time.Time) error {
	f, err := readFeedback(packet)
	if err != nil {
		return err
	}
	e.ready()
	at := e.clock.at(now)
	if e.credit > at+feedbackBurst {
		return nil
	}
	e.credit = max(e.credit, at) + feedbackPause
	e.feedbacks++
	if !e.active {
		e.active = true
		e.history.open()
		e.rate.bps = e.clamp(e.legacy.bps)
		e.peer, e.reference = peerStart, f.reference<<8
	}
	if e.silenced != 0 {
		// The path is back: how wide it is, is soon to be found out.
		e.probe = probe{id: e.probe.id, count: e.probe.count}
	}
	e.heard, e.unheard, e.silenced = at, 0, 0
	e.history.news = e.history.news[:0]
	e.read(&f, at)
	e.step(at)
	return nil
}

// Follow says whether Lost is asked.
func (e *Estimator) Follow(on bool) {
	switch {
	case !on:
		e.history.news = nil
	case e.history.news == nil:
		e.history.news = make([]uint16, 0, historyNews)
	}
}

// Lost are the transport-wide numbers that the latest feedback told to be missing and
// none before, from the first on and not too many. Some may only have been overtaken.
// The list is valid until the next feedback. It needs Follow.
func (e *Estimator) Lost() []uint16 { return e.history.news }

// Arrived tells whether feedback has told that a packet came, by its transport-wide
// number. It is for the latest packets; of others it knows nothing.
func (e *Estimator) Arrived(seq uint16) bool {
	h := &e.history
	return h.any && h.high-seq < uint16(len(h.info)) && h.info[seq&uint16(len(h.info)-1)]&entryCame != 0
}

// Narrow tells whether the path has lately shown to carry not much more than the
// target: a queue grew, or much was lost, or a probe found no more.
func (e *Estimator) Narrow(now time.Time) bool {
	if !e.active {
		return false
	}
	at := e.clock.at(now)
	return e.rate.reduced != 0 && at-e.rate.reduced < narrowAge || e.loss.ceiling > 0 || e.drain.ceiling > 0 || e.probe.failed
}

// Settled tells how many packets are known to have arrived, and how many not to
// have, of those that were sent so long ago that it stays so, each once: what others
// have overtaken is not lost. Of what feedback that was itself lost would have told,
// it says nothing.
func (e *Estimator) Settled(now time.Time) (came, lost int) {
	if !e.active {
		return 0, 0
	}
	age := min(max(2*e.rtt+settleMore, settleLeast), settleMost)
	return e.history.settled(age, e.clock.at(now))
}

// read goes through the packets that feedback tells of.
func (e *Estimator) read(f *feedback, at int64) {
	ticks := f.reference << 8 // wraps with the 24 bits that there are
	e.peer += int64(int32(ticks-e.reference)) * recorderTick
	e.reference = ticks
	came, newest := e.peer, int64(0)
	for s, ok := f.next(); ok; s, ok = f.next() {
		if !s.came {
			e.loss.lost += e.history.missing(s.seq, s.n)
			continue
		}
		came += int64(s.delta) * recorderTick
		sent, size, cluster, missing, ok := e.history.came(s.seq, at)
		if !ok {
			continue
		}
		if missing {
			e.loss.lost = max(e.loss.lost-1, 0)
		}
		e.loss.came++
		e.loss.bytes += size
		newest = max(newest, sent)
		e.acked.add(size, came)
		e.trend.add(sent, came)
		if cluster != 0 {
			e.probe.arrived(cluster, size, sent, came)
		}
	}
	if newest > 0 {
		if rtt := max(at-newest, 1); e.rtt == 0 || rtt < e.rtt {
			e.rtt = rtt
		} else {
			e.rtt += (min(rtt, 10*second) - e.rtt) / 8
		}
	}
}

// step moves the controllers after feedback.
func (e *Estimator) step(at int64) {
	short, _ := e.acked.bps(ackedShort)
	long, _ := e.acked.bps(ackedLong)
	u := e.trend.usage
	delay := e.trend.queue.delay()
	if u == over && !e.trend.queue.real() {
		u = normal
	}
	e.rate.step(u, short, long, e.loss.fraction, e.rtt, at)
	e.rate.bps = e.clamp(e.rate.bps)
	e.drain.step(u, delay, long, at)
	e.loss.step(e.ceiling(), delay > queueFull, at)
	e.loss.relax(e.rate.bps)
	if e.probe.waiting() {
		if bps, done := e.probe.result(e.loss.fraction, e.rtt, at); done {
			e.probe.close(bps, at)
			if e.trend.usage != over || bps < e.rate.bps {
				e.rate.found(e.clamp(bps))
				e.loss.found(e.clamp(bps))
			}
		}
	}
}

// ceiling is the lowest of the controllers.
func (e *Estimator) ceiling() float64 {
	bps := e.rate.bps
	if e.loss.ceiling > 0 {
		bps = min(bps, e.loss.ceiling)
	}
	if e.drain.ceiling > 0 {
		bps = min(bps, e.drain.ceiling)
	}
	return bps
}

func (e *Estimator) clamp(bps float64) float64 { return min(max(bps, e.min), e.max) }

// Target is what may be sent to the peer now, all streams together, in bps. It is
// called on each tick: a peer that is silent is sent less and less.
func (e *Estimator) Target(now time.Time) int {
	e.ready()
	at := e.clock.at(now)
	remb := 0.0
	if e.remb > 0 && at-e.rembAt < rembAge {
		remb = e.remb
	}
	bps := 0.0
	if e.active {
		e.hush(at)
		bps = e.ceiling()
	} else {
		e.legacy.step(e.bytes, remb, at)
		e.legacy.bps = e.clamp(e.legacy.bps)
		bps = e.legacy.bps
	}
	if remb > 0 {
		bps = min(bps, remb)
	}
	return int(e.clamp(bps))
}

// hush halves the rate while a peer that used to send feedback does not.
func (e *Estimator) hush(at int64) {
	since := max(e.heard+e.rtt+silence, e.silenced+silenceStep)
	if e.unheard >= silencePackets && at >= since {
		e.silenced = at
		e.rate.bps = e.clamp(e.rate.bps / 2)
	}
}

// Probe is called on each tick, of 50 ms at most. ok: send so many bytes now, as
// retransmissions or padding, counted by Sent. Media that is sent meanwhile
// counts as well.
func (e *Estimator) Probe(now time.Time) (bytes int, ok bool) {
	if !e.active || e.wish == 0 {
		return 0, false
	}
	at := e.clock.at(now)
	e.ticked(at)
	p := &e.probe
	if p.waiting() {
		if _, done := p.result(e.loss.fraction, e.rtt, at); done && at-p.ended > second+2*e.rtt {
			p.close(0, at) // nothing was heard
		}
		return 0, false
	}
	if !p.running() {
		rate, ok := e.wanted(now)
		if !ok || at < p.next {
			return 0, false
		}
		p.start(rate, e.ceiling(), e.tick, at)
	}
	bytes = p.due(at)
	if bytes > 0 {
		return bytes, true
	}
	if p.waiting() && p.packets == 0 {
		p.close(0, at) // nothing could be sent
	}
	return 0, false
}

// keeps tells whether the path has been seen to carry what is sent.
func (e *Estimator) keeps() bool {
	acked, ok := e.acked.bps(ackedLong)
	sending, known := e.sending.bps(ackedLong)
	return ok && known && acked > probeGood*(1-min(e.loss.inherent, probeLossy))*sending
}

// ticked learns how often Probe is called: what is due until the next call is sent
// at once.
func (e *Estimator) ticked(at int64) {
	if e.tick == 0 {
		e.tick = probeTick
	}
	if since := at - e.probed; since > 0 && since < 4*probeSlowest {
		e.tick += (min(since, probeSlowest) - e.tick) / 8
	}
	e.probed = at
}

// wanted is the rate of the next probe; false: there is no need for one, or the
// path is too full.
func (e *Estimator) wanted(now time.Time) (float64, bool) {
	target, goal := float64(e.Target(now)), min(e.wish, e.max)
	if target >= goal || e.trend.usage == over || e.trend.queue.real() || e.silenced != 0 || !e.keeps() {
		return 0, false
	}
	step := float64(probeStep)
	switch {
	case e.probe.failed:
		step = probeCareful
	case !e.probe.tried || goal > probeFar*target:
		step = probeFirst
	}
	return min(step*target, goal) * probeSlack, true
}

// EstimatorStats is a view of an Estimator; rates in bps.
type EstimatorStats struct {
	Target  int           // see Target
	Acked   int           // what arrived over the latest second
	Sending int           // what was sent, over the same
	REMB    int           // the peer's own estimate, 0 without one
	Loss    float64       // 0 to 1, of the latest window
	RTT     time.Duration // 0 when unknown
	Usage   string        // of the path: "normal", "over", "under"
	Probes  uint64        // clusters begun
	// Feedbacks is how many packets of transport-wide feedback have come.
	Feedbacks uint64
}

// Stats is a view of the Estimator now.
func (e *Estimator) Stats(now time.Time) EstimatorStats {
	s := EstimatorStats{
		Target: e.Target(now), Loss: e.loss.fraction, RTT: time.Duration(e.rtt) * time.Microsecond,
		Usage: e.trend.usage.String(), Probes: e.probe.count, Feedbacks: e.feedbacks,
	}
	if acked, ok := e.acked.bps(throughputBins); ok {
		s.Acked = int(acked)
	}
	if sending, ok := e.sending.bps(throughputBins); ok {
		s.Sending = int(sending)
	}
	if e.clock.last-e.rembAt < rembAge {
		s.REMB = int(e.remb)
	}
	if !e.active {
		s.Loss = e.legacy.fraction
	}
	return s
}
