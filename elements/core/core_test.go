package core_test

import (
	"context"
	"testing"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/elements/core"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	elementtest.Run(t, core.Types(), elementtest.Case{
		Type: "PassThrough", Ancestors: []string{"MediaElement", "MediaObject"},
	})
}

// TestPassThrough: packets go down and wishes up, also after a switch of the source.
func TestPassThrough(t *testing.T) {
	w := elementtest.New(t, core.Types()...)
	source := w.Element("TestSource", nil).(*elementtest.Source)
	joint := w.Element("PassThrough", nil)
	sinks := []*elementtest.Sink{w.Element("TestSink", nil).(*elementtest.Sink), w.Element("TestSink", nil).(*elementtest.Sink)}
	w.Call(source, "connect", map[string]any{"sink": joint})
	for _, s := range sinks {
		w.Call(joint, "connect", map[string]any{"sink": s})
	}
	source.Send(pipeline.Video, 5)
	for _, s := range sinks {
		if n := len(s.Got[pipeline.Video].Packets()); n != 5 {
			t.Errorf("%d packets behind the joint, want 5", n)
		}
	}
	producer := source.Producers[pipeline.Video]
	elementtest.Eventually(t, "a keyframe wish reaches the source", func() bool {
		return producer.Count(pipeline.WishKeyFrame) > 0
	})
	other := w.Element("TestSource", nil).(*elementtest.Source)
	w.Call(other, "connect", map[string]any{"sink": joint})
	if n := other.Producers[pipeline.Video].Count(pipeline.WishKeyFrame); n != 1 {
		t.Errorf("the new source heard %d keyframe wishes, want 1", n)
	}
	source.Send(pipeline.Video, 5)
	other.Send(pipeline.Video, 3)
	if n := len(sinks[0].Got[pipeline.Video].Packets()); n != 8 {
		t.Errorf("%d packets after the switch, want 8", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), elementtest.Deadline)
	defer cancel()
	if err := sinks[1].Got[pipeline.Video].Wait(ctx, 8); err != nil {
		t.Error(err)
	}
}

// TestRing: joints in a ring have no source; a packet and a wish under way when
// the ring closes must not circle for ever.
func TestRing(t *testing.T) {
	w := elementtest.New(t, core.Types()...)
	a, b := w.Element("PassThrough", nil), w.Element("PassThrough", nil)
	source := w.Element("TestSource", nil).(*elementtest.Source)
	w.Call(source, "connect", map[string]any{"sink": a})
	w.Call(a, "connect", map[string]any{"sink": b})
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				source.Send(pipeline.Video, 1)
			}
		}
	}()
	for range 50 {
		w.Call(b, "connect", map[string]any{"sink": a})
		w.Call(a, "connect", map[string]any{"sink": a})
		in, err := a.Input(pipeline.Video, "")
		if err != nil {
			t.Fatal(err)
		}
		in.Push(&pipeline.Packet{Format: &pipeline.Format{Kind: pipeline.Video}})
		out, err := a.Output(pipeline.Video, "")
		if err != nil {
			t.Fatal(err)
		}
		out.Feedback(pipeline.Feedback{Wish: pipeline.WishBitrate, BitrateBps: 1})
		w.Call(source, "connect", map[string]any{"sink": a})
		w.Call(a, "connect", map[string]any{"sink": b})
	}
	close(stop)
	elementtest.Within(t, "the source", func() { <-done })
}
