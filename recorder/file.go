package recorder

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/pipeline"
)

const (
	flushEvery    = 500 * time.Millisecond
	syncEvery     = 2 * time.Second
	manifestEvery = 10 * time.Second

	// DefaultWait is how long a file waits, after its first media, for the other
	// tracks it expects, and for the sender to tell which instants its timestamps
	// are. Nothing is lost meanwhile; a track that comes later still is, with its
	// place in time.
	DefaultWait = time.Second

	// maxPending bounds the media kept in memory while a file waits.
	maxPending = 32 << 20
	// resumeWait is how long sound waits after a pause for the picture's keyframe.
	resumeWait = time.Second
)

// Options say how to write a file.
type Options struct {
	// Container is the format; Create takes it from the name's extension when empty.
	Container Container
	// Expect are the kinds of track the file waits for (at most Wait) before it
	// settles its time zero.
	Expect []pipeline.Kind
	// Epoch is the instant of PTS zero (pipeline.Epoch).
	Epoch time.Time
	// ProcessID and NodeID tell Recover whose file it is; ProcessID() when empty.
	ProcessID, NodeID string
	// Wait is DefaultWait when zero.
	Wait time.Duration
	// Log may be nil.
	Log *slog.Logger
	// wrap lets a test put a failing disk under the muxer.
	wrap func(Media) Media
}

// File is a recording being written. Write, Pause, Resume and Close may be
// called from any goroutine; Write is meant for one.
type File struct {
	root *os.Root
	name string // slash path below root
	o    Options
	disk *os.File
	log  *slog.Logger

	stop chan struct{}
	wg   sync.WaitGroup

	mu        sync.Mutex // leaf: held while writing
	mux       summingMuxer
	proof     *prover
	manifest  Manifest
	tracks    map[pipeline.Kind]*fileTrack
	pending   []*pipeline.Packet
	pendingN  int
	pendingAt time.Time
	started   bool
	dirty     bool
	zero      time.Duration // PTS of the file's zero
	cut       time.Duration // time cut out by pauses so far
	end       time.Duration // of what was written, file time
	paused    bool
	resuming  bool
	resumeAt  time.Time
	failed    error
	closed    bool

	closeOnce sync.Once
	result    Manifest
	closeErr  error
}

type fileTrack struct {
	index   int
	format  pipeline.Format
	waitKey bool
	first   time.Duration
	last    time.Duration
	end     time.Duration
	step    time.Duration
	units   int64
}

