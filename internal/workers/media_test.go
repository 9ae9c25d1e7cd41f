package workers_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/internal/workers/workerstest"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

// wishes counts keyframe wishes.
type wishes struct {
	mu sync.Mutex
	n  int
}

func (w *wishes) Feedback(f pipeline.Feedback) {
	if f.Wish == pipeline.WishKeyFrame {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.n++
	}
}

func (w *wishes) count() int { w.mu.Lock(); defer w.mu.Unlock(); return w.n }

// connect makes an Output that feeds in.
func connect(t testing.TB, kind pipeline.Kind, up pipeline.Producer, in pipeline.Input) *pipeline.Output {
	t.Helper()
	out := pipeline.NewOutput(kind, "default", up, nil)
	if _, err := out.Connect(in); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	return out
}

func videoUnit(f *pipeline.Format, n int, key bool) *pipeline.Packet {
	return &pipeline.Packet{Format: f, Payload: workerstest.Unit(f.Codec, key), PTS: time.Duration(n) * 33 * time.Millisecond, Arrival: time.Now(), Key: key}
}

// rawOf waits for the first tick on out and gives its format.
func rawOf(t testing.TB, f *workerstest.Farm, j *workers.Job, out *pipeline.Output) pipeline.Format {
	t.Helper()
	s := pipelinetest.NewSink()
	l, err := out.Connect(s)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Disconnect(l)
	f.Worker(t, 0).Flow("out", kindName(out.Kind()), true)
	f.Wait(t, "a tick", func() bool { return len(s.Packets()) > 0 })
	p := s.Packets()[0]
	if len(p.Payload) != 0 || p.Format.Framing != pipeline.Raw || p.Format.Origin == nil || p.Format.Kind != out.Kind() {
		t.Fatalf("a tick is %+v of %+v", p, p.Format)
	}
	return *p.Format
}

func kindName(k pipeline.Kind) string {
	if k == pipeline.Audio {
		return "audio"
	}
	return "video"
}

func TestInput(t *testing.T) {
	epoch := time.Now().Add(-time.Hour)
	f := workerstest.New(t, workerstest.Script{})
	j := start(t, f, workers.Spec{Epoch: epoch})
	in := j.Input("p1-video", workers.UnitFormats(pipeline.Video))
	keys := &wishes{}
	out := connect(t, pipeline.Video, keys, in)
	format := pipeline.UnitOf(pipeline.Video, codec.VP8)
	// Pushed at once, while the worker starts: nothing is lost but what no
	// decoder could use.
	big := videoUnit(&format, 1, true)
	big.Payload = bytes.Repeat([]byte{0x10}, 300_000)
	big.PTS = time.Since(epoch)
	out.Push(big)
	w := f.Worker(t, 0)
	f.Wait(t, "the first frame", func() bool { return len(w.Frames("p1-video")) == 1 })
	got := w.Frames("p1-video")[0]
	if !bytes.Equal(got.Payload, big.Payload) || !got.Key {
		t.Errorf("a frame of %d bytes, key %v", len(got.Payload), got.Key)
	}
	if d := time.Duration(workerstest.Now() - got.PTS); d < 0 || d > patience {
		t.Errorf("its PTS is %v ago", d)
	}
	other := format
	other.Width, other.Height = 640, 480
	out.Push(videoUnit(&other, 2, false))
	f.Wait(t, "the second frame", func() bool { return len(w.Frames("p1-video")) == 2 })
	third := format
	third.Codec = codec.H264
	lost := videoUnit(&third, 3, true)
	lost.Gap = true
	out.Push(lost)
	f.Wait(t, "all frames", func() bool { return len(w.Frames("p1-video")) == 3 })
	if got := w.Frames("p1-video")[2]; !got.Gap {
		t.Error("a gap is not told")
	}
	if n := len(w.Requests(wire.MethodInput)); n != 2 {
		t.Errorf("%d announcements, want two: another size is the same stream", n)
	}
	if n, b := in.Counters(); n != 3 || b < 300_000 {
		t.Errorf("counted %d packets, %d bytes", n, b)
	}
	before := keys.count()
	w.WantKey("p1-video")
	f.Wait(t, "the wish for a keyframe", func() bool { return keys.count() > before })
	w.WantKey("nobody")
	j.RemoveInput("p1-video")
	j.RemoveInput("p1-video")
	f.Wait(t, "the input's end", func() bool { return len(w.Inputs()) == 0 })
	out.Push(videoUnit(&third, 4, true))
	if n := len(w.Requests(wire.MethodInput)); n != 2 {
		t.Error("a removed input is announced again")
	}
}

