package openvidu

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
)

// PublishRequest is publishVideo (§5.2). FrameRate −1 is unknown;
// VideoDimensions is JSON text, "" unknown. Filter is the type of the filter
// asked for, "" for none.
type PublishRequest struct {
	SDPOffer                 string
	DoLoopback               bool
	HasAudio, HasVideo       bool
	AudioActive, VideoActive bool
	TypeOfVideo              string
	FrameRate                int
	VideoDimensions          string
	Filter                   string
}

func (r *PublishRequest) check() error {
	switch r.TypeOfVideo {
	case "CAMERA", "SCREEN", "CUSTOM":
	case "":
		r.TypeOfVideo = "CAMERA"
	default:
		return errf(CodeMissingParameter, ErrInvalid, "typeOfVideo is none of CAMERA, SCREEN, CUSTOM")
	}
	size, err := dimensions(r.VideoDimensions)
	r.VideoDimensions = size
	return err
}

// dimensions checks the JSON text of a size; "" becomes one that browsers can parse.
func dimensions(text string) (string, error) {
	if text == "" {
		return noDimensions, nil
	}
	var v struct{ Width, Height float64 }
	if len(text) > 256 || json.Unmarshal([]byte(text), &v) != nil {
		return "", errf(CodeMissingParameter, ErrInvalid, "videoDimensions is no JSON text of a size")
	}
	return text, nil
}

// Publish makes the connection's stream. The answer comes first, then
// participantPublished to the others.
func (c *Connection) Publish(ctx context.Context, req PublishRequest, reply func(any)) error {
	st := &stream{owner: c, createdAt: time.Now()}
	var offer string
	err := c.do(ctx, func() (err error) {
		if err := c.may("publishVideo", auth.Target{Own: true}); err != nil {
			return err
		}
		if c.hidden {
			return errf(CodeUnauthorized, nil, "a recorder cannot publish")
		}
		if c.pub != nil {
			return errf(CodeUserAlreadyStreaming, nil, "connection %s is publishing already", c.id)
		}
		if req.Filter != "" {
			return c.s.mayFilter(c, "applyFilter", c, req.Filter)
		}
		if offer, err = c.offer(req.SDPOffer); err != nil {
			return err
		}
		if err := req.check(); err != nil {
			return err
		}
		st.id = auth.NewStreamID(req.TypeOfVideo, req.HasVideo, c.id)
		st.hasAudio, st.hasVideo, st.loopback = req.HasAudio, req.HasVideo, req.DoLoopback
		st.audioActive, st.videoActive = req.HasAudio && req.AudioActive, req.HasVideo && req.VideoActive
		st.typeOfVideo, st.frameRate, st.dimensions = req.TypeOfVideo, req.FrameRate, req.VideoDimensions
		st.ep = c.newEndpoint(st, offer)
		c.pub = st
		return nil
	})
	if err != nil {
		return err
	}
	answer, err := c.negotiate(st.ep, offer, "", st.loopback, true)
	return c.commit(func() error {
		if c.pub != st {
			st.ep.retire()
			return errf(CodeUserClosed, nil, "stream %s ended while it was negotiated", st.id)
		}
		if err != nil {
			c.pub = nil
			st.ep.dropped = true
			return mediaError(err)
		}
		c.published(st, answer, reply)
		return nil
	})
}

// published makes a negotiated stream part of the session.
func (c *Connection) published(st *stream, answer string, reply func(any)) {
	st.published, st.createdAt = true, time.Now()
	st.video, st.audio = firstCodecs(answer)
	st.ep.stats.LocalSDP = answer
	c.s.streams[st.id] = st
	c.s.ranking = append(c.s.ranking, st.id)
	if c.s.props.LastN > 0 && c.s.speakers == nil {
		c.s.listen()
	} else {
		c.s.heard(st)
	}
	c.s.emit(events.NameConnectionCreated, events.ConnectionCreated{Common: c.s.common(), Media: st.event(c)})
	reply(PublishResult{SDPAnswer: answer, ID: st.id, CreatedAt: st.createdAt.UnixMilli()})
	notify(c.s.others(c), notification("participantPublished", paramsPublished{c.id, []StreamObject{st.object()}}))
	c.takeEarly(st.ep)
	c.later(st.ep.gather)
	c.s.startRecorder(st)
	c.log.Info("stream published", obs.AttrStream, st.id, "video", st.video, "audio", st.audio)
}

// offer checks an SDP offer and forces the session's codec on it.
func (c *Connection) offer(sdp string) (string, error) {
	if err := checkSDP(sdp, c.s.m.opts.Limits.SDPBytes); err != nil {
		return "", err
	}
	codec := c.s.codec()
	if codec == "" {
		return sdp, nil
	}
	out, found := forceCodec(sdp, codec)
	if !found && !*c.s.props.AllowTranscoding {
		return "", errf(CodeForcedCodec, nil, "Error forcing codec: '%s', for participant %s in session %s: the SDP offer has not got it and transcoding is not allowed", codec, c.id, c.s.id)
	}
	return out, nil
}

// negotiate runs the negotiation of a reserved endpoint on the media goroutine
// and passes on what candidates came early.
func (c *Connection) negotiate(ep *endpoint, offer string, source client.ID, loopback, publishes bool) (answer string, err error) {
	limits, paused := c.bandwidth(), ep.paused
	err = c.onWork(func(ctx context.Context) (err error) {
		answer, err = ep.negotiate(ctx, offer, source, loopback, paused, limits, publishes && c.s.m.opts.Simulcast, publishes)
		return err
	})
	if err != nil {
		c.log.Warn("negotiation failed", obs.AttrStream, ep.streamID, obs.AttrErr, err)
		return "", err
	}
	return answer, nil
}

