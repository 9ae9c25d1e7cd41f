package uri

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/govidu/govidu/internal/fetch"
)

// How a worker gets the bytes of a file (mode of its request "open").
const (
	modeFile = "file" // the descriptor is the file
	modeRead = "read" // a socket: the worker asks for ranges
	modePipe = "pipe" // a pipe: the bytes from the beginning, once
)

const (
	// maxRange is the most bytes that one question may ask for.
	maxRange = 64 << 20
	// rangeHeader is the length of a question and of an answer's head.
	rangeHeader = 16
)

// bytesInput is a file on its way to a worker: the worker's end, and what serves
// it from here.
type bytesInput struct {
	mode   string
	size   int64    // -1: unknown
	remote *os.File // the worker's end; closed by whoever sends it
	serve  func() error
	stop   func() // ends serve; may be nil

	once sync.Once
	done chan struct{}
}

// start serves until the input's end, a failure, which is told, or close.
func (in *bytesInput) start(failed func(error)) {
	in.done = make(chan struct{})
	if in.serve == nil {
		close(in.done)
		return
	}
	go func() {
		defer close(in.done)
		defer func() {
			if r := recover(); r != nil {
				failed(fmt.Errorf("panic: %v", r))
			}
		}()
		if err := in.serve(); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, os.ErrClosed) && !errors.Is(err, context.Canceled) {
			failed(err)
		}
	}()
}

// close ends serving and waits for it. Idempotent.
func (in *bytesInput) close() {
	in.once.Do(func() {
		in.remote.Close()
		if in.stop != nil {
			in.stop()
		}
	})
	if in.done != nil {
		<-in.done
	}
}

// fileInput takes over an open file.
func fileInput(f *os.File) *bytesInput {
	in := &bytesInput{mode: modeFile, size: -1, remote: f}
	if st, err := f.Stat(); err == nil {
		in.size = st.Size()
	}
	return in
}

// remoteInput takes over an open remote file; with ranges it can be sought in.
func remoteInput(r *fetch.Remote) (*bytesInput, error) {
	if !r.Ranges() {
		in, err := pipeInput(func(w io.Writer) error {
			_, err := io.Copy(w, r.Body())
			return err
		}, func() { r.Close() })
		if err != nil {
			r.Close()
		}
		return in, err
	}
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("make socket pair: %w", err)
	}
	ours := os.NewFile(uintptr(fds[0]), "ranges")
	conn, err := net.FileConn(ours) // with deadlines, unlike the file
	ours.Close()
	if err != nil {
		syscall.Close(fds[1])
		r.Close()
		return nil, fmt.Errorf("use socket pair: %w", err)
	}
	return &bytesInput{
		mode: modeRead, size: r.Size(), remote: os.NewFile(uintptr(fds[1]), "ranges"),
		serve: func() error { defer conn.Close(); return serveRanges(conn, r) },
		stop:  func() { r.Close(); conn.Close() },
	}, nil
}

// pipeInput makes a pipe that write fills from here; stop ends what write reads from.
func pipeInput(write func(io.Writer) error, stop func()) (*bytesInput, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	return &bytesInput{
		mode: modePipe, size: -1, remote: r,
		serve: func() error { defer w.Close(); return write(w) },
		stop:  func() { stop(); w.SetWriteDeadline(time.Now()); w.Close() },
	}, nil
}

// serveRanges answers questions: offset (8 bytes, big-endian), length (4),
// nothing (4). An answer is a count (8), or -1 for a failure, nothing (8), and as
// many bytes; fewer than asked for only at the file's end.
func serveRanges(conn net.Conn, r io.ReaderAt) error {
	var head [rangeHeader]byte
	var buf []byte
	for {
		if _, err := io.ReadFull(conn, head[:]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil // the worker is done
			}
			return err
		}
		off, n := int64(binary.BigEndian.Uint64(head[:])), int(binary.BigEndian.Uint32(head[8:]))
		if off < 0 || n > maxRange {
			return fmt.Errorf("read %d bytes at %d: out of bounds", n, off)
		}
		if cap(buf) < n {
			buf = make([]byte, n)
		}
		got, err := r.ReadAt(buf[:n], off)
		count := int64(got)
		if err != nil && !errors.Is(err, io.EOF) {
			count = -1
		}
		clear(head[:])
		binary.BigEndian.PutUint64(head[:], uint64(count))
		if _, werr := conn.Write(head[:]); werr != nil {
			return werr
		}
		if count < 0 {
			return err
		}
		if _, werr := conn.Write(buf[:got]); werr != nil {
			return werr
		}
		if cap(buf) > 4<<20 {
			buf = nil
		}
	}
}
