package uri

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

// callTimeout bounds what a method waits for a source.
const callTimeout = 5 * time.Second

type playerParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	URI           string                  `json:"uri"`
	// UseEncodedMedia has no effect: either way coded media goes on as it is
	// and is converted only for receivers that need it.
	UseEncodedMedia bool `json:"useEncodedMedia" default:"false"`
	// NetworkCache is in ms; see Player.
	NetworkCache int `json:"networkCache" default:"2000"`
}

// Player is a PlayerEndpoint. Coded media is sent on as it is and converted for
// the receivers that need it; the original decodes everything first.
//
// networkCache bounds how late an RTSP packet may come; nothing is delayed by
// it, since receivers smooth by themselves.
type Player struct {
	elements.MediaElement
	deps    Deps
	uri     string
	encoded bool
	cache   time.Duration
	outs    map[pipeline.Kind]*pipeline.Output

	op sync.Mutex // one operation at a time
	wg sync.WaitGroup

	mu     sync.Mutex // leaf
	state  elements.UriEndpointState
	now    *playback // nil when stopped
	closed bool
}

func newPlayer(d Deps) func(context.Context, elements.Env, playerParams) (*Player, error) {
	return func(_ context.Context, env elements.Env, p playerParams) (*Player, error) {
		switch fetch.Scheme(complete(p.URI, d.DefaultPath)) {
		case "rtsp", "rtsps": // needs no worker
		default:
			if err := d.available(); err != nil {
				return nil, err
			}
		}
		if p.NetworkCache < 0 {
			return nil, kerr.New(kerr.MediaObjectIllegalParam, "networkCache %d is negative", p.NetworkCache)
		}
		pl := &Player{
			deps: d, uri: complete(p.URI, d.DefaultPath), encoded: p.UseEncodedMedia,
			cache: time.Duration(p.NetworkCache) * time.Millisecond, state: "STOP",
		}
		pl.Init(env)
		pl.outs = newOutputs(&pl.MediaElement)
		return pl, nil
	}
}

// URI implements elements.URIEndpoint.
func (p *Player) URI() string { return p.uri }

// State implements elements.URIEndpoint.
func (p *Player) State() elements.UriEndpointState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// setState changes the state and raises its event. The caller holds p.mu: Emit
// never blocks, and so events come in the order of the states.
func (p *Player) setState(s elements.UriEndpointState) {
	p.state = s
	p.Emit("UriEndpointStateChanged", elements.UriStateFields{State: s})
}

