package uri

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/govidu/govidu/pipeline"
)

// VideoInfo tells what is played; times in ms.
type VideoInfo struct {
	IsSeekable   bool  `json:"isSeekable"`
	SeekableInit int64 `json:"seekableInit"`
	SeekableEnd  int64 `json:"seekableEnd"`
	Duration     int64 `json:"duration"` // -1 for live media
}

// The Error event's types of sources (kurento-elements §6); others are in recorder.go.
const (
	errorURI   = "INVALID_URI"   // the source cannot be opened or read
	errorMedia = "INVALID_MEDIA" // what was read is no media that can be played
)

// medium is an open source that plays: a worker that takes a file apart, or an
// RTSP client. Its methods return soon; Close waits for its goroutines. An error
// of Seek means that nothing has moved.
type medium interface {
	Play(ctx context.Context) error
	Pause(ctx context.Context) error
	Seek(ctx context.Context, ms int64) error
	Position(ctx context.Context) (ms int64, err error)
	Info() VideoInfo
	Dot(ctx context.Context) (string, error)
	Close()
}

// playback is one run of a source from opening to its end. What it meets is told
// by ended and failed, once in all; after Close nothing is pushed any more.
type playback struct {
	ctx    context.Context
	cancel context.CancelFunc
	outs   map[pipeline.Kind]*pipeline.Output
	ended  func()
	failed func(typ string, err error)
	over   atomic.Bool // ended or failed was called, or stop
	whole  atomic.Bool // ended was called

	mu     sync.Mutex // leaf
	medium medium
	paused bool
}

func newPlayback(parent context.Context, outs map[pipeline.Kind]*pipeline.Output) *playback {
	b := &playback{outs: outs}
	b.ctx, b.cancel = context.WithCancel(parent)
	return b
}

// end tells that the media is over by itself.
func (b *playback) end() {
	if !b.over.Swap(true) {
		b.whole.Store(true)
		b.ended()
	}
}

// fail tells that it cannot go on.
func (b *playback) fail(typ string, err error) {
	if b.ctx.Err() == nil && !b.over.Swap(true) {
		b.failed(typ, err)
	}
}

// push hands on what the medium sends.
func (b *playback) push(p *pipeline.Packet) {
	if out := b.outs[p.Format.Kind]; out != nil && !b.over.Load() {
		out.Push(p)
	}
}

// adopt takes the open medium, unless the playback was stopped meanwhile, and
// tells whether it begins paused.
func (b *playback) adopt(m medium) (paused, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ctx.Err() != nil {
		return false, false
	}
	b.medium = m
	return b.paused, true
}

func (b *playback) source() medium {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.medium
}

// setPaused asks for pause or play; before the medium is open it is remembered.
func (b *playback) setPaused(ctx context.Context, on bool) error {
	b.mu.Lock()
	b.paused = on
	m := b.medium
	b.mu.Unlock()
	switch {
	case m == nil:
		return nil
	case on:
		return m.Pause(ctx)
	}
	return m.Play(ctx)
}

// stop ends everything and waits for it.
func (b *playback) stop() {
	b.over.Store(true)
	b.cancel()
	b.mu.Lock()
	m := b.medium
	b.mu.Unlock()
	if m != nil {
		m.Close()
	}
}
