package workers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/internal/workers/workerstest"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

// heard collects what a Handler hears.
type heard struct {
	mu      sync.Mutex
	events  []string
	crashes []error
	errors  []wire.ErrorData
	final   bool
	streams []*workers.Stream
	ends    []string
}

func (h *heard) handler() workers.Handler {
	note := func(f func()) { h.mu.Lock(); defer h.mu.Unlock(); f() }
	return workers.Handler{
		Event: func(name string, data json.RawMessage) {
			note(func() { h.events = append(h.events, name+string(data)) })
		},
		Stream: func(s *workers.Stream) { note(func() { h.streams = append(h.streams, s) }) },
		End:    func(name string) { note(func() { h.ends = append(h.ends, name) }) },
		Error:  func(e wire.ErrorData) { note(func() { h.errors = append(h.errors, e) }) },
		Crashed: func(err error, restarting bool) {
			note(func() { h.crashes = append(h.crashes, err); h.final = !restarting })
		},
	}
}

func (h *heard) look(f func(h *heard) bool) bool { h.mu.Lock(); defer h.mu.Unlock(); return f(h) }

func start(t testing.TB, f *workerstest.Farm, s workers.Spec) *workers.Job {
	t.Helper()
	if s.Kind == "" {
		s.Kind = "test"
	}
	j, err := f.Pool.Start(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

func TestCalls(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{
		Call: func(w *workerstest.Worker, method string, params json.RawMessage, files []*os.File) (any, error) {
			switch method {
			case "echo":
				return params, nil
			case "refuse":
				return nil, kerr.New(kerr.MediaObjectIllegalParam, "not this one")
			case "read":
				b, err := io.ReadAll(files[0])
				return string(b), err
			case "die":
				w.Crash()
			}
			return nil, nil
		},
	})
	var h heard
	j := start(t, f, workers.Spec{Kind: "composite", Params: map[string]int{"width": 3}, Handler: h.handler()})
	ctx := context.Background()
	var back map[string]int
	if err := j.Call(ctx, "echo", map[string]int{"x": 7}, &back); err != nil || back["x"] != 7 {
		t.Errorf("echo gives %v, %v", back, err)
	}
	if kind, params := f.Worker(t, 0).Kind(); kind != "composite" || string(params) != `{"width":3}` {
		t.Errorf("the worker was started as %s with %s", kind, params)
	}
	err := j.Call(ctx, "refuse", nil, nil)
	if !errors.Is(err, kerr.MediaObjectIllegalParam) || err.Error() != "not this one" {
		t.Errorf("a refusal is told as %v", err)
	}
	if err := j.Call(ctx, "echo", func() {}, nil); !errors.Is(err, kerr.MarshallError) {
		t.Errorf("what cannot be written: %v", err)
	}
	if err := j.Call(ctx, "echo", strings.Repeat("x", wire.MaxLine), nil); !errors.Is(err, kerr.MediaObjectIllegalParam) {
		t.Errorf("what is too long: %v", err)
	}
	if text, err := j.Dot(ctx); err != nil || !strings.Contains(text, "digraph") {
		t.Errorf("dot gives %q, %v", text, err)
	}
	f.Worker(t, 0).Flow("out", "video", true)
	if l, err := j.Latency(ctx); err != nil || l["out"] != 10*time.Millisecond {
		t.Errorf("latency is %v, %v", l, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString("through a pipe"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var text string
	if err := j.SendFile(ctx, "read", nil, r, &text); err != nil || text != "through a pipe" {
		t.Errorf("the file reads %q, %v", text, err)
	}
	if err := j.Call(ctx, "die", nil, nil); err == nil {
		t.Error("a call to a worker that dies succeeds")
	}
	f.Wait(t, "the crash", func() bool { return h.look(func(h *heard) bool { return len(h.crashes) == 1 && h.final }) })
	if err := j.Call(ctx, "echo", nil, nil); err == nil {
		t.Error("a call to a dead job succeeds")
	}
}

func TestCallGivesUp(t *testing.T) {
	hang := make(chan struct{})
	f := workerstest.New(t, workerstest.Script{Call: func(*workerstest.Worker, string, json.RawMessage, []*os.File) (any, error) {
		<-hang
		return nil, nil
	}})
	j := start(t, f, workers.Spec{})
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, ok := kerr.Of(j.Call(ctx, "hang", nil, nil)); !ok {
		t.Error("no coded error of a worker that does not answer")
	}
	close(hang)
}

func TestEvents(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{})
	var h heard
	j := start(t, f, workers.Spec{Handler: h.handler()})
	w := f.Worker(t, 0)
	for i := range 20 {
		w.Event("seen", i)
	}
	w.Error(wire.ErrorData{Type: "STREAM_ERROR_DECODE", Code: 40003, Text: "broken", Input: "in"})
	w.End("")
	f.Wait(t, "all events", func() bool { return h.look(func(h *heard) bool { return len(h.ends) == 1 }) })
	if got := strings.Join(h.events, " "); !strings.HasPrefix(got, "seen0 seen1 seen2 ") || len(h.events) != 20 {
		t.Errorf("events %s", got)
	}
	if len(h.errors) != 1 || h.errors[0].Text != "broken" {
		t.Errorf("errors %v", h.errors)
	}
	w.Event("after", nil)
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	n := len(h.events)
	if err := j.Close(); err != nil || len(h.events) != n {
		t.Errorf("second close: %v, %d events after %d", err, len(h.events), n)
	}
	if len(h.crashes) != 0 {
		t.Errorf("closing is told as a crash: %v", h.crashes)
	}
	if r := w.Requests(wire.MethodClose); len(r) != 1 {
		t.Errorf("%d requests to close", len(r))
	}
}

func TestFatalErrorEndsTheJob(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{})
	var h heard
	start(t, f, workers.Spec{Handler: h.handler()})
	f.Worker(t, 0).Error(wire.ErrorData{Type: "RESOURCE_ERROR_OPEN", Code: int(kerr.URIPathFileNotFound), Text: "no such film", Fatal: true})
	f.Wait(t, "the end", func() bool { return h.look(func(h *heard) bool { return len(h.crashes) == 1 }) })
	if err := h.crashes[0]; !errors.Is(err, kerr.URIPathFileNotFound) || err.Error() != "no such film" || len(h.errors) != 0 {
		t.Errorf("told as %v, errors %v", err, h.errors)
	}
}

func TestRefusedStart(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{Start: func(*workerstest.Worker, string, json.RawMessage) error {
		return kerr.New(kerr.MediaObjectIllegalParam, "width 0")
	}})
	var h heard
	j := start(t, f, workers.Spec{Restart: true, Handler: h.handler()})
	f.Wait(t, "the refusal", func() bool { return h.look(func(h *heard) bool { return len(h.crashes) == 1 }) })
	if err := h.crashes[0]; !errors.Is(err, kerr.MediaObjectIllegalParam) || !h.final {
		t.Errorf("told as %v, final %v", err, h.final)
	}
	if err := j.Call(context.Background(), "x", nil, nil); !errors.Is(err, kerr.MediaObjectIllegalParam) {
		t.Errorf("a call afterwards: %v", err)
	}
}

func TestSpawnFails(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{Spawn: func() error { return errors.New("no memory") }})
	var h heard
	start(t, f, workers.Spec{Handler: h.handler()})
	f.Wait(t, "the failure", func() bool { return h.look(func(h *heard) bool { return len(h.crashes) == 1 }) })
	if err := h.crashes[0]; !errors.Is(err, kerr.MediaObjectNotAvailable) || !strings.Contains(err.Error(), "no memory") {
		t.Errorf("told as %v", err)
	}
}

