package congestion

import "math"

// usage is what the one-way delay says of the path.
type usage uint8

const (
	normal usage = iota
	over         // a queue grows
	under        // a queue shrinks
)

func (u usage) String() string { return [...]string{"normal", "over", "under"}[u] }

const (
	groupSpan   = 5 * millisecond // packets sent within belong together
	groupBurst  = 100 * millisecond
	groupJump   = 3 * second // of either clock: begin anew
	trendWindow = 20         // groups
	trendSmooth = 0.9
	trendGain   = 4
	trendMost   = 60 // groups that count in the gain
	overTime    = 10 // ms that a queue must grow
	gammaStart  = 12.5
	gammaLeast  = 6
	gammaMost   = 600
	gammaUp     = 0.0087
	gammaDown   = 0.039
	gammaIgnore = 15
)

// group is packets that were sent in one burst (draft-ietf-rmcat-gcc-02 §5.2).
type group struct {
	firstSent, sent int64 // µs of our clock
	firstCame, came int64 // µs of the peer's
	packets         int
}

// trend finds queues by the delay of groups of packets: the slope of the delay
// over the latest twenty groups against an adaptive threshold (§5.3 to §5.4 of the
// draft, with a line fitted in place of the Kalman filter).
type trend struct {
	cur, prev group
	times     [trendWindow]float32 // ms since base
	delays    [trendWindow]float32 // ms, smoothed
	n         int                  // groups since the beginning
	base      int64
	sum       float64 // ms of delay that have gathered
	smooth    float64
	gamma     float64
	slope     float64 // the latest, with gain
	overFor   float64 // ms
	overs     int
	touched   int64 // when gamma was adapted
	usage     usage
	backwards int
	queue     queue
}

// add takes a packet that came. Packets come in the order of their numbers.
func (t *trend) add(sent, came int64) {
	c := &t.cur
	if c.packets > 0 && (sent-c.sent > groupJump || abs(came-c.came) > groupJump) {
		t.reset()
	}
	t.queue.add(sent, came)
	switch {
	case c.packets == 0:
	case sent < c.firstSent: // reordered at our own end
		return
	case sent-c.firstSent <= groupSpan || t.burst(sent, came):
		c.sent, c.came = max(c.sent, sent), max(c.came, came)
		c.packets++
		return
	default:
		if t.prev.packets > 0 {
			t.step(float64(c.sent-t.prev.sent)/millisecond, float64(c.came-t.prev.came)/millisecond)
		}
		t.prev = *c
	}
	t.cur = group{firstSent: sent, sent: sent, firstCame: came, came: came, packets: 1}
}

// burst tells whether a packet arrived with the group though sent after it, as on
// links that gather packets.
func (t *trend) burst(sent, came int64) bool {
	apart := came - t.cur.came
	return apart-(sent-t.cur.sent) < 0 && apart <= groupSpan && came-t.cur.firstCame < groupBurst
}

func (t *trend) reset() { *t = trend{gamma: t.gamma} }

// step takes the time between the ends of two groups, in ms, at both ends.
func (t *trend) step(sent, came float64) {
	if came < 0 {
		// Groups overtook each other, or the peer's clock was set.
		if t.backwards++; t.backwards > 3 {
			t.reset()
		}
		return
	}
	t.backwards = 0
	if t.n == 0 {
		t.base = t.cur.came
	}
	t.sum = bound(t.sum+came-sent, 1e6)
	t.smooth = trendSmooth*t.smooth + (1-trendSmooth)*t.sum
	i := t.n % trendWindow
	t.times[i], t.delays[i] = float32(float64(t.cur.came-t.base)/millisecond), float32(t.smooth)
	t.n++
	slope := t.slope
	if t.n >= trendWindow {
		slope = t.fit()
	}
	t.detect(slope*trendGain*float64(min(t.n, trendMost)), sent)
}

// fit is the slope of a line through the window.
func (t *trend) fit() float64 {
	var x, y float64
	for i := range t.times {
		x += float64(t.times[i]) / trendWindow
		y += float64(t.delays[i]) / trendWindow
	}
	var num, den float64
	for i := range t.times {
		dx := float64(t.times[i]) - x
		num += dx * (float64(t.delays[i]) - y)
		den += dx * dx
	}
	if den == 0 {
		return 0
	}
	return num / den
}

func (t *trend) detect(slope, ms float64) {
	if t.gamma == 0 {
		t.gamma = gammaStart
	}
	if t.n < trendWindow {
		slope = 0
	}
	switch {
	case slope > t.gamma:
		if t.overs == 0 {
			t.overFor = ms / 2
		} else {
			t.overFor += ms
		}
		t.overs++
		if t.overFor > overTime && t.overs > 1 && slope >= t.slope {
			t.overFor, t.overs, t.usage = 0, 0, over
		}
	case slope < -t.gamma:
		t.overFor, t.overs, t.usage = 0, 0, under
	default:
		t.overFor, t.overs, t.usage = 0, 0, normal
	}
	t.slope = slope
	t.adapt(slope)
}

// adapt moves the threshold towards what is usual on this path (§5.4), so that
// neither noise nor other traffic that fills queues starves this flow.
func (t *trend) adapt(slope float64) {
	since := float64(min(max(t.cur.came-t.touched, 0), 100*millisecond)) / millisecond
	t.touched = t.cur.came
	size := math.Abs(slope)
	if size > t.gamma+gammaIgnore {
		return
	}
	k := gammaUp
	if size < t.gamma {
		k = gammaDown
	}
	t.gamma = min(max(t.gamma+k*(size-t.gamma)*since, gammaLeast), gammaMost)
}

func abs(x int64) int64 { return max(x, -x) }

func bound(x, most float64) float64 { return min(max(x, -most), most) }
