package studio

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/govidu/govidu/internal/loop"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
)

// stage is one session's Director and its ports.
type stage struct {
	service   *Service
	log       *slog.Logger
	sessionID string
	uniqueID  string
	refs      int // under Service.mu
	loop      *loop.Loop
	ready     chan struct{} // closed when the fields below or err are set for good
	err       error

	media    client.Client
	pipeline client.ID
	director client.ID

	ports map[string]*port // by stream id; of the loop

	mu      sync.Mutex        // leaf
	missing map[string]string // streams that could not be taken in, and why
}

// port is one stream's way into the Director.
type port struct {
	id       client.ID
	endpoint client.ID
}

// newStage starts a stage; its opening is the first thing its goroutine does, so
// that whatever a hook brings meanwhile comes after the snapshot it belongs behind.
func newStage(s *Service, t openvidu.RecordingTarget) *stage {
	st := &stage{
		service: s, log: s.log.With(obs.AttrSession, t.SessionID), sessionID: t.SessionID, uniqueID: t.UniqueID,
		ready: make(chan struct{}), ports: map[string]*port{}, missing: map[string]string{},
	}
	st.loop = loop.New(loop.Options{Log: st.log, Where: "openvidu.studio"})
	s.wg.Go(func() { <-st.loop.Done() })
	_ = st.loop.Post(func() { // a new loop takes it
		st.err = refuse(ErrMedia, "the studio could not be opened")
		defer func() {
			if st.err != nil {
				s.mu.Lock()
				s.forget(st)
				s.mu.Unlock()
				st.free()
			}
			close(st.ready)
		}()
		st.err = st.open(t)
	})
	return st
}

// open makes the Director and takes in the streams there are. A stream that
// cannot be taken in does not keep the others out.
func (st *stage) open(t openvidu.RecordingTarget) (err error) {
	ctx, cancel := st.deadline()
	defer cancel()
	if st.media, st.pipeline = t.Media, t.Pipeline; st.media == nil {
		if st.media, st.pipeline, err = st.service.opts.Rooms.EnsureMedia(ctx, t.SessionID); err != nil {
			return err
		}
	}
	params := map[string]any{"mediaPipeline": st.pipeline}
	if ms := st.service.opts.LatencyMs; ms > 0 {
		params["latencyMs"] = ms
	}
	if st.director, err = st.media.Create(ctx, "Director", params); err != nil {
		return st.mediaError("compose the session", err)
	}
	now, err := st.service.opts.Rooms.RecordingTarget(ctx, t.SessionID)
	if err != nil {
		return err
	}
	slices.SortStableFunc(now.Streams, func(a, b openvidu.StreamInfo) int { return cmp.Compare(a.CreatedAt, b.CreatedAt) })
	for _, info := range now.Streams {
		if err := st.join(info); st.lost() {
			return st.mediaError("compose the session", err)
		}
	}
	return nil
}

func (st *stage) deadline() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), st.service.opts.CallTimeout)
}

// dead says that a stage cannot be used: its node is gone.
func (st *stage) dead() bool {
	select {
	case <-st.ready:
		return st.lost()
	default:
		return false
	}
}

// lost says that the media node is gone. On the loop, or when the stage is ready.
func (st *stage) lost() bool {
	if st.media == nil {
		return false
	}
	select {
	case <-st.media.Lost():
		return true
	default:
		return false
	}
}

// run has f done on the stage's goroutine and waits for it, until ctx ends; f is
// done all the same then.
func (st *stage) run(ctx context.Context, f func()) {
	done := make(chan struct{})
	if err := st.loop.Post(func() { defer close(done); f() }); err != nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
		st.log.Warn("a change of streams waits for the media node")
	}
}

