package storage

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"gocloud.dev/blob"
)

const (
	// maxHidden is the size of metadata files that are copied while a recording
	// grows; there are no larger ones.
	maxHidden = 1 << 20
	// headBytes at the start of a growing file may still be rewritten (tracks that
	// come late); a change sends the first chunk again.
	headBytes = 64 << 10
	// maxGrowing bounds the files of one running recording that are copied.
	maxGrowing = 4096
)

// growing is what is in the bucket of one file of a running recording.
type growing struct {
	chunks   int
	offset   int64 // bytes in chunks
	first    int64 // bytes of the first chunk
	head     uint32
	sent     time.Time // of the last chunk, or when it was first seen
	modified time.Time // of a file that is copied whole
	size     int64
}

// stepLive looks at the files of a running recording and uploads what is new:
// chunks of files that grow, whole files when they are final before the recording
// is, metadata as it changes.
func (u *Uploader) stepLive(ctx context.Context, j *job) error {
	entries, err := u.names(j.id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not made yet, or deleted
	}
	if err != nil {
		return fmt.Errorf("list folder: %w", err)
	}
	var waiting int64
	var errs []error
	for _, e := range entries {
		name := e.Name()
		if name == stateName || strings.HasSuffix(name, tmpSuffix) || strings.HasSuffix(name, ".zip"+partSuffix) {
			continue
		}
		g := j.growing[name]
		if g == nil {
			if len(j.growing) >= maxGrowing {
				continue
			}
			g = &growing{sent: time.Now()}
			j.growing[name] = g
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // renamed meanwhile
		}
		if err == nil {
			switch {
			case strings.HasSuffix(name, partSuffix):
				err = u.chunks(ctx, j.id, name, info.Size(), g)
				waiting += info.Size() - g.offset
			case strings.HasPrefix(name, "."):
				err = u.hidden(ctx, j.id, name, info, g)
			case g.modified.IsZero():
				waiting += info.Size()
				if err = u.ended(ctx, j.id, name, info); err == nil {
					waiting -= info.Size()
					g.modified = info.ModTime()
				}
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			break // the bucket is asked again after a pause
		}
	}
	u.mu.Lock()
	j.waiting = waiting
	u.mu.Unlock()
	return errors.Join(errs...)
}

// chunkKey names chunk n, from 1, of a growing file.
func (u *Uploader) chunkKey(id, name string, n int) string {
	return fmt.Sprintf("%s%s/%s%s.%06d", u.opts.Prefix, id, livePrefix, strings.TrimSuffix(name, partSuffix), n)
}

// chunks uploads what is new of a growing file, if that is enough or old enough.
func (u *Uploader) chunks(ctx context.Context, id, name string, size int64, g *growing) error {
	due := size-g.offset >= u.opts.ChunkBytes || time.Since(g.sent) >= u.opts.ChunkEvery
	if !due || size <= g.offset {
		return nil
	}
	f, err := u.root.Open(path.Join(id, name))
	if err != nil {
		return err
	}
	defer f.Close()
	head, err := headSum(f, g.first)
	if err != nil {
		return err
	}
	if g.chunks > 0 && head != g.head {
		if err := u.chunk(ctx, id, name, 1, io.NewSectionReader(f, 0, g.first)); err != nil {
			return err
		}
		g.head = head
	}
	for size > g.offset {
		n := min(size-g.offset, u.opts.ChunkBytes)
		if n < u.opts.ChunkBytes && g.chunks > 0 && time.Since(g.sent) < u.opts.ChunkEvery {
			return nil
		}
		if g.chunks == 0 {
			if g.head, err = headSum(f, n); err != nil {
				return err
			}
			g.first = n
		}
		if err := u.chunk(ctx, id, name, g.chunks+1, io.NewSectionReader(f, g.offset, n)); err != nil {
			return err
		}
		g.chunks++
		g.offset += n
		g.sent = time.Now()
	}
	return nil
}

func (u *Uploader) chunk(ctx context.Context, id, name string, n int, r *io.SectionReader) error {
	err := u.send(ctx, u.chunkKey(id, name, n), r, &blob.WriterOptions{
		ContentType: "application/octet-stream", BufferSize: int(u.opts.ChunkBytes), MaxConcurrency: 1,
	})
	if err == nil {
		u.metrics.moved("chunk", r.Size())
	}
	return err
}

// headSum is the checksum of the start of a file, of whose first chunk size bytes
// are known.
func headSum(r io.ReaderAt, size int64) (uint32, error) {
	h := crc32.NewIEEE()
	_, err := io.Copy(h, io.NewSectionReader(r, 0, min(size, headBytes)))
	return h.Sum32(), err
}

// hidden copies a metadata file when it changed and its last copy is old enough.
func (u *Uploader) hidden(ctx context.Context, id, name string, info fs.FileInfo, g *growing) error {
	same := info.ModTime().Equal(g.modified) && info.Size() == g.size
	if same || info.Size() > maxHidden || !g.modified.IsZero() && time.Since(g.sent) < u.opts.ChunkEvery {
		return nil
	}
	f, err := u.root.Open(path.Join(id, name))
	if err != nil {
		return err
	}
	defer f.Close()
	if err := u.send(ctx, u.key(id, livePrefix+name), io.LimitReader(f, maxHidden), smallOptions("application/json")); err != nil {
		return err
	}
	g.modified, g.size, g.sent = info.ModTime(), info.Size(), time.Now()
	return nil
}

// ended copies a file that became final while the recording goes on, whole: its
// bytes are not those of the chunks, which then go.
func (u *Uploader) ended(ctx context.Context, id, name string, info fs.FileInfo) error {
	if _, err := u.put(ctx, u.key(id, livePrefix+name), path.Join(id, name)); err != nil {
		return err
	}
	u.metrics.moved("file", info.Size())
	return u.deleteAll(ctx, u.key(id, livePrefix+name+"."))
}
