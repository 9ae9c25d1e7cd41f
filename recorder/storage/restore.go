package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"gocloud.dev/blob"

	"github.com/govidu/govidu/internal/obs"
)

const (
	// maxRestored bounds how many recordings of the bucket are looked at, maxMeta how
	// large the metadata of one may be.
	maxRestored = 100_000
	maxMeta     = 8 << 20
	// restoringPrefix marks folders that are being made.
	restoringPrefix = ".restoring-"
)

// restore brings back the metadata of recordings that the bucket has whole and the
// folder has not: a machine or a container that was lost. It tries until the bucket
// has been listed once.
func (u *Uploader) restore() {
	pause := u.opts.MinBackoff
	for {
		n, err := u.restoreAll(u.ctx)
		if n > 0 {
			u.log.Info("recordings of the bucket are listed again", "recordings", n)
		}
		if err == nil {
			return
		}
		if u.ctx.Err() == nil {
			u.log.Debug("bucket could not be searched for recordings", obs.AttrErr, clean(err))
		}
		select {
		case <-u.ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, u.opts.MaxBackoff)
	}
}

func (u *Uploader) restoreAll(ctx context.Context) (restored int, err error) {
	list := u.bucket.List(&blob.ListOptions{Prefix: u.opts.Prefix, Delimiter: "/"})
	for range maxRestored {
		o, err := within(ctx, u.opts.OpTimeout, list.Next)
		if err == io.EOF { // bare, see deleteAll
			return restored, nil
		}
		if err != nil {
			return restored, fmt.Errorf("list bucket: %w", err)
		}
		id := strings.TrimSuffix(strings.TrimPrefix(o.Key, u.opts.Prefix), "/")
		if !o.IsDir || !plain(id) || strings.HasPrefix(id, ".") || u.there(id) || u.there(goneName+id) {
			continue
		}
		ok, err := u.restoreOne(ctx, id)
		if err != nil {
			return restored, err
		}
		if ok {
			restored++
		}
	}
	return restored, nil
}

func (u *Uploader) there(name string) bool {
	_, err := u.root.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// restoreOne makes the folder of a recording with its metadata and the state of its
// upload. The metadata comes last into the bucket: without it the recording is not
// whole, and left alone.
func (u *Uploader) restoreOne(ctx context.Context, id string) (bool, error) {
	s := &state{Schema: stateSchema, ID: id, Last: u.opts.Meta(id), Done: true, Trimmed: true, VerifiedAt: time.Now().UnixMilli()}
	list := u.bucket.List(&blob.ListOptions{Prefix: u.key(id, ""), Delimiter: "/"})
	whole := false
	for range maxGrowing {
		o, err := within(ctx, u.opts.OpTimeout, list.Next)
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, fmt.Errorf("list bucket: %w", err)
		}
		name := strings.TrimPrefix(o.Key, u.key(id, ""))
		switch {
		case o.IsDir, !plain(name):
		case name == s.Last:
			whole = o.Size <= maxMeta
		default:
			s.Files = append(s.Files, file{Name: name, Size: o.Size, How: "bucket"})
		}
	}
	if !whole {
		return false, nil
	}
	meta, err := within(ctx, u.opts.OpTimeout, func(ctx context.Context) ([]byte, error) { return u.bucket.ReadAll(ctx, u.key(id, s.Last)) })
	if err != nil {
		return false, fmt.Errorf("read metadata: %w", err)
	}
	return u.putBack(s, meta)
}

// putBack writes the folder under another name first, so that it appears whole. A
// recording that took the name meanwhile wins.
func (u *Uploader) putBack(s *state, meta []byte) (bool, error) {
	id, tmp := s.ID, restoringPrefix+s.ID
	if err := u.root.RemoveAll(tmp); err != nil {
		return false, fmt.Errorf("clear folder: %w", err)
	}
	if err := u.root.Mkdir(tmp, 0o750); err != nil {
		return false, fmt.Errorf("make folder: %w", err)
	}
	b, err := marshal(s)
	if err == nil {
		err = u.writeAtomic(path.Join(tmp, stateName), b)
	}
	if err == nil {
		err = u.writeAtomic(path.Join(tmp, s.Last), meta)
	}
	if err != nil {
		return false, errors.Join(err, u.root.RemoveAll(tmp))
	}
	if err := u.root.Rename(tmp, id); err != nil {
		if u.there(id) {
			return false, u.root.RemoveAll(tmp)
		}
		return false, fmt.Errorf("name folder: %w", err)
	}
	return true, u.syncDir(".")
}
