package uri

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/govidu/govidu/internal/fetch"
	"github.com/govidu/govidu/recorder"
)

// uploadTimeout bounds the transfer of one recording.
const uploadTimeout = 10 * time.Minute

// errUpload marks a server that refuses what it is sent.
var errUpload = errors.New("upload refused")

// place is where a recording is written: a file, or for http and https one that
// is sent when it is final. A container needs its beginning rewritten at the end,
// which no stream of bytes allows.
type place struct {
	root, name string
	url        string // "" for a file
	temp       string // folder to remove
}

// place finds where the recorder's URI leads.
func (r *Recorder) place() (p place, err error) {
	switch scheme := fetch.Scheme(r.uri); scheme {
	case "file":
		p.root, p.name, err = r.deps.Fetch.Target(r.uri)
		return p, err
	case "http", "https":
		if _, err := fetch.Parse(r.uri); err != nil {
			return p, err
		}
		if p.temp, err = os.MkdirTemp("", "govidu-upload-"); err != nil {
			return p, fmt.Errorf("make folder for an upload: %w", err)
		}
		p.root, p.name, p.url = p.temp, "recording", r.uri
		return p, nil
	default:
		return p, fmt.Errorf("record to %s: scheme %q: %w", fetch.Redact(r.uri), scheme, fetch.ErrScheme)
	}
}

// close removes what is only for the way.
func (p place) close() error {
	if p.temp == "" {
		return nil
	}
	return os.RemoveAll(p.temp)
}

var uploadTypes = map[recorder.Container]string{
	recorder.WebM: "video/webm", recorder.Matroska: "video/x-matroska", recorder.MP4: "video/mp4", recorder.FLV: "video/x-flv",
}

// upload sends the final file, in chunks, with the URL's credentials.
func (p place) upload(ctx context.Context, policy *fetch.Policy, c recorder.Container) error {
	f, err := os.Open(filepath.Join(p.root, filepath.FromSlash(p.name)))
	if err != nil {
		return fmt.Errorf("upload: %w", err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	// A reader whose length is not known is sent in chunks.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, io.MultiReader(f))
	if err != nil {
		return fmt.Errorf("upload: %w", fetch.ErrRefused)
	}
	req.Header.Set("Content-Type", uploadTypes[c])
	req.Header.Set("User-Agent", "govidu")
	resp, err := policy.Client().Do(req)
	if err != nil {
		return fmt.Errorf("upload to %s: %w", fetch.Redact(p.url), fetch.Cause(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("upload to %s: server answers %d %s: %w", fetch.Redact(p.url), resp.StatusCode, http.StatusText(resp.StatusCode), errUpload)
	}
	return nil
}