// Create begins the file name below the folder root, making both folders. name
// is a slash path that cannot leave root (os.Root). The sidecar is on disk when
// Create returns. A file of that name is replaced at Close.
func Create(root, name string, o Options) (*File, error) {
	if o.Container == "" {
		c, ok := ContainerOf(name)
		if !ok {
			return nil, fmt.Errorf("create %s: unknown extension: %w", name, ErrFormat)
		}
		o.Container = c
	}
	if o.ProcessID == "" {
		o.ProcessID = ProcessID()
	}
	if o.Wait == 0 {
		o.Wait = DefaultWait
	}
	if o.Epoch.IsZero() {
		o.Epoch = time.Now()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(root, 0o750); err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	f := &File{
		root: r, name: path.Clean(name), o: o, log: o.Log.With("file", name),
		stop: make(chan struct{}), tracks: map[pipeline.Kind]*fileTrack{},
	}
	if err := f.open(); err != nil {
		r.Close()
		return nil, fmt.Errorf("create %s: %w", name, err)
	}
	f.wg.Add(2)
	go f.flushLoop()
	go f.syncLoop()
	return f, nil
}

// PartName is what a media file is called while it is written.
func PartName(name string) string { return name + ".part" }

func (f *File) open() error {
	if dir := path.Dir(f.name); dir != "." {
		if err := f.root.MkdirAll(dir, 0o750); err != nil {
			return err
		}
	}
	if err := f.setAside(); err != nil {
		return err
	}
	part := PartName(f.name)
	disk, err := f.root.OpenFile(part, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	if err := hold(disk); err != nil { // nobody could: the name is new
		disk.Close()
		return err
	}
	now := time.Now().UnixMilli()
	f.disk = disk
	f.manifest = Manifest{
		Schema: Schema, File: path.Base(f.name), Container: f.o.Container, Status: Recording,
		ProcessID: f.o.ProcessID, NodeID: f.o.NodeID, StartTime: now, EndTime: now,
	}
	if err := saveManifest(f.root, f.name, f.manifest); err != nil {
		disk.Close()
		f.root.Remove(part)
		return err
	}
	if f.proof, err = newProver(f.root, f.name, disk, f.manifest); err != nil {
		disk.Close()
		f.root.Remove(part)
		return err
	}
	return nil
}

// setAside renames what a failed or foreign recording of this name left, so
// that it is neither lost nor in the way. One that is being written, by this
// process or another, stays.
func (f *File) setAside() error {
	part := PartName(f.name)
	if !exists(f.root, part) {
		return nil
	}
	if m, err := ReadManifest(f.root, f.name); err == nil && m.Status == Recording && m.ProcessID == f.o.ProcessID {
		return errHeld
	}
	if old, err := f.root.OpenFile(part, os.O_RDWR, 0); err == nil {
		err = hold(old)
		old.Close()
		if err != nil {
			return err
		}
	}
	for i := 1; i < 1000; i++ {
		if old := fmt.Sprintf("%s.%d", part, i); !exists(f.root, old) {
			if log := logName(f.name); exists(f.root, log) {
				if err := f.root.Rename(log, fmt.Sprintf("%s.%d", log, i)); err != nil {
					return err
				}
			}
			return f.root.Rename(part, old)
		}
	}
	return errors.New("too many unfinished files of this name")
}

// Name is the file's path below its root.
func (f *File) Name() string { return f.name }

// Write takes a unit of a track, told by its kind. Video begins at a keyframe
// with all that a decoder needs: what comes before is dropped. Errors: ErrFormat and ErrCodecChanged concern
// this track alone, others are final and come again with each call.
func (f *File) Write(p *pipeline.Packet) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return ErrClosed
	case f.failed != nil:
		return f.failed
	case !f.o.Container.Takes(p.Format):
		return fmt.Errorf("write %s to %s: %w", p.Format.Codec, f.o.Container, ErrFormat)
	case f.paused || len(p.Payload) == 0:
		return nil
	}
	if f.started {
		return f.fail(f.write(p))
	}
	if p.Format.Kind == pipeline.Video && !f.hasPending(pipeline.Video) {
		// What no track can begin with (a keyframe whose parameter sets were lost) must
		// not set the time zero: the file would begin with nothing.
		if _, ok := Describe(p); !ok {
			return nil
		}
	}
	if len(f.pending) == 0 {
		f.pendingAt = time.Now()
	}
	f.pending = append(f.pending, p)
	f.pendingN += len(p.Payload)
	if f.complete() || f.pendingN > maxPending || time.Since(f.pendingAt) >= f.o.Wait {
		return f.fail(f.start())
	}
	return nil
}

func (f *File) hasPending(k pipeline.Kind) bool {
	return slices.ContainsFunc(f.pending, func(p *pipeline.Packet) bool { return p.Format.Kind == k })
}

// complete tells whether every expected track has begun, and what was sampled
// together is known.
func (f *File) complete() bool {
	for _, k := range f.o.Expect {
		if !f.hasPending(k) {
			return false
		}
	}
	return !slices.ContainsFunc(f.pending, func(p *pipeline.Packet) bool { return !p.Fix.Known() })
}

