package openvidu

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/govidu/govidu/internal/loop"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
)

// Ids of the pseudo participants.
const (
	idRecorder     = "RECORDER"
	idSpeechToText = "SPEECH_TO_TEXT"
)

// Connection is one participant's presence in a session. Its methods are the
// requests of a browser; a door calls them one after another per socket, and each
// calls reply exactly once, at its place in the order of notifications, unless it
// returns an error. They are safe for concurrent use all the same.
type Connection struct {
	s         *session
	log       *slog.Logger
	id        string
	privateID string
	token     tokenRecord
	tokenURL  string
	insecure  bool // joined by the server secret: no role checks
	hidden    bool // recorder or speech-to-text
	joinedAt  time.Time
	request   JoinRequest
	// serverOffers says that this client was told mediasoup: it waits for our offers.
	serverOffers bool
	// work runs this connection's media calls, one after another.
	work *loop.Loop

	// Below: the session's goroutine only.
	role   auth.Role
	record bool
	peer   Peer // nil while the socket is lost
	missed []*Notification
	window *time.Timer
	lost   int // counts losses, so that an old window's timer is known as such
	gone   bool
	hooks  *loop.Loop // runs the recorder's calls; nil before the first
	// hearsSpeakers says that the client asked for activeSpeakersChanged.
	hearsSpeakers bool
	pub           *stream
	subs          map[string]*subscription // by stream id
	early         map[string][]ICECandidate
}

// ID gives the connection id.
func (c *Connection) ID() string { return c.id }

// SessionID gives the id of its session.
func (c *Connection) SessionID() string { return c.s.id }

// PrivateID gives the secret that a browser reconnects with.
func (c *Connection) PrivateID() string { return c.privateID }

// do runs f on the session's goroutine, unless the connection has ended
// (CodeUserClosed).
func (c *Connection) do(ctx context.Context, f func() error) error {
	return c.s.do(ctx, func() error {
		if c.gone {
			return errf(CodeUserClosed, ErrConnectionNotFound, "connection %s has left the session", c.id)
		}
		return f()
	})
}

// may refuses what the connection's role forbids.
func (c *Connection) may(method string, t auth.Target) error {
	if c.insecure || auth.Allow(method, c.role, t) {
		return nil
	}
	return errf(CodeUnauthorized, nil, "unable to call %s: role %s has no permission", method, c.role)
}

// send gives a notification to the socket, or keeps it for the next one.
func (c *Connection) send(n *Notification) {
	switch {
	case c.gone && c.peer == nil:
	case c.peer != nil:
		c.peer.Notify(n)
	case len(c.missed) < c.s.m.opts.Limits.Replay:
		c.missed = append(c.missed, n)
	default:
		// What cannot be told in order is not told at all: the connection ends.
		c.s.post(func() { c.s.leave(c, ReasonNetworkDisconnect, nil) })
	}
}

// metadata is what others see: client data, "%/%", server data.
func (c *Connection) metadata() string {
	switch client, server := c.request.Metadata, c.token.Data; {
	case server == "":
		return client
	case client == "":
		return server
	default:
		return client + "%/%" + server
	}
}

func (c *Connection) participant() events.Participant {
	return events.Participant{
		ParticipantID: c.id, ConnectionID: c.id, Location: unknownLocation, IP: c.request.IP,
		Platform: c.request.Platform, ClientData: c.request.Metadata, ServerData: c.token.Data,
	}
}

func (c *Connection) object() ParticipantObject {
	p := ParticipantObject{ID: c.id, CreatedAt: c.joinedAt.UnixMilli(), Metadata: c.metadata()}
	if c.pub != nil && c.pub.published {
		p.Streams = []StreamObject{c.pub.object()}
	}
	return p
}

// Leave ends the connection at its own wish.
func (c *Connection) Leave(ctx context.Context, reply func(any)) error {
	return c.do(ctx, func() error {
		if err := c.may("leaveRoom", auth.Target{Own: true}); err != nil {
			return err
		}
		c.s.leave(c, ReasonDisconnect, func() { reply(Empty{}) })
		return nil
	})
}

// ForceDisconnect evicts a connection at a moderator's wish.
func (c *Connection) ForceDisconnect(ctx context.Context, connectionID string, reply func(any)) error {
	return c.do(ctx, func() error {
		if err := c.may("forceDisconnect", auth.Target{Own: connectionID == c.id}); err != nil {
			return err
		}
		target := c.s.byID[connectionID]
		if target == nil || target.hidden {
			return errf(CodeUserNotFound, ErrConnectionNotFound, "Connection not found when calling 'forceDisconnect'")
		}
		c.s.evict(target, ReasonForceDisconnectUser, func() { reply(Empty{}) })
		c.s.maybeEmpty(ReasonForceDisconnectUser)
		return nil
	})
}

