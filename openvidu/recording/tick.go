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
		if oldest == nil || m.CreatedAt < oldest.snapshot().CreatedAt {
			oldest = a
		}
		switch {
		case a.lost():
			s.stopFor(a, openvidu.ReasonMediaServerDisconnect, "media node is gone")
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
		for _, name := range []string{t.file + partSuffix, t.file} {
			if info, err := s.store.root.Lstat(path.Join(id, name)); err == nil {
				t.mu.Lock()
				t.meta.Size = info.Size()
				t.mu.Unlock()
				break
			}
		}
	}
}

func (a *active) largest() (n int64) {
	for _, t := range a.allTakes() {
		n = max(n, t.describe().Size)
	}
	return n
}

// lost says that the media node of a running take is gone for good.
func (a *active) lost() bool {
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
