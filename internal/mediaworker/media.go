//go:build gst

package mediaworker

import (
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/govidu/govidu/internal/gst"
	"github.com/govidu/govidu/internal/workers/wire"
)

// receiver takes the messages of one stream that are no whole frames in order,
// on the media reader's goroutine. The others go its route.
type receiver interface {
	take(h wire.Header, payload []byte)
	route() *gst.Route
}

// media is the worker's end of the media socket.
type media struct {
	fd     int
	closed atomic.Bool
	inlet  *gst.Inlet

	mu    sync.Mutex
	table atomic.Pointer[map[uint16]receiver]
}

func newMedia(f *os.File) (*media, error) {
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("use the media socket: %w", err)
	}
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("the media socket is no SOCK_SEQPACKET: %w", err)
	}
	_ = unix.SetNonblock(fd, false)
	m := &media{fd: fd, inlet: gst.NewInlet()}
	m.table.Store(&map[uint16]receiver{})
	return m, nil
}

func (m *media) change(f func(map[uint16]receiver)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := map[uint16]receiver{}
	for k, v := range *m.table.Load() {
		next[k] = v
	}
	f(next)
	m.table.Store(&next)
}

func (m *media) add(id uint16, r receiver) {
	m.inlet.Add(id, r.route()) // nothing goes it before the receiver has seen a frame
	m.change(func(t map[uint16]receiver) { t[id] = r })
}

// remove: what is in the receiver's hands already may still arrive.
func (m *media) remove(id uint16) {
	m.inlet.Remove(id)
	m.change(func(t map[uint16]receiver) { delete(t, id) })
}

// read hands messages to their streams until close, or until the server is gone.
// Whole frames in order go their way without Go (routed).
func (m *media) read(panicked func(error)) {
	m.inlet.Run(m.fd, func(message []byte) bool {
		if m.closed.Load() {
			return false
		}
		h, payload, err := wire.Parse(message)
		if err != nil {
			return true
		}
		if r := (*m.table.Load())[h.Stream]; r != nil {
			give(r, h, payload, panicked)
		}
		return true
	})
}

// give guards: these bytes came from far away.
func give(r receiver, h wire.Header, payload []byte, panicked func(error)) {
	defer func() {
		if v := recover(); v != nil {
			panicked(fmt.Errorf("panic with a frame: %v\n%s", v, debug.Stack()))
		}
	}()
	r.take(h, payload)
}

// close ends read, and every later send fails.
func (m *media) close() {
	if !m.closed.Swap(true) {
		_ = unix.Shutdown(m.fd, unix.SHUT_RDWR)
	}
}

// free gives the descriptor back; nobody sends or reads any more.
func (m *media) free() { _ = unix.Close(m.fd) }
