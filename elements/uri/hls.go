package uri

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

const (
	// hlsAhead is how long before the end of a segment the keyframe is asked for
	// that begins the next one.
	hlsAhead = 200 * time.Millisecond
	// hlsPart is the longest part of a segment, with lowLatency.
	hlsPart = 500 * time.Millisecond
	// hlsPicture is how long the picture of a source that is connected is waited
	// for: most players cannot take one up when they began with sound alone.
	hlsPicture = 10 * time.Second
	// Bounds of the parameters.
	maxHLSSeconds  = 10
	minHLSSegments = 3 // of a live playlist (RFC 8216 §6.2.2)
	maxHLSSegments = 60
)

type hlsParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	// SegmentSeconds is the length of a segment, 1 to 10.
	SegmentSeconds int `json:"segmentSeconds" default:"2"`
	// Segments is how many the live playlist holds, 3 to 60.
	Segments int `json:"segments" default:"7"`
	// LowLatency also serves the parts of segments (Low-Latency HLS).
	LowLatency bool `json:"lowLatency" default:"false"`
	// Directory is the file URI of a folder in which all of it is kept; "" keeps
	// nothing.
	Directory string `json:"directory" default:""`
}

// HLS is an HlsEndpoint: it serves what it receives, from start to stop, as an
// HTTP live stream.
type HLS struct {
	elements.MediaElement
	server         *HLSServer
	list           *hlsList
	id             string
	directory      string // "" or a file URI below the roots
	deps           Deps
	segment, part  time.Duration
	sound, picture *liveInput
	queue          *liveQueue

	op     sync.Mutex // one of start, pause, stop and Close at a time
	folder *hlsFolder // guarded by op; nil until the first start, or when nothing is kept

	mu    sync.Mutex // leaf
	state elements.UriEndpointState
	stop  context.CancelFunc // of the run; nil when there is none
	done  chan struct{}
	shut  bool
}

func newHLS(d Deps) func(context.Context, elements.Env, hlsParams) (*HLS, error) {
	return func(_ context.Context, env elements.Env, p hlsParams) (*HLS, error) {
		switch {
		case d.HLS == nil:
			return nil, kerr.New(kerr.MediaObjectNotAvailable, "This server serves no HLS")
		case p.SegmentSeconds < 1 || p.SegmentSeconds > maxHLSSeconds:
			return nil, kerr.New(kerr.MediaObjectIllegalParam, "segmentSeconds %d is not possible: 1 to %d", p.SegmentSeconds, maxHLSSeconds)
		case p.Segments < minHLSSegments || p.Segments > maxHLSSegments:
			return nil, kerr.New(kerr.MediaObjectIllegalParam, "segments %d is not possible: %d to %d", p.Segments, minHLSSegments, maxHLSSegments)
		}
		e := &HLS{deps: d, server: d.HLS, id: newHLSID(), segment: time.Duration(p.SegmentSeconds) * time.Second, queue: newLiveQueue(), state: "STOP"}
		if p.Directory != "" {
			e.directory = complete(p.Directory, d.DefaultPath)
			if _, _, err := d.Fetch.Target(e.directory); errors.Is(err, fetch.ErrScheme) {
				return nil, kerr.New(kerr.MediaObjectIllegalParam, "directory must be a file URI: %s", err)
			} else if err != nil {
				return nil, fmt.Errorf("directory: %w: %w", err, kerr.URIPathFileNotFound)
			}
		}
		if p.LowLatency {
			e.part = hlsPart
		}
		e.Init(env)
		e.list = newHLSList(p.Segments, p.SegmentSeconds, e.part)
		e.sound, e.picture = liveInputs(e.queue)
		e.AddInput(pipeline.Audio, e.sound)
		e.AddInput(pipeline.Video, e.picture)
		return e, nil
	}
}

// Path is where the stream is served, below the root of the control port's HTTP
// server: "/hls/<32 characters>/index.m3u8". The characters are the secret.
func (e *HLS) Path() string { return hlsRoot + e.id + "/" + hlsIndex }

// URI implements elements.URIEndpoint.
func (e *HLS) URI() string { return e.Path() }

