package recording

import (
	"context"
	"path"
	"time"

	"github.com/govidu/govidu/internal/obs"
	"github.com/govidu/govidu/openvidu"
)

// tick writes the metadata of running recordings every SaveInterval and stops
// those that reached a limit.
func (s *Service) tick() {
	t := time.NewTicker(s.opts.SaveInterval)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			s.checkAll()
		}
	}
}

func (s *Service) checkAll() {
	var oldest *active
	for _, a := range s.actives() {
		m := a.snapshot()
		if m.Status != Started {
			continue
		}
		s.measure(a)
		if err := a.save(); err != nil {
			a.log.Warn("metadata could not be written", obs.AttrErr, err)
		}
		s.store.ledgers.checkpoint(&m, a.files())
		if oldest == nil || m.CreatedAt < oldest.snapshot().CreatedAt {
			oldest = a
		}
		switch {
		case a.lost():
			s.stopFor(a, openvidu.ReasonMediaServerDisconnect, "media node is gone")
		case a.whole() != nil && a.whole().stalled():
			a.whole().fail("the composed picture has stopped")
			s.stopFor(a, openvidu.ReasonAutomaticStop, "composed file has stopped growing")
		case a.allFailed():
			s.stopFor(a, openvidu.ReasonAutomaticStop, "every recorder has failed")
		case time.Since(a.born) > s.opts.MaxLength:
			s.stopFor(a, openvidu.ReasonAutomaticStop, "longest duration reached")
		case a.largest() > s.opts.MaxFileBytes:
			s.stopFor(a, openvidu.ReasonAutomaticStop, "largest file size reached")
		}
	}
	if oldest == nil {
		return
	}
	if free, err := s.opts.FreeBytes(s.store.dir); err == nil && free < s.opts.MinFreeRun {
		s.stopFor(oldest, openvidu.ReasonAutomaticStop, "disk is nearly full")
	}
}

func (s *Service) stopFor(a *active, reason openvidu.Reason, why string) {
	a.log.Warn("recording is stopped", "why", why)
	s.spawn("recording.limit", func() { _ = s.finish(context.WithoutCancel(s.ctx), a, reason) })
}

// measure notes how large the files have grown.
func (s *Service) measure(a *active) {
	id := a.snapshot().ID
	for _, t := range a.allTakes() {
		if n, ok := s.sizeOf(id, t.file); ok {
			t.mu.Lock()
			t.meta.Size = n
			t.mu.Unlock()
		}
	}
	if c := a.whole(); c != nil {
		n, _ := s.sizeOf(id, c.file)
		c.grown(n)
	}
}

// sizeOf measures a file of media, final or not.
func (s *Service) sizeOf(id, file string) (int64, bool) {
	for _, name := range []string{file + partSuffix, file} {
		if info, err := s.store.root.Lstat(path.Join(id, name)); err == nil {
			return info.Size(), true
		}
	}
	return 0, false
}

// files names the media files of the recording so far.
func (a *active) files() (names []string) {
	for _, t := range a.allTakes() {
		names = append(names, t.file)
	}
	if c := a.whole(); c != nil {
		names = append(names, c.file)
	}
	return names
}

func (a *active) largest() (n int64) {
	for _, t := range a.allTakes() {
		n = max(n, t.describe().Size)
	}
	if c := a.whole(); c != nil {
		n = max(n, c.describe().Size)
	}
	return n
}

// lost says that the media node of a running take is gone for good.
func (a *active) lost() bool {
	if c := a.whole(); c != nil && c.studio.Lost() { // started, so it has one
		return true
	}
	for _, t := range a.allTakes() {
		if t.stream.Media == nil {
			continue
		}
		select {
		case <-t.stream.Media.Lost():
			return true
		default:
		}
	}
	return false
}

// allFailed says that streams are being recorded and every recorder has failed.
func (a *active) allFailed() bool {
	a.mu.Lock()
	running := make([]*take, 0, len(a.takes))
	for _, t := range a.takes {
		if !t.stopping {
			running = append(running, t)
		}
	}
	a.mu.Unlock()
	for _, t := range running {
		select {
		case <-t.failed:
		default:
			return false
		}
	}
	return len(running) > 0
}
