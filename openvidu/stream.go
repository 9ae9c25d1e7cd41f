package openvidu

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/govidu/govidu/internal/loop"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu/auth"
	"github.com/govidu/govidu/openvidu/events"
)

// noDimensions stands for a size nobody told: browsers parse the text.
const noDimensions = `{"width":0,"height":0}`

// stream is one publication. It belongs to the session's goroutine.
type stream struct {
	id          string
	owner       *Connection
	createdAt   time.Time
	published   bool // false while it is negotiated
	ep          *endpoint
	next        *endpoint // the one that reconnectStream is negotiating
	hasAudio    bool
	hasVideo    bool
	audioActive bool
	videoActive bool
	typeOfVideo string
	frameRate   int
	dimensions  string // JSON text
	loopback    bool
	// video and audio are the codecs of the answer.
	video, audio string
}

// subscription is one connection's use of another's stream.
type subscription struct {
	c         *Connection
	st        *stream
	createdAt time.Time
	ready     bool
	ep        *endpoint
	next      *endpoint  // the one being negotiated in its place
	preferred *LayerWish // nil until wished
}

// object is the stream as browsers see it.
func (st *stream) object() StreamObject {
	o := StreamObject{ID: st.id, CreatedAt: st.createdAt.UnixMilli(), HasAudio: st.hasAudio, HasVideo: st.hasVideo}
	audio, video, kind, rate, size := st.audioActive, st.videoActive, st.typeOfVideo, st.frameRate, st.dimensions
	o.AudioActive, o.VideoActive = &audio, &video
	if st.hasVideo {
		o.TypeOfVideo, o.FrameRate, o.VideoDimensions = &kind, &rate, &size
	}
	return o
}

// options is the stream as the REST API shows it.
func (st *stream) options() MediaOptions {
	o := MediaOptions{HasAudio: st.hasAudio, HasVideo: st.hasVideo, Filter: json.RawMessage("{}")}
	audio, video, kind, rate, size := st.audioActive, st.videoActive, st.typeOfVideo, st.frameRate, st.dimensions
	if st.hasAudio {
		o.AudioActive = &audio
	}
	if st.hasVideo {
		o.VideoActive, o.TypeOfVideo, o.FrameRate, o.VideoDimensions = &video, &kind, &rate, &size
	}
	return o
}

// event gives the webhook fields of the stream, seen by connection c.
func (st *stream) event(c *Connection) events.Media {
	m := events.Media{
		StreamID: st.id, ParticipantID: c.id, ConnectionID: c.id, Connection: events.Outbound,
		AudioEnabled: st.hasAudio, VideoEnabled: st.hasVideo,
	}
	if c != st.owner {
		m.Connection, m.ReceivingFrom = events.Inbound, st.owner.id
	}
	if st.hasVideo {
		kind, rate, size := st.typeOfVideo, st.frameRate, st.dimensions
		m.VideoSource, m.VideoFramerate, m.VideoDimensions = &kind, &rate, &size
	}
	return m
}

// info is the stream as a recorder sees it.
func (st *stream) info() StreamInfo {
	c := st.owner
	return StreamInfo{
		SessionID: c.s.id, UniqueID: c.s.uniqueID, StreamID: st.id, ConnectionID: c.id, CreatedAt: st.createdAt.UnixMilli(),
		HasAudio: st.hasAudio, HasVideo: st.hasVideo, TypeOfVideo: st.typeOfVideo,
		AudioActive: st.audioActive, VideoActive: st.videoActive, ClientData: c.request.Metadata, ServerData: c.token.Data, Record: c.record,
		Endpoint: st.ep.id, Media: st.ep.media.client, Pipeline: st.ep.media.pipeline,
		VideoCodec: st.video, AudioCodec: st.audio,
	}
}

func (s *session) emitDestroyed(st *stream, reason Reason) {
	s.emit(events.NameConnectionDestroyed, events.ConnectionDestroyed{
		Common: s.common(), Media: st.event(st.owner), Ending: ending(st.createdAt, reason),
	})
}

// subscriptions gives those of c, oldest first.
func (c *Connection) subscriptions() []*subscription {
	out := make([]*subscription, 0, len(c.subs))
	for _, sub := range c.subs {
		out = append(out, sub)
	}
	slices.SortFunc(out, func(a, b *subscription) int { return a.createdAt.Compare(b.createdAt) })
	return out
}

// endSubscription forgets a subscription and releases its endpoint.
func (s *session) endSubscription(sub *subscription, reason Reason) {
	delete(sub.c.subs, sub.st.id)
	delete(sub.c.early, sub.st.owner.id)
	if sub.ready && !sub.c.hidden {
		s.emit(events.NameConnectionDestroyed, events.ConnectionDestroyed{
			Common: s.common(), Media: sub.st.event(sub.c), Ending: ending(sub.createdAt, reason),
		})
	}
	sub.ep.retire()
	sub.next.retire()
}

