package uri

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
)

func picture(ms int, key bool, size int) *pipeline.Packet {
	return &pipeline.Packet{
		Format: &pipeline.Format{Kind: pipeline.Video, Codec: codec.H264}, PTS: time.Duration(ms) * time.Millisecond, Key: key, Payload: make([]byte, size),
	}
}

func sound(ms int) *pipeline.Packet {
	return &pipeline.Packet{Format: &pipeline.Format{Kind: pipeline.Audio, Codec: codec.AAC}, PTS: time.Duration(ms) * time.Millisecond, Payload: []byte{1}}
}

// all takes what is there, and what is waited for within a second.
func (q *liveQueue) all(t *testing.T) (ms []int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	for {
		p, ok := q.Pop(ctx)
		if !ok {
			return ms
		}
		ms = append(ms, int(p.PTS.Milliseconds()))
	}
}

func same(t *testing.T, got []int, want ...int) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

// Units come out in order of time, also when one kind is late, pictures from a
// keyframe on; a closed queue keeps nothing.
func TestLiveQueueOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newLiveQueue()
		q.Push(picture(0, true, 1))
		q.Open()
		for _, p := range []*pipeline.Packet{picture(10, false, 1), picture(20, true, 1), picture(60, false, 1), sound(15), sound(40), sound(80)} {
			q.Push(p)
		}
		same(t, q.all(t), 15, 20, 40, 60, 80)

		q.Push(sound(81))              // it is not silent
		q.Push(picture(100, false, 1)) // waits for sound, for a while
		late := time.AfterFunc(liveOrder/2, func() { q.Push(sound(90)) })
		defer late.Stop()
		same(t, q.all(t), 81, 90, 100)

		time.Sleep(2 * liveSilent) // nobody waits for what has been silent
		begun := time.Now()
		q.Push(sound(5000))
		if _, ok := q.Pop(t.Context()); !ok || time.Since(begun) > 0 {
			t.Errorf("waited %v for a source that is silent", time.Since(begun))
		}
		q.Push(picture(5001, true, 1))
		q.Shut()
		q.Push(picture(5002, true, 1))
		same(t, q.all(t))
	})
}

// A receiver that is too far behind, in bytes or in time, loses what it has not
// taken, and goes on at a keyframe that is asked for.
func TestLiveQueueBounds(t *testing.T) {
	for name, fill := range map[string]func(q *liveQueue){
		"bytes": func(q *liveQueue) {
			for i := range 9 {
				q.Push(picture(i, i == 0, 1<<20))
			}
		},
		"time": func(q *liveQueue) {
			q.Push(picture(0, true, 1))
			q.Push(sound(1))
			time.Sleep(liveSpan + time.Millisecond)
			q.Push(picture(5000, false, 1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q, asked := newLiveQueue(), 0
				q.onDrop = func() { asked++ }
				q.Open()
				fill(q)
				if q.bytes > liveBytes || q.Drops() == 0 || asked != 1 {
					t.Errorf("%d bytes are kept, %d units dropped, a keyframe is asked for %d times", q.bytes, q.Drops(), asked)
				}
				q.Push(picture(6000, false, 1))
				q.Push(sound(6001))
				q.Push(picture(6002, true, 1))
				same(t, q.all(t), 6001, 6002)
			})
		})
	}
	q := newLiveQueue() // one that is larger than the bound is kept alone
	q.Open()
	q.Push(picture(0, true, liveBytes+1))
	same(t, q.all(t), 0)
}
