package congestion

const (
	queueBase   = 15 * second // half of how long the shortest delay is remembered
	queueRecent = 150 * millisecond
	queueReal   = 20 * millisecond  // less is noise
	queueFull   = 150 * millisecond // more shall not stand
	queueDrain  = 100 * millisecond
	queueSlow   = 1500 * millisecond // in which a queue shall empty
	drainAfter  = 5 * second         // after a queue was seen to grow
	drainLong   = 8 * second
	drainPause  = 30 * second
)

// queue measures how much of the delay is a queue: the least of the latest quarter
// of a second above the least of the latest half minute. Jitter does not raise the
// least, a queue does.
type queue struct {
	base, recent     [2]int64 // µs between the two clocks; the latter half and the one before
	spread           int64    // µs, mean of what is above the least, in 256ths
	baseAt, recentAt int64    // begin of the latter halves
	any              bool
}

func (q *queue) add(sent, came int64) {
	d := came - sent
	if !q.any {
		*q = queue{base: [2]int64{d, d}, recent: [2]int64{d, d}, baseAt: came, recentAt: came, any: true}
	}
	turn(&q.base, &q.baseAt, came, queueBase, d)
	turn(&q.recent, &q.recentAt, came, queueRecent, d)
	q.spread += min(d-min(q.recent[0], q.recent[1]), queueFull) - q.spread>>8
}

// real tells whether the delay can be a queue: it is more than noise, which is the
// more the more packets differ.
func (q *queue) real() bool { return q.delay() > max(queueReal, q.spread>>8) }

func turn(least *[2]int64, begin *int64, at, span, d int64) {
	if at-*begin >= span {
		least[1], least[0], *begin = least[0], d, at
	}
	least[0] = min(least[0], d)
}

// delay is the time that packets wait, in µs.
func (q *queue) delay() int64 {
	return min(q.recent[0], q.recent[1]) - min(q.base[0], q.base[1])
}

// drain lets queues empty: a rate just below what the path takes would keep them
// as they are. What others fill does not empty by our sending less, so it ends
// after some time.
type drain struct {
	ceiling float64 // bps; 0: none
	since   int64
	pause   int64 // none before
	grew    int64 // when a queue was seen to grow
}

// step follows the queue; acked is what arrives, in bps.
func (d *drain) step(u usage, delay int64, acked float64, at int64) {
	if u == over {
		d.grew = at
	}
	if delay < queueDrain || d.grew == 0 || at-d.grew > drainAfter || at < d.pause || acked <= 0 {
		d.ceiling, d.since = 0, 0
		return
	}
	if d.since == 0 {
		d.since = at
	}
	if at-d.since > drainLong {
		d.ceiling, d.since, d.pause = 0, 0, at+drainPause
		return
	}
	d.ceiling = acked * max(0.5, 1-float64(delay)/queueSlow)
}
