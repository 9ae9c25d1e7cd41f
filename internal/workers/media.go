package workers

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/govidu/govidu/internal/workers/wire"
)

// errFull means that the socket had no room for the whole frame.
var errFull = errors.New("media socket full")

// mediaSocket is our end of one worker's media socket.
type mediaSocket struct {
	conn *net.UnixConn
	raw  syscall.RawConn

	mu  sync.Mutex // frames do not mix
	buf [wire.HeaderSize + wire.MaxFragment]byte
}

func newMediaSocket(c *net.UnixConn) (*mediaSocket, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("use media socket: %w", err)
	}
	return &mediaSocket{conn: c, raw: raw}, nil
}

// send sends a frame in as many messages as it takes, without waiting. After
// errFull the receiver drops what came of it.
func (s *mediaSocket) send(h wire.Header, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	flags := h.Flags &^ wire.More
	for {
		n := min(len(payload), wire.MaxFragment)
		h.Flags = flags
		if n < len(payload) {
			h.Flags |= wire.More
		}
		h.Put(s.buf[:])
		copy(s.buf[wire.HeaderSize:], payload[:n])
		full, err := sendNow(s.raw, s.buf[:wire.HeaderSize+n])
		if full {
			return errFull
		} else if err != nil {
			return err
		}
		if payload = payload[n:]; len(payload) == 0 {
			return nil
		}
		h.Fragment++
		flags &^= wire.Gap
	}
}

// read hands messages to take until the socket ends. The bytes are take's only
// for the call.
func (s *mediaSocket) read(take func(h wire.Header, payload []byte)) error {
	buf := make([]byte, wire.HeaderSize+wire.MaxFragment+1)
	for {
		n, err := s.conn.Read(buf)
		if err != nil {
			return err
		}
		h, payload, err := wire.Parse(buf[:n])
		if err != nil || len(payload) > wire.MaxFragment {
			continue // the frame's hole is noticed by its numbers
		}
		take(h, payload)
	}
}