// commit runs the second half of a request: it must not be lost to a request's
// own deadline, or the media it made would be.
func (c *Connection) commit(f func() error) error {
	return c.s.do(context.Background(), f)
}

// ReconnectRequest is reconnectStream (§5.7). SDPOffer and SDPString are both an
// offer for the own publication; for a subscription SDPString alone is the answer
// to an offer of ours: that of prepareReceiveVideoFrom, or, with Forcibly, that of
// forciblyReconnectSubscriber.
type ReconnectRequest struct {
	StreamID  string
	SDPOffer  string
	SDPString string
	Forcibly  bool
}

// ReconnectStream replaces the endpoint of a publication or subscription by one
// that answers a new offer. Nobody is told; ids and times stay.
func (c *Connection) ReconnectStream(ctx context.Context, req ReconnectRequest, reply func(any)) error {
	var st *stream
	var sub *subscription
	err := c.do(ctx, func() error {
		if err := c.may("reconnectStream", auth.Target{}); err != nil {
			return err
		}
		var err error
		if st, err = c.s.find(req.StreamID); err != nil {
			return err
		}
		if st.owner == c {
			return c.may("publishVideo", auth.Target{Own: true})
		}
		sub = c.subs[st.id]
		return nil
	})
	switch {
	case err != nil:
		return err
	case st.owner == c:
		if req.SDPOffer == "" {
			req.SDPOffer = req.SDPString
		}
		return c.republish(ctx, st, req.SDPOffer, reply)
	case req.SDPOffer == "":
		return c.answerAgain(ctx, st.id, req, reply)
	case sub == nil:
		// The socket died before the subscription was made: make it now.
		return c.Subscribe(ctx, SubscribeRequest{Sender: st.id, SDPOffer: req.SDPOffer}, reply)
	}
	return c.resubscribe(ctx, sub, req.SDPOffer, reply)
}

// republish replaces the publisher's endpoint and connects the subscribers to the
// new one.
func (c *Connection) republish(ctx context.Context, st *stream, sdp string, reply func(any)) error {
	var ep *endpoint
	var offer string
	err := c.do(ctx, func() (err error) {
		if offer, err = c.offer(sdp); err != nil {
			return err
		}
		if c.pub != st || st.next != nil {
			return errf(CodeUserNotStreaming, ErrStreamNotFound, "stream %s is not published, or being reconnected already", st.id)
		}
		ep = c.newEndpoint(st, offer)
		st.next = ep
		return nil
	})
	if err != nil {
		return err
	}
	answer, err := c.negotiate(ep, offer, "", st.loopback, true)
	return c.commit(func() error {
		if c.pub != st {
			ep.retire()
			return errf(CodeUserNotStreaming, ErrStreamNotFound, "stream %s ended", st.id)
		}
		st.next = nil
		if err != nil {
			ep.dropped = true
			return mediaError(err)
		}
		c.s.retirePublisher(st, ReasonNetworkDisconnect, true)
		st.ep = ep
		st.video, st.audio = firstCodecs(answer)
		ep.stats.LocalSDP = answer
		c.s.heard(st)
		for _, o := range c.s.conns {
			if sub := o.subs[st.id]; sub != nil && sub.ready {
				sub.reconnect()
				sub.forceReconnect()
			}
		}
		reply(PublishResult{SDPAnswer: answer, ID: st.id, CreatedAt: st.createdAt.UnixMilli()})
		c.takeEarly(ep)
		c.later(ep.gather)
		c.s.startRecorder(st)
		return nil
	})
}

// reconnect connects the stream's present endpoint to the subscriber's, on the
// subscriber's media goroutine.
func (sub *subscription) reconnect() {
	source, sink, paused := sub.st.ep, sub.ep, sub.ep.paused
	sub.c.later(func() {
		if sink.released.Load() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), sub.c.s.m.opts.MediaTimeout)
		defer cancel()
		if err := connect(ctx, source.media.client, source.id, sink.id, paused); err != nil {
			sub.c.log.Warn("subscriber not connected anew", obs.AttrStream, sub.st.id, obs.AttrErr, err)
		}
	})
}

// mayFilter refuses a filter call of c on a stream of owner: 401 without the
// right to it, else 303, because this server has no filters yet.
func (s *session) mayFilter(c *Connection, method string, owner *Connection, filter string) error {
	t := auth.Target{Own: owner == c}
	if o := c.token.KurentoOptions; o != nil {
		t.Given = slices.Contains(o.AllowedFilters, filter)
	}
	if err := c.may(method, t); err != nil {
		return err
	}
	if method == "applyFilter" {
		return errf(CodeMediaEndpoint, ErrUnsupported, "unable to apply filter: this server has no filters")
	}
	return errf(CodeFilterNotApplied, nil, "stream has no filter applied")
}

// Filter answers the filter calls (§5.6) with the contract's refusals.
func (c *Connection) Filter(ctx context.Context, method, streamID, filter string) error {
	return c.do(ctx, func() error {
		st, err := c.s.find(streamID)
		var owner *Connection
		if st != nil {
			owner = st.owner
		}
		if denied := c.s.mayFilter(c, method, owner, filter); denied != nil && (err == nil || isCode(denied, CodeUnauthorized)) {
			return denied
		}
		return err
	})
}

func isCode(err error, code Code) bool {
	e, ok := err.(*Error)
	return ok && e.Code == code
}
