package storage

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
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
	chunks   []piece
	offset   int64 // bytes in chunks
	head     uint32
	sent     time.Time // of the last chunk, or when it was first seen
	modified time.Time // of a file that is copied whole, or is final
	size     int64
}

// piece is one chunk: its size and checksum (CRC-32, against changes, not against
// malice).
type piece struct {
	size int64
	sum  uint32
}

// stepLive looks at the files of a running recording and uploads what is new:
// chunks of files that grow, the rest of those that are final before the recording
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
		if name == stateName || strings.HasSuffix(name, tmpSuffix) || strings.HasSuffix(name, ".zip"+partSuffix) || strings.HasSuffix(name, ".zip") { // made of the others at the end
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
				if before := j.growing[name+partSuffix]; before != nil { // it grew under another name
					delete(j.growing, name+partSuffix)
					j.growing[name], g = before, before
				}
				if err = u.ended(ctx, j.id, name, info.Size(), g); err == nil {
					g.modified = info.ModTime()
				}
				waiting += max(0, info.Size()-g.offset)
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
	if len(g.chunks) > 0 {
		head, err := headSum(f, g.chunks[0].size)
		if err != nil {
			return err
		}
		if head != g.head {
			if err := u.chunk(ctx, id, name, f, 0, 0, g); err != nil {
				return err
			}
			g.head = head
		}
	}
	for size > g.offset {
		n := min(size-g.offset, u.opts.ChunkBytes)
		if n < u.opts.ChunkBytes && len(g.chunks) > 0 && time.Since(g.sent) < u.opts.ChunkEvery {
			return nil
		}
		if err := u.append(ctx, id, name, f, n, g); err != nil {
			return err
		}
	}
	return nil
}

// append uploads the next n bytes as a chunk.
func (u *Uploader) append(ctx context.Context, id, name string, f *os.File, n int64, g *growing) (err error) {
	if len(g.chunks) == 0 {
		if g.head, err = headSum(f, n); err != nil {
			return err
		}
	}
	g.chunks = append(g.chunks, piece{size: n})
	last := len(g.chunks) - 1
	if err := u.chunk(ctx, id, name, f, last, g.offset, g); err != nil {
		g.chunks = g.chunks[:last]
		return err
	}
	g.offset += n
	g.sent = time.Now()
	return nil
}

// chunk uploads chunk i, whose bytes begin at offset, and notes its checksum.
func (u *Uploader) chunk(ctx context.Context, id, name string, f *os.File, i int, offset int64, g *growing) error {
	sum := crc32.NewIEEE()
	r := io.TeeReader(io.NewSectionReader(f, offset, g.chunks[i].size), sum)
	err := u.send(ctx, u.chunkKey(id, name, i+1), r, &blob.WriterOptions{
		ContentType: "application/octet-stream", BufferSize: int(u.opts.ChunkBytes), MaxConcurrency: 1,
	})
	if err == nil {
		g.chunks[i].sum = sum.Sum32()
		u.metrics.moved("chunk", g.chunks[i].size)
	}
	return err
}

// ended makes the chunks of a file that became final while the recording goes on
// those of the final file: finishing writes its start anew, and may move or cut
// more. What is the same is not sent again.
func (u *Uploader) ended(ctx context.Context, id, name string, size int64, g *growing) error {
	f, err := u.root.Open(path.Join(id, name))
	if err != nil {
		return err
	}
	defer f.Close()
	var offset int64
	for i := 0; i < len(g.chunks); i++ {
		c := &g.chunks[i]
		if offset >= size {
			if err := u.drop(ctx, id, name, i, g); err != nil {
				return err
			}
			break
		}
		changed := c.size > size-offset
		c.size = min(c.size, size-offset)
		sum := crc32.NewIEEE()
		if _, err := io.Copy(sum, io.NewSectionReader(f, offset, c.size)); err != nil {
			return err
		}
		if changed || sum.Sum32() != c.sum {
			if err := u.chunk(ctx, id, name, f, i, offset, g); err != nil {
				return err
			}
		}
		offset += c.size
	}
	g.offset = offset
	for g.offset < size {
		if err := u.append(ctx, id, name, f, min(size-g.offset, u.opts.ChunkBytes), g); err != nil {
			return err
		}
	}
	return nil
}

// drop deletes the chunks from i on, the last first, so that none is forgotten.
func (u *Uploader) drop(ctx context.Context, id, name string, i int, g *growing) error {
	for len(g.chunks) > i {
		n := len(g.chunks)
		_, err := within(ctx, u.opts.OpTimeout, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, u.bucket.Delete(ctx, u.chunkKey(id, name, n))
		})
		if err != nil && !isNotFound(err) {
			return fmt.Errorf("delete chunk: %w", err)
		}
		g.chunks = g.chunks[:n-1]
	}
	return nil
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
