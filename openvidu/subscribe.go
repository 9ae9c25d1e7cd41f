package openvidu

import (
	"context"
	"strings"
	"time"

	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
)

// SubscribeRequest is receiveVideoFrom (§5.4). Sender is a stream id. SDPAnswer
// answers what PrepareReceive offered.
type SubscribeRequest struct {
	Sender    string
	SDPOffer  string
	SDPAnswer string
}

// Subscribe makes the connection receive a stream. A second subscription to the
// same stream replaces the first.
func (c *Connection) Subscribe(ctx context.Context, req SubscribeRequest, reply func(any)) error {
	if req.SDPAnswer != "" {
		return c.answer(ctx, req, reply)
	}
	sub := &subscription{c: c, createdAt: time.Now()}
	var offer string
	var source *endpoint
	err := c.do(ctx, func() (err error) {
		if sub.st, err = c.receivable("receiveVideoFrom", req.Sender); err != nil {
			return err
		}
		if offer, err = c.offer(req.SDPOffer); err != nil {
			return err
		}
		source = sub.st.ep
		c.begin(sub, offer)
		return nil
	})
	if err != nil {
		return err
	}
	answer, err := c.negotiate(sub.ep, offer, source.id, false, false)
	return c.commit(func() error {
		if c.gone || c.subs[sub.st.id] != sub {
			sub.ep.retire()
			return errf(CodeUserNotStreaming, ErrStreamNotFound, "stream %s ended while it was subscribed to", sub.st.id)
		}
		if err != nil {
			delete(c.subs, sub.st.id)
			sub.ep.dropped = true
			return mediaError(err)
		}
		sub.ep.stats.LocalSDP = answer
		if sub.st.ep != source {
			sub.reconnect()
		}
		sub.begun(func() { reply(SubscribeResult{SDPAnswer: answer}) })
		return nil
	})
}

// receivable gives the stream of another that a request wants to receive.
func (c *Connection) receivable(method, sender string) (*stream, error) {
	if err := c.may(method, auth.Target{}); err != nil {
		return nil, err
	}
	st, err := c.s.find(legacyStream(c.s, sender))
	if err != nil {
		return nil, err
	}
	if st.owner == c {
		return nil, errf(CodeUserNotStreaming, nil, "connection %s cannot receive its own stream; publish it with doLoopback", c.id)
	}
	return st, nil
}

// begin puts a subscription in the place of an earlier one to the same stream.
// offer is the browser's, "" when ours is to come.
func (c *Connection) begin(sub *subscription, offer string) {
	if old := c.subs[sub.st.id]; old != nil {
		early := c.early[sub.st.owner.id]
		c.s.endSubscription(old, ReasonUnsubscribe)
		if early != nil {
			c.early[sub.st.owner.id] = early
		}
	}
	sub.ep = c.newEndpoint(sub.st, offer)
	c.subs[sub.st.id] = sub
}

// begun tells that a subscription is negotiated.
func (sub *subscription) begun(reply func()) {
	c := sub.c
	sub.ready, sub.createdAt = true, time.Now()
	if !c.hidden {
		c.s.emit(events.NameConnectionCreated, events.ConnectionCreated{Common: c.s.common(), Media: sub.st.event(c)})
	}
	reply()
	c.takeEarly(sub.ep)
	c.later(sub.ep.gather)
	sub.choose()
}

// resubscribe replaces the endpoint of a subscription.
func (c *Connection) resubscribe(ctx context.Context, sub *subscription, sdp string, reply func(any)) error {
	var ep, source *endpoint
	var offer string
	live := func() bool { return !c.gone && c.subs[sub.st.id] == sub }
	err := c.do(ctx, func() (err error) {
		if offer, err = c.offer(sdp); err != nil {
			return err
		}
		if !live() || !sub.ready || sub.next != nil {
			return errf(CodeUserNotStreaming, ErrStreamNotFound, "stream %s is not received, or being reconnected already", sub.st.id)
		}
		ep, source = c.newEndpoint(sub.st, offer), sub.st.ep
		sub.next = ep
		return nil
	})
	if err != nil {
		return err
	}
	answer, err := c.negotiate(ep, offer, source.id, false, false)
	return c.commit(func() error {
		if !live() {
			ep.retire()
			return errf(CodeUserNotStreaming, ErrStreamNotFound, "stream %s ended", sub.st.id)
		}
		sub.next = nil
		if err != nil {
			ep.dropped = true
			return mediaError(err)
		}
		sub.ep.retire()
		sub.ep = ep
		ep.stats.LocalSDP = answer
		if sub.st.ep != source {
			sub.reconnect()
		}
		reply(SubscribeResult{SDPAnswer: answer})
		c.takeEarly(ep)
		c.later(ep.gather)
		sub.renewed()
		return nil
	})
}

// Unsubscribe ends a subscription. sender is the publisher's connection id, or,
// from the oldest clients, the stream id.
func (c *Connection) Unsubscribe(ctx context.Context, sender string, reply func(any)) error {
	return c.do(ctx, func() error {
		if err := c.may("unsubscribeFromVideo", auth.Target{}); err != nil {
			return err
		}
		sender = c.publisherOf(legacyStream(c.s, sender))
		publisher := c.s.byID[sender]
		if publisher == nil || publisher.hidden {
			return errf(CodeUserNotFound, ErrConnectionNotFound, "no connection %s in session %s", short(sender), c.s.id)
		}
		if publisher.pub != nil {
			if sub := c.subs[publisher.pub.id]; sub != nil {
				c.s.endSubscription(sub, ReasonUnsubscribe)
			}
		}
		reply(Empty{})
		return nil
	})
}

// legacyStream understands the stream ids that clients before 2.8 make up
// themselves: the connection id and "_CAMERA", "_SCREEN" or "_MICRO".
func legacyStream(s *session, id string) string {
	for _, suffix := range []string{"_CAMERA", "_SCREEN", "_MICRO"} {
		if con, ok := strings.CutSuffix(id, suffix); ok {
			if c := s.byID[con]; c != nil && c.pub != nil && c.pub.published {
				return c.pub.id
			}
		}
	}
	return id
}
