package pipeline_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connect(t *testing.T, o *pipeline.Output, in pipeline.Input) *pipeline.Link {
	t.Helper()
	l, err := o.Connect(in)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	return l
}

func TestPushReachesEveryLinkInOrder(t *testing.T) {
	o := pipeline.NewOutput(pipeline.Video, "default", nil, nil)
	a, b := pipelinetest.NewSink(), pipelinetest.NewSink()
	connect(t, o, a)
	lb := connect(t, o, b)
	for n := range 5 {
		if n == 3 {
			o.Disconnect(lb)
			o.Disconnect(lb) // idempotent
		}
		o.Push(pipelinetest.Packet(pipelinetest.VP8RTP, n))
	}
	for n, p := range a.Packets() {
		if int(p.Header.SequenceNumber) != n {
			t.Fatalf("packet %d has sequence number %d", n, p.Header.SequenceNumber)
		}
	}
	if len(a.Packets()) != 5 || len(b.Packets()) != 3 {
		t.Fatalf("a got %d, b got %d packets; want 5 and 3", len(a.Packets()), len(b.Packets()))
	}
	if b.Link() != nil {
		t.Fatal("disconnected sink still holds its link")
	}
	if n, _ := o.Counters(); n != 5 {
		t.Fatalf("output counted %d packets, want 5", n)
	}
}

func TestSpliceTakesTheLinkOver(t *testing.T) {
	src := &pipelinetest.Splicer{}
	o := pipeline.NewOutput(pipeline.Video, "default", src, nil)
	in := pipelinetest.NewSink()
	l := connect(t, o, in)
	if !l.Spliced() {
		t.Fatal("the source was not offered the link")
	}
	p := pipelinetest.Packet(pipelinetest.VP8RTP, 0)
	o.Push(p)
	src.Forward(p)
	if got := len(in.Packets()); got != 1 {
		t.Fatalf("spliced sink got %d packets, want only the forwarded one", got)
	}
	o.Disconnect(l)
	src.Forward(p)
	if got := len(in.Packets()); got != 1 {
		t.Fatalf("sink got %d packets after disconnect, want 1", got)
	}
}

func TestConnectAfterCloseIsRefused(t *testing.T) {
	src := &pipelinetest.Splicer{}
	o := pipeline.NewOutput(pipeline.Audio, "default", src, nil)
	o.Close()
	o.Close()
	in := pipelinetest.NewSink()
	if _, err := o.Connect(in); !errors.Is(err, kerr.ConnectError) {
		t.Fatalf("connect to a closed output: %v, want CONNECT_ERROR", err)
	}
	src.Forward(pipelinetest.Packet(pipelinetest.OpusRTP, 0))
	if len(in.Packets()) != 0 {
		t.Fatal("refused link stayed spliced")
	}
}

func TestKeyFrameWishesAreMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &pipelinetest.Producer{}
		o := pipeline.NewOutput(pipeline.Video, "default", src, nil)
		var links []*pipeline.Link
		for range 10 {
			links = append(links, connect(t, o, pipelinetest.NewSink()))
		}
		synctest.Wait()
		if n := src.Count(pipeline.WishKeyFrame); n != 1 {
			t.Fatalf("ten joiners at once made %d keyframe requests, want 1", n)
		}
		time.Sleep(pipeline.KeyFrameInterval)
		synctest.Wait()
		if n := src.Count(pipeline.WishKeyFrame); n != 2 {
			t.Fatalf("merged wishes made %d requests at the end of the interval, want 2", n)
		}
		for range 40 {
			links[0].Feedback(pipeline.Feedback{Wish: pipeline.WishKeyFrame})
			time.Sleep(50 * time.Millisecond)
		}
		if n := src.Count(pipeline.WishKeyFrame); n > 2+5 {
			t.Fatalf("2 s of wishes made %d requests, want at most one per %v", n-2, pipeline.KeyFrameInterval)
		}
		links[1].Feedback(pipeline.Feedback{Wish: pipeline.WishKeyFrame})
		o.Close() // a pending timer must not fire into a closed source
		before := src.Count(pipeline.WishKeyFrame)
		time.Sleep(time.Minute)
		if n := src.Count(pipeline.WishKeyFrame); n != before {
			t.Fatal("keyframe wish after Close")
		}
	})
}

