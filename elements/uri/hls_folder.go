package uri

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/govidu/govidu/internal/fetch"
)

const (
	// hlsDiskJobs and hlsDiskBytes bound what waits for the disk.
	hlsDiskJobs  = 256
	hlsDiskBytes = 64 << 20
	// hlsDiskWait is how long stop waits for the disk.
	hlsDiskWait = 10 * time.Second
)

var (
	// errHLSFolder: nothing can be kept in the folder.
	errHLSFolder = errors.New("folder cannot be used")
	errHLSDisk   = errors.New("the disk is too slow: segments are missing")
)

// hlsFolder keeps a stream: every segment, and playlists of all of them. The media
// playlist is complete, #EXT-X-ENDLIST and all, after each segment, so that a dead
// process leaves one that plays. It never makes the stream wait. A nil folder
// keeps nothing.
type hlsFolder struct {
	policy *fetch.Policy
	uri    string
	failed func(error) // called once

	jobs  chan hlsJob
	bytes atomic.Int64 // that wait in jobs
	lost  atomic.Bool  // segments, for want of room in jobs
	shut  sync.Once
	done  chan struct{}

	// Of run alone.
	root   *os.Root
	list   *os.File
	end    int64 // where the playlist's last line begins
	target int
	period int // of the last segment written
	gone   bool
}

// hlsJob is one of an initialisation, a segment, and a question whether all before
// it is on disk.
type hlsJob struct {
	period  int
	init    []byte
	segment *hlsSegment
	sum     hlsSum
	whole   chan struct{}
}

// startHLSFolder keeps a stream below a file URI; failed hears why not, or not any
// more.
func startHLSFolder(policy *fetch.Policy, uri string, seconds int, failed func(error)) *hlsFolder {
	f := &hlsFolder{policy: policy, uri: uri, failed: failed, jobs: make(chan hlsJob, hlsDiskJobs), done: make(chan struct{}), target: seconds}
	go f.run()
	return f
}

// init and segment note what is to be kept. They do not block.
func (f *hlsFolder) init(period int, data []byte) { f.put(hlsJob{period: period, init: data}) }

func (f *hlsFolder) segment(s *hlsSegment, sum hlsSum) {
	f.put(hlsJob{period: s.period, segment: s, sum: sum})
}

func (j hlsJob) size() int64 {
	if j.segment != nil {
		return int64(len(j.segment.data))
	}
	return int64(len(j.init))
}

func (f *hlsFolder) put(j hlsJob) {
	if f == nil {
		return
	}
	if f.bytes.Load()+j.size() > hlsDiskBytes {
		f.lost.Store(true)
		return
	}
	f.bytes.Add(j.size())
	select {
	case f.jobs <- j:
	default:
		f.bytes.Add(-j.size())
		f.lost.Store(true)
	}
}

// wait returns when all that was put is on disk, or after a while.
func (f *hlsFolder) wait() {
	if f == nil {
		return
	}
	late := time.NewTimer(hlsDiskWait)
	defer late.Stop()
	whole := make(chan struct{})
	select {
	case f.jobs <- hlsJob{whole: whole}:
	case <-late.C:
		return
	}
	select {
	case <-whole:
	case <-late.C:
	}
}

// close ends the goroutine after the disk has taken what waits.
func (f *hlsFolder) close() {
	if f == nil {
		return
	}
	f.shut.Do(func() { close(f.jobs) })
	<-f.done
}

// run owns the files.
func (f *hlsFolder) run() {
	defer close(f.done)
	defer func() {
		if f.list != nil {
			f.list.Close()
		}
		if f.root != nil {
			f.root.Close()
		}
	}()
	f.fail(f.guard(f.open))
	for j := range f.jobs {
		f.bytes.Add(-j.size())
		switch {
		case j.whole != nil:
			close(j.whole)
		case f.gone:
		case f.lost.Load():
			f.fail(errHLSDisk)
		default:
			f.fail(f.guard(func() error { return f.write(j) }))
		}
	}
}

// fail keeps nothing more.
func (f *hlsFolder) fail(err error) {
	if err != nil && !f.gone {
		f.gone = true
		f.failed(plainError(err))
	}
}

// guard turns a panic into an error.
func (f *hlsFolder) guard(do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return do()
}

// open makes the folder, which must hold no other stream.
func (f *hlsFolder) open() error {
	root, name, err := f.policy.Target(f.uri)
	if err != nil {
		return fmt.Errorf("%w: %w", errHLSFolder, err)
	}
	if err := os.MkdirAll(root, 0o750); err != nil {
		return fmt.Errorf("%w: %w", errHLSFolder, plainError(err))
	}
	top, err := os.OpenRoot(root)
	if err != nil {
		return fmt.Errorf("%w: %w", errHLSFolder, plainError(err))
	}
	defer top.Close()
	if err := top.MkdirAll(filepath.FromSlash(name), 0o750); err != nil {
		return fmt.Errorf("%w: %w", errHLSFolder, plainError(err))
	}
	if f.root, err = top.OpenRoot(filepath.FromSlash(name)); err != nil {
		return fmt.Errorf("%w: %w", errHLSFolder, plainError(err))
	}
	if _, err := f.root.Lstat(hlsMedia); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: it holds a stream already", errHLSFolder)
	}
	return nil
}

func (f *hlsFolder) write(j hlsJob) error {
	if j.init != nil {
		return f.whole(hlsInitName(j.period), j.init)
	}
	s := j.segment
	if err := f.whole(hlsSegmentName(s.number), s.data); err != nil {
		return err
	}
	if f.list == nil || roundSeconds(s.length) > f.target {
		f.target = max(f.target, roundSeconds(s.length))
		if err := f.begin(); err != nil {
			return err
		}
	}
	entry := s.line(s.head(nil, f.period))
	if _, err := f.list.WriteAt(append(entry, hlsEnd...), f.end); err != nil {
		// What was there before plays on.
		_, again := f.list.WriteAt([]byte(hlsEnd), f.end)
		return errors.Join(err, again, f.list.Truncate(f.end+int64(len(hlsEnd))))
	}
	f.end += int64(len(entry))
	f.period = s.period
	return f.whole(hlsIndex, j.sum.multivariant(s.formats))
}

// begin writes the media playlist anew, with the target that holds now.
func (f *hlsFolder) begin() error {
	var lines []byte
	if f.list != nil {
		old := make([]byte, f.end)
		if _, err := f.list.ReadAt(old, 0); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		lines = old[f.top(old):]
	}
	head := append(hlsHead(f.target, 0), "#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n"...)
	text := append(head, lines...)
	if err := f.whole(hlsMedia, append(text, hlsEnd...)); err != nil {
		return err
	}
	if f.list != nil {
		f.list.Close()
	}
	var err error
	if f.list, err = f.root.OpenFile(hlsMedia, os.O_RDWR, 0); err != nil {
		return err
	}
	f.end = int64(len(text))
	return nil
}

// top is where the lines of segments begin in a playlist of ours.
func (f *hlsFolder) top(text []byte) int {
	const last = "#EXT-X-PLAYLIST-TYPE:VOD\n"
	for i := 0; i+len(last) <= len(text); i++ {
		if string(text[i:i+len(last)]) == last {
			return i + len(last)
		}
	}
	return 0
}

// whole writes a file and then puts it in its place.
func (f *hlsFolder) whole(name string, data []byte) error {
	file, err := f.root.OpenFile("."+name+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = f.root.Rename("."+name+".part", name)
	}
	if err != nil {
		_ = f.root.Remove("." + name + ".part") // it would only lie there
	}
	return err
}
