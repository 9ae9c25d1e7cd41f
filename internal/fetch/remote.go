package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	// blockSize is what a Remote reads and keeps at a time.
	blockSize = 128 << 10
	// keptBlocks bounds a Remote's memory to 8 MiB: enough for files that keep
	// picture and sound far apart.
	keptBlocks = 64
	// skipBlocks is how far ahead a Remote rather reads on than asks anew.
	skipBlocks = 4
)

// Remote is an http or https resource that is read where the reader wants,
// when the server serves ranges. Close ends reads under way.
type Remote struct {
	p      *Policy
	ctx    context.Context
	cancel context.CancelFunc
	uri    string
	size   int64 // -1: unknown
	ranges bool
	tag    string // a change of it means another file

	mu     sync.Mutex // one read at a time
	body   io.ReadCloser
	at     int64 // of body
	blocks map[int64][]byte
	order  []int64 // of blocks, oldest first
}

// Remote opens a URL. The first response is kept and read on, so that a server
// without ranges is asked once. ctx bounds the Remote's life.
func (p *Policy) Remote(ctx context.Context, uri string) (*Remote, error) {
	ctx, cancel := context.WithCancel(ctx)
	r := &Remote{p: p, ctx: ctx, cancel: cancel, uri: uri, size: -1, blocks: map[int64][]byte{}}
	resp, err := p.Get(ctx, uri, http.Header{"Range": {"bytes=0-"}})
	if err != nil {
		cancel()
		return nil, err
	}
	r.body, r.tag = resp.Body, tagOf(resp)
	switch {
	case resp.StatusCode == http.StatusPartialContent:
		first, size, ok := contentRange(resp)
		if !ok || first != 0 {
			r.Close()
			return nil, fmt.Errorf("get %s: server answers a range that was not asked for", Redact(uri))
		}
		r.size = size
		r.ranges = size > 0
	case resp.ContentLength >= 0:
		r.size = resp.ContentLength
		r.ranges = resp.Header.Get("Accept-Ranges") == "bytes" && r.size > 0
	}
	return r, nil
}

func tagOf(r *http.Response) string {
	if t := r.Header.Get("ETag"); t != "" && !strings.HasPrefix(t, "W/") {
		return t
	}
	return r.Header.Get("Last-Modified")
}

// contentRange reads "bytes 0-99/100" (RFC 9110 §14.4).
func contentRange(r *http.Response) (first, size int64, ok bool) {
	unit, rest, _ := strings.Cut(r.Header.Get("Content-Range"), " ")
	span, total, _ := strings.Cut(rest, "/")
	from, _, _ := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if unit != "bytes" || err != nil || first < 0 {
		return 0, 0, false
	}
	if size, err = strconv.ParseInt(total, 10, 64); err != nil {
		size = -1
	}
	return first, size, true
}

// Size is the length in bytes, -1 when the server does not tell.
func (r *Remote) Size() int64 { return r.size }

// Ranges tells whether ReadAt works.
func (r *Remote) Ranges() bool { return r.ranges }

// Body is the resource from its beginning, for use instead of ReadAt.
func (r *Remote) Body() io.Reader { return r.body }

// ReadAt implements io.ReaderAt.
func (r *Remote) ReadAt(b []byte, off int64) (n int, err error) {
	if !r.ranges || off < 0 {
		return 0, fmt.Errorf("read %s at %d: server has no ranges", Redact(r.uri), off)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < len(b) {
		if off >= r.size {
			return n, io.EOF
		}
		block, err := r.block(off / blockSize)
		if err != nil {
			return n, err
		}
		k := copy(b[n:], block[off%blockSize:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

func (r *Remote) block(i int64) ([]byte, error) {
	if b, ok := r.blocks[i]; ok {
		return b, nil
	}
	start := i * blockSize
	if r.body == nil || start < r.at || start-r.at > skipBlocks*blockSize {
		if err := r.seek(start); err != nil {
			return nil, err
		}
	}
	for r.at < start { // keep what lies between: it is likely wanted next
		if _, err := r.next(); err != nil {
			return nil, err
		}
	}
	return r.next()
}

// next reads the block at r.at, which is a multiple of blockSize.
func (r *Remote) next() ([]byte, error) {
	b := make([]byte, min(blockSize, r.size-r.at))
	if _, err := io.ReadFull(r.body, b); err != nil {
		r.drop()
		if r.ctx.Err() != nil {
			return nil, r.ctx.Err()
		}
		return nil, fmt.Errorf("read %s: %w", Redact(r.uri), noEOF(err))
	}
	i := r.at / blockSize
	if _, ok := r.blocks[i]; !ok {
		if len(r.order) >= keptBlocks {
			delete(r.blocks, r.order[0])
			r.order = r.order[1:]
		}
		r.order = append(r.order, i)
	}
	r.blocks[i] = b
	r.at += int64(len(b))
	return b, nil
}

func (r *Remote) seek(start int64) error {
	r.drop()
	h := http.Header{"Range": {fmt.Sprintf("bytes=%d-", start)}}
	if r.tag != "" {
		h.Set("If-Range", r.tag)
	}
	resp, err := r.p.Get(r.ctx, r.uri, h)
	if err != nil {
		return err
	}
	first, size, ok := contentRange(resp)
	switch {
	case start == 0 && resp.StatusCode == http.StatusOK && resp.ContentLength == r.size:
	case resp.StatusCode != http.StatusPartialContent || !ok || first != start || size != r.size:
		resp.Body.Close()
		return fmt.Errorf("get %s: the resource has changed", Redact(r.uri))
	}
	r.body, r.at = resp.Body, start
	return nil
}

func (r *Remote) drop() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

// Close ends reads under way and frees the connection.
func (r *Remote) Close() error {
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.drop()
	return nil
}

// noEOF makes a body that ends early an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