// State implements elements.URIEndpoint.
func (e *HLS) State() elements.UriEndpointState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// Start serves what comes from now on. After a pause or a stop the same playlist
// goes on, with a discontinuity.
func (e *HLS) Start(context.Context, elements.None) (elements.None, error) {
	e.op.Lock()
	defer e.op.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop != nil || e.shut {
		return elements.None{}, nil
	}
	if e.directory != "" && e.folder == nil {
		e.folder = startHLSFolder(e.deps.Fetch, e.directory, int(e.segment/time.Second), e.unkept)
	}
	e.list.begin(e.folder)
	e.server.add(e.id, e.list)
	ctx, cancel := context.WithCancel(context.Background())
	e.stop, e.done = cancel, make(chan struct{})
	go e.run(ctx, e.done)
	e.turn("START")
	return elements.None{}, nil
}

// Pause serves nothing new until start: viewers wait.
func (e *HLS) Pause(context.Context, elements.None) (elements.None, error) {
	e.end("PAUSE", false)
	return elements.None{}, nil
}

// Stop ends the playlist, which is served a minute longer. What is kept is whole
// when it returns.
func (e *HLS) Stop(context.Context, elements.None) (elements.None, error) {
	e.end("STOP", false)
	return elements.None{}, nil
}

// Close implements elements.Object.
func (e *HLS) Close() error {
	e.end("STOP", true)
	return e.CloseBase()
}

func (e *HLS) end(state elements.UriEndpointState, forGood bool) {
	e.op.Lock()
	defer e.op.Unlock()
	e.mu.Lock()
	stop, done, was := e.stop, e.done, e.state
	e.stop = nil
	e.shut = e.shut || forGood
	e.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
	if state == "STOP" && was != "STOP" {
		e.list.end()
		e.server.expire(e.id)
		e.folder.wait()
	}
	if forGood {
		e.folder.close()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != state && (stop != nil || state == "STOP") {
		e.turn(state)
	}
}

// turn changes the state and tells so. The caller holds e.mu.
func (e *HLS) turn(to elements.UriEndpointState) {
	e.state = to
	e.Emit("UriEndpointStateChanged", elements.UriStateFields{State: to})
}

// run cuts what comes into segments until ctx ends.
func (e *HLS) run(ctx context.Context, done chan struct{}) {
	defer close(done)
	defer e.guard()
	e.queue.Open()
	defer e.queue.Shut()
	ask := keyAsker{in: e.picture, every: e.segment - hlsAhead}
	ask.need()
	cut := &hlsCutter{list: e.list, epoch: e.Graph().Epoch(), want: e.segment, part: e.part, needKey: ask.need, log: e.Log()}
	defer func() {
		if err := cut.finish(); err != nil {
			e.Log().Warn("live stream is cut short", "err", err)
		}
	}()
	start, began := newLiveStart(e.sound, e.picture), time.Now()
	for {
		p, ok := e.queue.Pop(ctx)
		if !ok {
			return
		}
		ask.seen(p)
		var err error
		if start == nil {
			err = cut.add(mended(p))
		} else {
			start.since = began
			if start.expect[1] && start.formats[1] == nil && !(p.Format.Kind == pipeline.Video && p.Key) {
				start.since = began.Add(hlsPicture - liveWait)
			}
			if units := start.add(p); units != nil {
				err = cut.begin(start.formats, start.expect[0], units)
				start = nil
			}
		}
		if err != nil {
			e.Log().Warn("live stream fails", "err", err)
			e.EmitError(errorStream, int(kerr.UnsupportedMediaType), "HLS: "+err.Error())
			return
		}
	}
}

// unkept tells that not all is kept any more. The stream goes on.
func (e *HLS) unkept(err error) {
	typ := errorWrite
	switch {
	case errors.Is(err, syscall.ENOSPC):
		typ = errorNoSpace
	case errors.Is(err, errHLSFolder):
		typ = errorOpen
	}
	e.Log().Warn("live stream is not kept", "directory", fetch.Redact(e.directory), "err", err)
	e.EmitError(typ, int(kerr.URIPathFileNotFound), fmt.Sprintf("The stream is not kept in %s: %v", fetch.Redact(e.directory), err))
}

// guard turns a panic into the end of the run.
func (e *HLS) guard() {
	if r := recover(); r != nil {
		e.Log().Error("panic in live output", "err", r, "stack", string(debug.Stack()))
		e.EmitError(errorStream, int(kerr.UnexpectedError), fmt.Sprintf("panic: %v", r))
	}
}