func (p *Player) current() *playback {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// Play starts from the beginning, or goes on after a pause. It does not wait for
// the source: one that cannot be opened raises the event Error.
func (p *Player) Play(ctx context.Context, _ elements.None) (elements.None, error) {
	p.op.Lock()
	defer p.op.Unlock()
	p.mu.Lock()
	b := p.now
	switch {
	case p.closed || p.state == "START":
		p.mu.Unlock()
		return elements.None{}, nil
	case b != nil:
		p.setState("START")
		p.mu.Unlock()
		p.settle(b, b.setPaused(ctx, false))
		return elements.None{}, nil
	}
	b = newPlayback(context.Background(), p.outs)
	b.ended = func() { p.over(b, "", nil) }
	b.failed = func(typ string, err error) { p.over(b, typ, err) }
	p.now = b
	p.setState("START")
	p.wg.Add(1)
	p.mu.Unlock()
	go func() {
		defer p.wg.Done()
		p.run(b)
	}()
	return elements.None{}, nil
}

// Pause holds the position. When stopped it does nothing.
func (p *Player) Pause(ctx context.Context, _ elements.None) (elements.None, error) {
	p.op.Lock()
	defer p.op.Unlock()
	p.mu.Lock()
	b := p.now
	if b == nil || p.state != "START" {
		p.mu.Unlock()
		p.Log().Debug("pause refused: not playing")
		return elements.None{}, nil
	}
	p.setState("PAUSE")
	p.mu.Unlock()
	p.settle(b, b.setPaused(ctx, true))
	return elements.None{}, nil
}

// settle ends a playback whose source does not obey.
func (p *Player) settle(b *playback, err error) {
	if err != nil {
		b.fail(errorStream, err)
	}
}

// Stop ends the playback and frees its source.
func (p *Player) Stop(context.Context, elements.None) (elements.None, error) {
	p.op.Lock()
	defer p.op.Unlock()
	p.mu.Lock()
	b := p.now
	p.now = nil
	if b != nil {
		p.setState("STOP")
	}
	p.mu.Unlock()
	if b != nil {
		b.stop()
	}
	return elements.None{}, nil
}

// over ends a playback from inside: the media's end with typ "", or a failure.
// The state is STOP before the event EndOfStream comes, and after Error.
func (p *Player) over(b *playback, typ string, err error) {
	p.mu.Lock()
	if p.now != b {
		p.mu.Unlock()
		return
	}
	p.now = nil
	if typ != "" {
		p.Log().Warn("player failed", "uri", fetch.Redact(p.uri), "type", typ, "err", err)
		p.EmitError(typ, errorCode(typ, err), err.Error())
		p.setState("STOP")
	} else {
		p.setState("STOP")
		p.Emit("EndOfStream", nil)
	}
	p.wg.Add(1)
	p.mu.Unlock()
	go func() { // the caller may be one of what stop waits for
		defer p.wg.Done()
		if typ == "" {
			for _, out := range p.outs {
				out.End()
			}
		}
		b.stop()
	}()
}

// errorCode is 0 for the types that belong to URIs, as the original's.
func errorCode(typ string, err error) int {
	if typ == errorURI || typ == errorMedia {
		return 0
	}
	if c, ok := kerr.Of(err); ok {
		return int(c)
	}
	return int(kerr.UnexpectedError)
}

// run opens the source and starts it.
func (p *Player) run(b *playback) {
	defer func() {
		if r := recover(); r != nil {
			p.Log().Error("panic in player", "err", r, "stack", string(debug.Stack()))
			b.fail(errorStream, fmt.Errorf("panic: %v", r))
		}
	}()
	m, typ, err := p.open(b)
	if err != nil {
		b.fail(typ, err)
		return
	}
	paused, ok := b.adopt(m)
	if !ok {
		m.Close()
		return
	}
	if !paused {
		if err := m.Play(b.ctx); err != nil {
			b.fail(errorStream, err)
		}
	}
}

// open finds the right kind of source for the URI.
func (p *Player) open(b *playback) (m medium, typ string, err error) {
	start := func(in *bytesInput) (medium, string, error) {
		m, err := startDemux(b, p.deps.Workers, in, demuxParams{Element: p.ID(), Epoch: p.Graph().Epoch(), Encoded: p.encoded})
		if err != nil {
			return nil, errorStream, err
		}
		return m, "", nil
	}
	switch scheme := fetch.Scheme(p.uri); scheme {
	case "file":
		f, err := p.deps.Fetch.File(p.uri)
		if err != nil {
			return nil, errorURI, err
		}
		return start(fileInput(f))
	case "http", "https":
		r, err := p.deps.Fetch.Remote(b.ctx, p.uri)
		if err != nil {
			return nil, errorURI, err
		}
		in, err := remoteInput(r)
		if err != nil {
			return nil, errorStream, err
		}
		return start(in)
	case "rtsp", "rtsps":
		m, err := openRTSP(b, p.deps.Fetch, p.uri, p.Graph().Epoch(), p.cache, p.Log())
		if err != nil {
			return nil, errorURI, err
		}
		return m, "", nil
	default:
		return nil, errorURI, fmt.Errorf("play %s: scheme %q is not supported; file, http, https, rtsp and rtsps are", fetch.Redact(p.uri), scheme)
	}
}

// VideoInfo tells what is being played; all zero when nothing is.
func (p *Player) VideoInfo() VideoInfo {
	if b := p.current(); b != nil {
		if m := b.source(); m != nil {
			return m.Info()
		}
	}
	return VideoInfo{}
}

// Position is in ms; 0 when nothing is played.
func (p *Player) Position() int64 {
	if b := p.current(); b != nil {
		if m := b.source(); m != nil {
			ctx, cancel := context.WithTimeout(b.ctx, callTimeout)
			defer cancel()
			if ms, err := m.Position(ctx); err == nil {
				return ms
			}
		}
	}
	return 0
}

// SetPosition seeks; kerr.PlayerSeekFail when the source cannot.
func (p *Player) SetPosition(ms int64) error {
	p.op.Lock()
	defer p.op.Unlock()
	var m medium
	b := p.current()
	if b != nil {
		m = b.source()
	}
	if m == nil || ms < 0 {
		return kerr.New(kerr.PlayerSeekFail, "Seek fails")
	}
	ctx, cancel := context.WithTimeout(b.ctx, callTimeout)
	defer cancel()
	if err := m.Seek(ctx, ms); err != nil {
		p.Log().Debug("seek refused", "ms", ms, "err", err)
		return kerr.New(kerr.PlayerSeekFail, "Seek fails")
	}
	return nil
}

// Dot draws the source's own graph; an empty one when nothing is played.
func (p *Player) Dot() string {
	if b := p.current(); b != nil {
		if m := b.source(); m != nil {
			ctx, cancel := context.WithTimeout(b.ctx, callTimeout)
			defer cancel()
			if text, err := m.Dot(ctx); err == nil {
				return text
			}
		}
	}
	return "digraph player {\n}\n"
}

// Close ends the playback and waits for everything.
func (p *Player) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_, err := p.Stop(context.Background(), elements.None{})
	p.wg.Wait()
	return errors.Join(err, p.CloseBase())
}
