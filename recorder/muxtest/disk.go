package muxtest

import (
	"io"
	"slices"
	"sync"
)

// Disk is a file in memory that can be made to fail. It implements
// recorder.Media.
type Disk struct {
	// Err, when set, is what a write gives once Writes have succeeded or Room is used up.
	Err    error
	Writes int // -1 means no limit
	Room   int64

	mu sync.Mutex
	b  []byte
}

// NewDisk makes an empty disk without limits.
func NewDisk() *Disk { return &Disk{Writes: -1} }

// Bytes is a copy of what is on it.
func (d *Disk) Bytes() []byte { d.mu.Lock(); defer d.mu.Unlock(); return slices.Clone(d.b) }

// ReadAt implements io.ReaderAt.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if off >= int64(len(d.b)) {
		return 0, io.EOF
	}
	n := copy(p, d.b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt. A failing write leaves half of its bytes.
func (d *Disk) WriteAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.Err != nil && (d.Writes == 0 || d.Room > 0 && off+int64(len(p)) > d.Room) {
		p = p[:len(p)/2]
		if d.Room > 0 {
			p = p[:max(min(int64(len(p)), d.Room-off), 0)]
		}
		d.put(p, off)
		return len(p), d.Err
	}
	if d.Writes > 0 {
		d.Writes--
	}
	d.put(p, off)
	return len(p), nil
}

func (d *Disk) put(p []byte, off int64) {
	if end := off + int64(len(p)); end > int64(len(d.b)) {
		d.b = append(d.b, make([]byte, end-int64(len(d.b)))...)
	}
	copy(d.b[off:], p)
}

// Truncate cuts or lengthens.
func (d *Disk) Truncate(size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if size < int64(len(d.b)) {
		d.b = d.b[:size]
	} else {
		d.b = append(d.b, make([]byte, size-int64(len(d.b)))...)
	}
	return nil
}

// Sync does nothing.
func (d *Disk) Sync() error { return nil }
