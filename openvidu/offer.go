package openvidu

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu/auth"
)

// Here the server offers to subscribers, as a client that was told
// "mediaServer":"mediasoup" expects (signalling contract §5.4, §5.7, §7.2).

// What joinRoom says of the media server.
const (
	mediaServerKurento   = "kurento"
	mediaServerMediasoup = "mediasoup"
)

// takesOffers says whether a client library can be offered to: from 2.18 on. Those
// before 2.21 do not tell their version and are served the old way.
func takesOffers(sdk string) bool {
	major, rest, ok := strings.Cut(sdk, ".")
	if !ok || major != "2" {
		return false
	}
	text, _, _ := strings.Cut(rest, ".")
	minor, err := strconv.Atoi(text)
	return err == nil && minor >= 18
}

var errNoOffer = errf(CodeMediaEndpoint, nil, "there is no SDP offer of the server to answer: call prepareReceiveVideoFrom first")

// PrepareRequest is prepareReceiveVideoFrom (§5.4). Reconnect keeps the present
// subscription until the new offer is answered, by ReconnectStream.
type PrepareRequest struct {
	Sender    string
	Reconnect bool
}

// PrepareReceive offers a stream to the connection, which answers by Subscribe or,
// when it reconnects, ReconnectStream. An offer that is not answered is replaced
// by the next one for the stream.
func (c *Connection) PrepareReceive(ctx context.Context, req PrepareRequest, reply func(any)) error {
	var sub *subscription
	var ep *endpoint
	err := c.do(ctx, func() error {
		st, err := c.receivable("prepareReceiveVideoFrom", req.Sender)
		if err != nil {
			return err
		}
		if !c.serverOffers {
			return errf(CodeMediaGeneric, ErrUnsupported,
				"mediaServer is kurento for this client: call receiveVideoFrom or reconnectStream with an sdpOffer")
		}
		if sub = c.subs[st.id]; sub != nil && sub.ready && req.Reconnect {
			ep = sub.renew()
			return nil
		}
		sub = &subscription{c: c, st: st, createdAt: time.Now()}
		c.begin(sub, "")
		ep = sub.ep
		return nil
	})
	if err != nil {
		return err
	}
	offer, err := sub.offer(ep)
	return c.commit(func() error {
		if c.gone || c.subs[sub.st.id] != sub || sub.ep != ep && sub.next != ep {
			ep.retire()
			return errf(CodeUserNotStreaming, ErrStreamNotFound, "stream %s ended, or was prepared again", sub.st.id)
		}
		if err != nil {
			sub.refused(ep)
			return mediaError(err)
		}
		ep.offered, ep.stats.LocalSDP = true, offer
		reply(OfferResult{SDPOffer: offer})
		return nil
	})
}

// renew reserves the endpoint that is to replace the subscription's, in place of
// one that nobody answered.
func (sub *subscription) renew() *endpoint {
	sub.next.retire()
	sub.next = sub.c.newEndpoint(sub.st, "")
	return sub.next
}

// refused forgets an endpoint that the media node did not make.
func (sub *subscription) refused(ep *endpoint) {
	ep.dropped = true
	if sub.next == ep {
		sub.next = nil
		return
	}
	delete(sub.c.subs, sub.st.id)
}

// offer makes the endpoint on the media node and gives its offer, with the codec
// that the session forces alone.
func (sub *subscription) offer(ep *endpoint) (offer string, err error) {
	c, limits := sub.c, sub.c.bandwidth()
	err = c.onWork(func(ctx context.Context) (err error) {
		offer, err = ep.offer(ctx, limits.properties(false, false), sub.st.hasAudio, sub.st.hasVideo)
		return err
	})
	if err != nil {
		c.log.Warn("offer failed", obs.AttrStream, ep.streamID, obs.AttrErr, err)
		return "", err
	}
	if codec := c.s.codec(); codec != "" {
		offer, _ = forceCodec(offer, codec) // without it the stream is converted, or not shown
	}
	return offer, nil
}

// offer makes the WebRtcEndpoint and gives its offer. Media goroutine only; after
// an error nothing is left behind.
func (ep *endpoint) offer(ctx context.Context, limits []limit, audio, video bool) (offer string, err error) {
	defer func() {
		if err != nil {
			ep.release()
		}
	}()
	if err := ep.create(ctx, map[string]any{"sendonly": true}, limits); err != nil {
		return "", err
	}
	options := map[string]any{
		"__module__": "kurento", "__type__": "OfferOptions", "offerToReceiveAudio": audio, "offerToReceiveVideo": video,
	}
	if err := ep.media.client.Invoke(ctx, ep.id, "generateOffer", map[string]any{"options": options}, &offer); err != nil {
		return "", fmt.Errorf("generate offer of endpoint %s: %w", ep.name, err)
	}
	return offer, nil
}

// accept gives the node the answer to its offer and connects the source. Media
// goroutine only; after an error nothing is left behind.
func (ep *endpoint) accept(ctx context.Context, answer string, source client.ID, paused bool) (err error) {
	defer func() {
		if err != nil {
			ep.release()
		}
	}()
	if err := ep.media.client.Invoke(ctx, ep.id, "processAnswer", map[string]any{"answer": answer}, nil); err != nil {
		return fmt.Errorf("process answer of endpoint %s: %w", ep.name, err)
	}
	if err := connect(ctx, ep.media.client, source, ep.id, paused); err != nil {
		return fmt.Errorf("connect endpoint %s: %w", ep.name, err)
	}
	return nil
}

