package hubs_test

import (
	"slices"
	"testing"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/workerstest"
	"github.com/govidu/govidu/pipeline"
)

// board is a hub with ports, each fed by a source and feeding a sink.
type board struct {
	*elementtest.World
	t       *testing.T
	hub     elements.Object
	ports   []elements.Object
	sources []*elementtest.Source
	sinks   []*elementtest.Sink
	seen    map[*elementtest.Sink]map[pipeline.Kind]int
}

func newBoard(t *testing.T, w *elementtest.World, typ string, params map[string]any, ports int) *board {
	b := &board{World: w, t: t, hub: w.Create(typ, params), seen: map[*elementtest.Sink]map[pipeline.Kind]int{}}
	for range ports {
		b.addPort()
	}
	return b
}

func (b *board) addPort() {
	port := b.Create("HubPort", map[string]any{"hub": b.hub})
	source := b.Element("TestSource", nil).(*elementtest.Source)
	sink := b.Element("TestSink", nil).(*elementtest.Sink)
	b.Call(source, "connect", map[string]any{"sink": port})
	b.Call(port, "connect", map[string]any{"sink": sink})
	b.ports, b.sources, b.sinks = append(b.ports, port), append(b.sources, source), append(b.sinks, sink)
	b.seen[sink] = map[pipeline.Kind]int{}
}

// reach sends from each source and says which sinks got it: "from>to" in order.
func (b *board) reach(kind pipeline.Kind) (got []string) {
	for i, source := range b.sources {
		source.Send(kind, 3)
		for j, sink := range b.sinks {
			n := len(sink.Got[kind].Packets())
			if n > b.seen[sink][kind] {
				got = append(got, string(rune('0'+i))+">"+string(rune('0'+j)))
			}
			b.seen[sink][kind] = n
		}
	}
	return got
}

func (b *board) want(what string, kind pipeline.Kind, want ...string) {
	b.t.Helper()
	if got := b.reach(kind); !slices.Equal(got, want) {
		b.t.Errorf("%s: %s goes %v, want %v", what, kind, got, want)
	}
}

func TestDispatcher(t *testing.T) {
	family, _ := types(t, workerstest.Script{})
	b := newBoard(t, elementtest.New(t, family...), "Dispatcher", nil, 3)
	connect := func(source, sink int) {
		b.Call(b.hub, "connect", map[string]any{"source": b.ports[source], "sink": b.ports[sink]})
	}
	b.want("nothing connected", pipeline.Video)
	connect(0, 1)
	b.want("one route", pipeline.Video, "0>1")
	b.want("one route", pipeline.Audio, "0>1")
	connect(0, 2)
	b.want("two routes", pipeline.Video, "0>1", "0>2")
	asked := b.sources[2].Producers[pipeline.Video].Count(pipeline.WishKeyFrame)
	connect(2, 1)
	b.want("replaced", pipeline.Video, "0>2", "2>1")
	b.want("replaced", pipeline.Audio, "0>2", "2>1")
	elementtest.Eventually(t, "the new source is asked for a keyframe", func() bool {
		return b.sources[2].Producers[pipeline.Video].Count(pipeline.WishKeyFrame) > asked
	})
	connect(2, 1) // again changes nothing
	b.want("again", pipeline.Video, "0>2", "2>1")
	connect(1, 1)
	b.want("to itself", pipeline.Video, "0>2", "1>1")
	b.Release(b.ports[0])
	b.want("the source port is gone", pipeline.Video, "1>1")
	b.addPort()
	connect(3, 1)
	b.want("a later port", pipeline.Video, "3>1")

	_, err := b.Invoke(b.hub, "connect", map[string]any{"source": b.ports[0], "sink": b.ports[1]})
	elementtest.Code(t, err, kerr.MediaObjectNotFound, "not found")
	other := b.Create("HubPort", map[string]any{"hub": b.Create("Dispatcher", nil)})
	for _, p := range []map[string]any{{"source": other, "sink": b.ports[1]}, {"source": b.ports[1], "sink": other}} {
		_, err := b.Invoke(b.hub, "connect", p)
		elementtest.Code(t, err, kerr.ConnectError, "Can not connect ports")
	}
	_, err = b.Invoke(b.hub, "connect", map[string]any{"source": b.ports[1]})
	elementtest.Code(t, err, kerr.MarshallError, "'sink' parameter should be a string")
	b.want("after refusals", pipeline.Video, "3>1")
}

