package hubs_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/internal/workers/workerstest"
	"github.com/govidu/govidu/pipeline"
)

// scene waits until the worker's latest scene is the one wanted.
func scene(t *testing.T, farm *workerstest.Farm, w *workerstest.Worker, what, want string) {
	t.Helper()
	var expect, last any
	if err := json.Unmarshal([]byte(want), &expect); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("%s: the latest scene is %v", what, last)
		}
	}()
	farm.Wait(t, what, func() bool {
		calls := w.Calls("scene")
		if len(calls) == 0 {
			return false
		}
		last = nil
		return json.Unmarshal(calls[len(calls)-1], &last) == nil && reflect.DeepEqual(last, expect)
	})
}

func TestCompositeScene(t *testing.T) {
	family, farm := types(t, flows("video"))
	b := newTable(t, family, "Composite", map[string]any{"width": 641, "height": 480, "framerate": 0}, 2)
	w := farm.Worker(t, 0)
	if kind, params := w.Kind(); kind != "composite" || string(params) != `{"width":640,"height":480,"framerate":15}` {
		t.Errorf("job %s %s", kind, params)
	}
	scene(t, farm, w, "both", `{"grid":["video/1","video/2"],"minus":["audio/1","audio/2"]}`)
	b.Call(b.sources[0], "disconnect", map[string]any{"sink": b.ports[0], "mediaType": "VIDEO"})
	scene(t, farm, w, "the first has no video", `{"grid":["video/2"],"minus":["audio/1","audio/2"]}`)
	b.add("VP8", "VP8")
	scene(t, farm, w, "a third", `{"grid":["video/2","video/3"],"minus":["audio/1","audio/2","audio/3"]}`)
	b.Call(b.sources[0], "connect", map[string]any{"sink": b.ports[0], "mediaType": "VIDEO"})
	scene(t, farm, w, "the first again, in its place", `{"grid":["video/1","video/2","video/3"],"minus":["audio/1","audio/2","audio/3"]}`)
	b.Release(b.ports[1])
	scene(t, farm, w, "the second is gone", `{"grid":["video/1","video/3"],"minus":["audio/1","audio/3"]}`)
}

func TestCompositeBadParameters(t *testing.T) {
	family, farm := types(t, workerstest.Script{})
	w := elementtest.New(t, family...)
	for _, p := range []map[string]any{{"width": 0}, {"width": -5}, {"height": 100000}, {"framerate": -1}, {"framerate": 1000}} {
		_, err := w.TryCreate("Composite", p)
		elementtest.Code(t, err, kerr.MediaObjectIllegalParam, "is not possible")
	}
	_, err := w.TryCreate("Composite", map[string]any{"width": "wide"})
	elementtest.Code(t, err, kerr.MarshallError, "'width' parameter should be a integer")
	if n := len(farm.Workers()); n != 0 {
		t.Errorf("%d workers", n)
	}
}

// TestCompositeMedia: frames go in under the ports' names, all ports get the one
// encoding of the picture, each its own sound.
func TestCompositeMedia(t *testing.T) {
	family, farm := types(t, flows("video", "audio/1", "audio/2", "audio/3"))
	b := newTable(t, family, "Composite", nil, 2)
	b.add("H264", "H264")
	w := farm.Worker(t, 0)
	for i, s := range b.sources {
		name := codec.VP8
		if i == 2 {
			name = codec.H264
		}
		s.send(pipeline.Video, workerstest.Unit(name, true), true)
		s.send(pipeline.Audio, workerstest.Unit(codec.Opus, true), true)
	}
	farm.Wait(t, "the inputs", func() bool {
		return slices.Equal(w.Inputs(), []string{"audio/1", "audio/2", "audio/3", "video/1", "video/2", "video/3"})
	})
	farm.Wait(t, "all ports to send", func() bool {
		return !slices.ContainsFunc(b.sinks, func(s *unitSink) bool {
			return len(s.frames(pipeline.Video)) == 0 || len(s.frames(pipeline.Audio)) == 0
		})
	})
	var got []string
	for _, o := range w.Outputs() {
		got = append(got, o.Port+" "+o.Codec)
	}
	slices.Sort(got)
	if want := []string{"audio/1 opus", "audio/2 opus", "audio/3 opus", "video H264", "video VP8"}; !slices.Equal(got, want) {
		t.Errorf("encodings %v, want %v", got, want)
	}
	w.WantKey("video/2")
	elementtest.Eventually(t, "the worker's wish for a keyframe reaches the source", func() bool {
		return b.sources[1].wishes[pipeline.Video].Count(pipeline.WishKeyFrame) > 0
	})
	b.Release(b.ports[2])
	farm.Wait(t, "its encodings to end", func() bool { return len(w.Outputs()) == 3 && len(w.Inputs()) == 4 })
}

