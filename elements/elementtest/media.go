package elementtest

import (
	"context"
	"sync"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
	"github.com/govidu/govidu/pipeline/pipelinetest"
)

func testTypes() []elements.Type {
	return []elements.Type{
		{Name: "TestSource", Extends: "Endpoint", Module: "test", New: elements.New(newSource)},
		{Name: "TestSink", Extends: "Endpoint", Module: "test", New: elements.New(newSink)},
	}
}

type sourceParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	Splice        bool                    `json:"splice" default:"false"`
	Late          bool                    `json:"late" default:"false"`
}

// Source is an element that sends what the test tells it to. With splice its
// links to a Sink are forwarded below the packet level; with late it has no
// ports before Negotiate.
type Source struct {
	elements.MediaElement
	splice  bool
	mu      sync.Mutex
	sent    map[pipeline.Kind]int
	outputs map[pipeline.Kind]*pipeline.Output
	// Producers hear the wishes, by kind; Splicers when splicing.
	Producers map[pipeline.Kind]*pipelinetest.Producer
	Splicers  map[pipeline.Kind]*pipelinetest.Splicer
}

func newSource(_ context.Context, env elements.Env, p sourceParams) (*Source, error) {
	s := &Source{
		splice: p.Splice, sent: map[pipeline.Kind]int{}, outputs: map[pipeline.Kind]*pipeline.Output{},
		Producers: map[pipeline.Kind]*pipelinetest.Producer{}, Splicers: map[pipeline.Kind]*pipelinetest.Splicer{},
	}
	s.Init(env)
	if !p.Late {
		s.Negotiate()
	}
	return s, nil
}

// Negotiate gives the source its outputs.
func (s *Source) Negotiate() {
	for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
		var producer pipeline.Producer
		if s.splice {
			sp := &pipelinetest.Splicer{}
			s.Splicers[kind], producer = sp, sp
		} else {
			pr := &pipelinetest.Producer{}
			s.Producers[kind], producer = pr, pr
		}
		out := s.Graph().NewOutput(kind, elements.DefaultDescription, producer)
		s.outputs[kind] = out
		s.AddOutput(out)
	}
}

// Send sends the next n packets of a kind: to the links by Push, and to those
// it spliced below.
func (s *Source) Send(kind pipeline.Kind, n int) {
	f := pipelinetest.VP8RTP
	if kind == pipeline.Audio {
		f = pipelinetest.OpusRTP
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		p := pipelinetest.Packet(f, s.sent[kind])
		s.sent[kind]++
		s.outputs[kind].Push(p)
		if sp := s.Splicers[kind]; sp != nil {
			sp.Forward(p)
		}
	}
}

type sinkParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	VP9Only       bool                    `json:"vp9Only" default:"false"`
	Late          bool                    `json:"late" default:"false"`
}

// Sink is an element that remembers what it receives. With vp9Only it takes no
// other video; with late it has no ports before Negotiate.
type Sink struct {
	elements.MediaElement
	vp9  bool
	Got  map[pipeline.Kind]*pipelinetest.Sink
	once sync.Once
}

func newSink(_ context.Context, env elements.Env, p sinkParams) (*Sink, error) {
	s := &Sink{vp9: p.VP9Only, Got: map[pipeline.Kind]*pipelinetest.Sink{}}
	s.Init(env)
	for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
		s.Got[kind] = pipelinetest.NewSink()
	}
	if s.vp9 {
		s.Got[pipeline.Video] = pipelinetest.NewSink(pipeline.Format{Kind: pipeline.Video, Codec: "VP9"})
	}
	if !p.Late {
		s.Negotiate()
	}
	return s, nil
}

// Negotiate gives the sink its inputs.
func (s *Sink) Negotiate() {
	s.once.Do(func() {
		for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
			s.AddCountedInput(kind, s.Got[kind], received{s.Got[kind]})
		}
	})
}

// received counts what a remembering sink got, spliced or not.
type received struct{ s *pipelinetest.Sink }

func (r received) Counters() (packets, bytes uint64) {
	for _, p := range r.s.Packets() {
		packets++
		bytes += uint64(len(p.Payload))
	}
	return packets, bytes
}