func TestInputRefused(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{Input: func(_ *workerstest.Worker, p wire.StreamParams) error {
		if p.Codec == "AV1" {
			return kerr.New(kerr.MediaObjectNotAvailable, "no decoder for AV1")
		}
		return nil
	}})
	var h heard
	j := start(t, f, workers.Spec{Handler: h.handler()})
	in := j.Input("in", nil)
	av1, vp8 := pipeline.UnitOf(pipeline.Video, codec.AV1), pipeline.UnitOf(pipeline.Video, codec.VP8)
	in.Push(videoUnit(&av1, 0, true))
	f.Wait(t, "the error", func() bool { return h.look(func(h *heard) bool { return len(h.errors) == 1 }) })
	if e := h.errors[0]; e.Input != "in" || e.Code != int(kerr.MediaObjectNotAvailable) || e.Text != "no decoder for AV1" {
		t.Errorf("told as %+v", e)
	}
	for n := range 10 {
		in.Push(videoUnit(&av1, n, true))
	}
	in.Push(videoUnit(&vp8, 11, true))
	w := f.Worker(t, 0)
	f.Wait(t, "a frame", func() bool { return len(w.Frames("in")) == 1 })
	if n := len(w.Requests(wire.MethodInput)); n != 2 {
		t.Errorf("%d announcements, want two", n)
	}
}

// A worker that does not read loses whole frames, and Push never waits.
func TestStuckWorkerBlocksNobody(t *testing.T) {
	stuck := make(chan struct{})
	f := workerstest.New(t, workerstest.Script{Frame: func(*workerstest.Worker, workerstest.Frame) { <-stuck }})
	j := start(t, f, workers.Spec{})
	in := j.Input("in", nil)
	keys := &wishes{}
	out := connect(t, pipeline.Video, keys, in)
	format := pipeline.UnitOf(pipeline.Video, codec.VP8)
	out.Push(videoUnit(&format, 0, true))
	w := f.Worker(t, 0)
	f.Wait(t, "the first frame", func() bool { return len(w.Frames("in")) == 1 })
	asked := keys.count()
	begun := time.Now()
	for n := 1; n <= 200; n++ { // 40 MB
		p := videoUnit(&format, n, false)
		p.Payload = bytes.Repeat([]byte{0x11}, 200_000)
		out.Push(p)
	}
	if d := time.Since(begun); d > patience {
		t.Errorf("pushing to a stuck worker takes %v", d)
	}
	soon(t, "a wish for a keyframe", func() bool { return keys.count() > asked })
	close(stuck)
	// What was sent whole arrives whole; then nothing but a keyframe.
	soon(t, "the keyframe after the hole", func() bool {
		out.Push(videoUnit(&format, 300, true))
		all := w.Frames("in")
		return all[len(all)-1].Key && len(all) > 1
	})
	all := w.Frames("in")
	for i, got := range all[1:] {
		if !got.Key && len(got.Payload) != 200_000 {
			t.Fatalf("frame %d has %d bytes", i+1, len(got.Payload))
		}
	}
	if len(all) > 190 {
		t.Errorf("%d frames arrive: the socket was never full", len(all))
	}
	for i := 1; i < len(all); i++ {
		if all[i].Key {
			if !all[i].Gap {
				t.Error("the keyframe after the hole does not tell of it")
			}
			break
		}
	}
}

func TestTicks(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{})
	j := start(t, f, workers.Spec{Epoch: time.Now()})
	out := pipeline.NewOutput(pipeline.Audio, "default", nil, nil)
	defer out.Close()
	s := pipelinetest.NewSink()
	if _, err := out.Connect(s); err != nil {
		t.Fatal(err)
	}
	w := f.Worker(t, 0)
	w.Flow("audio", "audio", true) // before anybody is bound
	w.Flow("video", "video", true)
	j.Bind("audio", out)
	f.Wait(t, "ticks", func() bool { return len(s.Packets()) >= 3 })
	all := s.Packets()
	if all[0].Format != all[2].Format || all[0].Format.Codec != pipeline.RawCodec || all[2].PTS <= all[0].PTS {
		t.Errorf("ticks %+v and %+v", all[0], all[2])
	}
	if origin := all[0].Format.Origin; !origin.Encodes(pipeline.UnitOf(pipeline.Audio, codec.Opus)) || origin.Encodes(pipeline.UnitOf(pipeline.Audio, codec.AAC)) {
		t.Error("it offers other encoders than the worker has")
	}
	w.Flow("audio", "audio", false)
	n, since := 0, time.Now()
	soon(t, "silence", func() bool {
		if now := len(s.Packets()); now != n {
			n, since = now, time.Now()
		}
		return time.Since(since) > 300*time.Millisecond
	})
	j.Unbind("audio")
	w.Flow("audio", "audio", true)
}

