package congestion

import "math"

const (
	rateBeta    = 0.85 // of what came is kept when a queue grows
	rateArrived = 0.9  // of what came is kept when much is lost
	rateGrowth  = 1.08 // per second, far from the capacity
	rateFrames  = 30   // per second, to guess the size of packets
	ratePacket  = 1200 * 8
	rateLeast   = 4000 // bps per second, near the capacity
	rateSpare   = 10_000
	capacityOld = 0.95 // weight of the old in the mean capacity
)

// rate is the delay-based controller (draft-ietf-rmcat-gcc-02 §5.5): up while no
// queue grows, by 8 % per second or, near the rate at which queues were seen to
// grow, by about half a packet per round trip; down to 85 % of what arrives when
// one does.
type rate struct {
	bps      float64
	capacity float64 // kbit/s, mean of what arrived while a queue grew; 0: unknown
	variance float64 // of it, over the mean
	stepped  int64
	reduced  int64
	state    usage // the previous
}

// step follows usage; acked is what arrives in bps (0: not known), lately over
// a quarter and most of a second; lossy is the share that is lost at random.
func (r *rate) step(u usage, short, long, lossy float64, rtt, at int64) {
	since := float64(min(at-r.stepped, second)) / second
	if r.stepped == 0 {
		since = 0
	}
	r.stepped = at
	was := r.state
	r.state = u
	switch u {
	case over:
		r.reduce(short, lossy, rtt, at)
	case under: // the queue empties: wait
	case normal:
		// After a queue one calm step is let pass.
		if was == normal && long > 0 {
			r.grow(long, rtt, since)
		}
	}
}

func (r *rate) grow(acked float64, rtt int64, since float64) {
	// Nothing is known beyond one and a half times what was tried.
	most := 1.5*acked + rateSpare
	if r.bps >= most {
		return
	}
	if kbps := acked / 1000; r.capacity > 0 && kbps > r.capacity+3*r.deviation() {
		r.capacity = 0 // the path has become wider
	}
	if r.capacity > 0 {
		frame := r.bps / rateFrames
		packet := frame / math.Ceil(frame/ratePacket)
		response := 2 * float64(rtt+100*millisecond) / second
		r.bps += max(rateLeast, packet/response) * since
	} else {
		r.bps += max(r.bps*(math.Pow(rateGrowth, since)-1), 1000*since)
	}
	r.bps = min(r.bps, most)
}

func (r *rate) reduce(acked, lossy float64, rtt, at int64) {
	if acked <= 0 {
		acked = r.bps / 2
	}
	// What arrives lacks what was lost at random, which is no reason to send less.
	acked /= 1 - min(max(lossy, 0), 0.1)
	if at-r.reduced < min(max(rtt, 10*millisecond), 200*millisecond) && acked > r.bps/2 {
		return
	}
	r.reduced = at
	kbps := acked / 1000
	if r.capacity > 0 && kbps < r.capacity-3*r.deviation() {
		r.capacity = 0
	}
	if kbps = min(kbps, r.bps/1000*1.5); r.capacity == 0 {
		r.capacity, r.variance = kbps, 0.4
	} else {
		miss := r.capacity - kbps
		r.capacity = capacityOld*r.capacity + (1-capacityOld)*kbps
		r.variance = min(max(capacityOld*r.variance+(1-capacityOld)*miss*miss/max(r.capacity, 1), 0.4), 2.5)
	}
	r.bps = min(r.bps, rateBeta*acked)
}

// found takes what a probe has found to arrive.
func (r *rate) found(bps float64) {
	if bps > r.bps {
		r.bps = bps
	}
	if bps > 1000*(r.capacity+3*r.deviation()) {
		r.capacity = 0
	}
}

func (r *rate) deviation() float64 { return math.Sqrt(r.variance * r.capacity) }
