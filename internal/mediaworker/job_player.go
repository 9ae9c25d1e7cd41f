//go:build gst

package mediaworker

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers/wire"
)

const (
	// prerollTime is how long a file that comes at once may take to show its
	// streams.
	prerollTime = 20 * time.Second
	// settleTime is how long a sink may wait for its first frame while others have
	// theirs.
	settleTime = 3 * time.Second
	// maxTracks bounds the streams of a file that are looked at.
	maxTracks = 64
)

// playerJob takes a container file apart and sends one picture stream and one of
// sound in the time they play in. Its pipeline is its own, since it pauses and
// seeks; running time is what GStreamer makes of that.
//
// Calls: open {mode, size} with a descriptor (mode file: the file; read: a
// socket that is asked for ranges; pipe: the bytes, once), play, pause,
// seek {ms}, position → {ms}. Events: ready {seekable, fromMs, toMs,
// durationMs}, once; EventStream per stream, EventEnd "" at the end,
// EventError INVALID_MEDIA or INVALID_URI.
type playerJob struct {
	w      *worker
	pipe   *gst.Pipeline
	source *os.File
	ranges *ranges
	timer  *time.Timer

	// Of the owner.
	playing bool // what the server wants
	ready   bool
	shown   time.Time // when every stream had shown what it is
	over    bool      // end or failure was told

	mu        sync.Mutex // of the threads that find and send streams
	tracks    map[string]*playerTrack
	seen      int
	undecided int // streams that have shown no frame yet
	closing   bool
}

func newPlayer(w *worker, _ json.RawMessage) (job, error) {
	gst.NoAddresses() // for good: a process does one job
	return &playerJob{w: w, playing: true, tracks: map[string]*playerTrack{}}, nil
}

type playerOpen struct {
	Mode string `json:"mode"`
	Size int64  `json:"size"`
}

type playerPosition struct {
	Ms int64 `json:"ms"`
}

type playerReady struct {
	Seekable   bool  `json:"seekable"`
	FromMs     int64 `json:"fromMs"`
	ToMs       int64 `json:"toMs"`
	DurationMs int64 `json:"durationMs"`
}

func (j *playerJob) addInput(in *input) error {
	return kerr.New(kerr.MediaObjectIllegalParam, "A player has no input '%s'", in.params.Name)
}

func (j *playerJob) removeInput(*input) {}

func (j *playerJob) call(method string, params json.RawMessage, files []*os.File) (any, error) {
	if method == "open" {
		var p playerOpen
		if err := decodeParams(params, &p); err != nil || len(files) != 1 || j.pipe != nil {
			closeAll(files)
			if err == nil {
				err = kerr.New(kerr.MediaObjectIllegalParam, "open takes one descriptor, once")
			}
			return nil, err
		}
		j.source = files[0]
		return nil, j.open(p)
	}
	closeAll(files)
	if j.pipe == nil || j.over {
		return nil, kerr.New(kerr.MediaObjectOperationNotSupported, "Nothing is played")
	}
	switch method {
	case "play", "pause":
		j.playing = method == "play"
		return nil, j.obey()
	case "seek":
		var p playerPosition
		if err := decodeParams(params, &p); err != nil {
			return nil, err
		}
		_, to, ok := j.pipe.Seekable()
		at := time.Duration(p.Ms) * time.Millisecond
		if !j.ready || !ok || p.Ms < 0 || to > 0 && at > to {
			return nil, kerr.New(kerr.PlayerSeekFail, "Seek to %v fails: the file can be sought in %v, up to %v", at, ok, to)
		}
		j.forget()
		// One sink is enough: what it asks for flushes all of them. The pipeline
		// would ask through each in turn, and the second can be refused.
		if !j.sink().Seek(1, gst.SeekFlush|gst.SeekKeyUnit, at, gst.Never) {
			return nil, kerr.New(kerr.PlayerSeekFail, "Seek to %v fails", at)
		}
		return nil, nil
	case "position":
		return playerPosition{max(0, j.pipe.Position()).Milliseconds()}, nil
	}
	return nil, errMethod(method)
}

// obey brings the pipeline to the wanted state once the streams are known.
func (j *playerJob) obey() error {
	if !j.ready {
		return nil
	}
	s := gst.Paused
	if j.playing {
		s = gst.Playing
	}
	return j.pipe.SetState(s)
}

