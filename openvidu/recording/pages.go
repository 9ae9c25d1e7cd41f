package recording

import (
	"context"

	"github.com/govidu/govidu/kms/client"
)

// Pages draws custom layouts that are web pages: it shows one in a browser and
// gives an element whose AUDIO and VIDEO are what the page shows and plays. Without
// one, a start with such a layout is refused.
type Pages interface {
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
}
