package transport

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/elements/webrtc/transport/udp"
)

const (
	shedEvery = time.Second      // between two looks at the load
	shedFirst = 3 * time.Second  // of too much load before anything is done
	shedNext  = 5 * time.Second  // before more is: what was done shows by then
	shedSlack = 0.1              // below the limit the load must be for something to be given back
	liftFirst = 10 * time.Second // of that before it is
	liftMost  = 2 * time.Minute  // the same for what has come back each time
	relapse   = 30 * time.Second // after which load is not blamed on what was given back
	shedSteps = 4
	// crowded is the share of full batches of a reader that is busy for half of the time
	// from which it counts as overrun.
	crowded = 0.5
)

// shedder decides, by the load of each second, by how many steps quality is lowered.
// Times are the caller's.
type shedder struct {
	limit    float64 // load from which there is too much; 0 for never
	step     int
	over     time.Time // since when there is; zero when there is not
	calm     time.Time // since when there is little; zero when there is not
	moved    time.Time
	lifted   time.Time
	patience time.Duration
}

// judge takes the load, from 0 to 1, and gives the step, from 0 for all quality to
// shedSteps. What lies between limit and slack changes nothing.
func (x *shedder) judge(load float64, now time.Time) int {
	if x.patience == 0 {
		x.patience = liftFirst
	}
	switch {
	case x.limit <= 0:
	case load >= x.limit:
		x.calm = time.Time{}
		if x.over.IsZero() {
			x.over = now
		}
		if x.step < shedSteps && now.Sub(x.over) >= shedFirst && (x.step == 0 || now.Sub(x.moved) >= shedNext) {
			if !x.lifted.IsZero() && now.Sub(x.lifted) < relapse {
				x.patience = min(2*x.patience, liftMost)
			}
			x.step, x.moved = x.step+1, now
		}
	case load < x.limit-shedSlack:
		x.over = time.Time{}
		if x.calm.IsZero() {
			x.calm = now
		}
		if since := now.Sub(x.calm); x.step > 0 && since >= x.patience {
			x.step, x.moved, x.lifted, x.calm = x.step-1, now, now, now
		} else if x.step == 0 && since >= liftMost {
			x.patience = liftFirst
		}
	default:
		x.over, x.calm = time.Time{}, time.Time{}
	}
	return x.step
}

// shed is the shedder of an Engine with what it is fed. All but now and busiest
// belongs to the ticker.
type shed struct {
	shedder
	now     atomic.Int32  // the step
	busiest atomic.Uint64 // load, in millionths

	at      time.Time
	judged  time.Time // counts looks
	cpu     time.Duration
	busy    []int64
	reads   []uint64
	crowds  []uint64
	overrun uint64
}

func (x *shed) load() float64 { return float64(x.busiest.Load()) / 1e6 }

// bound lowers a wish for layers by the steps: pictures of the third size and above,
// then of the second, then temporal layers. What has no layers is as it was.
func (x *shed) bound(w layerWish, layered bool) layerWish {
	if !layered {
		return w
	}
	switch step := x.now.Load(); step {
	case 0:
	case 1:
		w.spatial = min(w.spatial, 1)
	case 2:
		w.spatial = min(w.spatial, 0)
	default:
		w.spatial, w.temporal = min(w.spatial, 0), min(w.temporal, shedSteps-int(step))
	}
	return w
}

// relieve looks at the load once per shedEvery, and tells Senders, who ask once per
// second, by how much to lower what they forward.
func (e *Engine) relieve(now time.Time) {
	x := &e.shed
	if now.Sub(x.at) < shedEvery/time.Duration(max(e.cfg.haste, 1)) {
		return
	}
	x.judged = x.judged.Add(shedEvery)
	load := x.measure(e, now)
	x.busiest.Store(uint64(load * 1e6))
	was := x.step
	step := x.judge(load, x.judged)
	x.now.Store(int32(step))
	switch {
	case step == was:
	case was == 0:
		e.log.Warn("overload: video in layers is sent smaller", "load", load, "limit", x.limit, "step", step)
	case step == 0:
		e.log.Warn("overload is over: video in layers is sent as it was", "load", load, "limit", x.limit)
	default:
		e.log.Info("overload: step of video in layers", "load", load, "limit", x.limit, "step", step)
	}
}

// measure is the load since it was last asked for: the share of the processors that
// the program has used, or the share of time that the busiest shard was at work, or
// 1 when something was lost or had to wait for it.
func (x *shed) measure(e *Engine, now time.Time) float64 {
	span, first := now.Sub(x.at), x.at.IsZero()
	x.at = now
	cpu := processTime()
	share := float64(cpu-x.cpu) / float64(span) / float64(runtime.GOMAXPROCS(0))
	x.cpu = cpu
	if e.cfg.CPU != nil {
		share = e.cfg.CPU()
	}
	if x.busy == nil {
		x.busy, x.reads, x.crowds = make([]int64, len(e.shards)), make([]uint64, len(e.shards)), make([]uint64, len(e.shards))
	}
	overrun := e.counters.lateMail.Load()
	for i, s := range e.shards {
		busy := s.busy.Load()
		s.mu.Lock()
		list := s.tally.reads
		s.mu.Unlock()
		var reads, crowds uint64
		for class, n := range list {
			reads += n
			if class >= udp.BatchClass(batchSize) {
				crowds += n
			}
		}
		at := float64(busy-x.busy[i]) / float64(span)
		if n := reads - x.reads[i]; n > 0 && at >= 0.5 && float64(crowds-x.crowds[i]) >= crowded*float64(n) {
			at = 1
		}
		share = max(share, at)
		x.busy[i], x.reads[i], x.crowds[i] = busy, reads, crowds
		_, dropped := s.socket.Queue()
		overrun += uint64(dropped)
	}
	if overrun > x.overrun {
		share = 1
	}
	x.overrun = overrun
	if first {
		return 0
	}
	return min(max(share, 0), 1)
}