// After a crash all that the job was told is told again, in the same order.
func TestRestartReplays(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{Silent: true, Call: func(_ *workerstest.Worker, method string, _ json.RawMessage, _ []*os.File) (any, error) {
		if method == "bad" {
			return nil, kerr.New(kerr.MediaObjectIllegalParam, "bad")
		}
		return nil, nil
	}})
	f.Pool.Hurry(time.Millisecond, 0, 0, 0)
	var h heard
	j := start(t, f, workers.Spec{Restart: true, Handler: h.handler()})
	in := j.Input("in", nil)
	f8 := pipeline.UnitOf(pipeline.Video, codec.VP8)
	keys := &wishes{}
	link := connect(t, pipeline.Video, keys, in)
	link.Push(videoUnit(&f8, 0, true))
	out := pipeline.NewOutput(pipeline.Video, "", nil, nil)
	defer out.Close()
	j.Bind("out", out)
	raw := rawOf(t, f, j, out)
	enc := pipeline.NewOutput(pipeline.Video, "", nil, nil)
	defer enc.Close()
	c, err := raw.Origin.Encode(context.Background(), pipeline.UnitOf(pipeline.Video, codec.H264), enc)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sink := pipelinetest.NewSink()
	if _, err := enc.Connect(sink); err != nil {
		t.Fatal(err)
	}
	j.Set("layout", "layout", 1)
	j.Set("volume", "volume", 1)
	j.Set("layout", "layout", 2)
	j.Set("bad", "bad", nil)
	first := f.Worker(t, 0)
	f.Wait(t, "the first worker to know", func() bool {
		return len(first.Calls("bad")) == 1 && len(first.Frames("in")) == 1 && len(first.Outputs()) == 1
	})
	f.Wait(t, "the bad one to be told", func() bool { return h.look(func(h *heard) bool { return len(h.errors) == 1 }) })
	first.Send(first.Outputs()[0].Stream, []byte{1}, 0, true)
	f.Wait(t, "a unit of the first worker", func() bool { return len(sink.Packets()) == 1 })
	asked := keys.count()
	first.Crash()
	second := f.Worker(t, 1)
	f.Wait(t, "the second worker to know", func() bool {
		return len(second.Calls("bad")) == 1 && len(second.Inputs()) == 1 && len(second.Outputs()) == 1
	})
	if got := second.Calls("layout"); len(got) != 1 || string(got[0]) != "2" {
		t.Errorf("layout is repeated as %s", got)
	}
	if len(second.Calls("volume")) != 1 {
		t.Error("volume is not repeated")
	}
	second.Send(second.Outputs()[0].Stream, []byte{2}, 0, true)
	f.Wait(t, "a unit of the second worker", func() bool { return len(sink.Packets()) == 2 })
	if all := sink.Packets(); all[0].Gap || !all[1].Gap {
		t.Errorf("units say that something is missing before them: %v, %v; want only the second worker's", all[0].Gap, all[1].Gap)
	}
	f.Wait(t, "a keyframe to be asked for", func() bool { return keys.count() > asked })
	link.Push(videoUnit(&f8, 1, false))
	link.Push(videoUnit(&f8, 2, true))
	f.Wait(t, "frames in the second worker", func() bool { return len(second.Frames("in")) == 1 })
	if got := second.Frames("in")[0]; !got.Key || !got.Gap {
		t.Errorf("the second worker begins with %+v, want a keyframe after a gap", got)
	}
	if !h.look(func(h *heard) bool { return len(h.crashes) == 1 && !h.final }) {
		t.Errorf("crashes %v", h.crashes)
	}
}

