package hubs_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/elements/elementtest"
	"github.com/govidu/govidu/internal/codec"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

// unitTypes are elements that send and take coded frames.
func unitTypes() []elements.Type {
	return []elements.Type{
		{Name: "UnitSource", Extends: "Endpoint", Module: "test", New: elements.New(newUnitSource)},
		{Name: "UnitSink", Extends: "Endpoint", Module: "test", New: elements.New(newUnitSink)},
	}
}

type unitSourceParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	Video         string                  `json:"video" default:"VP8"`
}

// unitSource sends coded frames.
type unitSource struct {
	elements.MediaElement
	formats map[pipeline.Kind]*pipeline.Format
	outs    map[pipeline.Kind]*pipeline.Output
	wishes  map[pipeline.Kind]*pipelinetest.Producer
	stop    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

func newUnitSource(_ context.Context, env elements.Env, p unitSourceParams) (*unitSource, error) {
	s := &unitSource{formats: map[pipeline.Kind]*pipeline.Format{}, outs: map[pipeline.Kind]*pipeline.Output{}, wishes: map[pipeline.Kind]*pipelinetest.Producer{}, stop: make(chan struct{})}
	s.Init(env)
	for kind, name := range map[pipeline.Kind]codec.Name{pipeline.Audio: codec.Opus, pipeline.Video: codec.Parse(p.Video)} {
		f := pipeline.UnitOf(kind, name)
		s.formats[kind] = &f
		s.wishes[kind] = &pipelinetest.Producer{}
		s.outs[kind] = env.Pipeline.NewOutput(kind, elements.DefaultDescription, s.wishes[kind])
		s.AddOutput(s.outs[kind])
	}
	return s, nil
}

// send sends one frame now.
func (s *unitSource) send(kind pipeline.Kind, data []byte, key bool) {
	now := time.Now()
	s.outs[kind].Push(&pipeline.Packet{Format: s.formats[kind], Payload: data, PTS: now.Sub(s.Graph().Epoch()), Arrival: now, Key: key})
}

func (s *unitSource) Close() error {
	s.once.Do(func() { close(s.stop) })
	s.wg.Wait()
	return s.CloseBase()
}

type unitSinkParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	Video         string                  `json:"video" default:"VP8"`
}

// unitSink remembers coded frames.
type unitSink struct {
	elements.MediaElement
	got map[pipeline.Kind]*pipelinetest.Sink
}

func newUnitSink(_ context.Context, env elements.Env, p unitSinkParams) (*unitSink, error) {
	s := &unitSink{got: map[pipeline.Kind]*pipelinetest.Sink{}}
	s.Init(env)
	for kind, name := range map[pipeline.Kind]codec.Name{pipeline.Audio: codec.Opus, pipeline.Video: codec.Parse(p.Video)} {
		s.got[kind] = pipelinetest.NewSink(pipeline.Format{Kind: kind, Codec: name, Framing: pipeline.Unit})
		s.AddInput(kind, s.got[kind])
	}
	return s, nil
}

// frames are those received so far.
func (s *unitSink) frames(kind pipeline.Kind) []*pipeline.Packet { return s.got[kind].Packets() }

// table is a hub with ports, each fed by a unitSource and feeding a unitSink.
type table struct {
	*elementtest.World
	t       testing.TB
	hub     elements.Object
	ports   []elements.Object
	sources []*unitSource
	sinks   []*unitSink
}

// newTable makes a hub and n ports in a world that converts.
func newTable(t testing.TB, family []elements.Type, typ string, params map[string]any, n int) *table {
	w := elementtest.NewWith(t, []pipeline.Converter{pipeline.NewEncoder()}, append(unitTypes(), family...)...)
	b := &table{World: w, t: t, hub: w.Create(typ, params)}
	for range n {
		b.add("VP8", "VP8")
	}
	return b
}

// add makes a port, its source and its sink, with their video codecs.
func (b *table) add(in, out string) {
	b.t.Helper()
	port := b.Create("HubPort", map[string]any{"hub": b.hub})
	source := b.Element("UnitSource", map[string]any{"video": in}).(*unitSource)
	sink := b.Element("UnitSink", map[string]any{"video": out}).(*unitSink)
	b.Call(source, "connect", map[string]any{"sink": port})
	b.Call(port, "connect", map[string]any{"sink": sink})
	b.ports, b.sources, b.sinks = append(b.ports, port), append(b.sources, source), append(b.sinks, sink)
}