func TestEncodings(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{Output: func(_ *workerstest.Worker, p wire.OutputParams) error {
		if p.Codec == "VP9" {
			return kerr.New(kerr.MediaObjectNotAvailable, "no encoder for VP9")
		}
		return nil
	}})
	j := start(t, f, workers.Spec{Epoch: time.Now()})
	out := pipeline.NewOutput(pipeline.Video, "default", nil, nil)
	defer out.Close()
	j.Bind("out", out)
	f.Worker(t, 0)
	raw := rawOf(t, f, j, out)
	w := f.Worker(t, 0)
	encode := func(name codec.Name) (*pipelinetest.Sink, *pipeline.Output, func()) {
		o := pipeline.NewOutput(pipeline.Video, "default", nil, nil)
		o.OnEncoding(func() pipeline.Encoding {
			return pipeline.Encoding{BitrateBps: 700_000, MinBps: 300_000, MaxBps: 900_000}
		})
		s := pipelinetest.NewSink()
		if _, err := o.Connect(s); err != nil {
			t.Fatal(err)
		}
		c, err := raw.Origin.Encode(context.Background(), pipeline.UnitOf(pipeline.Video, name), o)
		if err != nil {
			t.Fatal(err)
		}
		return s, o, func() { c.Close(); c.Close(); o.Close() }
	}
	s, o, end := encode(codec.VP8)
	f.Wait(t, "units", func() bool { return len(s.Packets()) > 3 })
	first := s.Packets()[0]
	if !first.Key || first.Format.Codec != codec.VP8 || first.Format.Framing != pipeline.Unit || first.Format.Width != 320 || first.Format.ClockRate != 90000 {
		t.Errorf("the first unit: key %v, %+v", first.Key, first.Format)
	}
	if d := time.Since(first.Arrival); d < 0 || d > patience || first.PTS <= 0 || s.Packets()[3].Format != first.Format {
		t.Errorf("arrival %v ago, PTS %v", d, first.PTS)
	}
	if p := w.Outputs()[0]; p.Port != "out" || p.Bitrate != 700_000 || p.Kind != "video" {
		t.Errorf("asked for %+v", p)
	}
	s2, _, end2 := encode(codec.VP8)
	f.Wait(t, "units for the second", func() bool { return len(s2.Packets()) > 0 })
	if n := len(w.Requests(wire.MethodOutput)); n != 1 {
		t.Errorf("%d encoders for two of the same", n)
	}
	if !s2.Packets()[0].Key {
		t.Error("the second does not begin at a keyframe")
	}
	o.Feedback(pipeline.Feedback{Wish: pipeline.WishBitrate, BitrateBps: 5_000})
	f.Wait(t, "the bitrate", func() bool { return len(w.Requests(wire.MethodBitrate)) > 0 })
	all := w.Requests(wire.MethodBitrate)
	if got := string(all[len(all)-1].Params); !bytes.Contains([]byte(got), []byte("300000")) {
		t.Errorf("bitrate is set by %s, want the element's least", got)
	}
	n := len(w.Requests(wire.MethodKeyFrame))
	for range 100 {
		o.Feedback(pipeline.Feedback{Wish: pipeline.WishKeyFrame})
	}
	f.Wait(t, "a keyframe request", func() bool { return len(w.Requests(wire.MethodKeyFrame)) > n })
	if got := len(w.Requests(wire.MethodKeyFrame)) - n; got > 3 {
		t.Errorf("a hundred wishes are %d requests", got)
	}
	end()
	if len(w.Requests(wire.MethodNoOutput)) != 0 {
		t.Error("the encoder ends with the first of two")
	}
	end2()
	f.Wait(t, "the encoder's end", func() bool { return len(w.Outputs()) == 0 })

	failed := make(chan error, 1)
	o9 := pipeline.NewOutput(pipeline.Video, "default", nil, nil)
	defer o9.Close()
	o9.OnLinkError(func(_ *pipeline.Link, err error) { failed <- err })
	if _, err := o9.Connect(pipelinetest.NewSink()); err != nil {
		t.Fatal(err)
	}
	o9.Announce(&pipeline.Format{Kind: pipeline.Video, Codec: codec.VP9, Framing: pipeline.Unit})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if _, err := raw.Origin.Encode(ctx, pipeline.UnitOf(pipeline.Video, codec.VP9), o9); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failed:
		if code, _ := kerr.Of(err); code != kerr.MediaObjectNotAvailable {
			t.Errorf("failed with %v", err)
		}
	case <-time.After(patience):
		t.Error("a refused encoder is not told")
	}
	cancel() // ends the encoding too
	soon(t, "its end", func() bool { return len(w.Requests(wire.MethodNoOutput)) == 2 })
	if _, err := raw.Origin.Encode(context.Background(), pipeline.UnitOf(pipeline.Audio, codec.Opus), o9); err == nil {
		t.Error("pictures are encoded to sound")
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if _, err := raw.Origin.Encode(context.Background(), pipeline.UnitOf(pipeline.Video, codec.VP8), o9); err == nil {
		t.Error("a closed job encodes")
	}
}
