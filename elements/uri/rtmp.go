package uri

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/pipeline"
)

// rtmpRoots verify targets of rtmps; the system's when nil.
var rtmpRoots *x509.CertPool

const (
	// A lost target is tried again after rtmpFirst, then every rtmpSoon, and when it
	// is gone for longer than rtmpEager every rtmpLater at most, spread by a
	// quarter: the stream is to be back within two seconds of its return.
	rtmpEager = time.Minute
	rtmpFirst = 500 * time.Millisecond
	rtmpSoon  = 750 * time.Millisecond
	rtmpLater = 1500 * time.Millisecond
	// rtmpTrial is how long a server must hold a connection to have taken the stream:
	// some say yes to every key, and hang up when they have looked at it.
	rtmpTrial = 250 * time.Millisecond
	// rtmpSteady is how long a connection must have lasted to begin anew.
	rtmpSteady = 10 * time.Second
)

type rtmpParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	URI           string                  `json:"uri"`
}

// LostFields are the fields of an RtmpEndpoint's Disconnected: the reason, without
// the stream's name, and when the next attempt begins.
type LostFields struct {
	Reason    string `json:"reason"`
	RetryInMs int    `json:"retryInMs"`
}

// RTMP is an RtmpEndpoint: it publishes what it receives to an RTMP server, from
// start to stop, and comes back to a server that was lost.
type RTMP struct {
	elements.MediaElement
	deps           Deps
	uri            string
	target         rtmpTarget
	sound, picture *liveInput
	queue          *liveQueue

	op    sync.Mutex // one of start, pause, stop and Close at a time
	mu    sync.Mutex // leaf
	state elements.UriEndpointState
	stop  context.CancelFunc // of the run; nil when there is none
	done  chan struct{}
	shut  bool
}

func newRTMP(d Deps) func(context.Context, elements.Env, rtmpParams) (*RTMP, error) {
	return func(_ context.Context, env elements.Env, p rtmpParams) (*RTMP, error) {
		target, err := parseRTMP(p.URI)
		if err != nil {
			return nil, err
		}
		e := &RTMP{deps: d, uri: p.URI, target: target, queue: newLiveQueue(), state: "STOP"}
		e.Init(env)
		e.sound, e.picture = liveInputs(e.queue)
		e.AddInput(pipeline.Audio, e.sound)
		e.AddInput(pipeline.Video, e.picture)
		return e, nil
	}
}

// URI implements elements.URIEndpoint.
func (e *RTMP) URI() string { return e.uri }

// State implements elements.URIEndpoint.
func (e *RTMP) State() elements.UriEndpointState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// Start connects and sends; it does not wait for the target.
func (e *RTMP) Start(context.Context, elements.None) (elements.None, error) {
	e.op.Lock()
	defer e.op.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stop == nil && !e.shut {
		ctx, cancel := context.WithCancel(context.Background())
		e.stop, e.done = cancel, make(chan struct{})
		go e.run(ctx, e.done)
		e.turn("START")
	}
	return elements.None{}, nil
}

// Pause ends the connection until start.
func (e *RTMP) Pause(context.Context, elements.None) (elements.None, error) {
	e.end("PAUSE", false)
	return elements.None{}, nil
}

// Stop ends the connection in order.
func (e *RTMP) Stop(context.Context, elements.None) (elements.None, error) {
	e.end("STOP", false)
	return elements.None{}, nil
}

// Close implements elements.Object.
func (e *RTMP) Close() error {
	e.end("STOP", true)
	return e.CloseBase()
}

// end stops the run and waits for it: about a second for a target that listens
// and for one that does not.
func (e *RTMP) end(state elements.UriEndpointState, forGood bool) {
	e.op.Lock()
	defer e.op.Unlock()
	e.mu.Lock()
	stop, done := e.stop, e.done
	e.stop = nil
	e.shut = e.shut || forGood
	e.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != state && (stop != nil || state == "STOP") {
		e.turn(state)
	}
}

// turn changes the state and tells so. The caller holds e.mu.
func (e *RTMP) turn(to elements.UriEndpointState) {
	e.state = to
	e.Emit("UriEndpointStateChanged", elements.UriStateFields{State: to})
}

// run publishes until ctx ends.
func (e *RTMP) run(ctx context.Context, done chan struct{}) {
	defer close(done)
	began, attempts, said := time.Now(), 0, ""
	for {
		connected, err := e.once(ctx, time.Since(began) > rtmpEager)
		if ctx.Err() != nil {
			return
		}
		if !connected.IsZero() && time.Since(connected) >= rtmpSteady {
			began, attempts, said = time.Now(), 0, ""
		}
		attempts++
		wait := rtmpBackOff(attempts, time.Since(began))
		level := slog.LevelDebug
		if err.Error() != said { // not every attempt for hours
			level, said = slog.LevelWarn, err.Error()
		}
		e.Log().Log(ctx, level, "target of a live stream is lost", "target", e.target.String(), "err", err, "retryInMs", wait.Milliseconds())
		e.Emit("Disconnected", LostFields{Reason: err.Error(), RetryInMs: int(wait.Milliseconds())})
		pause := time.NewTimer(wait)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return
		}
	}
}

// rtmpBackOff is how long to wait before the next attempt.
func rtmpBackOff(attempts int, since time.Duration) time.Duration {
	switch {
	case attempts == 1:
		return rtmpFirst
	case since < rtmpEager:
		return rtmpSoon
	}
	return rtmpLater - rand.N(rtmpLater/4)
}

// once is one connection: when it was made, if it was, and why it ended. A panic
// ends the connection, not the endpoint.
func (e *RTMP) once(ctx context.Context, late bool) (connected time.Time, err error) {
	defer func() {
		if r := recover(); r != nil {
			e.Log().Error("panic in live output", "err", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	var told sync.WaitGroup
	defer told.Wait() // before the end is told
	// The stream outlives ctx by as long as it takes to end it in order.
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	giveUp := context.AfterFunc(ctx, cancel)
	conn, err := e.target.publish(own, e.deps.Fetch, late)
	if err != nil {
		giveUp()
		return time.Time{}, err
	}
	if !giveUp() {
		conn.Close()
		return time.Time{}, ctx.Err()
	}
	defer context.AfterFunc(ctx, func() { // a message that is not taken holds us no longer than this
		late := time.NewTimer(time.Second)
		defer late.Stop()
		select {
		case <-late.C:
			conn.Abort()
		case <-conn.Done():
		}
	})()
	told.Go(func() {
		trial := time.NewTimer(rtmpTrial)
		defer trial.Stop()
		select {
		case <-trial.C:
			e.Log().Info("live stream is taken", "target", e.target.String())
			e.Emit("Connected", nil)
		case <-conn.Done():
		}
	})
	connected = time.Now()
	err = (&rtmpStream{conn: conn}).send(ctx, e.queue, e.sound, e.picture)
	if cause := conn.Close(); err == nil {
		err = cause
	}
	return connected, err
}
