package recording

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"syscall"
)

// pack makes the files of a stopped recording final and gives what to write into
// its metadata. It reads nothing but the folder, and may be repeated.
func (s *Service) pack(m *metadata) (func(*metadata), error) {
	if m.composed() {
		return s.packComposite(m)
	}
	r, err := s.store.build(s.ctx, m)
	if errors.Is(err, errNotFinal) {
		err = s.unfinished()
	}
	return func(m *metadata) { s.ready(m, r) }, err
}

// packComposite checks the file, reads off what it holds, makes the thumbnail and
// writes the manifest.
func (s *Service) packComposite(m *metadata) (func(*metadata), error) {
	t := finalTake{fileMeta: fileMeta{
		Name: m.composedFile(), StartTime: m.CreatedAt, HasAudio: m.HasAudio, HasVideo: m.HasVideo, Failure: m.Failure,
	}}
	if side, err := s.store.readSidecar(m.ID, t.Name); err == nil {
		t.side = *side
	}
	sums, err := s.store.hashFile(s.ctx, path.Join(m.ID, t.Name))
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.store.exists(path.Join(m.ID, t.Name+partSuffix)) && t.side.Status != "failed":
		return nil, s.unfinished()
	case errors.Is(err, fs.ErrNotExist), err == nil && sums.size == 0:
		return nil, errNoMedia
	case err != nil:
		return nil, fmt.Errorf("read composed file: %w", err)
	}
	t.Size, t.SHA256 = sums.size, sums.sha256
	t.times(sums.modTime)
	switch {
	case t.Failure != "":
	case t.side.Status == "failed":
		t.Failure = cmp.Or(t.side.Reason, "the recorder failed")
	case t.side.SHA256 != "" && t.side.SHA256 != sums.sha256:
		t.Failure = "file differs from what the recorder wrote"
	}
	t.side.Gaps = composedGaps(m, &t.side, s.store.ledgers.noted(m))
	s.thumbnail(s.ctx, m)
	r := &result{takes: []finalTake{t}}
	if err := s.store.writeManifest(s.ctx, m, r); err != nil {
		return nil, err
	}
	return func(m *metadata) { s.readyComposite(m, t) }, nil
}

// unfinished is why a file has no end: as a rule the disk had no room for its index.
// What there is plays, and the next start tries again.
func (s *Service) unfinished() error {
	if free, err := s.opts.FreeBytes(s.store.dir); err == nil && free < leastFree {
		return fmt.Errorf("%w: %w", errNotFinal, syscall.ENOSPC)
	}
	return errNotFinal
}

// leastFree is less than a file's index and a manifest need.
const leastFree = 1 << 20

// readyComposite fills in what the file tells of itself (§8).
func (s *Service) readyComposite(m *metadata, t finalTake) {
	m.Status, m.Failure, m.Retry = Ready, t.Failure, false
	if t.Failure != "" {
		// What was written is there and plays, but it is not what was asked for.
		m.Status = Failed
	}
	m.Size, m.Duration, m.URL = t.Size, t.Duration, s.url(m, t.Name)
	if len(t.side.Tracks) > 0 {
		m.HasAudio, m.HasVideo = false, false
	}
	for _, track := range t.side.Tracks {
		switch {
		case track.Units == 0:
		case track.Kind == "AUDIO":
			m.HasAudio = true
		default:
			m.HasVideo = true
			if track.Width > 0 && track.Height > 0 {
				m.Resolution = new(fmt.Sprintf("%dx%d", track.Width, track.Height))
			}
			m.FrameRate = probedRate(m.FrameRate, track)
		}
	}
	t.HasAudio, t.HasVideo = m.HasAudio, m.HasVideo
	m.Incomplete = m.Incomplete || t.Failure != "" || len(t.side.Gaps) > 0
	m.Files = []fileMeta{t.fileMeta}
}

// probedRate is the rate that a track has: the nominal one unless the pictures in it
// tell clearly of another.
func probedRate(nominal *int, t track) *int {
	if t.Units < 2 || t.LastPtsMs <= t.FirstPtsMs {
		return nominal
	}
	rate := float64(t.Units-1) * 1000 / float64(t.LastPtsMs-t.FirstPtsMs)
	if nominal != nil && math.Abs(rate-float64(*nominal)) <= 0.1*float64(*nominal) {
		return nominal
	}
	return new(max(1, int(math.Round(rate))))
}

// thumbnailName is the picture of a recording (§8).
func thumbnailName(id string) string { return id + ".jpg" }
