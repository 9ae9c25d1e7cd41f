package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

type element struct {
	id  string
	log *[]string
}

func (e *element) ID() string { return e.id }
func (e *element) Input(pipeline.Kind, string) (pipeline.Input, error) {
	return nil, kerr.UnsupportedMediaType
}
func (e *element) Output(pipeline.Kind, string) (*pipeline.Output, error) {
	return nil, kerr.UnsupportedMediaType
}
func (e *element) Close() error { *e.log = append(*e.log, e.id); return nil }

func TestPipelineClosesYoungestFirst(t *testing.T) {
	p := pipeline.New("p")
	var log []string
	b := &element{"b", &log}
	for _, e := range []*element{{"a", &log}, b, {"c", &log}} {
		if err := p.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	p.Remove(b)
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"c", "a"}; !slices.Equal(log, want) {
		t.Fatalf("closed %v, want %v once each", log, want)
	}
	if err := p.Add(b); !errors.Is(err, kerr.MediaObjectNotFound) {
		t.Fatalf("add to a closed pipeline: %v", err)
	}
	if p.Context().Err() == nil {
		t.Fatal("the pipeline's context outlives it")
	}
}

func TestQueueDropsVideoToTheNextKeyframe(t *testing.T) {
	q := pipeline.NewQueue(3)
	drops := 0
	q.OnDrop = func() { drops++ }
	for n := 28; n < 35; n++ { // 30 is a keyframe; 28, 29 and 30 fill the queue
		q.Push(pipelinetest.Packet(pipelinetest.VP8RTP, n))
	}
	var got []int
	pop := func() *pipeline.Packet {
		p, ok := q.Pop(t.Context())
		if !ok {
			t.Fatal("queue ended early")
		}
		got = append(got, int(p.Header.SequenceNumber))
		return p
	}
	for range 3 {
		pop()
	}
	q.Push(pipelinetest.Packet(pipelinetest.VP8RTP, 35)) // not a keyframe: still dropped
	q.Push(pipelinetest.Packet(pipelinetest.VP8RTP, 60))
	if p := pop(); !p.Gap {
		t.Error("the packet after the hole carries no Gap")
	}
	if want := []int{28, 29, 30, 60}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if drops != 1 || q.Drops() != 5 {
		t.Fatalf("OnDrop called %d times for %d drops, want once for 5", drops, q.Drops())
	}
	q.Push(pipelinetest.Packet(pipelinetest.VP8RTP, 61))
	q.Close()
	q.Push(pipelinetest.Packet(pipelinetest.VP8RTP, 62))
	pop() // what was queued before Close can still be taken
	if _, ok := q.Pop(t.Context()); ok {
		t.Fatal("closed queue took a packet")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := pipeline.NewQueue(1).Pop(ctx); ok {
		t.Fatal("pop from an empty queue with a dead context")
	}
}

func TestClock(t *testing.T) {
	epoch := time.Now()
	at := func(d time.Duration) time.Time { return epoch.Add(d) }
	t.Run("wraps at 2^32", func(t *testing.T) {
		c := pipeline.NewClock(epoch, 90000)
		start := uint32(1<<32 - 90000)
		c.PTS(start, at(time.Second))
		if got := c.PTS(start+180000, at(3*time.Second)); got != 3*time.Second {
			t.Fatalf("PTS 2 s past the wrap is %v, want 3s", got)
		}
		if got := c.PTS(start+90000-900, at(3*time.Second)); got != 2*time.Second-10*time.Millisecond {
			t.Fatalf("late packet from before the wrap is at %v, want 1.99s", got)
		}
	})
	t.Run("jitter of arrival does not move PTS", func(t *testing.T) {
		c := pipeline.NewClock(epoch, 48000)
		c.PTS(0, at(0))
		if got := c.PTS(48000, at(1300*time.Millisecond)); got != time.Second {
			t.Fatalf("PTS %v, want 1s", got)
		}
	})
	t.Run("reports slew", func(t *testing.T) {
		c := pipeline.NewClock(epoch, 90000)
		c.PTS(0, at(0))
		c.Anchor(0, at(-10*time.Millisecond))
		var prev time.Duration
		for n := 1; n <= 10; n++ {
			got := c.PTS(uint32(n*3000), at(0))
			if got <= prev {
				t.Fatalf("PTS went from %v to %v", prev, got)
			}
			prev = got
		}
		if want := 10*time.Second/30 - 10*time.Millisecond; prev != want {
			t.Fatalf("after the correction PTS is %v, want %v", prev, want)
		}
	})
}
