package storage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/obs"
)

// stepFinal uploads the files of a finished recording that are not yet verified in
// the bucket, tells, uploads the last one and deletes the chunks.
func (u *Uploader) stepFinal(ctx context.Context, j *job) error {
	u.mu.Lock()
	names, last, turn := j.names, j.last, j.turn
	u.mu.Unlock()
	s, err := u.readState(j.id)
	if err != nil {
		if _, gone := u.root.Lstat(j.id); errors.Is(gone, fs.ErrNotExist) {
			return fmt.Errorf("%w: the recording's folder is gone", errNever)
		}
		s = &state{Schema: stateSchema, ID: j.id}
	}
	s.Last, s.Done, s.Trimmed, s.Failure = last, false, false, ""
	for _, n := range names {
		if plain(n) && n != last && !slices.ContainsFunc(s.Files, func(f file) bool { return f.Name == n }) {
			s.Files = append(s.Files, file{Name: n})
		}
	}
	if err := u.writeState(s); err != nil {
		return err
	}
	for i := range s.Files {
		u.count(j, s)
		if err := u.putFile(ctx, s, i); err != nil {
			if errors.Is(err, errNever) {
				s.Failure = err.Error()
				return errors.Join(errNever, err, u.writeState(s), u.tell(j, turn, err))
			}
			return err
		}
	}
	u.count(j, s)
	if s.VerifiedAt == 0 {
		s.VerifiedAt = time.Now().UnixMilli()
		if err := u.writeState(s); err != nil {
			return err
		}
	}
	// The one who is told is waited for: he may write the last file.
	if err := u.tell(j, turn, nil); err != nil {
		return err
	}
	if last != "" {
		if _, err := u.put(ctx, u.key(j.id, last), path.Join(j.id, last)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := u.deleteAll(ctx, u.key(j.id, livePrefix)); err != nil {
		return err
	}
	s.Done = true
	if err := u.writeState(s); err != nil {
		return err
	}
	u.log.Info("recording is uploaded", obs.AttrRecording, j.id, "files", len(s.Files))
	if u.opts.Keep < 0 {
		return nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if j.turn == turn {
		j.phase, j.next, j.waiting = trim, u.trimAt(s), 0
	}
	u.metrics.outcome(nil)
	return errLater
}

// putFile uploads one file unless what is in the bucket is what is on the disk.
func (u *Uploader) putFile(ctx context.Context, s *state, i int) error {
	f := &s.Files[i]
	info, err := u.root.Lstat(path.Join(s.ID, f.Name))
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.verified():
		return nil // removed after an earlier upload
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is gone", errNever, f.Name)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is not a regular file", errNever, f.Name)
	case f.verified() && f.Size == info.Size() && f.Modified == info.ModTime().UnixNano():
		return nil
	}
	done, err := u.put(ctx, u.key(s.ID, f.Name), path.Join(s.ID, f.Name))
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	*f = done
	s.VerifiedAt = 0
	u.metrics.moved("file", done.Size)
	return u.writeState(s)
}

// tell calls back, once, unless another order came.
func (u *Uploader) tell(j *job, turn int, err error) error {
	u.mu.Lock()
	if j.turn != turn {
		u.mu.Unlock()
		return context.Canceled
	}
	f := j.uploaded
	j.uploaded = nil
	u.mu.Unlock()
	if f != nil {
		f(err)
	}
	return nil
}

// count notes how many bytes are left.
func (u *Uploader) count(j *job, s *state) {
	var n int64
	for _, f := range s.Files {
		if info, err := u.root.Lstat(path.Join(s.ID, f.Name)); err == nil && !f.verified() {
			n += info.Size()
		}
	}
	u.mu.Lock()
	j.waiting = n
	u.mu.Unlock()
}

// stepTrim removes the local copies of a recording's media, after a last look that
// the bucket has them. Hidden files stay: they are what is listed.
func (u *Uploader) stepTrim(ctx context.Context, j *job) error {
	s, err := u.readState(j.id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted
	}
	if err != nil {
		return errors.Join(errNever, err)
	}
	for i := range s.Files {
		f := &s.Files[i]
		local := path.Join(s.ID, f.Name)
		info, err := u.root.Lstat(local)
		if strings.HasPrefix(f.Name, ".") || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		a, err := u.attributes(ctx, u.key(s.ID, f.Name))
		lost := err != nil && isNotFound(err) || err == nil && a.Size != f.Size
		switch {
		case lost, err == nil && info.Size() != f.Size:
			u.log.Error("bucket lost a file, it is uploaded again", obs.AttrRecording, s.ID, "file", obs.Quote(f.Name))
			f.How, s.Done = "", false
			if err := u.writeState(s); err != nil {
				return err
			}
			u.Finish(s.ID, fileNames(s), s.Last, nil)
			return nil
		case err != nil:
			return err
		}
		if err := u.root.Remove(local); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove local copy: %w", err)
		}
	}
	s.Trimmed = true
	return u.writeState(s)
}
