package workers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/internal/workers/workerstest"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

// room is a pipeline whose one source sends RTP.
func room(t testing.TB, pool *workers.Pool) (out *pipeline.Output, keys *wishes, errs chan error) {
	t.Helper()
	p := pipeline.New("p", pipeline.NewDepacketizer(), pipeline.NewPacketizer(), pipeline.NewEncoder(), workers.NewDecoder(pool))
	keys, errs = &wishes{}, make(chan error, 100)
	out = p.NewOutput(pipeline.Video, "default", keys)
	out.OnLinkError(func(_ *pipeline.Link, err error) { errs <- err })
	t.Cleanup(func() { out.Close(); p.Close() })
	return out, keys, errs
}

// rtpOf sends a keyframe of VP8 each call.
func rtpOf(out *pipeline.Output, f *pipeline.Format) func() {
	n := 0
	return func() {
		p := pipelinetest.Packet(f, n)
		p.Key, p.Payload = true, append([]byte{0x90, 0x80, 0x80 | byte(n>>8), byte(n)}, workerstest.Unit(codec.VP8, true)...)
		n++
		out.Push(p)
	}
}

func rtpFormat(name codec.Name) pipeline.Format {
	f := pipeline.UnitOf(pipeline.Video, name)
	f.Framing = pipeline.RTP
	return f
}

// One publisher with ten receivers of another codec: one worker, one encoder.
func TestTenReceiversOneTranscoder(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{Flows: map[string]string{"out": "video"}}, func(c *workers.Config) { c.Warm = -1 })
	f.Pool.Hurry(time.Millisecond, 0, 0, 0)
	out, keys, errs := room(t, f.Pool)
	h264, vp8 := rtpFormat(codec.H264), rtpFormat(codec.VP8)
	var sinks []*pipelinetest.Sink
	var links []*pipeline.Link
	for range 10 {
		s := pipelinetest.NewSink(h264)
		l, err := out.Connect(s)
		if err != nil {
			t.Fatal(err)
		}
		sinks, links = append(sinks, s), append(links, l)
	}
	push := rtpOf(out, &vp8)
	received := func(from int) func() bool {
		return func() bool {
			push()
			for _, s := range sinks {
				if len(s.Packets()) <= from {
					return false
				}
			}
			return true
		}
	}
	f.Wait(t, "H264 at ten receivers", received(0))
	if n := len(f.Workers()); n != 1 {
		t.Errorf("%d workers", n)
	}
	w := f.Worker(t, 0)
	if kind, _ := w.Kind(); kind != "decode" || len(w.Requests(wire.MethodOutput)) != 1 || len(w.Requests(wire.MethodInput)) != 1 {
		t.Errorf("%s with %d encoders", kind, len(w.Requests(wire.MethodOutput)))
	}
	p := sinks[9].Packets()[0]
	if p.Format.Framing != pipeline.RTP || p.Format.Codec != codec.H264 || !p.Key || !out.Transcoding() {
		t.Errorf("received %+v, transcoding %v", p.Format, out.Transcoding())
	}
	// A receiver's wish reaches the encoder, the decoder's the source.
	n := len(w.Requests(wire.MethodKeyFrame))
	links[3].Feedback(pipeline.Feedback{Wish: pipeline.WishKeyFrame})
	f.Wait(t, "the encoder to hear of a keyframe", func() bool { return len(w.Requests(wire.MethodKeyFrame)) > n })
	asked := keys.count()
	w.WantKey("in")
	f.Wait(t, "the source to hear of a keyframe", func() bool { return keys.count() > asked })

	w.Crash()
	f.Wait(t, "the error", func() bool { return len(errs) > 0 })
	if err := <-errs; !strings.Contains(err.Error(), "another one is started") {
		t.Errorf("told as %v", err)
	}
	before := len(sinks[0].Packets())
	f.Wait(t, "H264 again", received(before+3))
	if n := len(f.Workers()); n != 2 {
		t.Errorf("%d workers after a crash", n)
	}
	for _, l := range links {
		out.Disconnect(l)
	}
	f.Wait(t, "the worker's end", func() bool { return f.Worker(t, 1).Dead() })
}

func TestDecoderNamesWhatIsMissing(t *testing.T) {
	pool := workers.NewPool(workers.Config{Binary: "/nonexistent/mediaworker"})
	defer pool.Close()
	out, _, errs := room(t, pool)
	if _, err := out.Connect(pipelinetest.NewSink(rtpFormat(codec.H264))); err != nil {
		t.Fatal(err)
	}
	vp8 := rtpFormat(codec.VP8)
	push := rtpOf(out, &vp8)
	push()
	push()
	if len(errs) != 1 {
		t.Fatalf("%d errors, want one", len(errs))
	}
	if err := <-errs; !strings.Contains(err.Error(), "make worker") {
		t.Errorf("told as %v", err)
	}
}

func TestDecoderOverBudget(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{}, func(c *workers.Config) { c.Cores = 0.6 })
	start(t, f, workers.Spec{Kind: "composite", Cores: 0.5})
	out, _, errs := room(t, f.Pool)
	if _, err := out.Connect(pipelinetest.NewSink(rtpFormat(codec.H264))); err != nil {
		t.Fatal(err)
	}
	vp8 := rtpFormat(codec.VP8)
	rtpOf(out, &vp8)()
	if len(errs) != 1 {
		t.Fatalf("%d errors, want one", len(errs))
	}
	if err := <-errs; !strings.Contains(err.Error(), "0.50 of 0.60") {
		t.Errorf("told as %v", err)
	}
}
