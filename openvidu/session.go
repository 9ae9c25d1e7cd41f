package openvidu

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/govidu/govidu/internal/loop"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu/events"
)

// session is a room. Everything below loop belongs to the loop's goroutine.
type session struct {
	m         *Manager
	log       *slog.Logger
	id        string
	uniqueID  string
	props     SessionProperties // resolved: no zero values left
	createdAt time.Time
	loop      *loop.Loop
	gone      chan struct{} // closed when the session has left the Manager

	active        bool
	pending       []*pending
	conns         []*Connection // in order of joining, hidden ones included
	byID          map[string]*Connection
	streams       map[string]*stream
	recording     *RecordingMark
	broadcasts    map[string]struct{} // ids of those in progress
	everPublished bool
	closing       bool
	// emptied is the reason the last participant left while it was recorded.
	emptied Reason
	media   *roomMedia
	// speakers listens to publishers; nil until somebody asks.
	speakers *speakers
	// ranking has the ids of the published streams, who spoke last first (last-N).
	ranking []string
	// workers are the media goroutines of present and just departed connections.
	workers map[*loop.Loop]struct{}
}

func newSession(m *Manager, id string, props SessionProperties) *session {
	now := time.Now()
	s := &session{
		m: m, id: id, props: props, createdAt: now,
		uniqueID: id + "_" + strconv.FormatInt(now.UnixMilli(), 10),
		log:      m.opts.Log.With(obs.AttrSession, id),
		gone:     make(chan struct{}),
		byID:     map[string]*Connection{}, streams: map[string]*stream{}, workers: map[*loop.Loop]struct{}{},
	}
	s.loop = loop.New(loop.Options{Log: s.log, Where: "openvidu.session", OnPanic: func() { s.startClosing(ReasonNodeCrashed) }})
	return s
}

// do runs f on the session's goroutine. A closed session is CodeRoomClosed.
func (s *session) do(ctx context.Context, f func() error) error {
	var err error
	if lerr := s.loop.Do(ctx, func() { err = f() }); lerr != nil {
		return s.loopError(lerr)
	}
	return err
}

func (s *session) loopError(err error) error {
	switch {
	case errors.Is(err, loop.ErrClosed):
		return errf(CodeRoomClosed, ErrSessionNotFound, "session %s is closed", s.id)
	case errors.Is(err, loop.ErrFull):
		return errf(CodeRoomGeneric, ErrLimit, "session %s is overloaded", s.id)
	}
	return err
}

// post runs f on the session's goroutine some time later; a full mailbox is
// logged, a closed session ignored.
func (s *session) post(f func()) {
	if err := s.loop.Post(f); errors.Is(err, loop.ErrFull) {
		s.log.Error("session mailbox is full, an event is lost")
	}
}

// emit hands an event to the sink, in order.
func (s *session) emit(name string, fields any) {
	s.forward(events.Event{Name: name, SessionID: s.id, Fields: fields})
}

func (s *session) forward(e events.Event) {
	if s.m.opts.Events == nil {
		return
	}
	if err := s.m.opts.Events.Emit(context.Background(), e); err != nil {
		s.log.Error("event sink refused an event", "event", e.Name, obs.AttrErr, err)
	}
}

func (s *session) common() events.Common {
	return events.Common{SessionID: s.id, UniqueSessionID: s.uniqueID, Timestamp: time.Now().UnixMilli()}
}

func ending(start time.Time, reason Reason) events.Ending {
	return events.Ending{StartTime: start.UnixMilli(), Duration: int64(time.Since(start) / time.Second), Reason: string(reason)}
}

// real counts the participants that are neither recorder nor speech-to-text.
func (s *session) real() int {
	n := 0
	for _, c := range s.conns {
		if !c.hidden {
			n++
		}
	}
	return n
}

// others gives everybody but c, in order of joining.
func (s *session) others(c *Connection) []*Connection {
	out := make([]*Connection, 0, len(s.conns))
	for _, o := range s.conns {
		if o != c {
			out = append(out, o)
		}
	}
	return out
}

// notify sends n to each of to.
func notify(to []*Connection, n *Notification) {
	for _, c := range to {
		c.send(n)
	}
}

// codec is the codec this session forces, "" for none.
func (s *session) codec() string {
	switch s.props.ForcedVideoCodec {
	case CodecNone:
		return ""
	case CodecPreferred:
		if s.m.opts.ServerOffers {
			return "" // what mediasoup prefers
		}
		return CodecVP8 // what Kurento prefers
	}
	return s.props.ForcedVideoCodec
}

// startClosing evicts everybody for the reason and ends the session on a
// goroutine of the Manager's. Runs on the loop; a second call does nothing.
func (s *session) startClosing(reason Reason) {
	if s.closing {
		return
	}
	s.closing = true
	for _, c := range slices.Clone(s.conns) {
		s.evict(c, reason, nil)
	}
	s.speakers.end()
	s.m.closers.Go(func() { s.finish(reason) })
}

// Time limits of the steps of closing.
const (
	recorderStopTime    = 10 * time.Second
	recorderClosingTime = 15 * time.Second
	releaseTime         = 10 * time.Second
)

// finish does what takes time when a session closes: waits for media goroutines
// (and with them for each stream's recorder), stops the recording, releases the
// pipeline, voids tokens, tells sessionDestroyed last and frees the id.
func (s *session) finish(reason Reason) {
	defer obs.Guard(s.log, "openvidu.session.finish", nil)
	defer func() {
		_ = s.loop.Close()
		s.m.forget(s)
		close(s.gone)
	}()
	ctx := context.Background()
	var workers []*loop.Loop
	var tokens []*pending
	var media *roomMedia
	_ = s.loop.Do(ctx, func() {
		for w := range s.workers {
			workers = append(workers, w)
		}
		tokens, s.pending = s.pending, nil
	})
	for _, w := range workers {
		<-w.Done()
	}
	if rec := s.m.recorder(); rec != nil {
		c, cancel := context.WithTimeout(ctx, recorderClosingTime)
		func() {
			defer obs.Guard(s.log, "openvidu.recorder", nil)
			rec.SessionClosing(c, s.id, reason)
		}()
		cancel()
	}
	_ = s.loop.Do(ctx, func() { media, s.media = s.media, nil })
	if media != nil {
		c, cancel := context.WithTimeout(ctx, releaseTime)
		media.release(c, s.log)
		cancel()
	}
	for _, p := range tokens {
		s.m.voidToken(ctx, p)
	}
	_ = s.loop.Do(ctx, func() {
		if s.active {
			s.emit(events.NameSessionDestroyed, events.SessionDestroyed{Common: s.common(), Ending: ending(s.createdAt, reason)})
		}
		s.log.Info("session closed", "reason", string(reason))
	})
}

// maybeEmpty closes the session when its last participant has left, unless it is
// being recorded: then the recorder decides.
func (s *session) maybeEmpty(reason Reason) {
	if s.closing || !s.active || s.real() > 0 {
		return
	}
	reason = reason.ofSession()
	if rec := s.m.recorder(); s.recording != nil && rec != nil {
		s.emptied = reason
		rec.SessionEmpty(s.id, reason)
		return
	}
	s.startClosing(reason)
}
