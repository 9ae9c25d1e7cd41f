package openvidu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/loop"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu/auth"
)

// Speaker is a connection that talks: its stream and level in −dBov (RFC 6464), 0
// being the loudest.
type Speaker struct {
	ConnectionID string `json:"connectionId"`
	StreamID     string `json:"streamId"`
	Level        int    `json:"level"`
}

// ActiveSpeakers is the answer of subscribeToActiveSpeakers and the parameters of
// activeSpeakersChanged: the main speaker first, then who began last.
type ActiveSpeakers struct {
	Speakers []Speaker `json:"speakers"`
}

// speakers listens to a session's publishers, from the first who asks on.
type speakers struct {
	s *session
	// work makes the calls to the media node, one after another.
	work *loop.Loop

	// The working goroutine's.
	node   client.Client
	id     client.ID // of the ActiveSpeakers object, "" before it is made
	cancel func()

	// The session's goroutine's.
	now []Speaker
}

// listen gives the session's speakers, and begins to listen at the first call.
func (s *session) listen() *speakers {
	if s.speakers != nil || s.closing {
		return s.speakers
	}
	sp := &speakers{s: s, work: loop.New(loop.Options{Log: s.log, Where: "openvidu.speakers"})}
	s.speakers = sp
	s.workers[sp.work] = struct{}{}
	for _, st := range s.streams {
		sp.add(st)
	}
	return sp
}

// end stops the listening; the object goes with its pipeline.
func (sp *speakers) end() {
	if sp == nil {
		return
	}
	if err := sp.work.Post(func() {
		if sp.cancel != nil {
			sp.cancel()
		}
	}); err != nil {
		sp.s.log.Error("goroutine of the speakers refused its end", obs.AttrErr, err)
	}
	sp.work.Stop()
}

// heard begins to listen to a stream's present endpoint, if anybody asked for that.
func (s *session) heard(st *stream) {
	if s.speakers != nil {
		s.speakers.add(st)
	}
}

// add listens to the stream's present endpoint; that its release ends.
func (sp *speakers) add(st *stream) {
	if !st.hasAudio {
		return
	}
	ep := st.ep
	if err := sp.work.Post(func() {
		if ep.released.Load() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), sp.s.m.opts.MediaTimeout)
		defer cancel()
		err := sp.make(ctx)
		if err == nil {
			err = sp.node.Invoke(ctx, sp.id, "add", map[string]any{"endpoint": ep.id}, nil)
		}
		if err != nil && !errors.Is(err, kerr.MediaObjectNotFound) {
			sp.s.log.Warn("stream is not listened to", obs.AttrStream, ep.streamID, obs.AttrErr, err)
		}
	}); err != nil {
		sp.s.log.Warn("stream is not listened to", obs.AttrStream, ep.streamID, obs.AttrErr, err)
	}
}

// make makes the object on the media node, at the first call. Working goroutine.
func (sp *speakers) make(ctx context.Context) error {
	if sp.id != "" {
		return nil
	}
	media, err := sp.s.pipeline(ctx)
	if err != nil {
		return err
	}
	id, err := media.client.Create(ctx, "ActiveSpeakers", map[string]any{"mediaPipeline": media.pipeline})
	if err != nil {
		return fmt.Errorf("create ActiveSpeakers of session %s: %w", sp.s.id, err)
	}
	sp.cancel, err = media.client.Subscribe(ctx, id, "ActiveSpeakersChanged", func(data json.RawMessage) {
		data = slices.Clone(data)
		sp.s.post(func() { sp.changed(data) })
	})
	if err != nil {
		_ = media.client.Release(ctx, id)
		return fmt.Errorf("subscribe to ActiveSpeakersChanged of session %s: %w", sp.s.id, err)
	}
	sp.node, sp.id = media.client, id
	return nil
}

// changed hears from the node who talks now, and tells.
func (sp *speakers) changed(data json.RawMessage) {
	var v struct {
		Speakers []struct {
			Endpoint client.ID
			Level    int
		}
	}
	s := sp.s
	if err := json.Unmarshal(data, &v); err != nil {
		s.log.Warn("media event is not understood", "event", "ActiveSpeakersChanged", obs.AttrErr, err)
		return
	}
	if s.closing {
		return
	}
	owners := make(map[client.ID]*stream, len(s.streams))
	for _, st := range s.streams {
		owners[st.ep.id] = st
	}
	before := sp.now
	sp.now = nil
	for _, x := range v.Speakers {
		// Who is muted in the page may be loud before it; a stream that ended may be
		// heard for a moment yet.
		if st := owners[x.Endpoint]; st != nil && st.audioActive {
			sp.now = append(sp.now, Speaker{st.owner.id, st.id, x.Level})
		}
	}
	if slices.EqualFunc(before, sp.now, func(a, b Speaker) bool { return a.StreamID == b.StreamID }) {
		return
	}
	n := notification("activeSpeakersChanged", sp.list())
	for _, c := range s.conns {
		if c.hearsSpeakers {
			c.send(n)
		}
	}
	s.promote(before, sp.now)
}

