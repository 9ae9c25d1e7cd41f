package recording

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"time"

	"github.com/govidu/govidu/internal/obs"
)

// thumbnailWidth is the contract's (§8), thumbnailTime what is spent on one picture.
const (
	thumbnailWidth = 480
	thumbnailTime  = 5 * time.Second
)

// thumbnail makes `<id>.jpg` of a composed recording with video, a picture of its
// middle. It is an extra: without one the recording is as good.
func (s *Service) thumbnail(ctx context.Context, m *metadata) {
	if !m.HasVideo || s.opts.Nodes == nil || s.store.exists(filepath.Join(m.ID, thumbnailName(m.ID))) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, thumbnailTime)
	defer cancel()
	if err := s.snapshot(ctx, m); err != nil {
		s.log.Info("recording has no thumbnail", obs.AttrRecording, m.ID, obs.AttrErr, err)
	}
}

// snapshot has a media node take the picture, in a pipeline of its own: that of the
// session may be gone.
func (s *Service) snapshot(ctx context.Context, m *metadata) (err error) {
	node, err := s.opts.Nodes.Place(ctx)
	if err != nil {
		return err
	}
	pipeline, err := node.Create(ctx, "MediaPipeline", nil)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), thumbnailTime)
		defer cancel()
		err = errors.Join(err, node.Release(ctx, pipeline))
	}()
	uri := func(file string) string {
		u := url.URL{Scheme: "file", Path: filepath.Join(s.store.dir, m.ID, file)}
		return u.String()
	}
	shot, err := node.Create(ctx, "Snapshot", map[string]any{
		"mediaPipeline": pipeline, "uri": uri(m.composedFile()), "target": uri(thumbnailName(m.ID)), "atMs": -1, "width": thumbnailWidth,
	})
	if err != nil {
		return err
	}
	return node.Invoke(ctx, shot, "take", nil, nil)
}
