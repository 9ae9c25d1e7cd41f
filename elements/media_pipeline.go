package elements

import (
	"context"
	"sync/atomic"
)

// MediaPipeline is the root of one graph. Its Close closes the graph; kms has
// released the children before.
type MediaPipeline struct {
	MediaObject
	monitor monitor
	latency atomic.Bool
}

// NewMediaPipeline adopts env.Pipeline, an empty graph made for this object.
func NewMediaPipeline(_ context.Context, env Env, _ None) (*MediaPipeline, error) {
	p := &MediaPipeline{}
	p.Init(env)
	p.root = p
	p.monitor.ctx = env.Pipeline.Context()
	return p, nil
}

// LatencyStats tells whether latency is measured.
func (p *MediaPipeline) LatencyStats() bool { return p.latency.Load() }

// SetLatencyStats turns latency measuring on or off for present and later elements.
func (p *MediaPipeline) SetLatencyStats(on bool) error {
	p.latency.Store(on)
	for _, e := range p.Graph().Elements() {
		if e, ok := e.(Element); ok {
			e.Base().measureLatency(on)
		}
	}
	return nil
}

// Close implements Object.
func (p *MediaPipeline) Close() error {
	err := p.Graph().Close()
	p.monitor.wait()
	return err
}
