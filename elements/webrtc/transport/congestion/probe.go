package congestion

const (
	probeSpan    = 60 * millisecond // a cluster lasts at least
	probeLong    = 300 * millisecond
	probeTick    = 20 * millisecond // is the time between calls taken to be
	probeSlowest = 50 * millisecond
	probePackets = 5
	probeLeast   = 5_000  // bytes, unless it takes too long
	probeBytes   = 40_000 // asked for at once at most
	probeFirst   = 3      // times the target, at the beginning and far below the wish
	probeStep    = 2
	probeCareful = 1.5 // after one that found nothing
	probeFar     = 4
	probeGood    = 0.7  // of the rate that was tried: try more at once
	probeMore    = 1.05 // times the target: it was worth it
	probeLossy   = 0.2
	probeSlack   = 1.15 // tried above what is wished, for what measuring loses
	probePause   = 5 * second
	probeRarest  = 10 * second
)

// probe sends clusters of packets at more than the target for a moment, and
// measures how fast they arrive.
type probe struct {
	rate    float64 // bps that is tried
	target  float64 // bps, when it began
	lead    int64   // µs of the rate that are sent at once
	began   int64
	ended   int64 // 0: the cluster runs, if began is not 0
	next    int64 // none before
	pause   int64
	count   uint64
	send    float64 // bps that was kept up
	bytes   int     // sent
	packets int
	id      uint8
	tried   bool // once
	failed  bool // the latest

	came                int
	size, head          int   // bytes that came; of the first packet
	firstSent, lastSent int64 // µs of our clock
	firstCame, lastCame int64 // µs of the peer's
}

func (p *probe) running() bool { return p.began != 0 && p.ended == 0 }
func (p *probe) waiting() bool { return p.ended != 0 }

func (p *probe) start(rate, target float64, lead, at int64) {
	*p = probe{rate: rate, target: target, lead: lead, began: at, next: p.next, pause: p.pause, failed: p.failed, count: p.count + 1, id: p.id%clusters + 1, tried: true}
}

// due is how many bytes are to be sent now to hold the rate; it ends a cluster
// that is long enough.
func (p *probe) due(at int64) int {
	t := at - p.began
	if t >= probeSpan && p.packets >= probePackets && p.bytes >= probeLeast || t >= probeLong {
		p.ended = at
		return 0
	}
	return min(int(p.rate/8*float64(t+p.lead)/second)-p.bytes, probeBytes)
}

// sent counts a packet, and tells its cluster.
func (p *probe) sent(size int, at int64) uint8 {
	if !p.running() {
		return 0
	}
	p.bytes += size
	p.packets++
	p.lastSent = at
	// What was sent last belongs to the time until the next would have been.
	p.send = max(p.send, float64(p.bytes)*8*second/float64(at-p.began+p.lead))
	return p.id
}

// arrived takes a packet of a cluster that the peer has.
func (p *probe) arrived(id uint8, size int, sent, came int64) {
	if id != p.id || p.began == 0 {
		return
	}
	if p.came == 0 || came < p.firstCame {
		p.firstCame, p.head = came, size
	}
	if p.came == 0 || sent < p.firstSent {
		p.firstSent = sent
	}
	p.lastCame = max(p.lastCame, came)
	p.size += size
	p.came++
}

// result is the rate that the cluster has shown to pass, once enough of it has
// been heard of; lossy is the share that is lost anyway. done: the wait is over, with or without a result (0).
func (p *probe) result(lossy float64, rtt, at int64) (bps float64, done bool) {
	late := at-p.ended > second+2*rtt
	if p.came*10 < p.packets*8 && !late {
		return 0, false
	}
	out, in := p.lastSent-p.firstSent, p.lastCame-p.firstCame
	if p.came < probePackets-1 || p.came*2 < p.packets || out < 10*millisecond || in <= 0 || in > 2*second {
		return 0, true
	}
	receive := float64(p.size-p.head) * 8 * second / float64(in) / (1 - min(lossy, probeLossy))
	bps = min(p.send, receive, p.rate)
	if receive < 0.9*min(p.send, p.rate) {
		bps = 0.95 * receive // saturated: leave a little
	}
	return bps, true
}

// close takes a result, and says when the next probe may be.
func (p *probe) close(bps float64, at int64) {
	p.began, p.ended = 0, 0
	p.failed = bps < probeGood*p.rate || bps <= probeMore*p.target
	if !p.failed {
		p.next, p.pause = at, probePause
		return
	}
	p.pause = min(max(p.pause, probePause), probeRarest)
	p.next = at + p.pause
	p.pause = min(p.pause*2, probeRarest)
}
