package storage

import (
	"bytes"
	"context"
	"crypto/md5" // as providers name it; what must be safe is SHA-256
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"mime"
	"path"
	"strconv"
	"strings"
	"time"

	"gocloud.dev/blob"
)

func (u *Uploader) key(id, name string) string { return u.opts.Prefix + id + "/" + name }

// contentTypes of what recordings hold.
var contentTypes = map[string]string{
	".mp4": "video/mp4", ".webm": "video/webm", ".mkv": "video/x-matroska", ".zip": "application/zip",
	".jpg": "image/jpeg", ".json": "application/json",
}

func smallOptions(contentType string) *blob.WriterOptions {
	return &blob.WriterOptions{ContentType: contentType, BufferSize: 5 << 20, MaxConcurrency: 1}
}

// put uploads a file below the recordings folder and makes sure that the bucket
// has it whole. The upload holds two parts in memory.
func (u *Uploader) put(ctx context.Context, key, name string) (file, error) {
	f, err := u.root.Open(name)
	if err != nil {
		return file{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return file{}, err
	}
	out := file{Name: path.Base(name), Size: info.Size(), Modified: info.ModTime().UnixNano()}
	part := partBytes(info.Size(), u.opts.PartBytes)
	sums := newSums(part)
	contentType := contentTypes[path.Ext(name)]
	if strings.HasPrefix(out.Name, ".") {
		contentType = "application/json"
	}
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	o := &blob.WriterOptions{ContentType: contentType, BufferSize: int(part), MaxConcurrency: 2}
	if contentType == "application/zip" {
		o.ContentDisposition = mime.FormatMediaType("attachment", map[string]string{"filename": out.Name})
	}
	if err := u.send(ctx, key, io.TeeReader(io.LimitReader(f, info.Size()), sums), o); err != nil {
		return out, err
	}
	if sums.n != info.Size() {
		return out, errors.New("file became shorter while it was uploaded")
	}
	out.SHA256 = hex.EncodeToString(sums.whole.Sum(nil))
	out.How, err = u.verify(ctx, key, sums)
	return out, err
}

// partBytes is the size of parts: S3 takes 10,000.
func partBytes(size, least int64) int64 {
	const parts = 9000
	return max(least, (size/parts+1<<20)/(1<<20)*(1<<20))
}

// send uploads r to key. It ends when nothing moves for Stall.
func (u *Uploader) send(ctx context.Context, key string, r io.Reader, o *blob.WriterOptions) error {
	ctx, moving := watch(ctx, u.opts.Stall)
	defer moving.stop()
	if err := u.bucket.Upload(ctx, key, &movingReader{r, moving}, o); err != nil {
		return fmt.Errorf("upload: %w", errors.Join(err, moving.failure()))
	}
	return nil
}

// sums are the checksums of a stream: SHA-256 and MD5 of all of it, and the MD5 of
// each part, of which S3 makes an ETag.
type sums struct {
	n           int64
	whole, md5  hash.Hash
	part        hash.Hash
	inPart, max int64
	parts       []byte
	count       int
}

func newSums(part int64) *sums {
	return &sums{whole: sha256.New(), md5: md5.New(), part: md5.New(), max: part}
}

// Write never fails.
func (s *sums) Write(b []byte) (int, error) {
	n := len(b)
	s.n += int64(n)
	s.whole.Write(b)
	s.md5.Write(b)
	for len(b) > 0 {
		k := min(int64(len(b)), s.max-s.inPart)
		s.part.Write(b[:k])
		s.inPart += k
		b = b[k:]
		if s.inPart == s.max {
			s.endPart()
		}
	}
	return n, nil
}

func (s *sums) endPart() {
	s.parts = s.part.Sum(s.parts)
	s.count++
	s.part.Reset()
	s.inPart = 0
}

// etag is what S3 answers for an upload in parts: the MD5 of the MD5s of the parts
// and their number.
func (s *sums) etag() string {
	if s.inPart > 0 {
		s.endPart()
	}
	sum := md5.Sum(s.parts)
	return hex.EncodeToString(sum[:]) + "-" + strconv.Itoa(s.count)
}

// verify compares the bucket's object with what was sent: size, then the checksum
// the provider computed, or, when it has none that we can compute too, the bytes
// themselves. It tells which: md5, etag, readback.
func (u *Uploader) verify(ctx context.Context, key string, s *sums) (string, error) {
	a, err := u.attributes(ctx, key)
	if err != nil {
		return "", err
	}
	if a.Size != s.n {
		return "", fmt.Errorf("the bucket has %d bytes of %d", a.Size, s.n)
	}
	// What looks like an MD5 is something else when the bucket encrypts with keys of
	// its own, so that a difference says nothing yet.
	if len(a.MD5) > 0 && bytes.Equal(a.MD5, s.md5.Sum(nil)) {
		return "md5", nil
	}
	if strings.Trim(a.ETag, `"`) == s.etag() {
		return "etag", nil
	}
	back := sha256.New()
	if err := u.readBack(ctx, key, back); err != nil {
		return "", err
	}
	if !bytes.Equal(back.Sum(nil), s.whole.Sum(nil)) {
		return "", errors.New("the bucket gives other bytes than were uploaded")
	}
	return "readback", nil
}

func (u *Uploader) attributes(ctx context.Context, key string) (*blob.Attributes, error) {
	ctx, cancel := context.WithTimeout(ctx, u.opts.OpTimeout)
	defer cancel()
	a, err := u.bucket.Attributes(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("look at object: %w", err)
	}
	return a, nil
}

func (u *Uploader) readBack(ctx context.Context, key string, w io.Writer) error {
	ctx, moving := watch(ctx, u.opts.Stall)
	defer moving.stop()
	r, err := u.bucket.NewReader(ctx, key, nil)
	if err != nil {
		return fmt.Errorf("read back: %w", errors.Join(err, moving.failure()))
	}
	defer r.Close()
	if _, err := io.Copy(w, &movingReader{r, moving}); err != nil {
		return fmt.Errorf("read back: %w", errors.Join(err, moving.failure()))
	}
	return nil
}

// movement ends a context when nothing moves for a while.
type movement struct {
	timer  *time.Timer
	limit  time.Duration
	ctx    context.Context
	cancel context.CancelCauseFunc
}

var errStalled = errors.New("nothing moved for too long")

func watch(ctx context.Context, limit time.Duration) (context.Context, *movement) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &movement{time.AfterFunc(limit, func() { cancel(errStalled) }), limit, ctx, cancel}
}

func (m *movement) stop() {
	m.timer.Stop()
	m.cancel(nil)
}

// failure is errStalled when that was it.
func (m *movement) failure() error {
	if errors.Is(context.Cause(m.ctx), errStalled) {
		return errStalled
	}
	return nil
}

// movingReader hides every other method of r: libraries that find Seek read in an
// order of their own.
type movingReader struct {
	r io.Reader
	m *movement
}

func (r *movingReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	if n > 0 {
		r.m.timer.Reset(r.m.limit)
	}
	return n, err
}
