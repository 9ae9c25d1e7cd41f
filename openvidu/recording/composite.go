package recording

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/studio"
)

// composite is the one file of a composed recording: a view of the session's
// studio, or a page, and a recorder on the media node. Begin runs once, end may be
// called more than once; later calls wait for the first.
type composite struct {
	active *active
	file   string

	begun     chan struct{} // closed when begin has returned
	recording chan struct{} // closed by the first Recording event
	ended     chan struct{} // closed when end has done its work
	onceRec   sync.Once
	onceEnd   sync.Once
	// turn is the right to pause, go on or stop: one holder.
	turn chan struct{}

	// begin sets these; others read them when begun is closed.
	studio  place
	view    *studio.View // nil for a page
	picture picture
	rec     client.ID

	mu      sync.Mutex // leaf: below
	cancels []func()
	meta    fileMeta
	failure string
	failed  chan struct{} // closed with the first failure
	paused  bool
	still   int  // measurements in a row that found the file no larger
	over    bool // it is stopping: no more changes
}

// picture is what is recorded: an element with AUDIO and VIDEO to connect.
type picture interface {
	ID() client.ID
	Close(ctx context.Context) error
}

func newComposite(a *active) *composite {
	m := a.snapshot()
	c := &composite{
		active: a, file: m.composedFile(),
		begun: make(chan struct{}), recording: make(chan struct{}), ended: make(chan struct{}), failed: make(chan struct{}),
		turn: make(chan struct{}, 1),
	}
	c.meta = fileMeta{Name: c.file, StartTime: time.Now().UnixMilli(), HasAudio: m.HasAudio, HasVideo: m.HasVideo}
	return c
}

// composed says whether the recording is one file of everybody.
func (m *metadata) composed() bool {
	return openvidu.RecordingProperties{OutputMode: m.OutputMode}.Composed()
}

// composedFile is the name of that file (§7.4).
func (m *metadata) composedFile() string {
	if m.HasVideo {
		return m.Name + ".mp4"
	}
	return m.Name + ".webm"
}

// profile is the RecorderEndpoint's.
func (c *composite) profile() string {
	switch p := c.active.props; {
	case !p.HasVideo:
		return "WEBM_AUDIO_ONLY"
	case !p.HasAudio:
		return "MP4_VIDEO_ONLY"
	}
	return "MP4"
}

// begin composes the session and records it; it returns when the recorder reports
// that it records. What it made is released by end.
func (c *composite) begin(ctx context.Context, target openvidu.RecordingTarget) (err error) {
	defer close(c.begun)
	s := c.active.service
	if s.opts.Studios == nil {
		return &startFailure{"this server does not compose recordings, use outputMode INDIVIDUAL"}
	}
	if err := c.open(ctx, target); err != nil {
		return err
	}
	media := c.studio.Media()
	uri := url.URL{Scheme: "file", Path: filepath.Join(s.store.dir, c.active.snapshot().ID, c.file)}
	c.rec, err = media.Create(ctx, "RecorderEndpoint", map[string]any{
		"mediaPipeline": c.studio.Pipeline(), "uri": uri.String(), "mediaProfile": c.profile(),
	})
	if err != nil {
		return fmt.Errorf("create recorder: %w", err)
	}
	if err := c.subscribe(ctx, media); err != nil {
		return err
	}
	for _, kind := range c.kinds() {
		if err := media.Invoke(ctx, c.picture.ID(), "connect", connectParams{c.rec, kind}, nil); err != nil {
			return fmt.Errorf("connect the composed %s to the recorder: %w", strings.ToLower(kind), err)
		}
	}
	if err := media.Invoke(ctx, c.rec, "record", nil, nil); err != nil {
		return fmt.Errorf("start recorder: %w", err)
	}
	return c.await(ctx)
}

