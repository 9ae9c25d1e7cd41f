package uri

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

// demuxCores is the first estimate of a demuxer's processor time.
const demuxCores = 0.05

// newOutputs gives an element that sends its two outputs.
func newOutputs(e *elements.MediaElement) map[pipeline.Kind]*pipeline.Output {
	outs := map[pipeline.Kind]*pipeline.Output{}
	for _, k := range []pipeline.Kind{pipeline.Audio, pipeline.Video} {
		outs[k] = e.Graph().NewOutput(k, elements.DefaultDescription, nil)
		e.AddOutput(outs[k])
	}
	return outs
}

type demuxParams struct {
	Element string
	Epoch   time.Time
	Encoded bool
}

// What a job of kind player is called with and tells; its methods are open, play,
// pause, seek and position.
type (
	playerOpen struct {
		Mode    string `json:"mode"`
		Size    int64  `json:"size"`
		Encoded bool   `json:"encoded,omitempty"`
	}
	playerPosition struct {
		Ms int64 `json:"ms"`
	}
	// playerReady is the event "ready": the streams are known, the first
	// pictures and samples are there.
	playerReady struct {
		Seekable   bool  `json:"seekable"`
		FromMs     int64 `json:"fromMs"`
		ToMs       int64 `json:"toMs"`
		DurationMs int64 `json:"durationMs"` // -1 unknown
	}
)

// demux is a worker that takes a container file apart and sends its streams in
// the time they play in.
type demux struct {
	job  *workers.Job
	in   *bytesInput
	b    *playback
	stop sync.Once

	mu   sync.Mutex // leaf
	info VideoInfo
}

// startDemux starts a worker on in, which it takes over. It does not wait for
// the worker; what happens later is told to b.
func startDemux(b *playback, pool *workers.Pool, in *bytesInput, p demuxParams) (*demux, error) {
	d := &demux{in: in, b: b}
	job, err := pool.Start(b.ctx, workers.Spec{
		Kind: "player", Params: struct{}{}, Epoch: p.Epoch, Cores: demuxCores, Element: p.Element,
		Handler: workers.Handler{
			Event:  d.event,
			Stream: func(s *workers.Stream) { s.Deliver(b.push) },
			End: func(name string) {
				if name == "" {
					b.end()
				}
			},
			Error: func(e wire.ErrorData) { d.error(e) },
			Crashed: func(err error, _ bool) {
				b.fail(errorStream, fmt.Errorf("media worker: %w: %w", err, kerr.UnexpectedError))
			},
		},
	})
	if err != nil {
		in.close()
		return nil, err
	}
	d.job = job
	in.start(func(err error) { b.fail(errorURI, fmt.Errorf("read source: %w", err)) })
	ctx, cancel := context.WithTimeout(b.ctx, time.Minute) // a worker may have to start first
	defer cancel()
	err = job.SendFile(ctx, "open", playerOpen{Mode: in.mode, Size: in.size, Encoded: p.Encoded}, in.remote, nil)
	in.remote.Close() // or a pipe would never break
	if err != nil {
		d.Close()
		return nil, fmt.Errorf("open in media worker: %w", err)
	}
	return d, nil
}

func (d *demux) event(name string, data json.RawMessage) {
	var r playerReady
	if name != "ready" || json.Unmarshal(data, &r) != nil {
		return
	}
	info := VideoInfo{IsSeekable: r.Seekable, Duration: r.DurationMs}
	if r.Seekable {
		info.SeekableInit, info.SeekableEnd = r.FromMs, r.ToMs
	}
	d.mu.Lock()
	d.info = info
	d.mu.Unlock()
}

// error passes on what ends the playback; the rest is a matter of one frame.
func (d *demux) error(e wire.ErrorData) {
	if e.Fatal || e.Type == errorMedia || e.Type == errorURI {
		code := kerr.Code(e.Code)
		if code == 0 {
			code = kerr.UnexpectedError
		}
		d.b.fail(e.Type, kerr.New(code, "%s", e.Text))
	}
}

// Play implements medium.
func (d *demux) Play(ctx context.Context) error { return d.call(ctx, "play", nil, nil) }

// Pause implements medium.
func (d *demux) Pause(ctx context.Context) error { return d.call(ctx, "pause", nil, nil) }

// Seek implements medium.
func (d *demux) Seek(ctx context.Context, ms int64) error {
	if info := d.Info(); !info.IsSeekable || ms > max(info.SeekableEnd, info.Duration) {
		return errors.New("not seekable there")
	}
	return d.call(ctx, "seek", playerPosition{ms}, nil)
}

// Position implements medium.
func (d *demux) Position(ctx context.Context) (int64, error) {
	var p playerPosition
	err := d.call(ctx, "position", nil, &p)
	return p.Ms, err
}

func (d *demux) call(ctx context.Context, method string, params, result any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := d.job.Call(ctx, method, params, result); err != nil {
		return fmt.Errorf("%s in media worker: %w", method, err)
	}
	return nil
}

// Info implements medium.
func (d *demux) Info() VideoInfo {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.info
}

// Dot implements medium.
func (d *demux) Dot(ctx context.Context) (string, error) { return d.job.Dot(ctx) }

// Close implements medium.
func (d *demux) Close() {
	d.stop.Do(func() {
		d.job.Close()
		d.in.close()
	})
}
