package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"

	"github.com/govidu/govidu/internal/obs"
)

// phase is what is to be done for a recording.
type phase int

const (
	live   phase = iota // it grows: chunks
	final               // its files are final: whole files
	trim                // they are in the bucket: local copies go when their time comes
	remove              // it was deleted: so is the bucket's copy
	phases
)

func (p phase) String() string { return [...]string{"live", "final", "trim", "remove"}[p] }

// job is one recording. All fields are under Uploader.mu, but growing, which
// belongs to the step that runs.
type job struct {
	id       string
	phase    phase
	turn     int // changes with every order, so that a step sees it was overtaken
	next     time.Time
	tries    int
	cancel   context.CancelFunc // of the running step; nil when none runs
	names    []string           // of Finish
	last     string
	uploaded func(error)
	waiting  int64 // bytes known to wait
	growing  map[string]*growing
}

// Uploader copies recordings to a bucket. All methods are safe for concurrent use.
type Uploader struct {
	opts    Options
	log     *slog.Logger
	bucket  *blob.Bucket
	root    *os.Root
	metrics *metrics

	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	slots  [2]chan struct{} // of live steps, of all others
	wg     sync.WaitGroup

	mu     sync.Mutex // leaf
	jobs   map[string]*job
	closed bool
	// silentUntil is until when readers take the bucket for dead.
	silentUntil time.Time
}

// New starts an Uploader and goes on with what an earlier process left. An error
// is of the folder; the bucket is not asked.
func New(o Options) (*Uploader, error) {
	o.setDefaults()
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open recordings folder: %w", err)
	}
	u := &Uploader{opts: o, log: o.Log, bucket: o.Bucket, root: root, wake: make(chan struct{}, 1), jobs: map[string]*job{}}
	for i := range u.slots {
		u.slots[i] = make(chan struct{}, o.Parallel)
	}
	u.ctx, u.cancel = context.WithCancel(context.Background())
	u.metrics = newMetrics(u, o.Metrics)
	if err := u.resume(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	u.wg.Go(func() {
		defer obs.Guard(u.log, "storage.plan", nil)
		u.plan()
	})
	if o.Meta != nil {
		u.wg.Go(func() {
			defer obs.Guard(u.log, "storage.restore", nil)
			u.restore()
		})
	}
	return u, nil
}

// Close stops all uploads where they are; the next process goes on. It closes the
// bucket.
func (u *Uploader) Close() error {
	u.mu.Lock()
	again := u.closed
	u.closed = true
	u.mu.Unlock()
	u.cancel()
	u.wg.Wait()
	if again {
		return nil
	}
	u.metrics.unregister()
	return errors.Join(u.bucket.Close(), u.root.Close())
}

// resume makes jobs of what the folder says is unfinished.
func (u *Uploader) resume() error {
	dir, err := u.root.Open(".")
	if err != nil {
		return fmt.Errorf("list recordings folder: %w", err)
	}
	defer dir.Close()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return fmt.Errorf("list recordings folder: %w", err)
	}
	for _, e := range entries {
		if id, ok := strings.CutPrefix(e.Name(), goneName); ok && !e.IsDir() {
			if id, ok = strings.CutSuffix(id, tmpSuffix); !ok {
				u.order(id, func(j *job) { j.phase = remove })
			}
			continue
		}
		if !e.IsDir() {
			continue
		}
		id := e.Name()
		if strings.HasPrefix(id, restoringPrefix) {
			if err := u.root.RemoveAll(id); err != nil {
				u.log.Warn("leftover folder could not be removed", "folder", obs.Quote(id), obs.AttrErr, err)
			}
			continue
		}
		s, err := u.readState(id)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			u.log.Warn("state of an upload cannot be read", obs.AttrRecording, obs.Quote(id), obs.AttrErr, err)
		case s.Failure != "":
		case !s.Done:
			u.order(id, func(j *job) { j.phase, j.last, j.names = final, s.Last, fileNames(s) })
		case !s.Trimmed && u.opts.Keep >= 0:
			u.order(id, func(j *job) { j.phase, j.next = trim, u.trimAt(s) })
		}
	}
	return nil
}

func fileNames(s *state) (names []string) {
	for _, f := range s.Files {
		names = append(names, f.Name)
	}
	return names
}

func (u *Uploader) trimAt(s *state) time.Time {
	return time.UnixMilli(s.VerifiedAt).Add(u.opts.Keep)
}

// order changes what is to be done for a recording, and interrupts what is being
// done for it. A recording that is to be deleted takes no other order.
func (u *Uploader) order(id string, change func(*job)) {
	if !plain(id) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	j := u.jobs[id]
	if j == nil {
		j = &job{id: id}
		u.jobs[id] = j
	} else if j.phase == remove {
		return
	}
	j.next, j.tries, j.turn = time.Time{}, 0, j.turn+1
	change(j)
	if j.cancel != nil {
		j.cancel()
	}
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// Begin copies what the folder of a running recording holds, as it grows.
func (u *Uploader) Begin(id string) {
	u.order(id, func(j *job) { j.phase, j.growing = live, map[string]*growing{} })
}

// Finish uploads the named files of a recording's folder, verifies them and calls
// uploaded, once, with nil or with the reason why it can never succeed; then
// uploads last, which uploaded may have written, and deletes the chunks. uploaded
// may be nil; it is called on a goroutine of the uploader, not at all when Close
// comes first. Repeating it is harmless.
func (u *Uploader) Finish(id string, names []string, last string, uploaded func(error)) {
	u.order(id, func(j *job) {
		j.phase, j.names, j.last, j.uploaded = final, names, last, uploaded
	})
}

// Known says that Finish was called for a recording, in this process or an earlier
// one.
func (u *Uploader) Known(id string) bool {
	if !plain(id) {
		return false
	}
	_, err := u.root.Lstat(path.Join(id, stateName))
	return err == nil
}

// End ends what Begin began; what is in the bucket stays. After Finish it does
// nothing.
func (u *Uploader) End(id string) {
	u.mu.Lock()
	j := u.jobs[id]
	is := j != nil && j.phase == live
	if is {
		delete(u.jobs, id)
		if j.cancel != nil {
			j.cancel()
		}
	}
	u.mu.Unlock()
}

// Delete promises, on the disk, that everything of a recording will be deleted
// from the bucket. An error means that no promise was made.
func (u *Uploader) Delete(id string) error {
	if !plain(id) {
		return fs.ErrNotExist
	}
	if err := u.writeAtomic(goneName+id, nil); err != nil {
		return err
	}
	u.order(id, func(j *job) { j.phase, j.uploaded = remove, nil })
	return nil
}

// Taken says that a deleted recording of this id is still in the bucket.
func (u *Uploader) Taken(id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	j := u.jobs[id]
	return j != nil && j.phase == remove
}