// answer takes the answer to the first offer of a subscription.
func (c *Connection) answer(ctx context.Context, req SubscribeRequest, reply func(any)) error {
	var sub *subscription
	var ep, source *endpoint
	var paused bool
	err := c.do(ctx, func() error {
		st, err := c.receivable("receiveVideoFrom", req.Sender)
		if err != nil {
			return err
		}
		if sub = c.subs[st.id]; sub == nil || sub.ready || !sub.ep.offered {
			return errNoOffer
		}
		ep, source, paused = sub.ep, st.ep, sub.ep.paused
		return c.answers(ep, req.SDPAnswer)
	})
	if err != nil {
		return err
	}
	return c.settle(sub, ep, source, req.SDPAnswer, paused, func() { reply(Empty{}) })
}

// answerAgain takes the answer to an offer that reconnects a subscription.
func (c *Connection) answerAgain(ctx context.Context, streamID string, req ReconnectRequest, reply func(any)) error {
	var sub *subscription
	var ep, source *endpoint
	var paused bool
	err := c.do(ctx, func() error {
		if req.SDPString == "" {
			return errf(CodeMissingParameter, ErrInvalid, "sdpOffer or sdpString is missing")
		}
		if sub = c.subs[streamID]; sub == nil {
			return errNoOffer
		}
		if ep = sub.next; !sub.ready {
			ep = sub.ep // the socket died before the subscription was made
		}
		if ep == nil || !ep.offered || ep.forced != req.Forcibly {
			return errNoOffer
		}
		source, paused = sub.st.ep, ep.paused
		return c.answers(ep, req.SDPString)
	})
	if err != nil {
		return err
	}
	return c.settle(sub, ep, source, req.SDPString, paused, func() { reply(Empty{}) })
}

// answers checks an answer and notes it: from here on the offer is answered.
func (c *Connection) answers(ep *endpoint, sdp string) error {
	if err := checkSDP(sdp, c.s.m.opts.Limits.SDPBytes); err != nil {
		return err
	}
	ep.offered = false
	ep.ufrags, ep.stats.RemoteSDP = ufrags(sdp), sdp
	return nil
}

// settle ends a negotiation that began with our offer.
func (c *Connection) settle(sub *subscription, ep, source *endpoint, answer string, paused bool, reply func()) error {
	err := c.onWork(func(ctx context.Context) error { return ep.accept(ctx, answer, source.id, paused) })
	return c.commit(func() error {
		if c.gone || c.subs[sub.st.id] != sub || sub.ep != ep && sub.next != ep {
			ep.retire()
			return errf(CodeUserNotStreaming, ErrStreamNotFound, "stream %s ended while it was subscribed to", sub.st.id)
		}
		if err != nil {
			c.log.Warn("negotiation failed", obs.AttrStream, ep.streamID, obs.AttrErr, err)
			sub.refused(ep)
			return mediaError(err)
		}
		first := !sub.ready
		if sub.next == ep {
			sub.next = nil
			sub.ep.retire()
			sub.ep = ep
		}
		if sub.st.ep != source {
			sub.reconnect()
		}
		if first {
			sub.begun(reply)
			return nil
		}
		reply()
		c.takeEarly(ep)
		c.later(ep.gather)
		sub.renewed()
		return nil
	})
}

// renewed gives a new endpoint what the one before had.
func (sub *subscription) renewed() {
	sub.applyWish()
	sub.choose()
}

// forceReconnect makes a browser negotiate anew when the stream it receives now
// comes in a codec that its answer has not (§6.13). Runs on the session's
// goroutine; the offer is made on the connection's media goroutine.
func (sub *subscription) forceReconnect() {
	c, st := sub.c, sub.st
	if !c.serverOffers || c.may("reconnectStream", auth.Target{}) != nil || hasCodecs(sub.ep.stats.RemoteSDP, st.video, st.audio) {
		return
	}
	ep := sub.renew()
	ep.forced = true
	limits := c.bandwidth()
	c.later(func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.s.m.opts.MediaTimeout)
		defer cancel()
		offer, err := ep.offer(ctx, limits.properties(false, false), st.hasAudio, st.hasVideo)
		c.s.post(func() {
			switch {
			case c.gone || c.subs[st.id] != sub || sub.next != ep:
				ep.retire()
			case err != nil:
				c.log.Warn("offer failed", obs.AttrStream, st.id, obs.AttrErr, err)
				sub.refused(ep)
			default:
				ep.offered, ep.stats.LocalSDP = true, offer
				c.send(notification("forciblyReconnectSubscriber", paramsForcedReconnect{st.owner.id, st.id, offer}))
			}
		})
	})
}

// hasCodecs says whether an SDP has each codec that is named in the section of its kind.
func hasCodecs(sdp, video, audio string) bool {
	sections, _ := splitSDP(sdp)
	for _, want := range []struct{ kind, codec string }{{"video", video}, {"audio", audio}} {
		if want.codec == "" {
			continue
		}
		found := slices.ContainsFunc(sections, func(s section) bool {
			kind, port, payloads, ok := s.media()
			if !ok || kind != want.kind || port == "0" {
				return false
			}
			names, _ := s.codecs()
			return slices.ContainsFunc(payloads, func(pt string) bool { return names[pt] == strings.ToUpper(want.codec) })
		})
		if !found {
			return false
		}
	}
	return true
}
