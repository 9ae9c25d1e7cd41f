package recording

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/govidu/govidu/internal/proof"
)

// result is what finalising made of a folder.
type result struct {
	takes []finalTake
	// left names takes that could not be taken in: no media, or not final.
	left []leftTake
	zip  zipInfo
}

// finalTake is one take whose file is whole.
type finalTake struct {
	fileMeta
	side sidecar
	crc  uint32
}

type leftTake struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// errNotFinal says that the recorder has not finished a file; it will.
var (
	errNoMedia  = errors.New("no media was recorded")
	errNotFinal = errors.New("file was not finalised")
)

// build makes the zip and the manifest of the recording m from what lies in its
// folder, and nothing else, so that it works the same at a stop and after a
// crash, and may be repeated. It leaves the loose files; sweep removes them.
func (s *store) build(ctx context.Context, m *metadata) (*result, error) {
	takes, left, err := s.collect(ctx, m)
	if err != nil {
		return nil, err
	}
	r := &result{takes: takes, left: left}
	// A recording that nobody published in is an empty zip when it was stopped in
	// order; after a crash there is nothing to say it was one.
	if len(takes) == 0 && (len(left) > 0 || m.Recovered) {
		return r, errNoMedia
	}
	if r.zip, err = s.writeZip(ctx, m, takes); err != nil {
		return r, err
	}
	return r, s.writeManifest(ctx, m, r)
}

// collect reads the takes of a recording, hashes their files and checks them
// against what the recorder noted.
func (s *store) collect(ctx context.Context, m *metadata) (takes []finalTake, left []leftTake, err error) {
	entries, err := s.names(m.ID)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), takePrefix) || strings.HasSuffix(e.Name(), tmpSuffix) {
			continue
		}
		t, reason, err := s.collectTake(ctx, m.ID, e.Name())
		if errors.Is(err, errNotFinal) && !m.Recovered {
			// It did not end in time. The others do not wait for it.
			reason, err = err.Error(), nil
		}
		if err != nil {
			return nil, nil, err
		}
		if t == nil {
			left = append(left, leftTake{strings.TrimPrefix(e.Name(), takePrefix), reason})
			continue
		}
		takes = append(takes, *t)
	}
	slices.SortFunc(takes, func(a, b finalTake) int {
		return cmp.Or(cmp.Compare(a.StartTime, b.StartTime), strings.Compare(a.Name, b.Name))
	})
	return takes, left, nil
}

func (s *store) collectTake(ctx context.Context, id, name string) (*finalTake, string, error) {
	b, err := s.read(path.Join(id, name))
	if err != nil {
		return nil, "metadata of the stream cannot be read", nil
	}
	meta, err := parseTake(b)
	if err != nil {
		return nil, "metadata of the stream is not readable", nil
	}
	t := &finalTake{fileMeta: *meta}
	side, err := s.readSidecar(id, t.Name)
	if err == nil {
		t.side = *side
	}
	sums, err := s.hashFile(ctx, path.Join(id, t.Name))
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.exists(path.Join(id, t.Name+partSuffix)) && t.side.Status != "failed":
		return nil, "", errNotFinal
	case errors.Is(err, fs.ErrNotExist):
		return nil, reasonOr(t, "nothing was written"), nil
	case err != nil:
		return nil, "", fmt.Errorf("read %s: %w", t.Name, err)
	case sums.size == 0:
		return nil, reasonOr(t, "file is empty"), nil
	}
	switch {
	case t.Failure != "":
	case t.side.Status == "failed":
		t.Failure = cmp.Or(t.side.Reason, "the recorder failed")
	case t.side.SHA256 != "" && t.side.SHA256 != sums.sha256:
		// The file is what it is; the manifest tells both sums.
		t.Failure = "file differs from what the recorder wrote"
	}
	t.Size, t.SHA256, t.crc = sums.size, sums.sha256, sums.crc
	t.times(sums.modTime)
	return t, "", nil
}

func reasonOr(t *finalTake, text string) string { return cmp.Or(t.Failure, t.side.Reason, text) }

// times settles when the take began and ended: by the recorder's own notes, which
// are what the media says, else by what we saw, else by the file.
func (t *finalTake) times(modTime int64) {
	if t.side.StartTime > 0 {
		t.StartTime = t.side.StartTime
	}
	switch {
	case t.side.DurationMs > 0:
		t.EndTime = t.StartTime + t.side.DurationMs
	case t.side.EndTime > 0:
		t.EndTime = t.side.EndTime
	case t.EndTime == 0:
		t.EndTime = modTime
	}
	t.EndTime = max(t.EndTime, t.StartTime)
	t.Duration = float64(t.EndTime-t.StartTime) / 1000
}

// totals are the recording's size (sum of the stream files) and duration (latest
// end less earliest start, in seconds).
func totals(takes []finalTake) (size int64, duration float64) {
	var first, last int64
	for i, t := range takes {
		size += t.Size
		if i == 0 || t.StartTime < first {
			first = t.StartTime
		}
		last = max(last, t.EndTime)
	}
	return size, float64(last-first) / 1000
}

// sweep removes what the zip holds now: loose media, their sidecars and stream
// metadata, and unfinished files of ours. It is called only when the metadata says
// ready, and is repeated by Recover.
func (s *store) sweep(m *metadata) error {
	var errs []error
	for _, name := range s.loose(m) {
		errs = append(errs, s.remove(name))
	}
	return errors.Join(errs...)
}

// loose lists what is there to sweep.
func (s *store) loose(m *metadata) (names []string) {
	if m.composed() { // its file is the recording itself
		return nil
	}
	for _, f := range m.Files {
		if !fileForm.MatchString(f.Name) {
			continue
		}
		take := strings.TrimSuffix(f.Name, path.Ext(f.Name))
		for _, name := range []string{path.Join(m.ID, f.Name), sidecarPath(m.ID, f.Name), path.Join(m.ID, proof.LogName(f.Name)), takePath(m.ID, take)} {
			if s.exists(name) {
				names = append(names, name)
			}
		}
	}
	return names
}