// takePublication forgets a publication, tears its media down, its recorder
// first, and gives the subscriptions to it, which the caller ends.
func (s *session) takePublication(st *stream, reason Reason) []*subscription {
	c := st.owner
	c.pub = nil
	delete(c.early, c.id)
	delete(s.streams, st.id)
	s.ranking = slices.DeleteFunc(s.ranking, func(id string) bool { return id == st.id })
	var subs []*subscription
	for _, o := range s.conns {
		if sub := o.subs[st.id]; sub != nil {
			subs = append(subs, sub)
		}
	}
	s.retirePublisher(st, reason, false)
	st.next.retire()
	if s.props.LastN > 0 {
		s.post(s.choose) // when its subscriptions have ended
	}
	return subs
}

// retirePublisher releases a stream's endpoint, once its recorder has let go of it.
// replaced says that another takes its place.
func (s *session) retirePublisher(st *stream, reason Reason, replaced bool) {
	rec := s.m.recorder()
	if rec == nil || !st.published {
		st.ep.retire()
		return
	}
	info, ep := st.info(), st.ep
	info.Replaced = replaced
	ep.dropped = true
	st.owner.hook(func(ctx context.Context) {
		defer ep.release()
		rec.StreamUnpublished(ctx, info, reason)
	})
}

// startRecorder tells the recorder of a stream, on its owner's recorder goroutine.
func (s *session) startRecorder(st *stream) {
	first := !s.everPublished
	s.everPublished = true
	rec := s.m.recorder()
	if rec == nil {
		return
	}
	info := st.info()
	st.owner.hook(func(ctx context.Context) { rec.StreamPublished(ctx, info, first) })
}

// changed tells a recorder that watches streams of a mute or unmute.
func (st *stream) changed() {
	st.owner.s.choose()
	w, ok := st.owner.s.m.recorder().(StreamWatcher)
	if !ok || !st.published {
		return
	}
	info := st.info()
	st.owner.hook(func(ctx context.Context) { w.StreamChanged(ctx, info) })
}

// hook runs a call of the recorder on a goroutine of its own per connection, one
// after another: it may wait for a disk, and candidates must not wait with it.
func (c *Connection) hook(f func(ctx context.Context)) {
	if c.hooks == nil {
		c.hooks = loop.New(loop.Options{Log: c.log, Where: "openvidu.recorder"})
		c.s.workers[c.hooks] = struct{}{}
	}
	if err := c.hooks.Post(func() {
		ctx, cancel := context.WithTimeout(context.Background(), recorderStopTime)
		defer cancel()
		f(ctx)
	}); err != nil {
		c.log.Error("recorder goroutine refused work", obs.AttrErr, err)
	}
}

// endPublication ends a stream that its connection survives: events, subscribers,
// media. The caller tells browsers.
func (s *session) endPublication(st *stream, reason Reason) {
	s.emitDestroyed(st, reason)
	for _, sub := range s.takePublication(st, reason) {
		s.endSubscription(sub, reason)
	}
}

// later runs f on the connection's media goroutine.
func (c *Connection) later(f func()) {
	if err := c.work.Post(f); err != nil {
		c.log.Error("media goroutine refused work", obs.AttrErr, err)
	}
}

// Unpublish ends the connection's own stream.
func (c *Connection) Unpublish(ctx context.Context, reply func(any)) error {
	return c.do(ctx, func() error {
		if err := c.may("unpublishVideo", auth.Target{Own: true}); err != nil {
			return err
		}
		if c.pub == nil || !c.pub.published {
			return errf(CodeUserNotStreaming, ErrStreamNotFound, "connection %s is not publishing", c.id)
		}
		c.s.endPublication(c.pub, ReasonUnpublish)
		n := notification("participantUnpublished", paramsGone{c.id, c.id, ReasonUnpublish})
		for _, o := range slices.Clone(c.s.conns) {
			if o == c {
				reply(Empty{})
			} else {
				o.send(n)
			}
		}
		return nil
	})
}

// ForceUnpublish ends a stream at a moderator's wish.
func (c *Connection) ForceUnpublish(ctx context.Context, streamID string, reply func(any)) error {
	return c.do(ctx, func() error {
		st, err := c.s.find(streamID)
		own := st != nil && st.owner == c
		if denied := c.may("forceUnpublish", auth.Target{Own: own}); denied != nil {
			return denied
		}
		if err != nil {
			return err
		}
		reply(Empty{})
		c.s.forceUnpublish(st, ReasonForceUnpublishUser)
		return nil
	})
}

// forceUnpublish ends a stream and tells everybody, its publisher included.
func (s *session) forceUnpublish(st *stream, reason Reason) {
	id := st.owner.id
	s.endPublication(st, reason)
	notify(s.conns, notification("participantUnpublished", paramsGone{id, id, reason}))
}

// find gives a published stream by its id: CodeUserNotFound when its connection
// is not in the session, CodeUserNotStreaming when that does not publish it.
func (s *session) find(streamID string) (*stream, error) {
	if st := s.streams[streamID]; st != nil {
		return st, nil
	}
	id, ok := auth.ConnectionOfStream(streamID)
	if !ok || s.byID[id] == nil || s.byID[id].hidden {
		return nil, errf(CodeUserNotFound, ErrStreamNotFound, "no connection with stream %s in session %s", short(streamID), s.id)
	}
	return nil, errf(CodeUserNotStreaming, ErrStreamNotFound, "connection %s is not publishing stream %s", id, short(streamID))
}

// short cuts a remote string for an error text.
func short(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}