// open makes the picture: a page when the layout is one, else a view.
func (c *composite) open(ctx context.Context, target openvidu.RecordingTarget) error {
	s, p := c.active.service, c.active.props
	spec, err := s.opts.Studios.Resolve(cmp.Or(p.RecordingLayout, layout.BestFit), p.CustomLayout)
	if !p.HasVideo {
		spec, err = layout.Spec{}, nil // nobody sees it
	}
	var width, height int
	if p.HasVideo {
		if _, scanErr := fmt.Sscanf(p.Resolution, "%dx%d", &width, &height); scanErr != nil {
			return &startFailure{"resolution is not WIDTHxHEIGHT"}
		}
	}
	if page, ok := errors.AsType[*studio.Page](err); ok && s.opts.Pages != nil {
		return c.openPage(ctx, target, page, width, height)
	}
	if err != nil {
		return err
	}
	stage, err := s.opts.Studios.Open(ctx, target)
	if err != nil {
		return err
	}
	c.studio = stage
	c.view, err = stage.NewView(ctx, studio.ViewSpec{
		Width: width, Height: height, FrameRate: p.FrameRate, HasAudio: p.HasAudio, HasVideo: p.HasVideo, Layout: spec,
	})
	if err == nil {
		c.picture = c.view
	}
	return err
}

func (c *composite) kinds() (out []string) {
	if c.active.props.HasAudio {
		out = append(out, "AUDIO")
	}
	if c.active.props.HasVideo {
		out = append(out, "VIDEO")
	}
	return out
}

// subscribe listens before record() is called, so that nothing is missed.
func (c *composite) subscribe(ctx context.Context, media client.Client) error {
	for _, s := range []struct {
		of    client.ID
		event string
		f     func(json.RawMessage)
	}{
		{c.rec, "Recording", func(json.RawMessage) { c.onceRec.Do(func() { close(c.recording) }) }},
		{c.rec, "Error", c.onError},
		{c.picture.ID(), "Error", c.onWorker},
	} {
		cancel, err := media.Subscribe(ctx, s.of, s.event, s.f)
		if err != nil {
			return fmt.Errorf("subscribe to %s of %s: %w", s.event, s.of, err)
		}
		c.mu.Lock()
		c.cancels = append(c.cancels, cancel)
		c.mu.Unlock()
	}
	return nil
}

// onError takes the recorder's Error event. STREAM_ERROR_FAILED is about one kind
// of media, and the recorder goes on with the other; all else is the recording's end.
func (c *composite) onError(data json.RawMessage) {
	var e struct{ Type, Description string }
	_ = json.Unmarshal(data, &e) // a text is welcome, its absence tells enough
	c.active.log.Warn("recorder reports an error", "type", obs.Quote(e.Type), obs.AttrErr, obs.Quote(e.Description))
	switch e.Type {
	case "STREAM_ERROR_FAILED":
		c.active.update(func(m *metadata) { m.Incomplete = true })
		return
	case "RESOURCE_ERROR_NO_SPACE_LEFT":
		c.fail("the disk is full")
	case "RESOURCE_ERROR_OPEN":
		c.fail("the file could not be made")
	case "RESOURCE_ERROR_WRITE":
		c.fail("the file could not be written")
	default:
		c.fail("the recorder failed")
	}
	c.active.service.stopFor(c.active, openvidu.ReasonAutomaticStop, "recorder has failed")
}

// eventWorker is in a recording's log when the process that composes ended.
const eventWorker = "workerRestarted"

// eventPictures follows when all who were in the picture are back in it.
const eventPictures = "picturesBack"

// onWorker takes the picture's Error event: its worker ended, and as a rule another
// one takes over. When none does, the file stops growing, which tick notices.
func (c *composite) onWorker(data json.RawMessage) {
	var e struct{ Type, Description string }
	if json.Unmarshal(data, &e) != nil || e.Type != "UNEXPECTED_ELEMENT_ERROR" || !strings.HasPrefix(e.Description, "The media worker of ") {
		return // it goes on
	}
	at := time.Now()
	c.active.happened(proof.Event{At: at.UnixMilli(), Event: eventWorker, File: c.file})
	c.active.service.spawn("recording.worker", func() { c.awaitPictures(at) })
}

const (
	// picturesMost is how long pictures are waited for after a worker has ended: a
	// publisher that sends none by then has left, or will be a while.
	picturesMost = 10 * time.Second
	picturesPoll = 100 * time.Millisecond
)

// awaitPictures notes when everybody is to be seen again in place of the avatar,
// after the worker ended at a time: up to then a new one waits for keyframes.
func (c *composite) awaitPictures(at time.Time) {
	tick := time.NewTicker(picturesPoll)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(c.active.service.ctx, picturesMost)
	defer cancel()
	for absent := time.Duration(0); ; {
		select {
		case <-tick.C:
		case <-c.ended:
			return
		case <-ctx.Done():
			return
		}
		if c.view != nil {
			tiles, err := c.view.Tiles(ctx)
			if err != nil || slices.ContainsFunc(tiles, func(t studio.Tile) bool { return t.AbsentMs < 0 }) {
				continue
			}
			for _, t := range tiles {
				absent = max(absent, time.Duration(t.AbsentMs)*time.Millisecond)
			}
		}
		c.active.happened(proof.Event{At: at.Add(absent).UnixMilli(), Event: eventPictures, File: c.file})
		return
	}
}

