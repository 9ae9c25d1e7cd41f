package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sync"
	"time"

	"gocloud.dev/blob"
)

// readAhead is what ReadAt fetches at once, so that small reads of an archive are
// not a request each.
const readAhead = 512 << 10

// Object is a file in the bucket. Reading goes over the network; Close ends it.
// Read and Seek belong to one goroutine, ReadAt to any.
type Object struct {
	u      *Uploader
	key    string
	info   objectInfo
	ctx    context.Context
	cancel context.CancelFunc

	offset int64
	reader *blob.Reader
	at     int64 // where reader stands

	mu    sync.Mutex // what ReadAt fetched last
	ahead []byte
	from  int64
}

// A reader waits openTimeout for the first answer; after a bucket did not answer,
// none waits for it for silence, so that a list of a hundred files of a dead bucket
// does not take a hundred times as long.
const (
	openTimeout = 10 * time.Second
	silence     = 3 * time.Second
)

// Open opens a file of a recording in the bucket; errors wrap fs.ErrNotExist when
// it is not there. Their texts hold no secrets.
func (u *Uploader) Open(id, name string) (*Object, error) {
	if !plain(id) || !plain(name) {
		return nil, fs.ErrNotExist
	}
	u.mu.Lock()
	dead := time.Now().Before(u.silentUntil)
	u.mu.Unlock()
	if dead {
		return nil, errors.New("the bucket has just not answered")
	}
	ctx, cancel := context.WithCancel(u.ctx)
	key := u.key(id, name)
	a, err := within(ctx, min(openTimeout, u.opts.OpTimeout), func(ctx context.Context) (*blob.Attributes, error) { return u.bucket.Attributes(ctx, key) })
	if err != nil {
		cancel()
		if isNotFound(err) {
			return nil, fs.ErrNotExist
		}
		u.mu.Lock()
		u.silentUntil = time.Now().Add(silence)
		u.mu.Unlock()
		return nil, errors.New(clean(err))
	}
	return &Object{u: u, key: key, info: objectInfo{path.Base(name), a.Size, a.ModTime}, ctx: ctx, cancel: cancel}, nil
}

// Stat gives name, size and time of the object.
func (o *Object) Stat() (fs.FileInfo, error) { return o.info, nil }

// Seek implements io.Seeker; it asks the bucket nothing.
func (o *Object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.offset
	case io.SeekEnd:
		offset += o.info.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start of the file")
	}
	o.offset = offset
	return offset, nil
}

// Read implements io.Reader. The bucket is asked once for all that follows a Seek.
func (o *Object) Read(b []byte) (int, error) {
	if o.offset >= o.info.size {
		return 0, io.EOF
	}
	if o.reader != nil && o.at != o.offset {
		_ = o.reader.Close()
		o.reader = nil
	}
	// A read that stands still ends the whole object: its reader cannot be ended
	// alone.
	idle := time.AfterFunc(o.u.opts.OpTimeout, o.cancel)
	defer idle.Stop()
	if o.reader == nil {
		r, err := o.u.bucket.NewRangeReader(o.ctx, o.key, o.offset, -1, nil)
		if err != nil {
			return 0, fmt.Errorf("read from bucket: %w", err)
		}
		o.reader, o.at = r, o.offset
	}
	n, err := o.reader.Read(b)
	o.offset += int64(n)
	o.at = o.offset
	if errors.Is(err, io.EOF) && o.offset < o.info.size {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// ReadAt implements io.ReaderAt.
func (o *Object) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) {
		got, err := o.readAt(b[n:], off+int64(n))
		n += got
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (o *Object) readAt(b []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read before the start of the file")
	}
	if off >= o.info.size {
		return 0, io.EOF
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if off < o.from || off >= o.from+int64(len(o.ahead)) {
		ctx, cancel := context.WithTimeout(o.ctx, o.u.opts.OpTimeout)
		defer cancel()
		want := min(readAhead, o.info.size-off)
		r, err := o.u.bucket.NewRangeReader(ctx, o.key, off, want, nil)
		if err != nil {
			return 0, fmt.Errorf("read from bucket: %w", err)
		}
		defer r.Close()
		if int64(cap(o.ahead)) < want {
			o.ahead = make([]byte, want)
		}
		o.ahead = o.ahead[:want]
		if _, err := io.ReadFull(r, o.ahead); err != nil {
			o.ahead = o.ahead[:0]
			return 0, fmt.Errorf("read from bucket: %w", err)
		}
		o.from = off
	}
	return copy(b, o.ahead[off-o.from:]), nil
}

// Close ends reading.
func (o *Object) Close() error {
	o.cancel()
	if o.reader != nil {
		return o.reader.Close()
	}
	return nil
}

// Link is an address at the bucket that serves the file for Options.Link, "" when
// there is none: it is not wished, or these credentials cannot sign.
func (u *Uploader) Link(ctx context.Context, id, name string) string {
	if u.opts.Link <= 0 || !plain(id) || !plain(name) {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, u.opts.OpTimeout)
	defer cancel()
	link, err := u.bucket.SignedURL(ctx, u.key(id, name), &blob.SignedURLOptions{Expiry: u.opts.Link})
	if err != nil {
		u.log.Debug("bucket gives no signed address", "error", clean(err))
		return ""
	}
	return link
}

type objectInfo struct {
	name string
	size int64
	time time.Time
}

func (i objectInfo) Name() string       { return i.name }
func (i objectInfo) Size() int64        { return i.size }
func (i objectInfo) Mode() fs.FileMode  { return 0o440 }
func (i objectInfo) ModTime() time.Time { return i.time }
func (i objectInfo) IsDir() bool        { return false }
func (i objectInfo) Sys() any           { return nil }