// join takes a stream in, or tells its port of another endpoint. On the loop.
func (st *stage) join(info openvidu.StreamInfo) (err error) {
	if st.director == "" || st.lost() {
		return refuse(ErrLost, ErrLost.Error())
	}
	ctx, cancel := st.deadline()
	defer cancel()
	p := st.ports[info.StreamID]
	fresh := p == nil
	defer func() {
		st.note(info.StreamID, err)
		if err != nil && fresh && p != nil {
			st.drop(info.StreamID, p)
		}
	}()
	if fresh {
		id, err := st.media.Create(ctx, "HubPort", map[string]any{"hub": st.director})
		if err != nil {
			return st.mediaError("take a stream in", err)
		}
		p = &port{id: id}
		st.ports[info.StreamID] = p
	}
	// Described first, so that its first picture is shown in its place.
	if err := st.describe(ctx, p, info); err != nil {
		return err
	}
	if p.endpoint == info.Endpoint {
		return nil
	}
	for _, kind := range kinds(info) {
		if err := st.media.Invoke(ctx, info.Endpoint, "connect", map[string]any{"sink": p.id, "mediaType": kind}, nil); err != nil {
			return st.mediaError("take a stream in", err)
		}
	}
	p.endpoint = info.Endpoint
	return nil
}

func kinds(info openvidu.StreamInfo) (out []string) {
	if info.HasAudio {
		out = append(out, "AUDIO")
	}
	if info.HasVideo {
		out = append(out, "VIDEO")
	}
	return out
}

// source is what a Director knows of a port.
type source struct {
	StreamID     string `json:"streamId"`
	ConnectionID string `json:"connectionId"`
	TypeOfVideo  string `json:"typeOfVideo"`
	Name         string `json:"name"`
	VideoActive  bool   `json:"videoActive"`
	AudioActive  bool   `json:"audioActive"`
}

func (st *stage) describe(ctx context.Context, p *port, info openvidu.StreamInfo) error {
	err := st.media.Invoke(ctx, st.director, "describePort", map[string]any{"port": p.id, "source": source{
		StreamID: info.StreamID, ConnectionID: info.ConnectionID, TypeOfVideo: cmp.Or(info.TypeOfVideo, "CAMERA"),
		Name:        Name(info.ClientData, info.ConnectionID),
		VideoActive: info.HasVideo && info.VideoActive, AudioActive: info.HasAudio && info.AudioActive,
	}}, nil)
	return st.mediaError("describe a stream", err)
}

// change tells the Director of a mute or unmute. On the loop.
func (st *stage) change(info openvidu.StreamInfo) {
	p := st.ports[info.StreamID]
	if p == nil || st.lost() {
		return
	}
	ctx, cancel := st.deadline()
	defer cancel()
	if err := st.describe(ctx, p, info); err != nil {
		st.log.Warn("a mute is not shown", obs.AttrStream, info.StreamID, obs.AttrErr, err)
	}
}

// leave takes a stream out. On the loop.
func (st *stage) leave(info openvidu.StreamInfo) {
	st.note(info.StreamID, nil)
	if p := st.ports[info.StreamID]; p != nil && (p.endpoint == info.Endpoint || p.endpoint == "") {
		st.drop(info.StreamID, p)
	}
}

// drop releases a port.
func (st *stage) drop(streamID string, p *port) {
	delete(st.ports, streamID)
	if st.lost() {
		return
	}
	ctx, cancel := st.deadline()
	defer cancel()
	if err := st.media.Release(ctx, p.id); err != nil {
		st.log.Warn("port could not be released", obs.AttrStream, streamID, obs.AttrErr, err)
	}
}

// note remembers that a stream is not in, and why, or forgets it.
func (st *stage) note(streamID string, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	delete(st.missing, streamID)
	if err != nil {
		st.missing[streamID] = err.Error()
		st.log.Warn("a stream is missing in the composed picture", obs.AttrStream, streamID, obs.AttrErr, err)
	}
}

func (st *stage) notIn() map[string]string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return maps.Clone(st.missing)
}

// free releases the Director; ports and views go with it. On the loop.
func (st *stage) free() {
	if st.director == "" || st.lost() {
		return
	}
	ctx, cancel := st.deadline()
	defer cancel()
	if err := st.media.Release(ctx, st.director); err != nil {
		st.log.Info("director could not be released", obs.AttrErr, err)
	}
	st.director = ""
}

// end frees the stage; it does not wait.
func (st *stage) end() {
	_ = st.loop.Post(st.free)
	st.loop.Stop()
}

// wait waits for the end of the stage's goroutine.
func (st *stage) wait(ctx context.Context) {
	select {
	case <-st.loop.Done():
	case <-ctx.Done():
	}
}