func TestDispatcherOneToMany(t *testing.T) {
	family, _ := types(t, workerstest.Script{})
	b := newBoard(t, elementtest.New(t, family...), "DispatcherOneToMany", nil, 3)
	set := func(n int) { b.Call(b.hub, "setSource", map[string]any{"source": b.ports[n]}) }
	b.want("no source", pipeline.Video)
	b.Call(b.hub, "removeSource", nil)
	set(0)
	b.want("the first", pipeline.Video, "0>1", "0>2")
	b.want("the first", pipeline.Audio, "0>1", "0>2")
	set(2)
	b.want("another", pipeline.Video, "2>0", "2>1")
	b.addPort()
	b.want("a later port", pipeline.Video, "2>0", "2>1", "2>3")
	b.Call(b.hub, "removeSource", nil)
	b.want("removed", pipeline.Video)
	set(1)
	b.Release(b.ports[1])
	b.want("the source port is gone", pipeline.Video)
	b.addPort()
	b.want("and does not come back", pipeline.Video)
	other := b.Create("HubPort", map[string]any{"hub": b.Create("Dispatcher", nil)})
	_, err := b.Invoke(b.hub, "setSource", map[string]any{"source": other})
	elementtest.Code(t, err, kerr.ConnectError, "Can not connect ports")
}

func TestMixerVideo(t *testing.T) {
	family, farm := types(t, workerstest.Script{})
	b := newBoard(t, elementtest.New(t, family...), "Mixer", nil, 3)
	call := func(op, media string, source, sink int) error {
		_, err := b.Invoke(b.hub, op, map[string]any{"media": media, "source": b.ports[source], "sink": b.ports[sink]})
		return err
	}
	for _, c := range []struct {
		op, media string
		code      kerr.Code
	}{{"connect", "DATA", kerr.UnsupportedMediaType}, {"disconnect", "DATA", kerr.UnsupportedMediaType}, {"disconnect", "VIDEO", kerr.UnsupportedMediaType}} {
		elementtest.Code(t, call(c.op, c.media, 0, 1), c.code, "Mixer does not")
	}
	_, err := b.Invoke(b.hub, "connect", map[string]any{"media": "SMELL", "source": b.ports[0], "sink": b.ports[1]})
	elementtest.Code(t, err, kerr.MarshallError, "Invalid value for 'MediaType'")
	if err := call("connect", "VIDEO", 0, 1); err != nil {
		t.Fatal(err)
	}
	b.want("one", pipeline.Video, "0>1")
	b.want("audio is apart", pipeline.Audio)
	if err := call("connect", "VIDEO", 2, 1); err != nil {
		t.Fatal(err)
	}
	b.want("replaced", pipeline.Video, "2>1")
	other := b.Create("HubPort", map[string]any{"hub": b.Create("Mixer", nil)})
	for _, op := range []string{"connect", "disconnect"} {
		_, err := b.Invoke(b.hub, op, map[string]any{"media": "AUDIO", "source": other, "sink": b.ports[1]})
		elementtest.Code(t, err, kerr.ConnectError, "Can not connect ports")
	}
	if n := len(farm.Workers()); n != 0 {
		t.Errorf("%d workers for forwarding", n)
	}
}

func TestMixerForwardsOneSource(t *testing.T) {
	family, farm := types(t, workerstest.Script{})
	b := newBoard(t, elementtest.New(t, family...), "Mixer", nil, 3)
	call := func(op string, source, sink int) {
		t.Helper()
		b.Call(b.hub, op, map[string]any{"media": "AUDIO", "source": b.ports[source], "sink": b.ports[sink]})
	}
	call("connect", 0, 1)
	call("connect", 0, 1)
	call("connect", 0, 2)
	call("disconnect", 1, 2) // was not connected
	b.want("one source", pipeline.Audio, "0>1", "0>2")
	b.want("video is apart", pipeline.Video)
	call("disconnect", 0, 1)
	b.want("disconnected", pipeline.Audio, "0>2")
	b.Release(b.ports[0])
	b.want("the source port is gone", pipeline.Audio)
	if n := len(farm.Workers()); n != 0 {
		t.Errorf("%d workers for forwarding", n)
	}
}
