// Package core is the family of types without a network or a file: PassThrough.
// It starts no goroutines.
package core

import (
	"context"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
)

// Types are the types of this family.
func Types() []elements.Type {
	return []elements.Type{{
		Name: "PassThrough", Extends: "MediaElement", Module: "core",
		Doc: "Passes each kind of media on unchanged: a stable joint, to change what feeds many viewers by one reconnect.",
		New: elements.New(newPassThrough),
	}}
}

type passThroughParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
}

// PassThrough forwards what it receives.
type PassThrough struct{ elements.MediaElement }

func newPassThrough(_ context.Context, env elements.Env, _ passThroughParams) (*PassThrough, error) {
	p := &PassThrough{}
	p.Init(env)
	for _, kind := range []pipeline.Kind{pipeline.Audio, pipeline.Video, pipeline.Data} {
		in := elements.NewJoint(env.Pipeline, kind)
		p.AddInput(kind, in)
		p.AddOutput(in.Output())
	}
	return p, nil
}
