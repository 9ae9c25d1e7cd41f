package layers

import (
	"math/rand/v2"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

const (
	// stragglers is how long packets of a source that was just left are ignored.
	stragglers = 300 * time.Millisecond
	// keyRetry is how often a keyframe that is waited for is asked for again.
	keyRetry = 500 * time.Millisecond
	// stuck is how long a source may offer no place to go up to a temporal layer,
	// before a keyframe is asked for.
	stuck = 5 * time.Second
	// forgetful is how many packets late one may be.
	forgetful = 1 << 13
	// dropout is how far off a number must be to belong to another count.
	dropout = 3000
)

// Selector is one subscriber's view of a source: it decides which packets are
// forwarded, and how they are numbered. Sequence numbers have no holes for what was
// left out on purpose, and keep those of packets that were lost. Not safe for
// concurrent use.
type Selector struct {
	kind    pipeline.Kind
	changed bool // the next packet begins another source
	foreign bool // another source shows up in the place of this
	off     bool // nothing is wanted
	bare    bool // see Bare
	fwd     bool // the frame of the latest packet is forwarded
	ended   bool // that packet was its last
	recap   bool // the caps changed with the latest frame

	enc   int8 // what is forwarded now
	inS   int8 // spatial layer of the latest packet
	capS  int8 // what is forwarded at most
	capT  int8
	goalS int8 // what shall be, of this encoding
	goalT int8

	ssrc     uint32
	inTS     uint32 // timestamp of the latest packet
	high     uint16 // highest sequence number seen of the source
	first    uint16 // what is before is not taken
	seqAdd   uint16
	strange  uint16 // the latest number that was too old
	clock    clock
	pictures pictures
	activity activity
	runs     *runs // nil until something was cut
	cut      uint64

	source *Source
	target target

	left    uint32    // SSRC of the source before
	leftAt  time.Time // when it was left
	askedAt time.Time
	stuckAt time.Time // since when temporal layers wait for a place to go up; zero when they do not
}

// NewSelector makes the Selector of a subscriber: Audio is forwarded at once, Video
// from a keyframe on.
func NewSelector(kind pipeline.Kind) *Selector {
	x := &Selector{}
	x.Init(kind)
	return x
}

// Init makes x ready, for those that embed it.
func (x *Selector) Init(kind pipeline.Kind) {
	*x = Selector{kind: kind}
	x.target.wish = pick{noCap, noCap}
	x.Restart()
}

// SetSource names the publisher whose layers there are to choose from; nil for
// one that is not measured. It begins anew, as Restart does.
func (x *Selector) SetSource(s *Source) {
	x.source = s
	x.Restart()
}

// Restart makes the next packet begin another source: video waits for a keyframe,
// numbers go on where they were, time by the wall clock.
func (x *Selector) Restart() {
	x.changed, x.foreign = true, false
	x.askedAt = time.Time{}
	x.target.reset()
}

// Bare says that the subscriber is not forwarded dependency descriptors. Of AV1 in
// spatial layers it gets the lowest only: decoders find the others' frames by
// nothing else. To be called before packets are taken.
func (x *Selector) Bare(yes bool) { x.bare = yes }

// NeedsKey tells whether a keyframe is waited for, or may have to be soon.
func (x *Selector) NeedsKey() bool {
	return x.kind == pipeline.Video && !x.off && (x.mustKey() || !x.stuckAt.IsZero())
}

func (x *Selector) mustKey() bool {
	return x.changed || x.foreign || x.target.enc != x.enc || x.capS < x.goalS || x.capT < 0
}

// WantsKeyFrame tells which encoding shall be asked for a keyframe; ok at most each
// 500 ms.
func (x *Selector) WantsKeyFrame(now time.Time) (enc int, ok bool) {
	if !x.NeedsKey() || now.Sub(x.askedAt) < keyRetry {
		return 0, false
	}
	if x.source != nil && !x.target.picked {
		x.evaluate(now)
	}
	if !x.mustKey() {
		if now.Sub(x.stuckAt) < stuck {
			return 0, false
		}
		x.stuckAt = now
	}
	x.askedAt, x.foreign = now, false
	return int(x.target.enc), true
}

// Last is the newest frame that left: its timestamp, when its first packet was
// taken, and its instant, for sender reports. ok is false before the first.
func (x *Selector) Last() (timestamp uint32, at time.Time, pts time.Duration, ok bool) {
	c := &x.clock
	return c.line, c.lastAt, c.lastPTS, c.started
}

// Cut counts the packets that were left out of what is forwarded, on purpose.
func (x *Selector) Cut() uint64 { return x.cut }

// Take decides about a packet of the encoding enc (0 for a single stream), and how
// it is rewritten; false when it is not forwarded. info may be nil for sound.
// Packets come as they were received: late ones find their place.
func (x *Selector) Take(enc int, p *pipeline.Packet, info *Info, now time.Time) (Out, bool) {
	if x.source != nil && now.Sub(x.target.evalAt) >= 0 {
		x.evaluate(now)
	}
	if enc != int(x.enc) || p.Header.SSRC != x.ssrc || x.changed {
		if !x.enter(enc, p, info, now) {
			return Out{}, false
		}
	}
	seq := p.Header.SequenceNumber
	d := int16(seq - x.high)
	if d <= 0 {
		return x.late(seq, p, info)
	}
	if seq-x.first > 2*forgetful {
		x.forget(seq)
	}
	if info == nil || len(p.Payload) == 0 {
		if !x.fwd { // padding after what was left out
			x.leave(seq, int(d)-1, unless(x.ended), 0)
		}
	} else if info.Begin || p.Header.Timestamp != x.inTS || info.Spatial != x.inS {
		was := x.fwd
		x.fwd = x.frame(p, info, now)
		switch {
		case !x.fwd:
			x.skip(seq, int(d)-1, was, info)
		case !was:
			x.resume(seq, int(d)-1)
		case x.recap:
			x.mark(seq)
		}
		x.recap = false
		x.inTS, x.inS, x.ended = p.Header.Timestamp, info.Spatial, info.End
	} else {
		if !x.fwd {
			x.leave(seq, int(d)-1, int(d)-1, 0)
		}
		x.ended = info.End
	}
	x.high = seq
	if !x.fwd {
		x.cut++
		return Out{}, false
	}
	out := Out{Seq: seq + x.seqAdd, Timestamp: x.clock.place(p.Header.Timestamp), Marker: p.Header.Marker}
	if int32(out.Timestamp-x.clock.last) > 0 || x.clock.fresh {
		x.clock.sent(p.Header.Timestamp, out.Timestamp, now, p.PTS)
	}
	if info != nil {
		if info.End && info.Spatial == x.capS {
			out.Marker = true
		}
		if x.pictures.shifted {
			x.pictures.patch(p.Payload, info, x.pictures.idAdd, &out)
		}
		if info.structure != nil {
			out.Targets = x.activity.targetsOf(info, x.capS, x.capT)
		}
	}
	return out, true
}

// enter decides whether a packet that is not of the present stream begins another.
func (x *Selector) enter(enc int, p *pipeline.Packet, info *Info, now time.Time) bool {
	if x.off || uint(enc) >= MaxEncodings {
		return false
	}
	entry := x.kind != pipeline.Video || info != nil && info.entry
	switch {
	case x.changed:
		if !entry || !x.mayStart(int8(enc)) {
			return false
		}
	case enc == int(x.enc):
		if p.Header.SSRC == x.left && now.Sub(x.leftAt) < stragglers {
			return false
		}
		if !entry {
			x.foreign = true
			return false
		}
	case int8(enc) == x.target.enc && entry:
		x.clock.change(p.Header.Timestamp, p.PTS, now)
		x.begin(enc, p, info)
		return true
	default:
		return false
	}
	if p.Header.SSRC != x.ssrc {
		x.left, x.leftAt = x.ssrc, now
	}
	last := x.high + x.seqAdd
	if !x.clock.started {
		last = uint16(rand.Uint32() & 0x7fff)
	}
	x.high, x.seqAdd = last, 0
	x.clock.begin(p.Header.Timestamp, now, x.rate(p.Format))
	x.begin(enc, p, info)
	return true
}

func (x *Selector) rate(f *pipeline.Format) uint32 {
	switch {
	case f != nil && f.ClockRate != 0:
		return f.ClockRate
	case x.kind == pipeline.Video:
		return 90000
	}
	return 48000
}

// begin makes p the first packet of what is forwarded from now on.
func (x *Selector) begin(enc int, p *pipeline.Packet, info *Info) {
	seq := p.Header.SequenceNumber
	x.seqAdd = x.high + x.seqAdd + 1 - seq
	x.high, x.first = seq-1, seq
	x.enc, x.ssrc = int8(enc), p.Header.SSRC
	x.changed, x.foreign = false, false
	x.fwd, x.ended, x.recap = true, true, false
	x.inTS = p.Header.Timestamp - 1
	x.stuckAt = time.Time{}
	x.pictures.begin(p.Format, info)
	x.goalS, x.goalT = x.target.goals(x.enc)
	if x.bare && info != nil && info.structure != nil && x.pictures.name == codec.AV1 {
		x.goalS = 0
	}
	x.capS, x.capT = x.goalS, x.goalT
	if x.runs != nil {
		x.runs.clear()
		x.runs.push(x.present(seq))
	}
}

// late places a packet that is not newer than the newest.
func (x *Selector) late(seq uint16, p *pipeline.Packet, info *Info) (Out, bool) {
	if int16(seq-x.first) < 0 {
		// Two in a row that are far off: the source numbers anew (RFC 3550, A.1).
		if x.high-seq > dropout && seq == x.strange+1 {
			x.changed = true
		}
		x.strange = seq
		return Out{}, false
	}
	if seq == x.high {
		return Out{}, false
	}
	r := x.present(x.first)
	if x.runs != nil && x.runs.n > 0 {
		found := x.runs.find(seq)
		if found == nil || found.dropped() {
			return Out{}, false
		}
		r = *found
	}
	out := Out{Seq: seq + r.add, Timestamp: x.clock.place(p.Header.Timestamp), Marker: p.Header.Marker}
	if info == nil {
		return out, true
	}
	if info.Spatial > r.spatial || info.Temporal > r.temporal {
		out.Marker, out.Empty = false, true
		return out, true
	}
	if info.End && info.Spatial == r.spatial {
		out.Marker = true
	}
	if x.pictures.shifted || r.id != 0 {
		x.pictures.patch(p.Payload, info, r.id, &out)
	}
	if info.structure != nil {
		out.Targets = x.activity.targetsOf(info, x.capS, x.capT)
	}
	return out, true
}

// forget moves the window in which late packets are taken.
func (x *Selector) forget(seq uint16) {
	x.first = seq - forgetful
	if x.runs != nil {
		x.runs.forget(x.first)
	}
}