// fail notes the first failure.
func (c *composite) fail(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == "" {
		c.failure = text
		close(c.failed)
	}
}

// await waits for the recorder to report that it records.
func (c *composite) await(ctx context.Context) error {
	select {
	case <-c.recording:
		return nil
	case <-c.failed:
		return &startFailure{c.describe().Failure}
	case <-ctx.Done():
		return &startFailure{"the recorder did not start in time"}
	}
}

// end stops the recorder, waits for its file to be final and gives everything back.
func (c *composite) end(ctx context.Context) {
	c.onceEnd.Do(func() {
		defer close(c.ended)
		<-c.begun
		c.mu.Lock()
		c.over = true
		c.meta.EndTime = time.Now().UnixMilli()
		c.mu.Unlock()
		if c.studio == nil {
			return
		}
		c.finishFile(ctx)
		c.release(ctx)
	})
	select {
	case <-c.ended:
	case <-ctx.Done():
	}
}

func (c *composite) finishFile(ctx context.Context) {
	if c.rec == "" || c.studio.Lost() {
		return
	}
	s := c.active.service
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.StopTimeout)
	defer cancel()
	// Missing streams are asked for here: the studio forgets them with the last view.
	if len(c.studio.Missing()) > 0 {
		c.active.update(func(m *metadata) { m.Incomplete = true })
	}
	c.awaitMedia(ctx)
	if err := c.studio.Media().Invoke(ctx, c.rec, "stopAndWait", nil, nil); err != nil {
		c.active.log.Info("recorder could not be stopped by hand", obs.AttrErr, err)
	}
	id := c.active.snapshot().ID
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		side, err := s.store.readSidecar(id, c.file)
		if err == nil && side.closed() {
			return
		}
		if err != nil && !s.store.exists(filepath.Join(id, c.file+partSuffix)) {
			return // nothing was ever written
		}
		select {
		case <-ctx.Done():
			c.fail("the file was not final in time")
			return
		case <-tick.C:
		}
	}
}

const (
	// mediaMost is how long a recording that is stopped at once is waited for to have
	// its first picture: a view makes some from its start on, whoever is in it, but
	// a worker has to be started for that.
	mediaMost = 3 * time.Second
	mediaPoll = 20 * time.Millisecond
)

// awaitMedia waits until something is in the file: what is stopped right after its
// start is a short recording, and not a failed one.
func (c *composite) awaitMedia(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, mediaMost)
	defer cancel()
	tick := time.NewTicker(mediaPoll)
	defer tick.Stop()
	id := c.active.snapshot().ID
	for {
		if side, err := c.active.service.store.readSidecar(id, c.file); err == nil && (side.Clock != nil || side.closed()) {
			return
		}
		select {
		case <-tick.C:
		case <-c.failed:
			return
		case <-ctx.Done():
			return
		}
	}
}

// release frees the node's objects, the source last.
func (c *composite) release(ctx context.Context) {
	c.mu.Lock()
	cancels := c.cancels
	c.cancels = nil
	c.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.active.service.opts.StopTimeout)
	defer cancel()
	var err error
	if c.rec != "" && !c.studio.Lost() {
		err = c.studio.Media().Release(ctx, c.rec)
	}
	if c.picture != nil {
		err = errors.Join(err, c.picture.Close(ctx))
	}
	if err = errors.Join(err, c.studio.Close(ctx)); err != nil {
		c.active.log.Info("composed recording could not be released", obs.AttrErr, err)
	}
}

// describe is the file's metadata as of now.
func (c *composite) describe() fileMeta {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.meta
	m.Failure = c.failure
	return m
}

// stillMost is how many measurements (see Options.SaveInterval) a running file may
// stay as it is: composing goes on without publishers too, so it has ended for good.
const stillMost = 3

// grown notes the size of the file.
func (c *composite) grown(size int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.still++
	if size > c.meta.Size || c.paused {
		c.still = 0
	}
	c.meta.Size = size
}

func (c *composite) stalled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.still >= stillMost
}