// TestCompositeCrash: the hub and its ports tell, and another worker goes on
// with the same inputs, encodings and scene.
func TestCompositeCrash(t *testing.T) {
	family, farm := types(t, flows("video", "audio/1", "audio/2"))
	b := newTable(t, family, "Composite", nil, 2)
	first := farm.Worker(t, 0)
	const want = `{"grid":["video/1","video/2"],"minus":["audio/1","audio/2"]}`
	scene(t, farm, first, "before", want)
	b.sources[0].send(pipeline.Video, workerstest.Unit(codec.VP8, true), true)
	farm.Wait(t, "the picture", func() bool { return len(b.sinks[1].frames(pipeline.Video)) > 0 })
	begun := time.Now()
	first.Crash()
	for _, o := range []elements.Object{b.hub, b.ports[0], b.ports[1]} {
		e := b.WaitEvents(o, "Error", 1)[0]
		if text := e.Data["description"].(string); !strings.Contains(text, b.hub.ID()) || !strings.Contains(text, "another one takes over") {
			t.Errorf("error of %s says %q", o.ID(), text)
		}
	}
	t.Logf("told %v after the crash", time.Since(begun))
	second := farm.Worker(t, 1)
	scene(t, farm, second, "after", want)
	before := len(b.sinks[1].frames(pipeline.Video))
	b.sources[0].send(pipeline.Video, workerstest.Unit(codec.VP8, true), true)
	farm.Wait(t, "the picture again", func() bool { return len(b.sinks[1].frames(pipeline.Video)) > before })
	if got := b.Events(b.sources[0], "Error"); len(got) != 0 {
		t.Errorf("the source has errors: %v", got)
	}
}

// TestCompositeInputFails: what the worker says of an input reaches subscribers.
func TestCompositeInputFails(t *testing.T) {
	s := flows("video")
	s.Input = func(_ *workerstest.Worker, p wire.StreamParams) error {
		return kerr.New(kerr.MediaObjectNotAvailable, "no decoder for %s", p.Codec)
	}
	family, _ := types(t, s)
	b := newTable(t, family, "Composite", nil, 1)
	b.sources[0].send(pipeline.Video, workerstest.Unit(codec.VP8, true), true)
	e := b.WaitEvents(b.hub, "Error", 1)[0]
	if text := e.Data["description"]; text != "no decoder for VP8" {
		t.Errorf("description %q", text)
	}
}

