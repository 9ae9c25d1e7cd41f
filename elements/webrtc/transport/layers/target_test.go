package layers

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
)

// run lets a world's publisher make pictures, in time.
func (w *world) run(d time.Duration, edit func(n int)) {
	for n := range int(d * 30 / time.Second) {
		if edit != nil {
			edit(n)
		}
		for _, v := range w.pub.picture() {
			w.deliver(v)
		}
		w.tick()
	}
}

func seeded(s shape) *world { return newWorld(s, rand.New(rand.NewPCG(7, 8))) }

// TestTemporal goes down with the next picture, and up at the next place for it,
// without a keyframe.
func TestTemporal(t *testing.T) {
	for _, s := range shapes {
		if s.temporal == 1 {
			continue
		}
		t.Run(s.String(), func(t *testing.T) {
			w := seeded(s)
			w.run(2*time.Second, nil)
			keys := w.keys
			for range 20 {
				w.sub.x.Want(Best, 0, w.now)
				from := len(w.sub.packets)
				w.run(time.Second/2, nil)
				for _, g := range w.sub.packets[from:] {
					if g.sent.temporal > 0 {
						t.Fatalf("%v of temporal layer %d", g.sent.id, g.sent.temporal)
					}
				}
				w.sub.x.Want(Best, Best, w.now)
				w.run(time.Second/2, nil)
				top := 0
				for _, g := range w.sub.packets[len(w.sub.packets)-12:] {
					top = max(top, g.sent.temporal)
				}
				if _, at := w.sub.x.Current(); at != Best || top != s.temporal-1 {
					t.Fatalf("up to %d, cap %d", top, at)
				}
			}
			if w.keys != keys {
				t.Errorf("%d keyframes", w.keys-keys)
			}
			if r := w.sub.judge(t, w.pub); r.holes+r.undecodable+r.incomplete != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestStuck asks for a keyframe when the source offers no place to go up.
func TestStuck(t *testing.T) {
	w := seeded(shape{name: codec.VP8, encs: 1, spatials: 1, temporal: 2})
	w.run(time.Second, nil)
	w.sub.x.Want(Best, 0, w.now)
	w.run(time.Second, nil)
	w.sub.x.Want(Best, Best, w.now)
	for n := 0; ; n++ {
		if n > 400 {
			t.Fatal("never went up")
		}
		for _, v := range w.pub.picture() {
			v.packet.Payload[5] &^= 0x20
			w.deliver(v)
		}
		w.tick()
		if _, at := w.sub.x.Current(); at == Best {
			if d := time.Duration(n) * time.Second / 30; d < stuck-time.Second || w.keys != 1 {
				t.Errorf("after %v, %d keyframes", d, w.keys)
			}
			return
		}
	}
}

// TestAllow follows the bandwidth of a simulcast: temporal layers go first, down at
// once, up after a while with room to spare.
func TestAllow(t *testing.T) {
	w := seeded(shape{name: codec.VP8, encs: 3, spatials: 1, temporal: 3})
	w.pub.weight = 1
	sizes := []int{0, 342, 2000}
	fill := func() {
		for _, v := range w.pub.picture() {
			v.packet.Payload = append(v.packet.Payload, make([]byte, sizes[v.enc])...)
			if v.begin && w.pub.frames[v.id].key {
				v.packet.Payload[13] = byte(1 + v.enc) // widths that differ
			}
			w.deliver(v)
		}
		w.tick()
	}
	for range 90 {
		fill()
	}
	var bps [3][3]int
	for _, l := range w.source.Layers() {
		bps[l.Spatial][l.Temporal] = l.Bps
		if l.Encoding != l.Spatial || l.RID != []string{"q", "h", "f"}[l.Spatial] || !l.Active {
			t.Errorf("%+v", l)
		}
	}
	for enc, n := range sizes {
		if want := (n + 22 + packetOverhead) * 8 * 30; bps[enc][2] < want*8/10 || bps[enc][2] > want*12/10 {
			t.Errorf("encoding %d: %d bps, want about %d", enc, bps[enc][2], want)
		}
		if bps[enc][0] >= bps[enc][1] || bps[enc][1] >= bps[enc][2] {
			t.Errorf("encoding %d: %v", enc, bps[enc])
		}
	}
	target := func(s, tm int) {
		t.Helper()
		if gs, gt := w.sub.x.Target(); gs != s || gt != tm {
			t.Errorf("target %d/%d, want %d/%d", gs, gt, s, tm)
		}
	}
	x := w.sub.x
	x.Allow(bps[2][2]*2, w.now)
	target(2, 2)
	x.Allow(bps[2][2]*9/10, w.now)
	target(2, 1)
	x.Allow(bps[2][0]*95/100, w.now)
	target(1, 2)
	if !x.NeedsKey() {
		t.Error("no keyframe for another encoding")
	}
	from := len(w.sub.packets)
	fill()
	fill()
	if _, at := x.Current(); at > 0 && len(w.sub.packets) > from {
		if s, _ := x.Current(); s == 2 {
			t.Error("still at full rate while waiting for the keyframe that leads down")
		}
	}
	for range 30 {
		fill()
	}
	if s, _ := x.Current(); s != 1 {
		t.Errorf("at %d", s)
	}
	x.Allow(1, w.now) // less than anything: the lowest stays
	target(0, 0)
	// Room, but too little of it.
	x.Allow(bps[1][0]*105/100, w.now)
	for range 75 {
		fill()
	}
	target(0, 2)
	x.Allow(bps[1][0]*130/100, w.now)
	for range 45 {
		fill()
	}
	target(0, 2)
	x.Allow(bps[1][0]*90/100, w.now) // a dip: the wait begins anew
	x.Allow(bps[1][0]*130/100, w.now)
	for range 45 {
		fill()
	}
	target(0, 2)
	for range 30 {
		fill()
	}
	if s, tm := x.Target(); s != 1 || tm > 1 {
		t.Errorf("target %d/%d after two seconds of room", s, tm)
	}
	x.Allow(0, w.now)
	for range 10 {
		fill()
	}
	target(2, 2)
	if r := w.sub.judge(t, w.pub); r.holes+r.undecodable+r.incomplete != 0 {
		t.Errorf("%+v", r)
	}
}

// TestHalt sends nothing while a smaller encoding has no keyframe and there is far too
// little room for the present one; either keyframe ends that.
func TestHalt(t *testing.T) {
	for _, back := range []bool{false, true} {
		w := seeded(shape{name: codec.VP8, encs: 2, spatials: 1, temporal: 1})
		w.pub.weight = 1
		show := func(pictures int, keys bool) {
			for range pictures {
				for i := range w.pub.e {
					w.pub.e[i].wantKey = w.pub.e[i].wantKey && keys
				}
				for _, v := range w.pub.picture() {
					v.packet.Payload = append(v.packet.Payload, make([]byte, 1000*v.enc)...)
					if v.begin && w.pub.frames[v.id].key {
						v.packet.Payload[13] = byte(1 + v.enc) // widths that differ
					}
					w.deliver(v)
				}
				w.tick()
			}
		}
		show(90, true)
		if s, _ := w.sub.x.Current(); s != 1 {
			t.Fatalf("rank %d before", s)
		}
		w.sub.x.Allow(w.source.Layers()[0].Bps*11/10, w.now)
		from := len(w.sub.packets)
		show(30, false)
		if n := len(w.sub.packets) - from; n != 0 {
			t.Errorf("%d packets after there was no room for them", n)
		}
		if !w.sub.x.NeedsKey() {
			t.Error("no keyframe is waited for")
		}
		want := 0
		if back {
			w.sub.x.Allow(0, w.now)
			show(30, false)
			if len(w.sub.packets) != from {
				t.Error("packets without a keyframe after a gap")
			}
			want = 1
		}
		show(60, true)
		if s, _ := w.sub.x.Current(); s != want || len(w.sub.packets) == from {
			t.Errorf("rank %d, %d packets, want rank %d", s, len(w.sub.packets)-from, want)
		}
		if r := w.sub.judge(t, w.pub); r.holes+r.undecodable+r.incomplete != 0 {
			t.Errorf("%+v", r)
		}
	}
}

// TestSilence leaves an encoding that stops for the next lower one, and comes back.
func TestSilence(t *testing.T) {
	w := seeded(shape{name: codec.VP8, encs: 3, spatials: 1, temporal: 1})
	muted := [MaxEncodings]bool{}
	step := func(d time.Duration) {
		for range int(d * 30 / time.Second) {
			for _, v := range w.pub.picture() {
				if !muted[v.enc] {
					w.deliver(v)
				}
			}
			w.tick()
		}
	}
	at := func(want int) {
		t.Helper()
		if s, _ := w.sub.x.Current(); s != want {
			t.Errorf("at %d, want %d", s, want)
		}
	}
	step(2 * time.Second)
	at(2)
	muted[2] = true
	step(minSilence + 300*time.Millisecond)
	at(1)
	if l := w.source.Layers(); l[2].Active || !l[1].Active {
		t.Errorf("%+v", l)
	}
	muted[1], muted[0] = true, true
	step(3 * time.Second) // all are silent: no reason to do anything
	at(1)
	muted = [MaxEncodings]bool{}
	w.pub.e[2].wantKey = true
	step(time.Second)
	at(2)
	muted[0], muted[2] = true, true
	step(time.Second)
	muted[1], muted[2] = true, false
	w.sub.x.Want(0, Best, w.now)
	step(2 * time.Second)
	at(2) // what lives is above the wish: better than nothing
}

// TestOrder ranks encodings by their pictures, however they are declared.
func TestOrder(t *testing.T) {
	s := NewSource("f", "h", "q")
	now := time.Now()
	for enc, width := range []uint16{1280, 640, 320} {
		info := Info{Begin: true, Key: true, Width: width, Height: width / 2}
		s.Note(enc, packetOf(codec.VP8, 0, true, 1), &info, now)
	}
	s.Note(3, packetOf(codec.VP8, 0, true, 1), &Info{}, now) // not declared
	s.Note(-1, packetOf(codec.VP8, 0, true, 1), &Info{}, now)
	l := s.Layers()
	if len(l) != 3 || l[0].RID != "q" || l[1].RID != "h" || l[2].RID != "f" || l[2].Width != 1280 || l[2].Height != 640 {
		t.Errorf("%+v", l)
	}
	if NewSource().Layers() != nil {
		t.Error("layers of nothing")
	}
}

// TestSpatialSVC goes down with the next picture and up at a keyframe.
func TestSpatialSVC(t *testing.T) {
	for _, s := range shapes {
		if s.spatials == 1 {
			continue
		}
		t.Run(s.String(), func(t *testing.T) {
			w := seeded(s)
			w.run(time.Second, nil)
			l := w.source.Layers()
			if len(l) != s.spatials*s.temporal || l[len(l)-1].Width != 160<<(s.spatials-1)&0xff && !s.dd {
				t.Errorf("%+v", l)
			}
			if a, b := l[0], l[len(l)-1]; a.Bps >= b.Bps || s.temporal > 1 && a.FrameRate >= b.FrameRate {
				t.Errorf("%+v and %+v", a, b)
			}
			keys := w.keys
			w.sub.x.Want(0, Best, w.now)
			from := len(w.sub.packets)
			w.run(time.Second, nil)
			for _, g := range w.sub.packets[from:] {
				if g.sent.id.spatial > 0 || g.out.Marker != g.sent.end {
					t.Fatalf("%v, marker %v", g.sent.id, g.out.Marker)
				}
			}
			if w.keys != keys {
				t.Error("a keyframe to go down")
			}
			w.sub.x.Want(1, Best, w.now)
			w.run(time.Second, nil)
			if at, _ := w.sub.x.Current(); at != 1 || w.keys != keys+1 {
				t.Errorf("at %d, %d keyframes", at, w.keys-keys)
			}
			if r := w.sub.judge(t, w.pub); r.holes+r.undecodable+r.incomplete != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestOtherGoroutine has the publisher and its subscribers on different goroutines.
func TestOtherGoroutine(t *testing.T) {
	x := newTraffic(shape{name: codec.VP8, encs: 3, spatials: 1, temporal: 3}, 300)
	done := make(chan struct{})
	go func() {
		defer close(done)
		now := x.w.now
		for range 5 {
			for i := range x.sent {
				x.w.source.Note(x.sent[i].enc, x.sent[i].packet, &x.infos[i], now)
				now = now.Add(time.Millisecond)
			}
		}
	}()
	now := x.w.now
	for n := 0; ; n++ {
		i := n % len(x.sent)
		x.w.sub.x.Take(x.sent[i].enc, x.sent[i].packet, &x.infos[i], now)
		x.w.sub.x.Allow(n%300_000, now)
		x.w.source.Layers()
		now = now.Add(time.Millisecond)
		select {
		case <-done:
			return
		default:
		}
	}
}

// TestNoAllocations wants the calls per packet to allocate nothing.
func TestNoAllocations(t *testing.T) {
	for _, s := range shapes {
		x := newTraffic(s, 64)
		x.w.sub.x.Want(0, 0, x.w.now)
		count := make([]uint16, MaxEncodings)
		for i := range x.sent {
			count[x.sent[i].enc]++
			x.pass(i, 0, x.w.now)
		}
		if n := testing.AllocsPerRun(10, func() {
			for i := range x.sent {
				x.pass(i, count[x.sent[i].enc], x.w.now)
			}
		}); n != 0 {
			t.Errorf("%v: Take allocates %v", s, n)
		}
		var info Info
		if n := testing.AllocsPerRun(10, func() {
			for i := range x.sent {
				if v := &x.sent[i]; !x.infos[i].Key {
					x.w.parsers[v.enc].Read(v.packet, v.descriptor, &info)
					x.w.source.Note(v.enc, v.packet, &info, x.w.now)
				}
			}
		}); n != 0 {
			t.Errorf("%v: Read and Note allocate %v", s, n)
		}
	}
}
