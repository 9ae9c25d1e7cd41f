package recording

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
)

// take is one file: one stream from its publishing, or from the start of the
// recording, to its end. Its methods begin and end may run on different
// goroutines; end waits for begin.
type take struct {
	active *active
	stream openvidu.StreamInfo
	name   string // of the take; the file's without extension
	file   string
	audio  bool
	video  bool

	begun     chan struct{} // closed when begin has returned
	recording chan struct{} // closed by the first Recording event
	ended     chan struct{} // closed when end has done its work
	onceRec   sync.Once

	stopping bool // under active.mu

	mu      sync.Mutex // leaf: below
	rec     client.ID
	cancels []func()
	meta    fileMeta
	failure string
	failed  chan struct{} // closed with the first failure
}

func newTake(a *active, s openvidu.StreamInfo, name string) *take {
	t := &take{
		active: a, stream: s, name: name,
		audio: s.HasAudio && a.props.HasAudio, video: s.HasVideo && a.props.HasVideo,
		begun: make(chan struct{}), recording: make(chan struct{}), ended: make(chan struct{}), failed: make(chan struct{}),
	}
	t.file = name + t.extension()
	t.meta = fileMeta{
		Name: t.file, ConnectionID: s.ConnectionID, StreamID: s.StreamID, ClientData: s.ClientData, ServerData: s.ServerData,
		StartTime: time.Now().UnixMilli(), HasAudio: t.audio, HasVideo: t.video,
	}
	if t.video {
		t.meta.TypeOfVideo = s.TypeOfVideo
	}
	return t
}

// extension is .webm for what WebM can hold, .mkv for H264 (amendments 12).
func (t *take) extension() string {
	if t.video && strings.EqualFold(t.stream.VideoCodec, "H264") {
		return ".mkv"
	}
	return ".webm"
}

// profile is the RecorderEndpoint's. One with two kinds waits for both, so a
// stream without one of them must not ask for it.
func (t *take) profile() string {
	p := "WEBM"
	if t.extension() == ".mkv" {
		p = "MKV"
	}
	switch {
	case !t.audio:
		p += "_VIDEO_ONLY"
	case !t.video:
		p += "_AUDIO_ONLY"
	}
	return p
}

// begin writes the take's metadata and then has the media node record. When it
// fails, what it made on the node is released again.
func (t *take) begin(ctx context.Context) (err error) {
	defer close(t.begun)
	defer func() {
		if err != nil {
			t.fail(err.Error())
			t.releaseRecorder(ctx)
		}
	}()
	s := t.active.service
	id := t.active.snapshot().ID
	if err := s.store.writeJSON(takePath(id, t.name), t.describe()); err != nil {
		return err
	}
	media := t.stream.Media
	if media == nil {
		return errors.New("stream has no media node")
	}
	uri := url.URL{Scheme: "file", Path: filepath.Join(s.store.dir, id, t.file)}
	rec, err := media.Create(ctx, "RecorderEndpoint", struct {
		MediaPipeline client.ID `json:"mediaPipeline"`
		URI           string    `json:"uri"`
		MediaProfile  string    `json:"mediaProfile"`
	}{t.stream.Pipeline, uri.String(), t.profile()})
	if err != nil {
		return fmt.Errorf("create recorder: %w", err)
	}
	t.mu.Lock()
	t.rec = rec
	t.mu.Unlock()
	if err := t.subscribe(ctx, media, rec); err != nil {
		return err
	}
	for _, params := range t.links(rec) {
		if err := media.Invoke(ctx, t.stream.Endpoint, "connect", params, nil); err != nil {
			return fmt.Errorf("connect stream to recorder: %w", err)
		}
	}
	if err := media.Invoke(ctx, rec, "record", nil, nil); err != nil {
		return fmt.Errorf("start recorder: %w", err)
	}
	t.active.happened(proof.Event{Event: "streamJoined", Stream: t.stream.StreamID, File: t.file})
	return nil
}

// subscribe listens before record() is called, so that nothing is missed.
func (t *take) subscribe(ctx context.Context, media client.Client, rec client.ID) error {
	for event, f := range map[string]func(json.RawMessage){
		"Recording": func(json.RawMessage) { t.onceRec.Do(func() { close(t.recording) }) },
		"Error":     t.onError,
	} {
		cancel, err := media.Subscribe(ctx, rec, event, f)
		if err != nil {
			return fmt.Errorf("subscribe to recorder: %w", err)
		}
		t.mu.Lock()
		t.cancels = append(t.cancels, cancel)
		t.mu.Unlock()
	}
	return nil
}