func TestTooManyCrashes(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{Start: func(w *workerstest.Worker, _ string, _ json.RawMessage) error {
		w.Crash()
		return nil
	}})
	f.Pool.Hurry(time.Millisecond, 0, 0, 0)
	var h heard
	start(t, f, workers.Spec{Restart: true, Handler: h.handler()})
	f.Wait(t, "the end", func() bool { return h.look(func(h *heard) bool { return h.final }) })
	if len(h.crashes) != 10 {
		t.Errorf("given up after %d crashes, want 10", len(h.crashes))
	}
}

func TestHungWorkerIsKilled(t *testing.T) {
	hang := make(chan struct{})
	f := workerstest.New(t, workerstest.Script{Call: func(*workerstest.Worker, string, json.RawMessage, []*os.File) (any, error) {
		<-hang
		return nil, nil
	}})
	f.Pool.Hurry(0, 0, 10*time.Millisecond, 0)
	var h heard
	j := start(t, f, workers.Spec{Handler: h.handler()})
	f.Worker(t, 0)
	j.Set("x", "hang", nil)
	f.Wait(t, "the crash", func() bool {
		done := h.look(func(h *heard) bool { return len(h.crashes) == 1 })
		if done || f.Worker(t, 0).Dead() {
			select {
			case <-hang:
			default:
				close(hang)
			}
		}
		return done
	})
	if !strings.Contains(h.crashes[0].Error(), "not answered") {
		t.Errorf("told as %v", h.crashes[0])
	}
}

