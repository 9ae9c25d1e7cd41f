package rtp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/pipeline"
)

type endpointParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	Crypto        *SDES                   `json:"crypto"`
	UseIPv6       bool                    `json:"useIpv6" default:"false"`
}

// kinds are the media of an Endpoint, in the order of an offer.
var kinds = []pipeline.Kind{pipeline.Audio, pipeline.Video}

// Endpoint is an RtpEndpoint: its inputs are what the peer is sent, its outputs
// what the peer sends.
type Endpoint struct {
	elements.MediaElement
	deps      Deps
	terms     terms
	identity  identity
	born      time.Time
	senders   map[pipeline.Kind]*sender
	receivers map[pipeline.Kind]*receiver
	peerClock *pipeline.SenderClock
	counters  counters

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	wake   chan struct{}

	lastAlive atomic.Int64 // Unix ns of the peer's latest good datagram
	goodbye   atomic.Bool  // it said that it leaves

	negotiateMu sync.Mutex // held during one negotiation step and Close; before mu
	stage       stage
	offer       []own // what was offered, by section
	closed      bool

	mu         sync.Mutex // leaf: what follows
	settings   settings
	legs       []*leg
	local      string
	remote     string
	connection elements.ConnectedState
	media      elements.ConnectedState
}

func newEndpoint(d Deps) func(context.Context, elements.Env, endpointParams) (*Endpoint, error) {
	return func(_ context.Context, env elements.Env, p endpointParams) (*Endpoint, error) {
		var x *secret
		if p.Crypto != nil {
			var err error
			if x, err = p.Crypto.secret(); err != nil {
				return nil, err
			}
		}
		now := time.Now()
		e := &Endpoint{
			deps: d, terms: terms{secret: x, ipv6: p.UseIPv6}, born: now, settings: d.settings(),
			identity: identity{
				id: sessionID(now), cname: fmt.Sprintf("user%d@host-%x", rand.Uint32(), rand.Uint32()),
			},
			senders: map[pipeline.Kind]*sender{}, receivers: map[pipeline.Kind]*receiver{},
			wake: make(chan struct{}, 1), connection: disconnected, media: disconnected,
		}
		e.ctx, e.cancel = context.WithCancel(context.Background())
		e.Init(env)
		e.peerClock = pipeline.NewSenderClock(e.Graph().Epoch())
		// Different for both kinds: with SRTP they share a key, and the SSRC tells
		// their key streams apart (RFC 3711 §9.1).
		ssrc := rand.Uint32() | 1
		for _, kind := range kinds {
			s, r := newSender(e, kind, ssrc), newReceiver(e, kind)
			ssrc ^= 0x5bd1e994
			e.senders[kind], e.receivers[kind] = s, r
			e.AddOutput(r.out)
			e.AddInput(kind, s)
		}
		e.SetStats(e.stats)
		return e, nil
	}
}

// Close says goodbye to the peer, ends the sockets and then the element's links.
// Idempotent.
func (e *Endpoint) Close() error {
	e.negotiateMu.Lock()
	first := !e.closed
	e.closed = true
	legs := e.usedLegs()
	e.negotiateMu.Unlock()
	if first {
		e.farewell(legs)
	}
	e.cancel()
	for _, l := range legs {
		l.close()
	}
	e.wg.Wait()
	for _, s := range e.senders {
		s.close()
	}
	return e.CloseBase()
}

func (e *Endpoint) usedLegs() []*leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.legs
}

const (
	connected    elements.ConnectedState = "CONNECTED"
	disconnected elements.ConnectedState = "DISCONNECTED"
)

// change moves one of the two-valued states and tells.
func (e *Endpoint) change(event string, state *elements.ConnectedState, up bool) {
	to := disconnected
	if up {
		to = connected
	}
	e.mu.Lock()
	from := *state
	*state = to
	e.mu.Unlock()
	if from != to {
		e.Emit(event, elements.StateChangedFields{OldState: from, NewState: to})
	}
}

// alive notes a good datagram of the peer.
func (e *Endpoint) alive(now time.Time) {
	before := e.lastAlive.Swap(now.UnixNano())
	if e.goodbye.Swap(false) || now.UnixNano()-before > int64(silence) {
		e.kick()
	}
}

// bye notes that the peer leaves.
func (e *Endpoint) bye() {
	e.goodbye.Store(true)
	e.kick()
}

// kick makes the Endpoint's goroutine look at once.
func (e *Endpoint) kick() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// keyLimit raises OnKeySoftLimit.
func (e *Endpoint) keyLimit(kind pipeline.Kind) func() {
	return func() { e.Emit("OnKeySoftLimit", keyLimitFields{elements.MediaTypeOf(kind)}) }
}

// guard ends a panic of the deferring goroutine: the Endpoint is told broken by
// an Error event, the process goes on. Use it directly in a defer.
func (e *Endpoint) guard(where string, after func()) {
	p := recover()
	if p == nil {
		return
	}
	e.Log().Error("panic caught", "where", where, "err", fmt.Sprintf("%.256v", p), "stack", string(debug.Stack()))
	e.EmitError("UNEXPECTED_ELEMENT_ERROR", int(kerr.UnexpectedError), "Internal error: no more media is exchanged with the peer")
	if after != nil {
		after()
	}
}