// onError takes the recorder's Error event. STREAM_ERROR_FAILED is about one kind
// of media, and the recorder goes on with the other; all else is its end.
func (t *take) onError(data json.RawMessage) {
	var e struct{ Type, Description string }
	_ = json.Unmarshal(data, &e) // a text is welcome, its absence tells enough
	e.Description = cmp.Or(e.Description, "recorder failed")
	if e.Type != "STREAM_ERROR_FAILED" {
		t.fail(e.Description)
		return
	}
	t.active.update(func(m *metadata) { m.Incomplete = true })
	t.active.log.Warn("a stream is recorded in part", obs.AttrStream, t.stream.StreamID, obs.AttrErr, obs.Quote(e.Description))
}

type connectParams struct {
	Sink      client.ID `json:"sink"`
	MediaType string    `json:"mediaType,omitempty"`
}

// links are the connections from the publisher to the recorder.
func (t *take) links(rec client.ID) []connectParams {
	var out []connectParams
	if t.audio {
		out = append(out, connectParams{rec, "AUDIO"})
	}
	if t.video {
		out = append(out, connectParams{rec, "VIDEO"})
	}
	return out
}

// fail notes the first failure.
func (t *take) fail(text string) {
	t.mu.Lock()
	first := t.failure == ""
	if first {
		t.failure = text
		close(t.failed)
	}
	t.mu.Unlock()
	if first {
		t.active.log.Warn("recording of a stream failed", obs.AttrStream, t.stream.StreamID, obs.AttrErr, obs.Quote(text))
		t.active.happened(proof.Event{Event: "failed", Stream: t.stream.StreamID, File: t.file, Detail: text})
	}
}

// awaitRecording waits for the recorder to report that it records.
func (t *take) awaitRecording(ctx context.Context) error {
	select {
	case <-t.recording:
		return nil
	case <-t.failed:
		return errors.New("a recorder failed")
	case <-ctx.Done():
		return errors.New("a recorder did not start in time")
	}
}

// end stops the recorder and waits for its file to be final. It is safe to call
// more than once: later calls wait for the first.
func (t *take) end(ctx context.Context) {
	t.active.mu.Lock()
	first := !t.stopping
	t.stopping = true
	t.active.mu.Unlock()
	if !first {
		select {
		case <-t.ended:
		case <-ctx.Done():
		}
		return
	}
	defer close(t.ended)
	<-t.begun // bounded by the contexts of begin
	t.mu.Lock()
	rec := t.rec
	t.meta.EndTime = time.Now().UnixMilli()
	t.mu.Unlock()
	if rec == "" {
		return
	}
	t.active.happened(proof.Event{Event: "streamLeft", Stream: t.stream.StreamID, File: t.file})
	stopCtx, cancel := context.WithTimeout(ctx, t.active.service.opts.StopTimeout)
	defer cancel()
	if err := t.stream.Media.Invoke(stopCtx, rec, "stopAndWait", nil, nil); err != nil {
		// The node releases recorders with their pipeline and finishes their files;
		// what became of this one stands in its sidecar.
		t.active.log.Info("recorder could not be stopped by hand", obs.AttrStream, t.stream.StreamID, obs.AttrErr, err)
	}
	t.awaitFile(stopCtx)
	t.releaseRecorder(ctx)
	if err := t.active.service.store.writeJSON(takePath(t.active.snapshot().ID, t.name), t.describe()); err != nil {
		t.active.log.Warn("stream metadata could not be written", obs.AttrStream, t.stream.StreamID, obs.AttrErr, err)
	}
}

// awaitFile waits until the recorder's sidecar says that it is done with the file.
func (t *take) awaitFile(ctx context.Context) {
	id := t.active.snapshot().ID
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := t.active.service.store.readSidecar(id, t.file)
		if err == nil && c.closed() {
			t.mu.Lock()
			t.meta.Size = c.Size
			t.mu.Unlock()
			return
		}
		if err != nil && !t.active.service.store.exists(filepath.Join(id, t.file+partSuffix)) {
			return // nothing was ever written
		}
		select {
		case <-ctx.Done():
			t.fail("file was not final in time")
			return
		case <-tick.C:
		}
	}
}

// releaseRecorder frees the node's object and its subscriptions.
func (t *take) releaseRecorder(ctx context.Context) {
	t.mu.Lock()
	rec, cancels := t.rec, t.cancels
	t.cancels = nil
	t.mu.Unlock()
	for _, cancel := range cancels {
		cancel()
	}
	if rec == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.active.service.opts.StopTimeout)
	defer cancel()
	if err := t.stream.Media.Release(ctx, rec); err != nil {
		t.active.log.Info("recorder could not be released", obs.AttrStream, t.stream.StreamID, obs.AttrErr, err)
	}
}

// describe is the take's metadata as of now.
func (t *take) describe() fileMeta {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.meta
	m.Failure = t.failure
	return m
}
