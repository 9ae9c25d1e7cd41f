package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"testing"

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