// Detach tells that the socket is lost, which opens the reconnection window; a
// socket that was replaced already changes nothing. unsent gives the frames of
// the notifications that the peer took and did not deliver; it is called on the
// session's goroutine, after the peer's last Notify.
func (c *Connection) Detach(p Peer, unsent func() [][]byte) {
	c.s.post(func() {
		if c.gone || c.peer != p {
			return
		}
		c.peer = nil
		c.lost++
		lost := c.lost
		frames := unsent()
		if len(frames) > c.s.m.opts.Limits.Replay {
			c.s.leave(c, ReasonNetworkDisconnect, nil)
			return
		}
		c.miss(frames)
		c.window = time.AfterFunc(c.s.m.opts.ReconnectWindow, func() {
			c.s.post(func() {
				if !c.gone && c.peer == nil && c.lost == lost {
					c.s.leave(c, ReasonNetworkDisconnect, nil)
				}
			})
		})
		c.log.Info("connection lost its socket")
	})
}

// attach binds a new socket: reply first, then what was missed, in order.
func (c *Connection) attach(p Peer, reply func()) {
	if c.window != nil {
		c.window.Stop()
	}
	old := c.peer
	c.peer = p
	if old != nil && old != p {
		c.miss(old.Replace())
	}
	reply()
	for _, n := range c.missed {
		p.Notify(n)
	}
	c.missed = nil
	c.log.Info("connection has a socket again")
}

// miss keeps frames for the next socket.
func (c *Connection) miss(frames [][]byte) {
	for _, f := range frames {
		c.missed = append(c.missed, &Notification{frame: f})
	}
}

// leave removes c, tells the remaining, then replies. Runs on the loop.
func (s *session) leave(c *Connection, reason Reason, reply func()) {
	if c.gone {
		return
	}
	s.remove(c, reason)
	if reply != nil {
		reply()
	}
	if c.peer != nil {
		c.peer.Finish()
	}
	s.maybeEmpty(reason)
}

// evict removes c, tells the remaining, replies, and tells everybody who was
// there, the evicted one included, that it was evicted. The caller asks
// maybeEmpty afterwards. Runs on the loop.
func (s *session) evict(c *Connection, reason Reason, reply func()) {
	if c.gone {
		return
	}
	before := slices.Clone(s.conns)
	s.remove(c, reason)
	if reply != nil {
		reply()
	}
	if c.hidden {
		before = []*Connection{c}
	}
	notify(before, notification("participantEvicted", paramsEvicted{ConnectionID: c.id, Reason: reason}))
	if c.peer != nil {
		c.peer.Finish()
	}
}

// remove takes c out of the session: its streams end, its media is torn down on
// its own goroutine, the remaining hear participantLeft.
func (s *session) remove(c *Connection, reason Reason) {
	var received []*subscription
	if c.pub != nil && c.pub.published {
		s.emitDestroyed(c.pub, reason)
	}
	for _, sub := range c.subscriptions() {
		s.endSubscription(sub, reason)
	}
	if c.pub != nil {
		received = s.takePublication(c.pub, reason)
	}
	for _, sub := range received {
		s.endSubscription(sub, reason)
	}
	c.gone = true
	c.early = nil
	if c.window != nil {
		c.window.Stop()
	}
	c.missed = nil
	s.conns = slices.DeleteFunc(s.conns, func(o *Connection) bool { return o == c })
	delete(s.byID, c.id)
	s.m.dropPrivate(c)
	for _, o := range s.conns {
		delete(o.early, c.id)
	}
	for _, w := range []*loop.Loop{c.work, c.hooks} {
		if w == nil {
			continue
		}
		if err := w.Post(func() { s.post(func() { delete(s.workers, w) }) }); err != nil {
			c.log.Error("goroutine of the connection refused its end", obs.AttrErr, err)
		}
		w.Stop()
	}
	if c.hidden {
		return
	}
	s.emit(events.NameParticipantLeft, events.ParticipantLeft{Common: s.common(), Participant: c.participant(), Ending: ending(c.joinedAt, reason)})
	notify(s.conns, notification("participantLeft", paramsGone{c.id, c.id, reason}))
	c.log.Info("participant left", "reason", string(reason))
}
