package broadcast

import (
	"context"
	"errors"
	"log/slog"
	"path"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/events"
	"github.com/govidu/govidu/openvidu/studio"
)

// folder holds the recorded HLS broadcasts, below the recordings folder. Without
// metadata of a recording it is none.
const folder = "broadcasts"

// active is a broadcast that starts, is on, or ends.
type active struct {
	service *Service
	log     *slog.Logger
	id      string
	target  openvidu.RecordingTarget
	spec    Spec
	born    time.Time

	// abort ends a start that waits; decided is closed when the start has succeeded
	// or failed, ended when nothing of the broadcast is left.
	aborted        context.Context
	abort          context.CancelFunc
	decided, ended chan struct{}

	// The starting goroutine makes these, finish frees them after decided.
	studio   Studio
	picture  View
	endpoint *endpoint
	marked   bool

	mu      sync.Mutex // leaf: everything below
	started time.Time  // zero until the target took the stream
	status  Status
	since   time.Time
	retries int
	url     string // of the playlist
	ending  bool
}

func newActive(s *Service, id string, t openvidu.RecordingTarget, spec Spec) *active {
	a := &active{
		service: s, id: id, target: t, spec: spec, born: time.Now(), log: s.log.With(obs.AttrSession, t.SessionID, "broadcast", id),
		decided: make(chan struct{}), ended: make(chan struct{}), status: Starting, since: time.Now(),
	}
	a.aborted, a.abort = context.WithCancel(context.Background())
	return a
}