func rtp(c codec.Name) pipeline.Format {
	return pipeline.Format{Kind: pipeline.Video, Codec: c, Framing: pipeline.RTP}
}

func TestReceiversOfOneFormatShareAChain(t *testing.T) {
	p := pipeline.New("p", &pipelinetest.Converter{From: codec.VP8, To: codec.H264, Price: 9})
	defer p.Close()
	conv := &pipelinetest.Converter{From: codec.VP8, To: codec.H264, Price: 5}
	o := pipeline.NewOutput(pipeline.Video, "default", nil, pipeline.NewPlanner(t.Context(), conv))
	plain := pipelinetest.NewSink(rtp(codec.VP8))
	a, b := pipelinetest.NewSink(rtp(codec.H264)), pipelinetest.NewSink(rtp(codec.H264))
	connect(t, o, plain)
	la, lb := connect(t, o, a), connect(t, o, b)
	for n := range 3 {
		o.Push(pipelinetest.Packet(pipelinetest.VP8RTP, n))
	}
	if opened, _ := conv.Counts(); opened != 1 {
		t.Fatalf("%d conversions opened for two receivers of one format, want 1", opened)
	}
	o.Disconnect(la) // the one that led the chain
	o.Push(pipelinetest.Packet(pipelinetest.VP8RTP, 3))
	// b joined its chain at the first packet, pushed after a's: it has all four.
	if len(a.Packets()) != 3 || len(b.Packets()) < 3 || len(plain.Packets()) != 4 {
		t.Fatalf("a %d, b %d, plain %d packets; want 3, at least 3, 4", len(a.Packets()), len(b.Packets()), len(plain.Packets()))
	}
	if got := b.Packets()[0].Format.Codec; got != codec.H264 {
		t.Fatalf("b received %s, want H264", got)
	}
	last := b.Packets()[len(b.Packets())-1]
	if last.Header.SequenceNumber != 3 {
		t.Fatalf("b stopped at %d when the chain's leader left", last.Header.SequenceNumber)
	}
	o.Disconnect(lb)
	if _, closed := conv.Counts(); closed != 1 {
		t.Fatalf("%d conversions closed after the last receiver left, want 1", closed)
	}
}

func TestPlannerTakesTheCheapestChain(t *testing.T) {
	dear := &pipelinetest.Converter{From: codec.VP8, To: codec.AV1, Price: 100}
	one := &pipelinetest.Converter{From: codec.VP8, To: codec.VP9, Price: 10}
	two := &pipelinetest.Converter{From: codec.VP9, To: codec.AV1, Price: 10}
	o := pipeline.NewOutput(pipeline.Video, "default", nil, pipeline.NewPlanner(t.Context(), dear, one, two))
	in := pipelinetest.NewSink(rtp(codec.AV1))
	connect(t, o, in)
	o.Push(pipelinetest.Packet(pipelinetest.VP8RTP, 0))
	if opened, _ := dear.Counts(); opened != 0 || len(in.Packets()) != 1 {
		t.Fatalf("dear opened %d times, sink got %d packets; want the two cheap steps", opened, len(in.Packets()))
	}
	o.Close()
	for name, c := range map[string]*pipelinetest.Converter{"one": one, "two": two} {
		if opened, closed := c.Counts(); opened != 1 || closed != 1 {
			t.Errorf("%s: opened %d, closed %d; want 1 and 1", name, opened, closed)
		}
	}
}