func TestBudget(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{}, func(c *workers.Config) { c.Cores = 1 })
	big := start(t, f, workers.Spec{Kind: "composite", Cores: 3})
	_, err := f.Pool.Start(context.Background(), workers.Spec{Kind: "decode", Cores: 0.5})
	if !errors.Is(err, kerr.NotEnoughResources) {
		t.Fatalf("over the budget: %v", err)
	}
	for _, want := range []string{"decode", "0.50", "3.00", "1.00"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the refusal %q does not name %s", err, want)
		}
	}
	if err := big.Close(); err != nil {
		t.Fatal(err)
	}
	for range 40 {
		start(t, f, workers.Spec{Kind: "decode", Cores: 0.02})
	}
	if got := f.Pool.Used(); got < 0.79 || got > 0.81 {
		t.Errorf("forty cheap jobs are charged %.2f cores", got)
	}
}

// A job that is closing makes room for another at once, but not for any number.
func TestBudgetOfClosingJobs(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{Closing: time.Hour}, func(c *workers.Config) { c.Cores = 1 })
	f.Pool.Hurry(0, 0, 0, 2*time.Second)
	var closing sync.WaitGroup
	defer closing.Wait()
	for n := range 3 {
		j, err := f.Pool.Start(context.Background(), workers.Spec{Kind: "composite", Cores: 0.9})
		if n == 2 {
			if !errors.Is(err, kerr.NotEnoughResources) {
				t.Errorf("beside two that are closing: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatalf("beside %d that are closing: %v", n, err)
		}
		if err := j.Call(context.Background(), "nothing", nil, nil); err != nil { // it has begun, or it would end at once
			t.Fatal(err)
		}
		closing.Go(func() { _ = j.Close() })
		f.Wait(t, "the job is closing", func() bool { return f.Pool.Used() == 0 })
	}
}

func TestMetrics(t *testing.T) {
	r := prometheus.NewRegistry()
	f := workerstest.New(t, workerstest.Script{}, func(c *workers.Config) { c.Metrics = r })
	f.Pool.Hurry(time.Millisecond, 0, 0, 0)
	var h heard
	start(t, f, workers.Spec{Kind: "player", Restart: true, Handler: h.handler()})
	f.Worker(t, 0).Crash()
	f.Worker(t, 1)
	start(t, f, workers.Spec{Kind: "director", Cores: 0.5})
	if _, err := f.Pool.Start(t.Context(), workers.Spec{Kind: "director", Cores: 1000}); !errors.Is(err, kerr.NotEnoughResources) {
		t.Errorf("a job of 1000 cores: %v", err)
	}
	all, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range all {
		for _, x := range m.Metric {
			got[m.GetName()] += x.GetCounter().GetValue() + x.GetGauge().GetValue()
			for _, l := range x.Label {
				got[m.GetName()+" "+l.GetValue()] += x.GetCounter().GetValue() + x.GetGauge().GetValue()
			}
		}
	}
	if got["workers_running director"] != 1 || got["worker_cores_used director"] != 0.5 || got["worker_refusals_total director"] != 1 || got["worker_cores_limit"] <= 0 {
		t.Errorf("metrics of directors %v", got)
	}
	if got["workers_running"] != 2 || got["worker_crashes_total"] != 1 || got["worker_restarts_total"] != 1 || got["worker_cores_used"] == 0 {
		t.Errorf("metrics %v", got)
	}
}

func TestPoolCloseEndsAll(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{}, func(c *workers.Config) { c.Warm = 2 })
	j := start(t, f, workers.Spec{})
	f.Worker(t, 0)
	soon(t, "warm workers", func() bool { return len(f.Pool.Idle()) == 2 })
	if err := f.Pool.Close(); err != nil {
		t.Error(err)
	}
	if err := j.Call(context.Background(), "x", nil, nil); err == nil {
		t.Error("a call after the end succeeds")
	}
	if _, err := f.Pool.Start(context.Background(), workers.Spec{}); !errors.Is(err, kerr.MediaObjectNotAvailable) {
		t.Errorf("start after the end: %v", err)
	}
}