// start settles the time zero at the earliest unit and writes what waited.
func (f *File) start() error {
	pending := f.pending
	f.pending, f.pendingN, f.started = nil, 0, true
	for i, p := range pending {
		if by := p.Fix.By(); by != 0 {
			q := *p
			q.PTS += by
			pending[i] = &q
		}
	}
	slices.SortStableFunc(pending, func(a, b *pipeline.Packet) int { return int(a.PTS - b.PTS) })
	f.zero = pending[0].PTS
	begin := f.o.Epoch.Add(f.zero)
	f.manifest.StartTime = begin.UnixMilli()
	f.manifest.EndTime = f.manifest.StartTime
	f.manifest.Clock = &proof.Clock{ZeroUs: begin.UnixMicro(), PtsUs: f.zero.Microseconds()}
	f.proof.note(proof.TypeClock, f.manifest.Clock)
	if err := saveManifest(f.root, f.name, f.manifest); err != nil {
		return err
	}
	media := Media(f.disk)
	if f.o.wrap != nil {
		media = f.o.wrap(media)
	}
	var err error
	if f.mux, err = newMuxer(f.o.Container, media, begin); err != nil {
		return err
	}
	// Tracks first, so that one header holds them all: video before audio, as players like it.
	for _, k := range []pipeline.Kind{pipeline.Video, pipeline.Audio} {
		for _, p := range pending {
			if p.Format.Kind == k && f.tracks[k] == nil {
				if _, err := f.track(p); err != nil {
					return err
				}
			}
		}
	}
	for _, p := range pending {
		if err := f.write(p); err != nil && !isTrackError(err) {
			return err
		}
	}
	return f.mux.Flush()
}

func isTrackError(err error) bool {
	return errors.Is(err, ErrFormat) || errors.Is(err, ErrCodecChanged)
}

// fail remembers an error that ends the file.
func (f *File) fail(err error) error {
	if err == nil || isTrackError(err) {
		return err
	}
	f.failed = fmt.Errorf("record %s: %w", f.name, err)
	f.log.Warn("recording failed", "err", err)
	return f.failed
}

// track finds the track of p's kind, adding it with its first usable unit; nil
// while there is none.
func (f *File) track(p *pipeline.Packet) (*fileTrack, error) {
	kind := p.Format.Kind
	t := f.tracks[kind]
	switch {
	case t == nil:
		format, ok := Describe(p)
		if !ok {
			return nil, nil
		}
		i, err := f.mux.AddTrack(format)
		if err != nil {
			return nil, err
		}
		t = &fileTrack{index: i, format: format}
		f.tracks[kind] = t
	case t.format.Codec != p.Format.Codec:
		return nil, fmt.Errorf("%s, was %s: %w", p.Format.Codec, t.format.Codec, ErrCodecChanged)
	}
	return t, nil
}

func (f *File) write(p *pipeline.Packet) error {
	t, err := f.track(p)
	if t == nil || err != nil {
		return err
	}
	if t.waitKey && !p.Key {
		return nil
	}
	if f.resuming && !f.resume(p) {
		return nil
	}
	t.waitKey = false
	at := p.PTS - f.zero - f.cut
	if t.units > 0 {
		// Containers want strictly growing times; a clock correction may step back a little.
		least := t.last + time.Millisecond
		if least-at > time.Second {
			return nil // far too late to be placed
		}
		at = max(at, least)
	} else {
		at = max(at, 0)
		t.first = at
	}
	if p.Gap && t.units > 0 && at > t.end {
		f.manifest.addGap(p.Format.Kind, t.end, at, "")
		f.proof.note(proof.TypeGap, ManifestGap{Kind: p.Format.Kind.String(), FromMs: t.end.Milliseconds(), ToMs: at.Milliseconds()})
	}
	f.proof.hear(p.Format.Kind, max(at+t.step, f.now(at)))
	u := *p
	u.PTS = at
	if t.units > 0 {
		if err := t.fill(f.mux, &u); err != nil {
			return err
		}
	}
	if err := f.mux.Write(t.index, &u); err != nil {
		return err
	}
	f.dirty = true
	if t.units > 0 && !p.Gap {
		t.step = at - t.last
	}
	length := unitLength(t.format.Codec, t.format.ClockRate, p.Payload, len(p.Payload))
	if length == 0 {
		length = min(t.step, fragmentLength)
	}
	t.last, t.units = at, t.units+1
	t.end = at + length
	f.end = max(f.end, t.end)
	return nil
}

// heardLag bounds how far a unit may be behind what comes in now.
const heardLag = 3 * time.Second

