package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu"
)

// File is an open file of a recording, on the disk or in a bucket.
type File interface {
	io.ReadSeekCloser
	io.ReaderAt
	Stat() (fs.FileInfo, error)
}

// Storage keeps copies of recordings in a bucket; recorder/storage has one. No
// method waits for the bucket except Open and Link, so that a bucket that is down
// stops neither recordings nor calls.
type Storage interface {
	// Begin copies what the folder of a running recording holds, as it grows.
	Begin(id string)
	// Finish uploads the named files of a folder, verifies them and calls
	// uploaded once, with nil or with the reason why it can never succeed; then it
	// uploads last, which uploaded may have written. It goes on in the next
	// process when this one ends; repeating it is harmless. uploaded may be nil.
	Finish(id string, names []string, last string, uploaded func(error))
	// Known says that Finish was called for a recording, in this process or an earlier
	// one.
	Known(id string) bool
	// End ends what Begin began, unless Finish was called.
	End(id string)
	// Delete promises, on the disk, that everything of the recording will be
	// deleted from the bucket.
	Delete(id string) error
	// Taken says that the bucket still has, or has, a recording of this id that
	// a new one would be mixed with.
	Taken(id string) bool
	// Open opens a file in the bucket; errors wrap fs.ErrNotExist when it is not
	// there.
	Open(id, file string) (File, fs.FileInfo, error)
	// Link is an address at the bucket that serves the file for a short time, or
	// "" when files are to be served by this server.
	Link(ctx context.Context, id, file string) string
}

// MetaFile names a recording's metadata within its folder: the last file that goes
// into a bucket.
func MetaFile(id string) string { return metaName(id) }

// shown is the recording as the API tells it: no address before the outcome.
func (m *metadata) shown() Recording {
	r := m.Recording
	if r.Status == Stopped {
		r.URL = nil
	}
	return r
}

// holdBack notes that a recording which has its files is to be uploaded, and keeps
// it at stopped until it is, if that is wished. The outcome waits in the metadata.
func (s *Service) holdBack(a *active) {
	if s.opts.Storage == nil {
		return
	}
	a.update(func(m *metadata) {
		if m.URL == nil {
			return
		}
		m.Stored = true
		if s.opts.ReadyWhenUploaded {
			m.Outcome, m.Status = m.Status, Stopped
		}
	})
}

// conclude ends what is to be done in this process for a recording whose files are
// final and whose metadata is on the disk: it is told, or uploaded and then told.
func (s *Service) conclude(a *active) {
	m := a.snapshot()
	switch {
	case s.opts.Storage == nil:
	case m.Outcome != "":
		s.opts.Storage.Finish(m.ID, s.uploads(m.ID), metaName(m.ID), func(err error) { s.uploaded(a, err) })
		return
	case m.URL != nil:
		s.opts.Storage.Finish(m.ID, s.uploads(m.ID), metaName(m.ID), nil)
	}
	s.tellFinal(a)
}

// uploaded settles a recording that was held back. One that was deleted meanwhile is
// left alone, and after Close the next process does it.
func (s *Service) uploaded(a *active, err error) {
	if s.ctx.Err() != nil || s.lookup(a.snapshot().ID) != a {
		return
	}
	a.update(func(m *metadata) {
		m.Status, m.Outcome = m.Outcome, ""
		if err != nil {
			m.Status, m.Failure = Failed, "the files could not be uploaded"
		}
	})
	if err != nil {
		a.log.Error("recording cannot be uploaded", obs.AttrErr, err)
	}
	if err := s.settle(a); err != nil {
		a.log.Error("metadata could not be written", obs.AttrErr, err)
	}
	s.tellFinal(a)
}

