package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

// origin is decoded media that "encodes" to empty units.
type origin struct {
	mu     sync.Mutex
	opened map[codec.Name]int
	closed int
	outs   map[codec.Name]*pipeline.Output
	pipelinetest.Producer
}

func newOrigin() *origin {
	return &origin{opened: map[codec.Name]int{}, outs: map[codec.Name]*pipeline.Output{}}
}

func (o *origin) Encodes(to pipeline.Format) bool { return to.Codec != codec.AV1 }

func (o *origin) Encode(_ context.Context, to pipeline.Format, out *pipeline.Output) (io.Closer, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.opened[to.Codec]++
	o.outs[to.Codec] = out
	out.SetProducer(&o.Producer)
	return o, nil
}

func (o *origin) Close() error { o.mu.Lock(); defer o.mu.Unlock(); o.closed++; return nil }

func (o *origin) raw() *pipeline.Format {
	return &pipeline.Format{Kind: pipeline.Video, Codec: pipeline.RawCodec, Framing: pipeline.Raw, Origin: o}
}

func unit(c codec.Name) pipeline.Format { return pipeline.UnitOf(pipeline.Video, c) }

// asRTP is a Converter from units to RTP that copies.
type asRTP struct{ pipelinetest.Converter }

func (*asRTP) Cost(from, to pipeline.Format) (int, bool) {
	return 5, from.Framing == pipeline.Unit && to.Framing == pipeline.RTP && from.Codec == to.Codec
}
func (*asRTP) Expand(pipeline.Format) []pipeline.Format { return nil }

func TestRawMediaIsEncodedOncePerCodec(t *testing.T) {
	raw := newOrigin()
	o := pipeline.NewOutput(pipeline.Video, "default", nil, pipeline.NewPlanner(t.Context(), pipeline.NewEncoder(), &asRTP{}))
	o.OnEncoding(func() pipeline.Encoding { return pipeline.Encoding{BitrateBps: 7} })
	var links []*pipeline.Link
	for range 10 {
		links = append(links, connect(t, o, pipelinetest.NewSink(rtp(codec.H264))))
	}
	file := pipelinetest.NewSink(unit(codec.H264), unit(codec.VP8))
	links = append(links, connect(t, o, file), connect(t, o, pipelinetest.NewSink(rtp(codec.VP8))))
	if len(raw.opened) != 0 {
		t.Fatal("an encoder was opened before any media")
	}
	o.Announce(raw.raw())
	if raw.opened[codec.H264] != 1 || raw.opened[codec.VP8] != 1 {
		t.Fatalf("encoders opened: %v, want one of each codec", raw.opened)
	}
	if got := raw.outs[codec.H264].Encoding().BitrateBps; got != 7 {
		t.Fatalf("the encoder reads bitrate %d, want the element's 7", got)
	}
	if !o.Transcoding() {
		t.Fatal("not TRANSCODING while encoders run")
	}
	h264 := unit(codec.H264)
	raw.outs[codec.H264].Push(&pipeline.Packet{Format: &h264, Key: true})
	if len(file.Packets()) != 1 {
		t.Fatal("the encoder's unit did not reach the receiver of units")
	}
	// The lowest of what receivers of one encoder can take.
	for i, c := range []struct{ asks, want int }{{900, 900}, {500, 500}, {800, 500}} {
		links[i].Feedback(pipeline.Feedback{Wish: pipeline.WishBitrate, BitrateBps: c.asks})
		if got := raw.Last(pipeline.WishBitrate).BitrateBps; got != c.want {
			t.Fatalf("receiver %d can take %d: the encoder was told %d, want %d", i, c.asks, got, c.want)
		}
	}
	for _, l := range links {
		o.Disconnect(l)
	}
	if raw.closed != 2 || len(o.Conversions()) != 0 {
		t.Fatalf("%d encoders closed, %d conversions left; want 2 and none", raw.closed, len(o.Conversions()))
	}
}

// steadyFile is a receiver that keeps the bitrate up.
type steadyFile struct{ *pipelinetest.Sink }

func (steadyFile) Steady() bool { return true }

// What a slow viewer can take does not lower a file's bitrate while both have one
// encoder, whoever came first; encoders of other codecs, and those without a file,
// follow their viewers.
func TestSteadyReceiverKeepsTheBitrate(t *testing.T) {
	raw := newOrigin()
	o := pipeline.NewOutput(pipeline.Video, "default", nil, pipeline.NewPlanner(t.Context(), pipeline.NewEncoder(), &asRTP{}))
	o.OnEncoding(func() pipeline.Encoding { return pipeline.Encoding{BitrateBps: 1000} })
	viewer, other := connect(t, o, pipelinetest.NewSink(rtp(codec.H264))), connect(t, o, pipelinetest.NewSink(rtp(codec.VP8)))
	o.Announce(raw.raw())
	told := func(l *pipeline.Link, bps, want int, when string) {
		t.Helper()
		l.Feedback(pipeline.Feedback{Wish: pipeline.WishBitrate, BitrateBps: bps})
		if got := raw.Last(pipeline.WishBitrate).BitrateBps; got != want {
			t.Errorf("%s: a viewer can take %d, the encoder was told %d, want %d", when, bps, got, want)
		}
	}
	told(viewer, 300, 300, "alone")
	file := connect(t, o, steadyFile{pipelinetest.NewSink(unit(codec.H264))})
	told(viewer, 300, 1000, "with a file")
	told(viewer, 1500, 1500, "with a file")
	told(other, 200, 200, "with a file of another codec")
	o.Disconnect(file)
	told(viewer, 300, 300, "after the file")
}