// now is the file time of this moment, when a unit of file time at is written:
// what has come in since is on its way to the file, in a jitter buffer or an encoder.
func (f *File) now(at time.Duration) time.Duration {
	return min(time.Since(f.o.Epoch)-f.zero-f.cut, at+heardLag)
}

// Pause cuts out time until Resume: nothing is written.
func (f *File) Pause() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.paused {
		f.proof.note(proof.TypeEvent, eventNote{"paused", f.end.Milliseconds()})
	}
	f.paused = true
	if !f.started && len(f.pending) > 0 {
		f.fail(f.start())
	}
}

// Resume goes on after Pause, at the next keyframe if there is a picture.
func (f *File) Resume() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.paused {
		return
	}
	f.paused = false
	f.proof.note(proof.TypeEvent, eventNote{"resumed", f.end.Milliseconds()})
	if f.started {
		f.resuming, f.resumeAt = true, time.Now()
		for k, t := range f.tracks {
			t.waitKey = k == pipeline.Video
		}
	}
}

// resume tells whether p is where the file goes on, and shifts time if so.
func (f *File) resume(p *pipeline.Packet) bool {
	if v := f.tracks[pipeline.Video]; v != nil && v.waitKey && p.Format.Kind != pipeline.Video && time.Since(f.resumeAt) < resumeWait {
		return false
	}
	f.resuming = false
	f.cut = max(f.cut, p.PTS-f.zero-f.end)
	return true
}

// guard ends the file, not the process, when something panics.
func (f *File) guard() {
	if r := recover(); r != nil {
		f.log.Error("panic in recorder", "err", r, "stack", string(debug.Stack()))
		f.mu.Lock()
		f.fail(fmt.Errorf("panic: %v", r))
		f.mu.Unlock()
	}
}

func (f *File) flushLoop() {
	defer f.wg.Done()
	defer f.guard()
	tick := time.NewTicker(flushEvery / 2)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-f.stop:
			return
		case now := <-tick.C:
			f.mu.Lock()
			if f.failed == nil && !f.started && len(f.pending) > 0 && now.Sub(f.pendingAt) >= f.o.Wait {
				f.fail(f.start())
			}
			if f.failed == nil && f.dirty && now.Sub(last) >= flushEvery-flushEvery/8 {
				last = now
				f.dirty = false
				f.fail(f.mux.Flush())
			}
			notes := f.proof.notes
			f.proof.notes = nil
			f.mu.Unlock()
			if err := f.proof.step(notes, false); err != nil {
				f.log.Warn("log of a recording cannot be written", "err", err)
			}
		}
	}
}

// syncLoop brings data to the disk away from the writer, which must not wait for it.
func (f *File) syncLoop() {
	defer f.wg.Done()
	defer f.guard()
	tick := time.NewTicker(syncEvery)
	defer tick.Stop()
	saved := time.Now()
	for {
		select {
		case <-f.stop:
			return
		case now := <-tick.C:
			err := dataSync(f.disk)
			_ = dataSync(f.proof.file) // a log that is behind tells less, and costs nothing
			if err == nil && now.Sub(saved) >= manifestEvery-syncEvery/2 {
				saved = now
				err = saveManifest(f.root, f.name, f.Progress())
			}
			if err != nil {
				f.mu.Lock()
				if f.failed == nil {
					f.fail(err)
				}
				f.mu.Unlock()
			}
		}
	}
}

// Progress is the manifest as it stands.
func (f *File) Progress() Manifest {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := f.manifest
	m.Gaps = slices.Clone(m.Gaps)
	s := Summary{Duration: f.end}
	for _, k := range []pipeline.Kind{pipeline.Video, pipeline.Audio} {
		if t := f.tracks[k]; t != nil {
			s.Tracks = append(s.Tracks, TrackSummary{
				Kind: k, Codec: t.format.Codec, First: t.first, Last: t.last, Units: t.units, Width: t.format.Width, Height: t.format.Height,
			})
		}
	}
	m.fill(s, f.cut)
	if st, err := f.disk.Stat(); err == nil {
		m.Size = st.Size()
	}
	return m
}

// Err is the error that ended the file, nil while it goes on.
func (f *File) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}
