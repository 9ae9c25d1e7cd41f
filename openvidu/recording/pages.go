package recording

import (
	"context"
	"time"

	"github.com/govidu/govidu/internal/layout"
	"github.com/govidu/govidu/internal/proof"
	"github.com/govidu/govidu/kms/client"
	"github.com/govidu/govidu/openvidu"
	"github.com/govidu/govidu/openvidu/studio"
)

// Pages draws custom layouts that are web pages: it shows one in a browser and
// gives an element whose AUDIO and VIDEO are what the page shows and plays. Without
// one, a start with such a layout is refused.
type Pages interface {
	// Available says why no page can be shown here, as a *studio.Error; nil is that
	// one can.
	Available() error
	// Open returns when the page is shown. Its errors become the start's; those of
	// type *studio.Error are told to the caller.
	Open(ctx context.Context, p PageSpec) (Page, error)
}

// Page is a web page that is being recorded.
type Page interface {
	// ID is the element on the node of PageSpec.
	ID() client.ID
	Close(ctx context.Context) error
}

// PageSpec describes a page to record (§8.1). Folder is the custom layout's name
// below the layouts folder, URL its address when it is not there. Pixels, and
// pictures per second.
type PageSpec struct {
	SessionID                string
	Folder, URL              string
	Media                    client.Client
	Pipeline                 client.ID
	Width, Height, FrameRate int
	HasAudio, HasVideo       bool
	// Note, when set, is told when the page is lost and when it is shown again; it
	// must not block.
	Note func(what, why string)
}

// pageTime is what a start may take longer when a browser has to be started.
func (s *Service) pageTime(a *active) time.Duration {
	if p := a.props; s.opts.Pages == nil || !p.Composed() || !p.HasVideo || p.RecordingLayout != layout.Custom {
		return 0
	}
	return s.opts.PageTimeout
}

// place is where a composite is made: a studio, or for a page, which composes by
// itself, the session's pipeline alone.
type place interface {
	Media() client.Client
	Pipeline() client.ID
	Lost() bool
	Missing() map[string]string
	Close(ctx context.Context) error
}

var _ place = (*studio.Studio)(nil)

// ground is the place of a page.
type ground struct {
	media    client.Client
	pipeline client.ID
}

func (g ground) Media() client.Client          { return g.media }
func (g ground) Pipeline() client.ID           { return g.pipeline }
func (ground) Missing() map[string]string      { return nil }
func (ground) Close(ctx context.Context) error { return nil }

func (g ground) Lost() bool {
	select {
	case <-g.media.Lost():
		return true
	default:
		return false
	}
}

// openPage shows a web page as the picture.
func (c *composite) openPage(ctx context.Context, target openvidu.RecordingTarget, page *studio.Page, width, height int) error {
	s, p := c.active.service, c.active.props
	g := ground{target.Media, target.Pipeline}
	if g.media == nil {
		var err error
		if g.media, g.pipeline, err = s.opts.Rooms.EnsureMedia(ctx, target.SessionID); err != nil {
			return err
		}
	}
	c.studio = g
	picture, err := s.opts.Pages.Open(ctx, PageSpec{
		SessionID: target.SessionID, Folder: page.Folder, URL: page.URL, Media: g.media, Pipeline: g.pipeline,
		Width: width, Height: height, FrameRate: p.FrameRate, HasAudio: p.HasAudio, HasVideo: p.HasVideo,
		Note: func(what, why string) { c.active.happened(proof.Event{Event: what, Detail: why}) },
	})
	if err == nil {
		c.picture = picture
	}
	return err
}
