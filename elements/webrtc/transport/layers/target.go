package layers

import "time"

const (
	// Best is a wish without a bound.
	Best = noCap
	// evalEvery is how often the choice is looked at.
	evalEvery = 100 * time.Millisecond
	// A better layer is chosen when there was room for it, and riseRoom times what
	// it needs, for riseAfter.
	riseRoom  = 1.15
	riseAfter = 2 * time.Second
	// What is to be left for a smaller encoding is sent no more when there is less than
	// this share of its bandwidth, even if that one has no keyframe yet.
	haltShare = 0.8
)

// target is what a Selector wants to forward.
type target struct {
	wish   pick
	allow  float32 // bps, 0 for no bound
	evalAt time.Time

	picked                 bool // what follows is by a view
	enc, spatial, temporal int8
	capS, capT             int8 // for this encoding
	topS, topT             int8 // the highest there are of it

	riseAt time.Time // since when there is room for riseTo; zero when there is none
	riseTo pick
}

// reset forgets what was chosen: the wish is all there is.
func (g *target) reset() {
	g.picked, g.enc, g.evalAt, g.riseAt = false, 0, time.Time{}, time.Time{}
	g.capS, g.capT = g.wish.rank, g.wish.temporal
	g.topS, g.topT = noCap, noCap
}

// goals are the caps for an encoding.
func (g *target) goals(enc int8) (spatial, temporal int8) {
	if enc == g.enc {
		return g.capS, g.capT
	}
	return noCap, g.wish.temporal
}

// Want sets the wish: a rank of Source.Layers and a temporal layer, from 0; Best is
// no bound. A negative rank wants nothing, until another wish. A source that is not
// measured is cut by its own layer ids.
func (x *Selector) Want(spatial, temporal int, now time.Time) {
	if spatial < 0 {
		x.off, x.changed = true, true
		return
	}
	if x.off {
		x.off = false
		x.Restart()
	}
	g := &x.target
	wish := pick{int8(min(spatial, Best)), int8(min(max(temporal, 0), Best))}
	if wish == g.wish {
		return
	}
	g.wish = wish
	if x.source == nil {
		g.reset()
		x.goalS, x.goalT = g.capS, g.capT
		return
	}
	g.picked = false // no hysteresis: somebody asks
	x.askedAt = time.Time{}
	x.evaluate(now)
}

// Allow tells the bandwidth that there is for this video, in bps with headers; none
// or less is no bound. A source that is not measured is not bounded.
func (x *Selector) Allow(bps int, now time.Time) {
	x.target.allow = float32(max(bps, 0))
	if x.source != nil {
		x.evaluate(now)
	}
}

// evaluate chooses the target: down at once, up when there was room for a while.
func (x *Selector) evaluate(now time.Time) {
	g := &x.target
	g.evalAt = now.Add(evalEvery)
	v := x.source.view.Load()
	if v == nil {
		return
	}
	best, ok := v.choose(x.bound(v), g.allow)
	if !ok {
		return
	}
	if g.picked {
		best = x.patience(v, best, now)
	}
	x.set(v, best)
}

// bound is what is wished for, of what the subscriber can be sent.
func (x *Selector) bound(v *view) pick {
	wish := x.target.wish
	if x.bare && v.described && !v.simulcast {
		wish.rank = 0
	}
	return wish
}

// patience is best, or what is chosen now while it is not time to go up.
func (x *Selector) patience(v *view, best pick, now time.Time) pick {
	g := &x.target
	at := v.find(g.enc, g.spatial)
	if at < 0 || !v.ranks[at].alive || g.allow <= 0 {
		return best
	}
	have := pick{at, g.temporal}
	if !best.above(have) {
		g.riseAt = time.Time{}
		return best
	}
	up, ok := v.choose(x.bound(v), g.allow/riseRoom)
	switch {
	case !ok || !up.above(have):
		g.riseAt = time.Time{}
		return have
	case g.riseAt.IsZero():
		g.riseAt, g.riseTo = now, up
	case g.riseTo.above(up):
		g.riseTo = up
	}
	if now.Sub(g.riseAt) < riseAfter {
		return have
	}
	g.riseAt = time.Time{}
	return g.riseTo
}

// set makes p the target.
func (x *Selector) set(v *view, p pick) {
	g := &x.target
	r := &v.ranks[p.rank]
	if r.enc != g.enc {
		x.askedAt = time.Time{}
	}
	g.picked, g.enc, g.spatial, g.temporal = true, r.enc, r.spatial, p.temporal
	g.topS, g.topT = 0, r.temporals-1
	g.capS, g.capT = r.spatial, p.temporal
	if v.simulcast {
		g.capS = noCap
	} else {
		g.topS = v.top()
		if r.spatial >= g.topS && g.wish.rank == Best {
			g.capS = noCap
		}
	}
	if p.temporal >= g.topT && g.wish.temporal == Best {
		g.capT = noCap
	}
	switch at := v.find(x.enc, 0); {
	case x.changed || g.enc == x.enc:
		x.goalS, x.goalT = g.capS, g.capT
	case at > p.rank:
		x.goalT = 0 // the next keyframe leads down: until then as little as possible
		if g.allow > 0 && g.allow < haltShare*v.ranks[at].bps[0] {
			x.goalT = -1 // which is nothing: what queues up now would delay that keyframe, and sound
		}
	default:
		x.goalS, x.goalT = noCap, g.wish.temporal
	}
}

// top is the highest spatial layer that lives.
func (v *view) top() int8 {
	for i := v.n - 1; i >= 0; i-- {
		if v.ranks[i].alive {
			return v.ranks[i].spatial
		}
	}
	return 0
}

// mayStart tells whether a new stream may begin with an encoding: that of the
// target, or a smaller one whose keyframe came first.
func (x *Selector) mayStart(enc int8) bool {
	if x.source == nil || enc == x.target.enc {
		return true
	}
	v := x.source.view.Load()
	if v == nil {
		return true
	}
	at := v.find(enc, 0)
	return at >= 0 && at < v.find(x.target.enc, x.target.spatial)
}

// Target is the rank and the temporal layer that are aimed at; Best for no bound.
func (x *Selector) Target() (spatial, temporal int) {
	g := &x.target
	if !g.picked || x.source == nil {
		return int(g.wish.rank), int(g.wish.temporal)
	}
	return int(x.source.view.Load().find(g.enc, g.spatial)), int(g.temporal)
}

// Current is what is forwarded at most now: a rank, -1 for nothing, and a temporal
// layer; Best for no bound.
func (x *Selector) Current() (spatial, temporal int) {
	if x.changed {
		return -1, -1
	}
	if x.source == nil {
		return int(x.capS), int(x.capT)
	}
	v := x.source.view.Load()
	if v == nil {
		return int(x.capS), int(x.capT)
	}
	if v.simulcast {
		return int(v.find(x.enc, 0)), int(x.capT)
	}
	at := -1
	for i := range v.n {
		if v.ranks[i].spatial <= x.capS {
			at = i
		}
	}
	return at, int(x.capT)
}
