package uri

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"sync"
	"time"

	"github.com/govidu/govidu/elements"
	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/internal/kerr"
	"github.com/govidu/govidu/internal/workers"
	"github.com/govidu/govidu/internal/workers/wire"
	"github.com/govidu/govidu/pipeline"
)

const (
	// snapshotCores is the first estimate of what one picture takes: about half a
	// second of one core, and then the process ends.
	snapshotCores = 0.1
	// snapshotTime bounds one picture, the start of a worker included.
	snapshotTime = 30 * time.Second
	// maxSnapshot is the widest picture, in pixels (wire.StillParams).
	maxSnapshot = 4096
)

type snapshotParams struct {
	MediaPipeline *elements.MediaPipeline `json:"mediaPipeline"`
	// URI is the media file, Target the JPEG; both are file URIs below the roots.
	URI    string `json:"uri"`
	Target string `json:"target"`
	// AtMs is the place in the file in ms; below 0 the middle.
	AtMs int `json:"atMs" default:"-1"`
	// Width is in pixels, the height follows; 0 leaves the picture's own size.
	Width int `json:"width" default:"480"`
}

// SnapshotSize is the size of a picture that was taken, in pixels.
type SnapshotSize struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// Snapshot writes one picture of a media file as JPEG. It has no media ports.
type Snapshot struct {
	elements.MediaObject
	deps        Deps
	uri, target string
	still       wire.StillParams
	ctx         context.Context // ends with the object
	cancel      context.CancelFunc

	op sync.Mutex // one picture at a time
}

func newSnapshot(d Deps) func(context.Context, elements.Env, snapshotParams) (*Snapshot, error) {
	return func(_ context.Context, env elements.Env, p snapshotParams) (*Snapshot, error) {
		if err := d.available(); err != nil {
			return nil, err
		}
		if p.Width < 0 || p.Width > maxSnapshot {
			return nil, kerr.New(kerr.MediaObjectIllegalParam, "A picture of %d pixels is not possible: 0 to %d", p.Width, maxSnapshot)
		}
		s := &Snapshot{
			deps: d, uri: complete(p.URI, d.DefaultPath), target: complete(p.Target, d.DefaultPath),
			still: wire.StillParams{AtMs: int64(p.AtMs), Width: p.Width},
		}
		for name, uri := range map[string]string{"uri": s.uri, "target": s.target} {
			if _, _, err := d.Fetch.Target(uri); errors.Is(err, fetch.ErrScheme) {
				return nil, kerr.New(kerr.MediaObjectIllegalParam, "%s of a snapshot must be a file URI: %s", name, err)
			} else if err != nil {
				return nil, fmt.Errorf("%s of a snapshot: %w: %w", name, err, kerr.URIPathFileNotFound)
			}
		}
		s.Init(env)
		s.ctx, s.cancel = context.WithCancel(context.Background())
		return s, nil
	}
}

// Input implements pipeline.Element, so that the object closes with its graph.
func (s *Snapshot) Input(kind pipeline.Kind, label string) (pipeline.Input, error) {
	return nil, fmt.Errorf("input %s %s of snapshot %s: %w", kind, label, s.ID(), kerr.UnsupportedMediaType)
}

// Output implements pipeline.Element; see Input.
func (s *Snapshot) Output(kind pipeline.Kind, label string) (*pipeline.Output, error) {
	return nil, fmt.Errorf("output %s %s of snapshot %s: %w", kind, label, s.ID(), kerr.UnsupportedMediaType)
}

// Take writes the picture and answers when the target is whole; a file there is
// replaced. It may be repeated. Errors: 40600 for a file that cannot be read or
// written, 40005 for one without pictures, 40108 for one of which none can be
// had, 40009 when the machine is full.
func (s *Snapshot) Take(ctx context.Context, _ elements.None) (SnapshotSize, error) {
	s.op.Lock()
	defer s.op.Unlock()
	ctx, cancel := context.WithTimeout(ctx, snapshotTime)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	if s.ctx.Err() != nil {
		return SnapshotSize{}, kerr.New(kerr.MediaObjectNotFound, "Object '%s' not found", s.ID())
	}
	f, err := s.deps.Fetch.File(s.uri)
	if err != nil {
		return SnapshotSize{}, fmt.Errorf("read %s: %w: %w", fetch.Redact(s.uri), err, kerr.URIPathFileNotFound)
	}
	defer f.Close()
	job, err := s.deps.Workers.Start(ctx, workers.Spec{Kind: wire.KindStill, Cores: snapshotCores, Element: s.ID()})
	if err != nil {
		return SnapshotSize{}, err
	}
	defer job.Close()
	var picture wire.StillResult
	if err := job.SendFile(ctx, wire.MethodStill, s.still, f, &picture); err != nil {
		return SnapshotSize{}, fmt.Errorf("picture of %s: %w", fetch.Redact(s.uri), err)
	}
	if len(picture.Image) == 0 {
		return SnapshotSize{}, kerr.New(kerr.UnexpectedError, "The media worker gives an empty picture")
	}
	if err := s.write(picture.Image); err != nil {
		return SnapshotSize{}, fmt.Errorf("write %s: %w: %w", fetch.Redact(s.target), err, kerr.URIPathFileNotFound)
	}
	return SnapshotSize{Width: picture.Width, Height: picture.Height}, nil
}

// write puts the picture in its place, whole or not at all.
func (s *Snapshot) write(image []byte) (err error) {
	folder, name, err := s.deps.Fetch.Target(s.target)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o750); err != nil {
		return plainError(err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return plainError(err)
	}
	defer root.Close()
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o750); err != nil {
			return plainError(err)
		}
	}
	temp := path.Join(path.Dir(name), "."+path.Base(name)+"."+rand.Text()[:8]+".part")
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return plainError(err)
	}
	_, err = f.Write(image)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		return errors.Join(plainError(err), plainError(root.Remove(temp)))
	}
	return nil
}

// plainError drops the path from a file error: it is the machine's business.
func plainError(err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case errors.As(err, &p):
		return p.Err
	case errors.As(err, &l):
		return l.Err
	}
	return err
}

// Close ends a picture that is being taken and waits for it.
func (s *Snapshot) Close() error {
	s.cancel()
	s.op.Lock()
	defer s.op.Unlock()
	return nil
}
