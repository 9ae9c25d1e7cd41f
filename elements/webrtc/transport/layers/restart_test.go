package layers

import (
	"testing"
	"time"

	"github.com/pion/rtp"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

// feed is a plain VP8 source.
type feed struct {
	x      *Selector
	parser Parser
	format *pipeline.Format
	now    time.Time
	ssrc   uint32
	seq    uint16
	ts     uint32
	id     uint16
}

func newFeed(x *Selector) *feed {
	return &feed{x: x, now: time.Now(), ssrc: 1, seq: 65533, ts: 1<<32 - 6000, id: 0x7ffe, format: packetOf(codec.VP8, 0, false).Format}
}

// make is the next frame, of one packet.
func (f *feed) make(key bool) *pipeline.Packet {
	f.seq, f.ts, f.id, f.now = f.seq+1, f.ts+3000, (f.id+1)&0x7fff, f.now.Add(time.Second/30)
	b := []byte{0x90, 0xe0, 0x80 | byte(f.id>>8), byte(f.id), byte(f.id), 0, 1}
	if key {
		b[6] = 0
	}
	return &pipeline.Packet{Format: f.format, Payload: b, Header: rtp.Header{SSRC: f.ssrc, SequenceNumber: f.seq, Timestamp: f.ts, Marker: true}}
}

func (f *feed) take(p *pipeline.Packet) (Out, bool) {
	var info Info
	f.parser.Read(p, nil, &info)
	out, ok := f.x.Take(0, p, &info, f.now)
	return out, ok
}

func (f *feed) must(t *testing.T, p *pipeline.Packet) Out {
	t.Helper()
	out, ok := f.take(p)
	if !ok {
		t.Fatal("not forwarded")
	}
	return out
}

// TestPlain passes a stream of one layer through all wraps, waiting for its
// keyframe, without writing to it.
func TestPlain(t *testing.T) {
	x := NewSelector(pipeline.Video)
	f := newFeed(x)
	if _, ok := f.take(f.make(false)); ok {
		t.Fatal("began without a keyframe")
	}
	if enc, ok := x.WantsKeyFrame(f.now); !ok || enc != 0 || !x.NeedsKey() {
		t.Fatal("asks for no keyframe")
	}
	if _, ok := x.WantsKeyFrame(f.now.Add(keyRetry / 2)); ok {
		t.Error("asks again at once")
	}
	if _, ok := x.WantsKeyFrame(f.now.Add(keyRetry)); !ok {
		t.Error("does not ask again")
	}
	last := f.must(t, f.make(true))
	if x.NeedsKey() {
		t.Error("still needs a key")
	}
	for range 200_000 {
		out := f.must(t, f.make(false))
		if out.Seq != last.Seq+1 || out.Timestamp != last.Timestamp+3000 || !out.Marker || out.PatchLen != 0 || out.Empty {
			t.Fatalf("%+v after %+v", out, last)
		}
		last = out
	}
	if x.Cut() != 0 || x.runs != nil {
		t.Error("something was cut")
	}
	ts, at, _, ok := x.Last()
	if !ok || ts != last.Timestamp || !at.Equal(f.now) {
		t.Errorf("last %d at %v", ts, at)
	}
}

// TestPlainLoss keeps the holes of what was lost, and gives late packets theirs.
func TestPlainLoss(t *testing.T) {
	x := NewSelector(pipeline.Video)
	f := newFeed(x)
	early := f.make(false)
	first := f.must(t, f.make(true))
	lost := f.make(false)
	third := f.must(t, f.make(false))
	if third.Seq != first.Seq+2 {
		t.Errorf("%d after %d", third.Seq, first.Seq)
	}
	if out := f.must(t, lost); out.Seq != first.Seq+1 || out.Timestamp != first.Timestamp+3000 {
		t.Errorf("late %+v", out)
	}
	if _, ok := f.take(early); ok {
		t.Error("took what was before the keyframe")
	}
	if _, ok := f.take(lost); !ok {
		t.Error("whether a packet comes twice is the receiver's business")
	}
}

// TestSourceChange changes the source: numbers go on, time by the wall clock,
// pictures in line, and stragglers of the old one stay away.
func TestSourceChange(t *testing.T) {
	x := NewSelector(pipeline.Video)
	a := newFeed(x)
	b := newFeed(x)
	b.ssrc, b.seq, b.ts, b.id, b.now = 2, 500, 77, 7000, a.now
	a.must(t, a.make(true))
	last := a.must(t, a.make(false))
	b.now = a.now.Add(200 * time.Millisecond)
	if _, ok := b.take(b.make(false)); ok {
		t.Fatal("began in the middle")
	}
	if !x.NeedsKey() {
		t.Error("no wish for the new source's keyframe")
	}
	if out := a.must(t, a.make(false)); out.Seq != last.Seq+1 {
		t.Errorf("the old source goes on until then: %+v", out)
	}
	last, _ = a.take(a.make(false))
	gone := b.now.Add(time.Second / 30).Sub(a.now)
	key := b.make(true)
	out := b.must(t, key)
	if want := last.Timestamp + uint32(ticks(gone, 90000)); out.Seq != last.Seq+1 || out.Timestamp != want {
		t.Errorf("%+v after %+v, want time %d", out, last, want)
	}
	payload := append([]byte{}, key.Payload...)
	out.Apply(payload)
	if id := uint16(payload[2]&0x7f)<<8 | uint16(payload[3]); id != (a.id+1)&0x7fff || payload[4] != byte(a.id)+1 || payload[6] != 0 {
		t.Errorf("% x, the last had %d", payload, a.id)
	}
	if key.Payload[3] == payload[3] {
		t.Error("the shared payload was written to")
	}
	a.now = b.now
	if _, ok := a.take(a.make(true)); ok {
		t.Error("a straggler of the old source brought it back")
	}
	a.now = a.now.Add(stragglers)
	if _, ok := a.take(a.make(true)); !ok {
		t.Error("the old source cannot come back")
	}
}

// TestRestart waits for a keyframe of the same stream.
func TestRestart(t *testing.T) {
	x := NewSelector(pipeline.Video)
	f := newFeed(x)
	last := f.must(t, f.make(true))
	x.Restart()
	if _, ok := f.take(f.make(false)); ok {
		t.Error("went on without a keyframe")
	}
	if out := f.must(t, f.make(true)); out.Seq != last.Seq+1 || out.Timestamp-last.Timestamp-5999 > 2 {
		t.Errorf("%+v after %+v", out, last)
	}
	// Another codec: its counters have nothing to go on from.
	x.Restart()
	vp9 := packetOf(codec.VP9, 5, true, 0x8c, 0x81, 2, 0x82, 0, 0)
	vp9.Header.SSRC = 1
	f.parser = Parser{}
	if out := f.must(t, vp9); out.PatchLen != 0 {
		t.Errorf("%+v", out)
	}
}

// TestRenumbered follows a source that counts anew under its old name.
func TestRenumbered(t *testing.T) {
	x := NewSelector(pipeline.Video)
	f := newFeed(x)
	f.must(t, f.make(true))
	last := f.must(t, f.make(false))
	f.seq -= 20_000
	n := 0
	for ; n < 5; n++ {
		if out, ok := f.take(f.make(true)); ok {
			if out.Seq != last.Seq+1 {
				t.Errorf("%d after %d", out.Seq, last.Seq)
			}
			break
		}
	}
	if n > 3 {
		t.Error("never believed")
	}
}

// TestPause sends nothing while nothing is wanted, and begins with a keyframe.
func TestPause(t *testing.T) {
	x := NewSelector(pipeline.Video)
	f := newFeed(x)
	last := f.must(t, f.make(true))
	x.Want(-1, 0, f.now)
	if _, ok := f.take(f.make(true)); ok || x.NeedsKey() {
		t.Error("paused, but forwarded or asked for")
	}
	if s, _ := x.Current(); s != -1 {
		t.Errorf("current %d", s)
	}
	x.Want(Best, Best, f.now)
	if _, ok := f.take(f.make(false)); ok || !x.NeedsKey() {
		t.Error("went on without a keyframe")
	}
	if out := f.must(t, f.make(true)); out.Seq != last.Seq+1 {
		t.Errorf("%+v after %+v", out, last)
	}
}

// TestSound begins at once, keeps talkspurt markers, and needs no Info.
func TestSound(t *testing.T) {
	x := NewSelector(pipeline.Audio)
	f := &pipeline.Format{Kind: pipeline.Audio, Codec: codec.Opus, Framing: pipeline.RTP, ClockRate: 48000}
	now := time.Now()
	var last Out
	for n := range 10 {
		p := &pipeline.Packet{Format: f, Payload: []byte{1}, Header: rtp.Header{SSRC: uint32(1 + n/5), SequenceNumber: uint16(n + n/5*1000), Timestamp: uint32(n * 960), Marker: n == 2}}
		out, ok := x.Take(0, p, nil, now)
		if !ok || n > 0 && (out.Seq != last.Seq+1 || out.Timestamp != last.Timestamp+960) || out.Marker != (n == 2) {
			t.Fatalf("%d: %+v after %+v, %v", n, out, last, ok)
		}
		last = out
		now = now.Add(20 * time.Millisecond)
	}
}

// TestClock changes between encodings that are captured together but sent one
// after the other: whatever the order, their timestamps stay in step.
func TestClock(t *testing.T) {
	for _, behind := range []time.Duration{0, 15 * time.Millisecond, -15 * time.Millisecond, 120 * time.Millisecond} {
		var c clock
		now := time.Now()
		c.begin(1000, now, 90000)
		base := c.place(1000)
		c.sent(1000, base, now, 0)
		last := base
		offset := []uint32{0, 1 << 31} // of each encoding's timestamps
		enc := 0
		for n := 1; n < 2000; n++ {
			pts := time.Duration(n) * time.Second / 30
			at := now.Add(pts)
			if n%20 == 0 {
				enc = 1 - enc
			}
			if enc == 1 {
				pts -= behind.Truncate(time.Second / 30) // this encoding is frames behind
				at = at.Add(behind)
			}
			ts := 1000 + offset[enc] + uint32(ticks(pts, 90000))
			if n%20 == 0 {
				c.change(ts, pts, at)
			}
			out := c.place(ts)
			if int32(out-last) <= 0 {
				t.Fatalf("%v: frame %d goes from %d to %d", behind, n, last, out)
			}
			c.sent(ts, out, at, pts)
			last = out
			if n%20 == 19 {
				if off := int32(out - base - uint32(ticks(pts, 90000))); off < -40 || off > 40 {
					t.Fatalf("%v: frame %d is %d ticks off", behind, n, off)
				}
			}
		}
	}
	// Instants that cannot be are not believed.
	var c clock
	now := time.Now()
	c.begin(0, now, 90000)
	c.sent(0, c.place(0), now, time.Hour)
	before := c.last
	c.change(0, 0, now.Add(time.Second))
	if d := c.place(0) - before; d != 90000 {
		t.Errorf("%d ticks on, want a second", d)
	}
}

// TestLateKey does not begin with a keyframe whose first packet came late: the
// packets after it are gone.
func TestLateKey(t *testing.T) {
	x := NewSelector(pipeline.Video)
	f := newFeed(x)
	f.take(f.make(false))
	key := f.make(true)
	if _, ok := f.take(f.make(false)); ok {
		t.Fatal("began without a keyframe")
	}
	if _, ok := f.take(key); ok || !x.NeedsKey() {
		t.Error("began with a late keyframe")
	}
	f.must(t, f.make(true))
}

// TestLongLived cuts seldom, over many rounds of the sequence numbers: late packets
// find their place all the time.
func TestLongLived(t *testing.T) {
	x := NewSelector(pipeline.Video)
	f := newFeed(x)
	layer := func(p *pipeline.Packet, upper bool) *pipeline.Packet {
		p.Payload = []byte{0x90, 0xe0 | 0x20, p.Payload[2], p.Payload[3], p.Payload[4], 0, p.Payload[6]}
		if upper {
			p.Payload[5] = 0x60
		}
		return p
	}
	last := f.must(t, layer(f.make(true), false))
	for n := 1; n < 300_000; n++ {
		switch n % 11_000 {
		case 0:
			x.Want(Best, 0, f.now)
		case 3:
			x.Want(Best, Best, f.now)
		}
		p := layer(f.make(false), n%2 == 1)
		var held *pipeline.Packet
		if n%997 == 0 && n%11_000 > 10 {
			held, p = p, layer(f.make(false), n%2 == 1)
		}
		out, ok := f.take(p)
		if !ok {
			continue
		}
		step := uint16(1)
		if held != nil {
			step = 2
			if late := f.must(t, held); late.Seq != last.Seq+1 || late.Empty {
				t.Fatalf("%d: late %+v after %+v", n, late, last)
			}
		}
		if out.Seq != last.Seq+step {
			t.Fatalf("%d: %+v after %+v", n, out, last)
		}
		last = out
	}
	if x.Cut() < 20 || x.runs.n > 8 {
		t.Errorf("%d cut, %d runs", x.Cut(), x.runs.n)
	}
}
