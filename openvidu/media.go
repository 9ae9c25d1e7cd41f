package openvidu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/kms/client"
)

// roomMedia is a session's pipeline on a media node. ready is closed when client
// and pipeline, or err, are set for good.
type roomMedia struct {
	ready    chan struct{}
	client   client.Client
	pipeline client.ID
	err      error
}

// release frees the pipeline with all that is in it.
func (r *roomMedia) release(ctx context.Context, log *slog.Logger) {
	<-r.ready
	if r.err != nil {
		return
	}
	if err := r.client.Release(ctx, r.pipeline); err != nil {
		log.Warn("pipeline not released", obs.AttrPipeline, string(r.pipeline), obs.AttrErr, err)
	}
}

// pipeline gives the session's pipeline, making it at the first call. It is
// called from media goroutines; others that need it wait for the first.
func (s *session) pipeline(ctx context.Context) (*roomMedia, error) {
	var r *roomMedia
	mine := false
	if err := s.do(ctx, func() error {
		if s.closing {
			return errf(CodeRoomClosed, ErrSessionClosing, "session %s is closing", s.id)
		}
		if s.media == nil {
			s.media, mine = &roomMedia{ready: make(chan struct{})}, true
		}
		r = s.media
		return nil
	}); err != nil {
		return nil, err
	}
	if mine {
		s.openPipeline(ctx, r)
	}
	select {
	case <-r.ready:
		return r, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for pipeline of session %s: %w", s.id, ctx.Err())
	}
}

// EnsureMedia gives the session's media node and pipeline there, making the
// pipeline when nobody has published yet: ErrSessionNotFound, ErrSessionClosing,
// ErrMedia when no node takes it.
func (m *Manager) EnsureMedia(ctx context.Context, sessionID string) (client.Client, client.ID, error) {
	s, err := m.get(sessionID)
	if err != nil {
		return nil, "", err
	}
	r, err := s.pipeline(ctx)
	if err != nil {
		return nil, "", mediaError(err)
	}
	return r.client, r.pipeline, nil
}

func (s *session) openPipeline(ctx context.Context, r *roomMedia) {
	r.err = errors.New("place session on a media node: call panicked")
	defer func() {
		if r.err != nil {
			// The next publisher tries again.
			s.post(func() {
				if s.media == r {
					s.media = nil
				}
			})
		}
		close(r.ready)
	}()
	if r.client, r.err = s.m.opts.Media.Place(ctx); r.err != nil {
		r.err = fmt.Errorf("place session %s on a media node: %w", s.id, r.err)
		return
	}
	if r.pipeline, r.err = r.client.Create(ctx, "MediaPipeline", nil); r.err != nil {
		r.err = fmt.Errorf("create pipeline of session %s: %w", s.id, r.err)
		return
	}
	s.log.Info("session has a pipeline", obs.AttrPipeline, string(r.pipeline))
	s.m.watchers.Go(func() {
		select {
		case <-r.client.Lost():
			s.log.Error("media node lost, session ends")
			s.post(func() { s.startClosing(ReasonMediaServerDisconnect) })
		case <-s.gone:
		}
	})
}

// endpoint is one WebRtcEndpoint. Its identity is fixed; what a media goroutine
// owns and what the session's goroutine owns is said below.
type endpoint struct {
	c           *Connection // whose browser it talks to
	name        string      // as browsers know it in iceCandidate
	streamID    string
	publisherID string
	ufrags      []string // of the offer
	born        time.Time

	// The media goroutine of c sets these before the negotiation is committed.
	id      client.ID
	media   *roomMedia
	cancels []func()

	released atomic.Bool

	// The session's goroutine owns the rest.
	dropped bool
	offered bool // by us, and not answered yet
	forced  bool // the offer was not asked for
	paused  bool // is not sent video (last-N); the media goroutine gets a copy
	got     int  // candidates taken
	stats   WebRTCStats
}

func (c *Connection) newEndpoint(st *stream, offer string) *endpoint {
	name := st.id
	if st.owner != c {
		name = c.id + "_" + st.id
	}
	return &endpoint{
		c: c, name: name, streamID: st.id, publisherID: st.owner.id, ufrags: ufrags(offer), born: time.Now(),
		paused: st.owner != c && !c.s.shows(c, st),
		stats:  WebRTCStats{EndpointName: name, RemoteSDP: offer},
	}
}