// A worker's own streams: frames that overtake their announcement, and an end
// that does not overtake frames.
func TestStreams(t *testing.T) {
	f := workerstest.New(t, workerstest.Script{})
	var mu sync.Mutex
	var units []*pipeline.Packet
	var atEnd int
	epoch := time.Now()
	start(t, f, workers.Spec{Epoch: epoch, Handler: workers.Handler{
		Stream: func(s *workers.Stream) {
			if s.Name != "video" || s.Format.Codec != codec.H264 || s.Format.ClockRate != 90000 || !s.Format.Reordered {
				t.Errorf("stream %+v", s)
			}
			s.Deliver(func(p *pipeline.Packet) { mu.Lock(); defer mu.Unlock(); units = append(units, p) })
		},
		End: func(string) { mu.Lock(); defer mu.Unlock(); atEnd = len(units) },
	}})
	w := f.Worker(t, 0)
	long := bytes.Repeat([]byte{7}, 3*wire.MaxFragment+5)
	at := workerstest.Now()
	w.SendFrame(wire.Header{Stream: wire.FirstOwnStream, Frame: 0, PTS: at}, long, true)
	if id := w.Stream("video", wire.Media{Kind: "video", Codec: "H264", Reordered: true}); id != wire.FirstOwnStream {
		t.Fatalf("the first own stream is %d", id)
	}
	for n := range uint32(50) {
		w.SendFrame(wire.Header{Stream: wire.FirstOwnStream, Frame: 1 + n, PTS: at}, []byte{1}, false)
	}
	w.SendFrame(wire.Header{Stream: wire.FirstOwnStream, Frame: 60, PTS: at}, []byte{2}, false) // after a loss
	w.SendFrame(wire.Header{Stream: wire.FirstOwnStream, Frame: 61, PTS: at}, []byte{3}, true)
	w.End("video")
	f.Wait(t, "the end", func() bool { mu.Lock(); defer mu.Unlock(); return atEnd > 0 })
	if atEnd != 52 || len(units) != 52 {
		t.Fatalf("%d units at the end, %d later, want 52", atEnd, len(units))
	}
	if p := units[0]; !bytes.Equal(p.Payload, long) || !p.Key || p.Format.Codec != codec.H264 {
		t.Errorf("the first unit has %d bytes, key %v", len(p.Payload), p.Key)
	}
	if d := units[0].PTS - time.Since(epoch); d > 0 || d < -patience {
		t.Errorf("PTS is %v off the present", d)
	}
	if p := units[51]; !p.Key || !p.Gap {
		t.Errorf("after a loss: key %v, gap %v", p.Key, p.Gap)
	}
}