// open builds the pipeline up to the first frames, at which it stops.
func (j *playerJob) open(p playerOpen) error {
	for _, e := range []string{"parsebin", "multiqueue", "fdsrc", "appsrc"} {
		if !gst.Exists(e) {
			return kerr.New(kerr.MediaObjectNotAvailable, "GStreamer has no element %s here", e)
		}
	}
	pipe, err := gst.NewPipeline("player", gst.Never)
	if err != nil {
		return err
	}
	j.pipe = pipe
	var src *gst.Element
	if p.Mode == "read" {
		if src, err = gst.Make("appsrc", "source"); err != nil {
			return err
		}
		if j.ranges, err = newRanges(j.source); err != nil {
			return err
		}
		src.ServeFrom(j.ranges, p.Size)
	} else {
		if src, err = gst.Make("fdsrc", "source"); err != nil {
			return err
		}
		if err := src.SetAll("fd", fmt.Sprint(j.source.Fd()), "blocksize", "65536"); err != nil {
			return err
		}
	}
	parse, err := gst.Make("parsebin", "parse")
	if err != nil {
		return err
	}
	queue, err := gst.Make("multiqueue", "queue")
	if err != nil {
		return err
	}
	// Enough for files that keep picture and sound two seconds apart; it grows
	// when one runs dry.
	if err := queue.SetAll("max-size-bytes", "16777216", "max-size-buffers", "0", "max-size-time", "2000000000"); err != nil {
		return err
	}
	if err := pipe.Add(src, parse, queue); err != nil {
		return err
	}
	if err := src.Link(parse); err != nil {
		return err
	}
	parse.OnPadAdded(func(pad *gst.Pad) { j.found(pad, queue) })
	j.w.every(j.prerolled)
	j.w.every(j.flush)
	j.w.start("player bus", func() { j.listen() })
	if p.Mode != "pipe" { // an upload takes the time it takes
		j.timer = time.AfterFunc(prerollTime, func() {
			j.w.post(func() {
				if !j.ready {
					j.failed("INVALID_MEDIA", "the file does not begin to play")
				}
			})
		})
	}
	if err := pipe.SetState(gst.Paused); err != nil {
		j.w.log.Debug("player does not pause", "error", err) // the bus tells why
	}
	return nil
}

// listen brings the bus's messages to the owner.
func (j *playerJob) listen() {
	for j.w.ctx.Err() == nil {
		m, ok := j.pipe.Pop(300 * time.Millisecond)
		if !ok || m.Type == "tag" || m.Type == "state-changed" && m.Source != "player" {
			continue
		}
		j.w.post(func() { j.hear(m) })
	}
}

func (j *playerJob) hear(m gst.Message) {
	switch m.Type {
	case "async-done":
		j.prerolled()
	case "eos":
		if !j.over {
			j.flush()
			j.over = true
			j.w.tell(wire.EventEnd, wire.NameData{})
		}
	case "error":
		kind, text := "INVALID_MEDIA", m.Text
		if m.Domain == gst.ResourceError && m.Source == "source" {
			kind = "INVALID_URI"
		}
		j.failed(kind, text)
	case "latency":
		j.pipe.Latency()
	case "warning":
		j.w.log.Debug("player warns", "from", m.Source, "text", m.Text, "debug", m.Debug)
	}
}

// prerolled goes on when every stream has shown what it is. parsebin shows all of
// them before the first frame leaves it.
func (j *playerJob) prerolled() {
	if j.ready || j.over {
		return
	}
	j.mu.Lock()
	n, wait := len(j.tracks), j.seen == 0 || j.undecided > 0
	j.mu.Unlock()
	if wait {
		return
	}
	if n == 0 {
		j.failed("INVALID_MEDIA", "the file has neither pictures nor sound that can be used")
		return
	}
	// Started before every sink has its first frame, one would count its time
	// from nothing. A stream that begins late is not waited for.
	if j.shown.IsZero() {
		j.shown = time.Now()
	}
	if !j.pipe.Settled(gst.Paused) && time.Since(j.shown) < settleTime {
		return // asked again at the next tick
	}
	j.ready = true
	r := playerReady{DurationMs: -1}
	if d := j.pipe.Length(); d != gst.Never {
		r.DurationMs = d.Milliseconds()
	}
	if from, to, ok := j.pipe.Seekable(); ok {
		r.Seekable, r.FromMs, r.ToMs = true, from.Milliseconds(), to.Milliseconds()
		if r.ToMs < 0 {
			r.ToMs = r.DurationMs
		}
	}
	j.w.event("ready", r)
	if err := j.obey(); err != nil {
		j.failed("INVALID_MEDIA", err.Error())
	}
}

// flush sends frames that wait for the clock when no other follows them.
func (j *playerJob) flush() {
	if !j.ready || !j.pipe.Settled(gst.Playing) {
		return
	}
	j.mu.Lock()
	tracks := slices.Collect(maps.Values(j.tracks))
	j.mu.Unlock()
	for _, t := range tracks {
		t.mu.Lock()
		t.flush()
		t.mu.Unlock()
	}
}

// sink is the one that seeks; there is one when j.ready.
func (j *playerJob) sink() *gst.Element {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t := j.tracks["video"]; t != nil {
		return t.sink
	}
	return j.tracks["audio"].sink
}

// forget drops frames that wait for the clock, before a seek.
func (j *playerJob) forget() {
	j.mu.Lock()
	tracks := slices.Collect(maps.Values(j.tracks))
	j.mu.Unlock()
	for _, t := range tracks {
		t.mu.Lock()
		t.early = nil
		t.mu.Unlock()
	}
}

// failed tells why it does not go on, once.
func (j *playerJob) failed(kind, text string) {
	if !j.over {
		j.over = true
		j.w.fail(wire.ErrorData{Type: kind, Text: text})
	}
}

func (j *playerJob) message(gst.Message) bool { return false }

func (j *playerJob) dot() string {
	if j.pipe == nil {
		return ""
	}
	return j.pipe.Dot()
}

func (j *playerJob) close() {
	if j.timer != nil {
		j.timer.Stop()
	}
	j.mu.Lock()
	j.closing = true
	for _, t := range j.tracks {
		t.end()
	}
	j.mu.Unlock()
	if j.ranges != nil {
		j.ranges.close() // ends a read that GStreamer's thread is in
	}
	if j.pipe != nil {
		_ = j.pipe.SetState(gst.Null)
	}
	if j.source != nil {
		_ = j.source.Close()
	}
}