// retire drops an endpoint and releases it on its connection's media goroutine,
// after whatever is under way there. nil is allowed. Runs on the session's goroutine.
func (ep *endpoint) retire() {
	if ep == nil || ep.dropped {
		return
	}
	ep.dropped = true
	ep.c.later(ep.release)
}

// release frees the endpoint on the media node. Media or recorder goroutine.
func (ep *endpoint) release() {
	if ep.id == "" || !ep.released.CompareAndSwap(false, true) {
		return
	}
	for _, cancel := range slices.Backward(ep.cancels) {
		cancel()
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTime)
	defer cancel()
	if err := ep.media.client.Release(ctx, ep.id); err != nil {
		ep.c.log.Warn("endpoint not released", obs.AttrElement, string(ep.id), obs.AttrErr, err)
	}
}

// events of a WebRtcEndpoint we listen to. All but the first are for statistics
// and the log, so a node that does not know one is no obstacle.
var endpointEvents = []string{
	"IceCandidateFound", "Error", "ConnectionStateChanged", "IceComponentStateChanged", "NewCandidatePairSelected",
	"MediaStateChanged", "MediaFlowInStateChanged", "MediaFlowOutStateChanged", "IceGatheringDone",
}

// negotiate makes the WebRtcEndpoint and gives its answer. source, if set, is
// connected to it. Media goroutine only; after an error nothing is left behind.
func (ep *endpoint) negotiate(ctx context.Context, offer string, source client.ID, loopback, paused bool, limits Bandwidth, simulcast, publishes bool) (answer string, err error) {
	defer func() {
		if err != nil {
			ep.release()
		}
	}()
	var more map[string]any
	if simulcast && ep.c.s.m.opts.Layers {
		more = map[string]any{"simulcast": true}
	}
	if err := ep.create(ctx, more, limits.properties(publishes, loopback)); err != nil {
		return "", err
	}
	cl := ep.media.client
	if err := cl.Invoke(ctx, ep.id, "processOffer", map[string]any{"offer": offer}, &answer); err != nil {
		return "", fmt.Errorf("process offer of endpoint %s: %w", ep.name, err)
	}
	if loopback {
		source = ep.id
	}
	if source != "" {
		if err := connect(ctx, cl, source, ep.id, paused); err != nil {
			return "", fmt.Errorf("connect endpoint %s: %w", ep.name, err)
		}
	}
	return answer, nil
}

// create makes the WebRtcEndpoint, listens to it and sets its limits. more are
// parameters of its constructor. The caller releases what an error leaves.
func (ep *endpoint) create(ctx context.Context, more map[string]any, limits []limit) (err error) {
	if ep.media, err = ep.c.s.pipeline(ctx); err != nil {
		return err
	}
	cl := ep.media.client
	params := map[string]any{
		"mediaPipeline": ep.media.pipeline, "certificateKeyType": "ECDSA", // handshakes cost a tenth of those with RSA
	}
	maps.Copy(params, more)
	class := "WebRtcEndpoint"
	if ep.c.s.m.opts.Layers {
		class = "LayeredEndpoint"
	}
	if ep.id, err = cl.Create(ctx, class, params); err != nil {
		return fmt.Errorf("create endpoint %s: %w", ep.name, err)
	}
	for i, name := range endpointEvents {
		cancel, err := cl.Subscribe(ctx, ep.id, name, ep.listen(name))
		if err == nil {
			ep.cancels = append(ep.cancels, cancel)
			continue
		}
		if i == 0 || !errors.Is(err, kerr.MediaObjectEventNotSupported) {
			return fmt.Errorf("subscribe to %s of endpoint %s: %w", name, ep.name, err)
		}
	}
	for _, p := range limits {
		if err := cl.Invoke(ctx, ep.id, p.setter, map[string]any{p.property: p.kbps}, nil); err != nil {
			return fmt.Errorf("set %s of endpoint %s: %w", p.property, ep.name, err)
		}
	}
	return nil
}

// connect makes source feed sink, with all but video when that is paused.
func connect(ctx context.Context, cl client.Client, source, sink client.ID, paused bool) error {
	if !paused {
		return cl.Invoke(ctx, source, "connect", map[string]any{"sink": sink}, nil)
	}
	for _, kind := range []string{"AUDIO", "DATA"} {
		if err := cl.Invoke(ctx, source, "connect", map[string]any{"sink": sink, "mediaType": kind}, nil); err != nil {
			return err
		}
	}
	return nil
}

