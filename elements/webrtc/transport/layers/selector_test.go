package layers

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// shape is a kind of publisher.
type shape struct {
	name                     codec.Name
	encs, spatials, temporal int
	kSVC, flexible, dd       bool
}

func (s shape) String() string {
	if s.encs > 1 {
		return fmt.Sprintf("%s S%dT%d", s.name, s.encs, s.temporal)
	}
	x := fmt.Sprintf("%s L%dT%d", s.name, s.spatials, s.temporal)
	if s.kSVC {
		x += "_KEY"
	}
	if s.flexible {
		x += " flexible"
	}
	if s.dd {
		x += " described"
	}
	return x
}

var shapes = []shape{
	{name: codec.VP8, encs: 1, spatials: 1, temporal: 1},
	{name: codec.VP8, encs: 1, spatials: 1, temporal: 3},
	{name: codec.VP8, encs: 3, spatials: 1, temporal: 1},
	{name: codec.VP8, encs: 3, spatials: 1, temporal: 2},
	{name: codec.VP8, encs: 3, spatials: 1, temporal: 3},
	{name: codec.VP8, encs: 3, spatials: 1, temporal: 3, dd: true},
	{name: codec.H264, encs: 3, spatials: 1, temporal: 1},
	{name: codec.H264, encs: 3, spatials: 1, temporal: 2},
	{name: codec.H264, encs: 3, spatials: 1, temporal: 3, dd: true},
	{name: codec.VP9, encs: 1, spatials: 3, temporal: 3},
	{name: codec.VP9, encs: 1, spatials: 3, temporal: 3, flexible: true},
	{name: codec.VP9, encs: 1, spatials: 3, temporal: 3, kSVC: true},
	{name: codec.VP9, encs: 1, spatials: 1, temporal: 2},
	{name: codec.VP9, encs: 2, spatials: 1, temporal: 3},
	{name: codec.AV1, encs: 1, spatials: 1, temporal: 3, dd: true},
	{name: codec.AV1, encs: 1, spatials: 3, temporal: 3, dd: true},
	{name: codec.AV1, encs: 1, spatials: 3, temporal: 3, dd: true, kSVC: true},
	{name: codec.AV1, encs: 1, spatials: 2, temporal: 1, dd: true},
	{name: codec.AV1, encs: 3, spatials: 1, temporal: 3, dd: true},
}

// world is a publisher, its measured source and one subscriber.
type world struct {
	pub     *publisher
	source  *Source
	parsers [MaxEncodings]Parser
	sub     *subscriber
	now     time.Time
	keys    int
}

func newWorld(s shape, rnd *rand.Rand) *world {
	pub := newPub(s.name, s.encs, s.spatials, s.temporal, rnd.IntN)
	pub.kSVC, pub.flexible, pub.dd = s.kSVC, s.flexible, s.dd
	w := &world{pub: pub, source: NewSource([]string{"q", "h", "f"}[:s.encs]...), now: pub.start}
	w.sub = &subscriber{x: NewSelector(pipeline.Video)}
	w.sub.x.SetSource(w.source)
	return w
}

// deliver is one received packet.
func (w *world) deliver(v sent) bool {
	var info Info
	w.parsers[v.enc].Read(v.packet, v.descriptor, &info)
	w.source.Note(v.enc, v.packet, &info, w.now)
	ok := w.sub.take(v, &info, w.now)
	if enc, ask := w.sub.x.WantsKeyFrame(w.now); ask {
		w.pub.e[enc].wantKey = true
		w.keys++
	}
	return ok
}

// random changes what the subscriber wants, or what it can have.
func (w *world) random(rnd *rand.Rand) {
	switch rnd.IntN(4) {
	case 0:
		w.sub.x.Allow(rnd.IntN(400_000), w.now)
	case 1:
		w.sub.x.Want(Best, Best, w.now)
	default:
		w.sub.x.Want(rnd.IntN(3), rnd.IntN(3), w.now)
	}
}

func (w *world) tick() { w.now = w.now.Add(time.Second / 30) }

// TestSwitches makes 1,000 random wishes and bandwidths of each kind of publisher:
// whatever is forwarded decodes, in an unbroken line.
func TestSwitches(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, uint64(len(s.String()))))
			w := newWorld(s, rnd)
			for range 1000 {
				pictures := 1 + rnd.IntN(8)
				for n := range pictures {
					all := w.pub.picture()
					at := rnd.IntN(len(all)) // also in the middle of a picture
					for i, v := range all {
						if n == 0 && i == at {
							w.random(rnd)
						}
						w.deliver(v)
					}
					w.tick()
				}
			}
			r := w.sub.judge(t, w.pub)
			t.Logf("%+v, %d keyframes, %d cut of %d", r, w.keys, w.sub.x.Cut(), len(w.sub.packets))
			if r.holes != 0 || r.undecodable != 0 || r.incomplete != 0 || r.empty != 0 {
				t.Errorf("%+v", r)
			}
			if s.encs > 1 && r.switches < 100 {
				t.Errorf("only %d switches", r.switches)
			}
			if s.temporal > 1 && w.sub.x.Cut() == 0 {
				t.Error("nothing was cut")
			}
			w.sub.judgeCounters(t, w.pub)
		})
	}
}

// TestSwitchesLossy does the same over a network that loses and reorders: numbers
// stay in line, holes are only what was lost, and a packet that comes late finds
// the place that was kept for it.
func TestSwitchesLossy(t *testing.T) {
	for _, s := range shapes {
		t.Run(s.String(), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(2, uint64(len(s.String()))))
			w := newWorld(s, rnd)
			type waiting struct {
				v     sent
				after int
			}
			var queue []waiting
			lost, late := 0, 0
			for n := range 3000 {
				if n%20 == 0 {
					w.sub.x.Want(rnd.IntN(3), rnd.IntN(3), w.now)
				}
				if n%60 == 0 {
					w.pub.e[rnd.IntN(s.encs)].wantKey = true
				}
				for _, v := range w.pub.picture() {
					switch k := rnd.IntN(100); {
					case k < 3:
						lost++
						w.pub.frames[v.id].damaged = true
						continue
					case k < 6:
						late++
						w.pub.frames[v.id].damaged = true
						queue = append(queue, waiting{v, n + 1 + rnd.IntN(4)})
						continue
					}
					w.deliver(v)
				}
				keep := queue[:0]
				for _, q := range queue {
					if q.after <= n {
						w.deliver(q.v)
					} else {
						keep = append(keep, q)
					}
				}
				queue = keep
				w.tick()
			}
			r := w.sub.judge(t, w.pub)
			t.Logf("%+v, %d lost, %d late, %d forwarded", r, lost, late, len(w.sub.packets))
			if r.holes > lost+late {
				t.Errorf("%d holes of %d lost packets", r.holes, lost)
			}
			if r.frames-r.undecodable < r.frames/10 {
				t.Errorf("%+v: too little to tell", r)
			}
		})
	}
}
