package recording

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/openvidu"
)

// quarantine is the folder for metadata that cannot be read; it can never be a
// recording's.
const quarantine = "quarantine"

// recoverWait is how long Recover waits for what it resumed: enough for ordinary
// recordings to be ready when the API opens, without holding it up for large ones.
const recoverWait = 2 * time.Second

// Recovery says what Recover found.
type Recovery struct {
	Resumed     int // recordings of a dead process, being finished
	Quarantined int // metadata files moved away
	Foreign     int // recordings of another server, shown as they are
}

// Recover finishes what a dead process left: recordings of this node that were
// starting, started or stopped get their zip and become ready, or failed when no
// media was written, and one final event is sent for each. The media files
// themselves must have been finalised before (recorder.Recover). Call it once,
// before the API is open.
//
// It never fails: a folder that is not ours is left alone, metadata that cannot be
// read is moved to quarantine, and everything else that goes wrong is logged. Long
// work goes on in the background.
func (s *Service) Recover(ctx context.Context) Recovery {
	var r Recovery
	entries, err := s.store.names(".")
	if err != nil {
		s.log.Error("recordings folder could not be scanned", obs.AttrErr, err)
		return r
	}
	var resumed []*active
	for _, e := range entries {
		name := e.Name()
		switch {
		case !e.IsDir():
		case strings.HasPrefix(name, newPrefix), strings.HasPrefix(name, deletedPrefix):
			if err := s.store.root.RemoveAll(name); err != nil {
				s.log.Warn("leftover folder could not be removed", "folder", obs.Quote(name), obs.AttrErr, err)
			}
		case name != quarantine && idForm.MatchString(name):
			if a := s.recoverFolder(ctx, name, &r); a != nil {
				resumed = append(resumed, a)
			}
		}
	}
	r.Resumed = len(resumed)
	wait, cancel := context.WithTimeout(ctx, recoverWait)
	defer cancel()
	for _, a := range resumed {
		a.waitFinal(wait)
	}
	return r
}

func (s *Service) recoverFolder(ctx context.Context, id string, r *Recovery) *active {
	log := s.log.With(obs.AttrRecording, id)
	b, err := s.store.read(metaPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not a recording
	}
	var m *metadata
	if err == nil {
		m, err = parseMeta(id, b)
	}
	switch {
	case errors.Is(err, errMetadata) && !s.store.marked(id, b):
		log.Warn("metadata is not readable and left alone, nothing says that it is ours", obs.AttrErr, obs.Quote(err.Error()))
		return nil
	case errors.Is(err, errMetadata):
		r.Quarantined++
		log.Error("metadata is moved to quarantine", obs.AttrErr, obs.Quote(err.Error()))
		if err := s.quarantine(id); err != nil {
			log.Error("metadata could not be moved", obs.AttrErr, err)
		}
		return nil
	case err != nil:
		log.Warn("metadata is left alone", obs.AttrErr, obs.Quote(err.Error()))
		return nil
	case m.foreign():
		r.Foreign++
		return nil
	case m.NodeID != s.opts.NodeID || m.ProcessID == s.opts.ProcessID:
		return nil
	}
	s.clearTemporary(id)
	switch {
	case m.Outcome != "":
		if err := s.resweep(ctx, m); err != nil {
			log.Warn("packed files are kept beside the zip", obs.AttrErr, err)
		}
		s.resumeUpload(m)
		return nil
	case m.URL != nil:
		if err := s.resweep(ctx, m); err != nil {
			log.Warn("packed files are kept beside the zip", obs.AttrErr, err)
		}
		s.reupload(m)
		return nil
	case m.Status == Failed && !m.Retry:
		return nil
	}
	return s.resume(m)
}

// resume takes over a recording of a dead process and finishes it.
func (s *Service) resume(m *metadata) *active {
	m.Status, m.ProcessID, m.Recovered = Stopped, s.opts.ProcessID, true
	if m.Reason == "" {
		m.Reason = string(openvidu.ReasonNodeCrashed)
	}
	m.Files = nil // read again from the folder
	if m.Retry {
		m.Failure = "" // the files tell whether there is another
	}
	a := newActive(s, *m, openvidu.RecordingProperties{})
	a.markDecided()
	s.mu.Lock()
	s.byID[m.ID] = a
	s.mu.Unlock()
	if err := a.save(); err != nil {
		a.log.Warn("metadata could not be written", obs.AttrErr, err)
	}
	a.happened(proof.Event{Event: "recovered"})
	a.log.Info("recording of a dead process is being finished")
	if !s.spawn("recording.recover", func() { s.finalize(a) }) {
		a.markFinal()
	}
	return a
}

// resweep goes on with a sweep that a crash cut short, if the zip is whole.
func (s *Service) resweep(ctx context.Context, m *metadata) error {
	if len(s.store.loose(m)) == 0 {
		return nil
	}
	want := map[string]string{}
	for _, f := range m.Files {
		want[f.Name] = f.SHA256
	}
	f, _, err := s.store.openRegular(path.Join(m.ID, m.Name+".zip"))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := verifyEntries(ctx, f, want); err != nil {
		return err
	}
	return s.store.sweep(m)
}

// clearTemporary removes unfinished files of ours. Unfinished media is not among
// them: that is the recorder's to finish.
func (s *Service) clearTemporary(id string) {
	entries, err := s.store.names(id)
	if err != nil {
		return
	}
	for _, e := range entries {
		n := e.Name()
		ours := strings.HasPrefix(n, ".") && strings.HasSuffix(n, tmpSuffix) || strings.HasSuffix(n, ".zip"+partSuffix)
		if ours {
			if err := s.store.remove(path.Join(id, n)); err != nil {
				s.log.Warn("leftover file could not be removed", obs.AttrRecording, id, obs.AttrErr, err)
			}
		}
	}
}

// quarantine moves a recording's metadata away, for a person to look at. The
// folder's other files stay where they are.
func (s *Service) quarantine(id string) error {
	if err := s.store.root.Mkdir(quarantine, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make quarantine: %w", err)
	}
	to := path.Join(quarantine, metaName(id)+"."+strconv.FormatInt(time.Now().UnixNano(), 10))
	return s.store.rename(metaPath(id), to)
}