func TestLinkWaitsUntilItsReceiverHasDecided(t *testing.T) {
	raw := newOrigin()
	o := pipeline.NewOutput(pipeline.Video, "default", nil, pipeline.NewPlanner(t.Context(), pipeline.NewEncoder()))
	o.OnLinkError(func(_ *pipeline.Link, err error) { t.Errorf("link error: %v", err) })
	in := pipelinetest.NewSink(pipeline.Format{Kind: pipeline.Video, Framing: pipeline.Undecided})
	l := connect(t, o, in)
	o.Announce(raw.raw())
	if len(raw.opened) != 0 {
		t.Fatal("an encoder was opened for a receiver that has not decided")
	}
	in.Formats = []pipeline.Format{unit(codec.VP8)}
	l.Renegotiate()
	in.Formats = []pipeline.Format{unit(codec.VP8), unit(codec.VP9)}
	l.Renegotiate() // what it gets still fits
	if raw.opened[codec.VP8] != 1 || raw.closed != 0 {
		t.Fatalf("opened %v, closed %d; want one VP8 encoder that stays", raw.opened, raw.closed)
	}
	in.Formats = []pipeline.Format{unit(codec.VP9)}
	l.Renegotiate()
	if raw.opened[codec.VP9] != 1 || raw.closed != 1 {
		t.Fatalf("opened %v, closed %d; want VP9 in place of VP8", raw.opened, raw.closed)
	}
}

func TestUnsplicedLinkIsConverted(t *testing.T) {
	src := &pipelinetest.Splicer{}
	conv := &pipelinetest.Converter{From: codec.VP8, To: codec.H264}
	o := pipeline.NewOutput(pipeline.Video, "default", src, pipeline.NewPlanner(t.Context(), conv))
	in := pipelinetest.NewSink(rtp(codec.H264))
	l := connect(t, o, in)
	o.Push(pipelinetest.Packet(pipelinetest.VP8RTP, 0))
	if opened, _ := conv.Counts(); opened != 0 {
		t.Fatal("a spliced link was converted")
	}
	l.Unsplice()
	l.Unsplice()
	o.Push(pipelinetest.Packet(pipelinetest.VP8RTP, 1))
	src.Forward(pipelinetest.Packet(pipelinetest.VP8RTP, 2))
	if got := in.Packets(); len(got) != 1 || got[0].Format.Codec != codec.H264 {
		t.Fatalf("got %d packets, want the one converted after Unsplice", len(got))
	}
}

func TestForcedCodecCountsWhereItIsTaken(t *testing.T) {
	conv := &pipelinetest.Converter{From: codec.VP8, To: codec.H264}
	o := pipeline.NewOutput(pipeline.Video, "default", nil, pipeline.NewPlanner(t.Context(), conv))
	both, only := pipelinetest.NewSink(rtp(codec.VP8), rtp(codec.H264)), pipelinetest.NewSink(rtp(codec.VP8))
	connect(t, o, both)
	connect(t, o, only)
	push := func(n int) (codec.Name, codec.Name) {
		o.Push(pipelinetest.Packet(pipelinetest.VP8RTP, n))
		a, b := both.Packets(), only.Packets()
		return a[len(a)-1].Format.Codec, b[len(b)-1].Format.Codec
	}
	for i, c := range []struct {
		force *pipeline.Format
		both  codec.Name
	}{{nil, codec.VP8}, {&pipeline.Format{Codec: codec.H264}, codec.H264}, {nil, codec.VP8}} {
		o.Force(c.force)
		if a, b := push(i); a != c.both || b != codec.VP8 {
			t.Fatalf("step %d: %s and %s, want %s and VP8", i, a, b, c.both)
		}
	}
}

func TestFailureOfAConversionReachesTheElement(t *testing.T) {
	raw := newOrigin()
	o := pipeline.NewOutput(pipeline.Video, "default", nil, pipeline.NewPlanner(t.Context(), pipeline.NewEncoder(), &asRTP{}))
	var cut []*pipeline.Link
	var last error
	o.OnLinkError(func(l *pipeline.Link, err error) { cut, last = append(cut, l), err })
	connect(t, o, pipelinetest.NewSink(rtp(codec.H264)))
	connect(t, o, pipelinetest.NewSink(unit(codec.VP8)))
	o.Announce(raw.raw())
	raw.outs[codec.H264].Fail(fmt.Errorf("worker died: %w", kerr.UnexpectedError))
	if len(cut) != 1 || cut[0] != nil || !errors.Is(last, kerr.UnexpectedError) {
		t.Fatalf("heard of %v with %v; want one failure of no link in particular", cut, last)
	}
}

type ender struct {
	pipelinetest.Sink
	ended int
}

func (e *ender) End() { e.ended++ }

func TestEndReachesWhoAsks(t *testing.T) {
	o := pipeline.NewOutput(pipeline.Audio, "default", nil, nil)
	e := &ender{}
	connect(t, o, e)
	connect(t, o, pipelinetest.NewSink())
	if o.End(); e.ended != 1 {
		t.Fatalf("End heard %d times, want once", e.ended)
	}
}