// gather starts ICE on the node; its candidates come as events. Media goroutine only.
func (ep *endpoint) gather() {
	if ep.released.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), ep.c.s.m.opts.MediaTimeout)
	defer cancel()
	if err := ep.media.client.Invoke(ctx, ep.id, "gatherCandidates", nil, nil); err != nil {
		ep.c.log.Warn("candidates not gathered", obs.AttrElement, string(ep.id), obs.AttrErr, err)
	}
}

// addCandidate gives a browser's candidate to the node. Media goroutine only.
func (ep *endpoint) addCandidate(cand ICECandidate) {
	if ep.released.Load() || ep.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), ep.c.s.m.opts.MediaTimeout)
	defer cancel()
	param := map[string]any{"candidate": map[string]any{
		"__module__": "kurento", "__type__": "IceCandidate",
		"candidate": cand.Candidate, "sdpMid": cand.SDPMid, "sdpMLineIndex": cand.SDPMLineIndex,
	}}
	if err := ep.media.client.Invoke(ctx, ep.id, "addIceCandidate", param, nil); err != nil {
		ep.c.log.Debug("candidate refused", obs.AttrElement, string(ep.id), obs.AttrErr, err)
	}
}

// listen gives the handler of one event: it only posts to the session.
func (ep *endpoint) listen(name string) func(json.RawMessage) {
	return func(data json.RawMessage) {
		data = slices.Clone(data)
		ep.c.s.post(func() { ep.onEvent(name, data) })
	}
}

// Bandwidth of one connection: its options over the server's.
func (c *Connection) bandwidth() Bandwidth {
	b := c.s.m.opts.Bandwidth
	if o := c.token.KurentoOptions; o != nil {
		for _, v := range []struct {
			to   *int
			from *int
		}{
			{&b.MaxRecv, o.VideoMaxRecvBandwidth}, {&b.MinRecv, o.VideoMinRecvBandwidth},
			{&b.MaxSend, o.VideoMaxSendBandwidth}, {&b.MinSend, o.VideoMinSendBandwidth},
		} {
			if v.from != nil {
				*v.to = *v.from
			}
		}
	}
	// A low maximum given alone wins over the default minimum.
	if b.MaxRecv > 0 {
		b.MinRecv = min(b.MinRecv, b.MaxRecv)
	}
	if b.MaxSend > 0 {
		b.MinSend = min(b.MinSend, b.MaxSend)
	}
	return b
}

type limit struct {
	setter, property string
	kbps             int
}

// properties gives the setter calls of an endpoint: recv limits where the browser
// publishes, send limits where it receives.
func (b Bandwidth) properties(publishes, loopback bool) []limit {
	var out []limit
	if publishes {
		out = append(out,
			limit{"setMaxVideoRecvBandwidth", "maxVideoRecvBandwidth", b.MaxRecv},
			limit{"setMinVideoRecvBandwidth", "minVideoRecvBandwidth", b.MinRecv})
	}
	if !publishes || loopback {
		out = append(out,
			limit{"setMaxVideoSendBandwidth", "maxVideoSendBandwidth", b.MaxSend},
			limit{"setMinVideoSendBandwidth", "minVideoSendBandwidth", b.MinSend})
	}
	return out
}

// mediaError turns a media node's failure into one for the browser.
func mediaError(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	var code kerr.Code
	if errors.As(err, &code) {
		switch {
		case code >= kerr.SDPCreateError && code < kerr.HTTPRegistrationError:
			return errf(CodeMediaSDP, ErrMedia, "media node refused the SDP (%d)", int(code))
		case code == kerr.MediaObjectNotFound:
			return errf(CodeMediaEndpoint, ErrMedia, "endpoint is gone (%d)", int(code))
		}
		return errf(CodeMediaWebRTCEndpoint, ErrMedia, "media node refused the endpoint (%d)", int(code))
	}
	return errf(CodeMediaGeneric, ErrMedia, "media node does not answer")
}

// onWork runs f on the connection's media goroutine within the media timeout and
// waits for it.
func (c *Connection) onWork(f func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.s.m.opts.MediaTimeout)
	defer cancel()
	var err error
	if lerr := c.work.Do(ctx, func() { err = f(ctx) }); lerr != nil {
		if errors.Is(lerr, context.DeadlineExceeded) {
			return fmt.Errorf("wait for media calls under way: %w", lerr)
		}
		return errf(CodeUserClosed, ErrConnectionNotFound, "connection %s has left the session", c.id)
	}
	return err
}