func TestLinkWithoutConverterReportsOnceAndForwardsNothing(t *testing.T) {
	for name, conv := range map[string]*pipelinetest.Converter{
		"none": {From: codec.H264, To: codec.VP8},
		"fail": {From: codec.VP8, To: codec.H264, Fail: true},
	} {
		t.Run(name, func(t *testing.T) {
			o := pipeline.NewOutput(pipeline.Video, "default", nil, pipeline.NewPlanner(t.Context(), conv))
			var errs []error
			o.OnLinkError(func(_ *pipeline.Link, err error) { errs = append(errs, err) })
			in := pipelinetest.NewSink(rtp(codec.H264))
			connect(t, o, in)
			for n := range 3 {
				o.Push(pipelinetest.Packet(pipelinetest.VP8RTP, n))
			}
			if len(errs) != 1 || len(in.Packets()) != 0 {
				t.Fatalf("%d errors, %d packets; want one error and nothing forwarded", len(errs), len(in.Packets()))
			}
			if _, known := kerr.Of(errs[0]); !known {
				t.Fatalf("error without a code: %v", errs[0])
			}
		})
	}
}

func TestRenegotiationRoutesAnew(t *testing.T) {
	conv := &pipelinetest.Converter{From: codec.VP8, To: codec.H264}
	o := pipeline.NewOutput(pipeline.Video, "default", nil, pipeline.NewPlanner(t.Context(), conv))
	in := pipelinetest.NewSink(rtp(codec.H264))
	connect(t, o, in)
	h264 := rtp(codec.H264)
	o.Push(pipelinetest.Packet(pipelinetest.VP8RTP, 0))
	o.Push(pipelinetest.Packet(&h264, 1))
	if len(in.Packets()) != 2 {
		t.Fatalf("%d packets, want 2", len(in.Packets()))
	}
	if opened, closed := conv.Counts(); opened != 1 || closed != 1 {
		t.Fatalf("conversion opened %d, closed %d times; want it closed when the source speaks H264 itself", opened, closed)
	}
}

func TestPushRacesWithConnectAndDisconnect(t *testing.T) {
	conv := &pipelinetest.Converter{From: codec.VP8, To: codec.H264}
	o := pipeline.NewOutput(pipeline.Video, "default", &pipelinetest.Producer{}, pipeline.NewPlanner(t.Context(), conv))
	ctx, stop := context.WithCancel(t.Context())
	var pushers sync.WaitGroup
	for range 2 {
		pushers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				o.Push(pipelinetest.Packet(pipelinetest.VP8RTP, n))
			}
		})
	}
	var joiners sync.WaitGroup
	for range 4 {
		joiners.Go(func() {
			for range 200 {
				in := pipelinetest.NewSink(rtp(codec.H264))
				l, err := o.Connect(in)
				if err != nil {
					t.Error(err)
					return
				}
				o.Disconnect(l)
			}
		})
	}
	joiners.Wait()
	stop()
	pushers.Wait()
	o.Close()
	if opened, closed := conv.Counts(); opened != closed {
		t.Fatalf("%d conversions opened, %d closed", opened, closed)
	}
	if o.Links() != 0 {
		t.Fatalf("%d links left", o.Links())
	}
}

// drop is a receiver that keeps nothing, so that the benchmark sees only Push.
type drop struct{ n uint64 }

func (*drop) Accepts() []pipeline.Format { return nil }
func (d *drop) Push(*pipeline.Packet)    { d.n++ }

func TestPushAllocatesNothingPerReceiver(t *testing.T) {
	for _, receivers := range []int{1, 10, 100} {
		o := pipeline.NewOutput(pipeline.Video, "default", nil, nil)
		for range receivers {
			connect(t, o, &drop{})
		}
		p := pipelinetest.Packet(pipelinetest.VP8RTP, 0)
		o.Push(p)
		if n := testing.AllocsPerRun(100, func() { o.Push(p) }); n != 0 {
			t.Fatalf("push to %d receivers allocates %v times, want 0", receivers, n)
		}
	}
}

func BenchmarkPush(b *testing.B) {
	for _, c := range []struct {
		name      string
		receivers int
	}{{"1", 1}, {"10", 10}, {"100", 100}} {
		b.Run(c.name, func(b *testing.B) {
			o := pipeline.NewOutput(pipeline.Video, "default", nil, nil)
			for range c.receivers {
				if _, err := o.Connect(&drop{}); err != nil {
					b.Fatal(err)
				}
			}
			p := pipelinetest.Packet(pipelinetest.VP8RTP, 0)
			b.ReportAllocs()
			for b.Loop() {
				o.Push(p)
			}
		})
	}
}