// uploads lists what of a finished folder belongs into the bucket: all regular
// files but unfinished ones, the bookkeeping of takes, and the metadata, which goes
// last.
func (s *Service) uploads(id string) (names []string) {
	entries, err := s.store.names(id)
	if err != nil {
		s.log.Error("recording's folder could not be listed", obs.AttrRecording, id, obs.AttrErr, err)
		return nil
	}
	for _, e := range entries {
		n := e.Name()
		switch {
		case !e.Type().IsRegular(), n == metaName(id), strings.HasPrefix(n, takePrefix), strings.HasPrefix(n, ".upload."),
			strings.HasSuffix(n, partSuffix), strings.HasSuffix(n, tmpSuffix):
		default:
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// reupload makes sure of the upload of a recording that was ready, but perhaps not
// handed on, when its process ended.
func (s *Service) reupload(m *metadata) {
	if s.opts.Storage != nil && m.Stored && !s.opts.Storage.Known(m.ID) {
		s.opts.Storage.Finish(m.ID, s.uploads(m.ID), metaName(m.ID), nil)
	}
}

// resumeUpload goes on with a recording whose files were final when its process
// ended, and not uploaded.
func (s *Service) resumeUpload(m *metadata) {
	m.ProcessID = s.opts.ProcessID
	held := s.opts.Storage != nil && s.opts.ReadyWhenUploaded
	if !held { // the setting was changed
		m.Status, m.Outcome = m.Outcome, ""
	}
	a := newActive(s, *m, openvidu.RecordingProperties{})
	a.markDecided()
	a.markFinal()
	s.mu.Lock()
	s.byID[m.ID] = a
	s.mu.Unlock()
	if err := s.settle(a); err != nil {
		a.log.Warn("metadata could not be written", obs.AttrErr, err)
	}
	s.conclude(a)
}

// Open opens a file of a recording for serving, from the bucket when the disk has
// it no more: ErrNotFound, ErrUnavailable. The name is checked before any path is
// made; hidden and unfinished files do not exist for callers.
func (s *Service) Open(id, file string) (File, fs.FileInfo, error) {
	if !visible(id, file) {
		return nil, nil, ErrNotFound
	}
	f, info, err := s.store.openRegular(path.Join(id, file))
	if err == nil {
		return f, info, nil
	}
	if s.inBucket(id, err) {
		if f, info, err := s.opts.Storage.Open(id, file); err == nil {
			return f, info, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			s.log.Debug("recorded file could not be read from the bucket", obs.AttrRecording, id, obs.AttrErr, err)
			return nil, nil, fmt.Errorf("open recorded file: %w", ErrUnavailable)
		}
	}
	return nil, nil, fmt.Errorf("open recorded file: %w", ErrNotFound)
}

// Link gives the address at which the bucket itself serves a file that the disk
// has no more, when the settings want clients to be sent there, else "".
func (s *Service) Link(ctx context.Context, id, file string) string {
	if s.opts.Storage == nil || !visible(id, file) {
		return ""
	}
	if _, err := s.store.root.Lstat(path.Join(id, file)); !s.inBucket(id, err) {
		return ""
	}
	return s.opts.Storage.Link(ctx, id, file)
}

// inBucket says whether a file that failed to open with err may be in the bucket:
// its recording must be one that we know and have final.
func (s *Service) inBucket(id string, err error) bool {
	if s.opts.Storage == nil || !errors.Is(err, fs.ErrNotExist) || s.lookup(id) != nil {
		return false
	}
	m, err := s.store.readMeta(id)
	return err == nil && !m.foreign() && m.Stored
}

func visible(id, file string) bool {
	return idForm.MatchString(id) && fileForm.MatchString(file) && !strings.HasSuffix(file, partSuffix) && !strings.HasSuffix(file, tmpSuffix)
}

// tellFinal forgets a recording that has come to its end, and tells everybody.
func (s *Service) tellFinal(a *active) {
	m := a.snapshot()
	s.drop(a)
	s.emit(context.WithoutCancel(s.ctx), m, openvidu.Reason(m.Reason), time.Now().UnixMilli())
	a.log.Info("recording is final", "status", m.Status, "size", m.Size, "duration", m.Duration, "recovered", m.Recovered)
}

// unusable says that a new recording must not have this id.
func (s *Service) unusable(id string) bool {
	return s.store.exists(id) || s.lookup(id) != nil || s.opts.Storage != nil && s.opts.Storage.Taken(id)
}