func TestAlphaBlendingScene(t *testing.T) {
	family, farm := types(t, flows("video"))
	b := newTable(t, family, "AlphaBlending", nil, 3)
	w := farm.Worker(t, 0)
	if _, params := w.Kind(); string(params) != `{"framerate":15}` {
		t.Errorf("parameters %s", params)
	}
	place := func(port int, x, y, width, height float64, z int) error {
		_, err := b.Invoke(b.hub, "setPortProperties", map[string]any{
			"relativeX": x, "relativeY": y, "zOrder": z, "relativeWidth": width, "relativeHeight": height, "port": b.ports[port]})
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const minus = `"minus":["audio/1","audio/2","audio/3"]`
	scene(t, farm, w, "no master", `{`+minus+`}`)
	must(place(1, 0.5, 0.5, 0.25, 0.25, 7))
	b.Call(b.hub, "setMaster", map[string]any{"source": b.ports[0], "zOrder": 2})
	const second = `{"input":"video/2","x":0.5,"y":0.5,"width":0.25,"height":0.25}`
	const master = `{"input":"video/1","x":0,"y":0,"width":1,"height":1}`
	scene(t, farm, w, "a master and one", `{"master":"video/1","layers":[`+master+`,`+second+`],`+minus+`}`)
	must(place(2, 0, 0, 1, 0.5, -3))
	const third = `{"input":"video/3","x":0,"y":0,"width":1,"height":0.5}`
	scene(t, farm, w, "one below", `{"master":"video/1","layers":[`+third+`,`+master+`,`+second+`],`+minus+`}`)
	must(place(0, 0.3, 0.3, 0.3, 0.3, 9)) // the master stays where it is
	scene(t, farm, w, "the master above", `{"master":"video/1","layers":[`+third+`,`+second+`,`+master+`],`+minus+`}`)
	for _, bad := range []error{place(1, -0.1, 0, 1, 1, 0), place(1, 0, 1.1, 1, 1, 0), place(1, 0, 0, 2, 1, 0), place(1, 0, 0, 1, -1, 0)} {
		elementtest.Code(t, bad, kerr.MediaObjectIllegalParam, "not a fraction")
	}
	other := b.Create("HubPort", map[string]any{"hub": b.Create("AlphaBlending", nil)})
	_, err := b.Invoke(b.hub, "setMaster", map[string]any{"source": other, "zOrder": 0})
	elementtest.Code(t, err, kerr.ConnectError, "does not belong")
	b.Release(b.ports[0])
	scene(t, farm, w, "the master is gone", `{"minus":["audio/2","audio/3"]}`)
}

// TestMixerMixes: a worker starts with the second source, gets what is mixed and
// nothing else, and the sink's sound comes from it until one source is left.
func TestMixerMixes(t *testing.T) {
	family, farm := types(t, flows("audio/3", "audio/1"))
	b := newTable(t, family, "Mixer", nil, 4)
	call := func(op string, source, sink int) {
		t.Helper()
		b.Call(b.hub, op, map[string]any{"media": "AUDIO", "source": b.ports[source], "sink": b.ports[sink]})
	}
	speak := func() {
		for i, s := range b.sources {
			s.send(pipeline.Audio, []byte{0xf8, 0xff, byte(i)}, true)
		}
	}
	call("connect", 0, 2)
	speak()
	if got := b.sinks[2].frames(pipeline.Audio); len(got) != 1 || got[0].Payload[2] != 0 {
		t.Fatalf("one source is not forwarded: %v", got)
	}
	call("connect", 1, 2)
	w := farm.Worker(t, 0)
	if kind, _ := w.Kind(); kind != "mixer" {
		t.Errorf("job %s", kind)
	}
	scene(t, farm, w, "two sources", `{"mix":{"audio/3":["audio/1","audio/2"]}}`)
	speak()
	farm.Wait(t, "the inputs", func() bool { return slices.Equal(w.Inputs(), []string{"audio/1", "audio/2"}) })
	heard := len(b.sinks[2].frames(pipeline.Audio))
	farm.Wait(t, "the mix", func() bool { return len(b.sinks[2].frames(pipeline.Audio)) > heard+3 })
	call("connect", 3, 0)
	call("connect", 2, 0)
	scene(t, farm, w, "two sinks", `{"mix":{"audio/3":["audio/1","audio/2"],"audio/1":["audio/4","audio/3"]}}`)

	w.Crash()
	b.WaitEvents(b.hub, "Error", 1)
	b.WaitEvents(b.ports[2], "Error", 1)
	w = farm.Worker(t, 1)
	scene(t, farm, w, "after a crash", `{"mix":{"audio/3":["audio/1","audio/2"],"audio/1":["audio/4","audio/3"]}}`)

	call("disconnect", 0, 2)
	scene(t, farm, w, "one source is left", `{"mix":{"audio/1":["audio/4","audio/3"]}}`)
	farm.Wait(t, "the inputs", func() bool { return len(w.Inputs()) == 0 || slices.Equal(w.Inputs(), []string{"audio/3", "audio/4"}) })
	heard = len(b.sinks[2].frames(pipeline.Audio))
	speak()
	after := b.sinks[2].frames(pipeline.Audio)
	if last := after[len(after)-1]; len(after) <= heard || last.Payload[2] != 1 {
		t.Errorf("the source that is left is not forwarded: %v", last.Payload)
	}
	b.Release(b.ports[3])
	scene(t, farm, w, "a source port is gone", `{}`)
}