// start makes the chain from the studio to the target. Whatever it leaves when it
// fails is freed before it returns.
func (a *active) start(ctx context.Context) (err error) {
	ok := false
	defer func() { // also after a panic
		close(a.decided)
		if !ok {
			a.free()
			a.service.forget(a)
			close(a.ended)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, a.service.opts.StartTimeout)
	defer cancel()
	defer context.AfterFunc(a.aborted, cancel)()
	if err := a.build(ctx); err != nil {
		if a.aborted.Err() != nil {
			return &StartError{"it was stopped while it started"}
		}
		return a.startError(err)
	}
	ok = true
	at := time.Now()
	a.mu.Lock()
	a.started = at
	if a.status == Starting {
		a.status, a.since = Connected, at
	}
	a.mu.Unlock()
	a.emit(events.NameBroadcastStarted, events.BroadcastStarted{Common: a.common(at), Broadcast: events.Broadcast{BroadcastURL: a.address()}})
	a.log.Info("broadcast started", "output", a.spec.Output, "name", a.spec.Name, "took", time.Since(a.born))
	return nil
}

func (a *active) build(ctx context.Context) (err error) {
	if a.studio, err = a.service.opts.Studios.Open(ctx, a.target); err != nil {
		return err
	}
	if a.picture, err = a.studio.NewView(ctx, studio.ViewSpec{
		Width: a.spec.Width, Height: a.spec.Height, FrameRate: a.spec.FrameRate,
		HasAudio: a.spec.HasAudio, HasVideo: a.spec.HasVideo, Layout: a.spec.Layout,
	}); err != nil {
		return err
	}
	if a.endpoint, err = a.open(ctx); err != nil {
		return err
	}
	if err := a.endpoint.begin(ctx, a.picture.ID(), a.spec); err != nil {
		return err
	}
	if a.spec.Output == HLS {
		p, err := a.endpoint.path(ctx)
		if err != nil {
			return err
		}
		a.mu.Lock()
		a.url = a.service.opts.PublicURL + "/openvidu" + p
		a.mu.Unlock()
	}
	if err := a.service.opts.Rooms.SetBroadcasting(ctx, a.target.SessionID, openvidu.BroadcastMark{ID: a.id, On: true}); err != nil {
		return err
	}
	a.marked = true
	return nil
}

// startError gives a failure in the words of the API. What studio and rooms refuse
// is written for callers; the rest is told in our own words.
func (a *active) startError(err error) error {
	a.log.Warn("broadcast could not be started", obs.AttrErr, obs.Quote(redactText(err.Error(), a.spec.Target)))
	if e, ok := errors.AsType[*StartError](err); ok {
		return &StartError{redactText(e.Text, a.spec.Target)}
	}
	for _, known := range []error{openvidu.ErrSessionNotFound, openvidu.ErrSessionClosing} {
		if errors.Is(err, known) {
			return openvidu.ErrSessionNotFound
		}
	}
	switch r := refusal(err); {
	case errors.Is(r, ErrNoCapacity), errors.Is(r, ErrLayout):
		return r
	case errors.Is(err, context.DeadlineExceeded):
		return &StartError{"the target does not answer"}
	}
	if e, ok := errors.AsType[*studio.Error](err); ok {
		return &StartError{e.Text}
	}
	return &StartError{"the session could not be broadcast"}
}

// refusal turns an error of the studio into one of ours; nil stays nil.
func refusal(err error) error {
	e, ok := errors.AsType[*studio.Error](err)
	if !ok {
		return err
	}
	kind, text := openvidu.ErrMedia, e.Text
	switch {
	case errors.Is(e, studio.ErrPage):
		kind, text = ErrLayout, "the customLayout is a web page: those are recorded, not broadcast; use a layout.json"
	case errors.Is(e, studio.ErrNoCapacity):
		kind = ErrNoCapacity
	case errors.Is(e, studio.ErrLayout):
		kind = ErrLayout
	}
	return &openvidu.Error{Code: openvidu.CodeMediaGeneric, Text: text, Kind: kind}
}

// finish ends the broadcast for the reason and returns when it has ended; a start
// under way is aborted. Whoever comes later waits only.
func (a *active) finish(reason openvidu.Reason) {
	a.abort()
	<-a.decided
	a.mu.Lock()
	mine := !a.ending && !a.started.IsZero()
	a.ending = true
	a.mu.Unlock()
	if !mine {
		<-a.ended
		return
	}
	defer close(a.ended)
	defer a.service.forget(a)
	defer a.free() // also after a panic; free twice does nothing
	a.free()
	at := time.Now()
	a.emit(events.NameBroadcastStopped, events.BroadcastStopped{
		Common: a.common(at), Broadcast: events.Broadcast{BroadcastURL: a.address()},
		Ending: events.Ending{StartTime: a.started.UnixMilli(), Duration: int64(at.Sub(a.started) / time.Second), Reason: string(reason)},
	})
	a.log.Info("broadcast stopped", "reason", string(reason), "retries", a.view().Retries)
}

// free lets go of everything on the media node, the last first, and tells the
// session. Called by one goroutine at a time, after decided.
func (a *active) free() {
	ctx, cancel := context.WithTimeout(context.Background(), a.service.opts.StopTimeout)
	defer cancel()
	if a.endpoint != nil {
		a.endpoint.end(ctx)
		a.endpoint = nil
	}
	if v := a.current(); v != nil {
		a.drop("view", v.Close(ctx))
		a.mu.Lock()
		a.picture = nil
		a.mu.Unlock()
	}
	if a.studio != nil {
		a.drop("studio", a.studio.Close(ctx))
		a.studio = nil
	}
	if a.marked {
		a.marked = false
		err := a.service.opts.Rooms.SetBroadcasting(ctx, a.target.SessionID, openvidu.BroadcastMark{ID: a.id})
		if !errors.Is(err, openvidu.ErrSessionNotFound) {
			a.drop("session", err)
		}
	}
}

func (a *active) drop(what string, err error) {
	if err != nil {
		a.log.Warn("broadcast could not let go", "of", what, obs.AttrErr, err)
	}
}

// current is the view of a broadcast that is on, else nil.
func (a *active) current() View {
	select {
	case <-a.decided:
	default:
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.picture
}

// moved notes what the endpoint tells of its target, and says whether that is new.
func (a *active) moved(connected bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	to := Connected
	if !connected {
		to = Reconnecting
		a.retries++
	}
	if a.status == to {
		return false
	}
	a.status, a.since = to, time.Now()
	return true
}

// address is what the events call broadcastUrl: the target, or the playlist.
func (a *active) address() string {
	if a.spec.Output == RTMP {
		return a.spec.Target.Reveal()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.url
}

func (a *active) common(at time.Time) events.Common {
	return events.Common{SessionID: a.target.SessionID, UniqueSessionID: a.target.UniqueID, Timestamp: at.UnixMilli()}
}

func (a *active) emit(name string, fields any) {
	ctx, cancel := context.WithTimeout(context.Background(), a.service.opts.StopTimeout)
	defer cancel()
	a.service.opts.Rooms.Emit(ctx, a.target.SessionID, events.Event{Name: name, SessionID: a.target.SessionID, Fields: fields})
}

// folder is where a recorded broadcast lies, below the recordings folder.
func (a *active) folder() string { return path.Join(folder, a.target.SessionID+"-"+a.id) }

// view is the broadcast as the API shows it.
func (a *active) view() Broadcast {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := Broadcast{
		ID: a.id, Object: "broadcast", Name: a.spec.Name, SessionID: a.target.SessionID, Output: a.spec.Output, Status: a.status,
		CreatedAt: a.born.UnixMilli(), Since: a.since.UnixMilli(), Retries: a.retries, HasAudio: a.spec.HasAudio, HasVideo: a.spec.HasVideo,
	}
	switch a.spec.Output {
	case RTMP:
		b.BroadcastURL = new(events.RedactURL(a.spec.Target.Reveal()))
	case HLS:
		if a.url != "" {
			b.URL = new(a.url)
		}
		if a.spec.Record {
			b.Folder = new(a.folder())
		}
	}
	if a.spec.HasVideo {
		b.Resolution, b.FrameRate, b.RecordingLayout = new(resolution(a.spec.Width, a.spec.Height)), new(a.spec.FrameRate), new(a.spec.RecordingLayout)
	}
	return b
}
