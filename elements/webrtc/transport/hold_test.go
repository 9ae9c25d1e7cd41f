package transport

import (
	"testing"
	"time"

	"github.com/govidu/govidu/pipeline"
)

// holding is a room whose reader's turns are taken one by one, at times of our own.
type holding struct {
	*room
	t   *turn
	now time.Time
	seq uint16
}

func newHolding(t *testing.T, subscribers int) *holding {
	return &holding{room: newRoom(t, subscribers), t: &turn{}, now: time.Now()}
}

// turn is one turn of the reader some time after the latest; each packet's marker
// says whether it is its picture's last. It gives how long the reader may wait and
// how many packets left to each.
func (h *holding) turn(later time.Duration, markers ...bool) (wait time.Duration, left uint64) {
	h.now = h.now.Add(later)
	before := h.to[0].packets.Load()
	h.t.begin(h.shard)
	h.t.now = h.now
	for _, last := range markers {
		h.seq++
		p := vp8Packet(h.seq, 0, true)
		p.Header.Marker = last
		h.t.came = append(h.t.came, arrival{to: h.from, item: item{p: p, info: h.info[0]}})
		h.from.burst.arrived(last, h.now)
	}
	wait = h.t.hold()
	h.t.end()
	return wait, h.to[0].packets.Load() - before
}

// TestHold: pictures that are not whole wait for their rest, for a bounded time.
func TestHold(t *testing.T) {
	const soon = 50 * time.Microsecond
	type step struct {
		later   time.Duration
		markers []bool
		wait    time.Duration
		left    uint64
	}
	no := false
	for name, c := range map[string]struct {
		subscribers int
		steps       []step
	}{
		"whole":      {holdLeast, []step{{0, []bool{no, no, true}, 0, 3}}},
		"in pieces":  {holdLeast, []step{{0, []bool{no}, holdGap, 0}, {soon, []bool{no, no}, holdGap, 0}, {soon, []bool{true}, 0, 4}}},
		"a gap":      {holdLeast, []step{{0, []bool{no}, holdGap, 0}, {holdGap, nil, 0, 1}, {soon, []bool{true}, 0, 1}}},
		"woken":      {holdLeast, []step{{0, []bool{no}, holdGap, 0}, {soon, nil, holdGap - soon, 0}, {holdGap, nil, 0, 1}}},
		"for few":    {holdLeast - 1, []step{{0, []bool{no}, 0, 1}, {soon, []bool{true}, 0, 1}}},
		"next frame": {holdLeast, []step{{0, []bool{no, true, no}, holdGap, 0}, {soon, []bool{true}, 0, 4}}},
		"slowly": {holdLeast, []step{
			{0, []bool{no}, holdGap, 0}, {200 * time.Microsecond, []bool{no}, holdGap, 0}, {200 * time.Microsecond, []bool{no}, holdGap, 0},
			{200 * time.Microsecond, []bool{no}, holdGap, 0}, {200 * time.Microsecond, []bool{no}, holdWhole - 800*time.Microsecond, 0},
			{200 * time.Microsecond, []bool{no}, 0, 6},
		}},
		"too many": {holdLeast, []step{{0, make([]bool, holdMost), holdGap, 0}, {soon, []bool{no}, 0, holdMost + 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHolding(t, c.subscribers)
			for i, s := range c.steps {
				if wait, left := h.turn(s.later, s.markers...); wait != s.wait || left != s.left {
					t.Errorf("step %d: waits %v and %d left, want %v and %d", i, wait, left, s.wait, s.left)
				}
			}
		})
	}
}

// TestHoldLearns: publishers that pace their packets are not waited for, until they
// pace them no more.
func TestHoldLearns(t *testing.T) {
	h := newHolding(t, holdLeast)
	held := 0
	frame := func(gap time.Duration) {
		wait, left := h.turn(20*time.Millisecond, false)
		if wait > 0 {
			held++
			if gap > holdGap {
				_, more := h.turn(holdGap)
				left += more
			}
		}
		_, more := h.turn(gap, true)
		if left+more != 2 {
			t.Fatalf("%d packets of a frame left", left+more)
		}
	}
	for range 50 {
		frame(5 * time.Millisecond)
	}
	if held > 10 {
		t.Errorf("%d of 50 paced pictures were held", held)
	}
	held = 0
	for range 10 * holdRetry {
		frame(50 * time.Microsecond)
	}
	if held < 5*holdRetry {
		t.Errorf("%d of %d pictures that come at once were held", held, 10*holdRetry)
	}
}

// TestHoldNotSound: what comes with the piece of a picture does not wait with it.
func TestHoldNotSound(t *testing.T) {
	h := newHolding(t, holdLeast)
	mic := newReceiver(h.from.peer, pipeline.Audio)
	h.t.came = append(h.t.came, arrival{to: mic, item: item{p: vp8Packet(1, 0, true)}})
	if wait, left := h.turn(0, false); wait != holdGap || left != 0 || len(h.t.held) != 1 || h.t.held[0].to != h.from {
		t.Errorf("wait %v, %d left, held %+v", wait, left, h.t.held)
	}
}

// TestHoldMoves: a Receiver that lives on another shard when its packets may go is
// served there.
func TestHoldMoves(t *testing.T) {
	h := newHolding(t, holdLeast)
	h.turn(0, false)
	other := h.from.peer.engine.newShard(h.shard.socket, 0)
	h.from.peer.engine.shards = append(h.from.peer.engine.shards, other)
	h.from.peer.shard.Store(other)
	if wait, left := h.turn(holdGap); wait != 0 || left != 1 || len(h.t.held) != 0 {
		t.Errorf("wait %v, %d left, %d held", wait, left, len(h.t.held))
	}
}

// TestHoldAllocates: holding costs no memory.
func TestHoldAllocates(t *testing.T) {
	h := newHolding(t, holdLeast)
	p := vp8Packet(1, 0, true)
	step := func(last bool) {
		h.seq++
		p.Header.SequenceNumber, p.Header.Marker = h.seq, last
		h.t.begin(h.shard)
		h.t.came = append(h.t.came, arrival{to: h.from, item: item{p: p, info: h.info[0]}})
		h.from.burst.arrived(last, h.t.now)
		h.t.hold()
		h.t.end()
	}
	step(false)
	step(true)
	if n := testing.AllocsPerRun(200, func() { step(false); step(true) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
