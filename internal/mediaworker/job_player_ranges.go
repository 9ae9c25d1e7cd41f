//go:build gst

package mediaworker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// rangeTime bounds one answer of the server, which itself waits for others.
const rangeTime = time.Minute

// ranges reads a file that the server reads for us. A question is an offset (8
// bytes, big-endian), a length (4) and nothing (4); an answer a count (8) or -1,
// nothing (8), and as many bytes.
type ranges struct {
	mu   sync.Mutex
	conn net.Conn
}

func newRanges(f *os.File) (*ranges, error) {
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("use the file's socket: %w", err)
	}
	return &ranges{conn: c}, nil
}

// ReadAt implements io.ReaderAt.
func (r *ranges) ReadAt(b []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var head [16]byte
	binary.BigEndian.PutUint64(head[:], uint64(off))
	binary.BigEndian.PutUint32(head[8:], uint32(len(b)))
	if err := r.conn.SetDeadline(time.Now().Add(rangeTime)); err != nil {
		return 0, err
	}
	if _, err := r.conn.Write(head[:]); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(r.conn, head[:]); err != nil {
		return 0, err
	}
	n := int64(binary.BigEndian.Uint64(head[:]))
	if n < 0 || n > int64(len(b)) {
		return 0, errors.New("the server cannot read the file")
	}
	if _, err := io.ReadFull(r.conn, b[:n]); err != nil {
		return 0, err
	}
	if int(n) < len(b) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func (r *ranges) close() { _ = r.conn.Close() }
