package congestion

import "time"

const (
	recorderSlots    = 512 // packets that one feedback covers, a power of two
	recorderTick     = 250 // µs
	recorderInterval = 100 * millisecond
	recorderEnough   = 64 // packets that are told of earlier
	recorderEarly    = 40 * millisecond
	strays           = 8 // packets from long ago in a row prove a restart
)

// Recorder notes when packets of one peer came, and tells the peer
// (draft-holmer-rmcat-transport-wide-cc-extensions-01). It counts packets of all
// SSRCs by their transport-wide sequence number. The zero value is ready.
type Recorder struct {
	clock   clock
	told    int64
	ticks   [recorderSlots]uint32 // arrival in units of 250 µs, wraps
	came    [recorderSlots / 64]uint64
	begin   uint16 // the first that the next feedback covers
	end     uint16 // one past the highest that came
	waiting uint16 // came since the latest feedback
	count   uint8  // of feedback packets
	stray   uint8
	started bool
}

// Record notes a packet that came.
func (r *Recorder) Record(seq uint16, at time.Time) {
	us := r.clock.at(at)
	if !r.started {
		r.started, r.begin, r.end, r.told = true, seq, seq, us
	}
	d := int(int16(seq - r.end))
	if d < -recorderSlots {
		if r.stray++; r.stray < strays {
			return
		}
		r.begin, r.end, d = seq, seq, 0
		clear(r.came[:])
	}
	r.stray = 0
	if d >= 0 {
		for i := range min(d+1, recorderSlots) {
			r.forget(seq - uint16(i))
		}
		r.end = seq + 1
		if r.end-r.begin > recorderSlots {
			r.begin = r.end - recorderSlots
		}
	} else if r.has(seq) {
		return
	} else if int16(seq-r.begin) < 0 {
		// It was told to be missing: the next feedback begins with it.
		r.begin = seq
	}
	i := seq % recorderSlots
	r.came[i/64] |= 1 << (i % 64)
	r.ticks[i] = uint32(us / recorderTick)
	r.waiting = min(r.waiting+1, 60_000)
}

func (r *Recorder) has(seq uint16) bool {
	i := seq % recorderSlots
	return r.came[i/64]>>(i%64)&1 != 0
}

func (r *Recorder) forget(seq uint16) {
	i := seq % recorderSlots
	r.came[i/64] &^= 1 << (i % 64)
}

// Due tells whether it is time for feedback: 100 ms after the latest, or 40 ms
// when many packets wait.
func (r *Recorder) Due(now time.Time) bool {
	if r.waiting == 0 {
		return false
	}
	since := r.clock.at(now) - r.told
	return since >= recorderInterval || r.waiting >= recorderEnough && since >= recorderEarly
}

// Build appends feedback about what came since the latest one: RTCP packets of at
// most 1200 bytes each, mostly one, and none when nothing came. sender is our
// SSRC, media one of the peer's.
func (r *Recorder) Build(dst []byte, sender, media uint32, now time.Time) []byte {
	r.told = r.clock.at(now)
	if r.waiting == 0 {
		return dst
	}
	r.waiting = 0
	for int16(r.end-r.begin) > 0 {
		var n int
		if dst, n = r.build(dst, sender, media); n == 0 {
			break
		}
		r.begin += uint16(n)
	}
	r.begin = r.end
	return dst
}