// list is what clients get.
func (sp *speakers) list() ActiveSpeakers {
	if sp == nil {
		return ActiveSpeakers{[]Speaker{}}
	}
	return ActiveSpeakers{append([]Speaker{}, sp.now...)}
}

// SubscribeToActiveSpeakers makes the connection hear activeSpeakersChanged, and
// answers with who talks now. CodeServiceNotEnabled when the media node cannot
// tell.
func (c *Connection) SubscribeToActiveSpeakers(ctx context.Context, reply func(any)) error {
	var sp *speakers
	if err := c.do(ctx, func() error {
		if err := c.may("subscribeToActiveSpeakers", auth.Target{}); err != nil {
			return err
		}
		sp = c.s.listen()
		return nil
	}); err != nil {
		return err
	}
	if sp == nil {
		return errf(CodeRoomClosed, ErrSessionClosing, "session %s is closing", c.s.id)
	}
	wait, cancel := context.WithTimeout(context.Background(), c.s.m.opts.MediaTimeout)
	defer cancel()
	var err error
	if lerr := sp.work.Do(wait, func() { err = sp.make(wait) }); lerr != nil {
		err = lerr
	}
	switch {
	case errors.Is(err, kerr.MediaObjectTypeNotFound):
		return errf(CodeServiceNotEnabled, ErrUnsupported, "the media node does not tell who talks")
	case err != nil:
		c.log.Warn("nobody is listened to", obs.AttrErr, err)
		return mediaError(err)
	}
	return c.do(ctx, func() error {
		c.hearsSpeakers = true
		reply(c.s.speakers.list())
		return nil
	})
}

// UnsubscribeFromActiveSpeakers ends the notifications.
func (c *Connection) UnsubscribeFromActiveSpeakers(ctx context.Context, reply func(any)) error {
	return c.do(ctx, func() error {
		if err := c.may("unsubscribeFromActiveSpeakers", auth.Target{}); err != nil {
			return err
		}
		c.hearsSpeakers = false
		reply(Empty{})
		return nil
	})
}

// Last-N: of a session with that property every subscriber is sent the video of
// the N cameras whose owners spoke last, its own not counted; sound, screens and
// what a recorder takes always pass. Who has not spoken follows in the order of
// publishing.

// maxLastN is as good as all.
const maxLastN = 1000

// promote brings who began to talk, and the main speaker, to the front of the
// ranking.
func (s *session) promote(before, now []Speaker) {
	if s.props.LastN == 0 {
		return
	}
	for i, x := range slices.Backward(now) {
		began := !slices.ContainsFunc(before, func(o Speaker) bool { return o.StreamID == x.StreamID })
		if at := slices.Index(s.ranking, x.StreamID); at >= 0 && (began || i == 0) {
			s.ranking = slices.Insert(slices.Delete(s.ranking, at, at+1), 0, x.StreamID)
		}
	}
	s.choose()
}

// ranked says whether the stream is one of those that last-N chooses among.
func (st *stream) ranked() bool {
	return st.hasVideo && st.videoActive && st.typeOfVideo != "SCREEN"
}

// shows says whether c is sent the video of st.
func (s *session) shows(c *Connection, st *stream) bool {
	if s.props.LastN == 0 || c.hidden || !st.ranked() {
		return true
	}
	n := 0
	for _, id := range s.ranking {
		other := s.streams[id]
		if other == nil || other.owner == c || !other.ranked() {
			continue
		}
		if other == st {
			return true
		}
		if n++; n >= s.props.LastN {
			return false
		}
	}
	return false
}

// choose turns video on and off where the ranking says so.
func (s *session) choose() {
	if s.props.LastN == 0 {
		return
	}
	for _, c := range s.conns {
		for _, sub := range c.subs {
			sub.choose()
		}
	}
}

// choose turns the video of one subscription on or off, on its connection's media
// goroutine.
func (sub *subscription) choose() {
	ep, source := sub.ep, sub.st.ep
	paused := !sub.c.s.shows(sub.c, sub.st)
	if !sub.ready || ep.paused == paused {
		return
	}
	ep.paused = paused
	operation := "connect"
	if paused {
		operation = "disconnect"
	}
	sub.c.later(func() {
		if ep.released.Load() || source.released.Load() {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), sub.c.s.m.opts.MediaTimeout)
		defer cancel()
		err := source.media.client.Invoke(ctx, source.id, operation, map[string]any{"sink": ep.id, "mediaType": "VIDEO"}, nil)
		if err != nil && !source.released.Load() {
			sub.c.log.Warn("video not switched", "operation", operation, obs.AttrStream, ep.streamID, obs.AttrErr, err)
		}
	})
}

// busyRetry is when a client that was refused may try again.
const busyRetry = 5 * time.Second

// busy refuses newcomers while the node has no room for them.
func (m *Manager) busy(what string) error {
	if m.opts.Busy == nil {
		return nil
	}
	why := m.opts.Busy()
	if why == "" {
		return nil
	}
	if m.opts.Refused != nil {
		m.opts.Refused(what)
	}
	return &Error{
		Code: CodeRoomGeneric, Kind: ErrBusy, RetryAfter: busyRetry,
		Text: fmt.Sprintf("the server takes no new %ss now: %s; try again in %d s", what, why, busyRetry/time.Second),
	}
}
